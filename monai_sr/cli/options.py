"""The options of the command ``monai-sr``, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Container, Sequence
from typing import Any


def add_size(command: argparse.ArgumentParser) -> None:
    """Add the size of a bundle's own model."""
    command.add_argument(
        "--size", choices=("best", "fast"), help="of the bundle's model: best (default) or fast"
    )


def add_grid(upscale: argparse.ArgumentParser) -> None:
    """Add what decides on the grid of results."""
    upscale.add_argument(
        "--spacing", type=_spacing, metavar="S",
        help="spacing of the result in place of a scale, in mm, of GeoTIFF in units of its "
        "reference system: 0.5, or one for each axis: 0.5,0.5,1.0",
    )  # fmt: skip
    upscale.add_argument(
        "--slice_axis", "--slice-axis", choices=("auto", "0", "1", "2"),
        help="axis of a NIfTI volume's slices (default: the thickest)",
    )  # fmt: skip
    upscale.add_argument(
        "--spatial_dims", "--spatial-dims", type=int, choices=(2, 3),
        help="3: enlarge NIfTI volumes along all axes (default: 2, within their slices)",
    )  # fmt: skip


def add_values(upscale: argparse.ArgumentParser) -> None:
    """Add what decides on values, stored ones throughout."""
    upscale.add_argument(
        "--range", nargs=2, type=float, metavar=("LOW", "HIGH"),
        help="stored values of black and white (default: by the file)",
    )  # fmt: skip
    upscale.add_argument(
        "--kind", choices=("auto", "intensity", "label", "bits", "phase"),
        help="what values mean; labels and bit masks keep their codes (default: as each file says)",
    )  # fmt: skip
    upscale.add_argument(
        "--nodata", type=float, metavar="VALUE",
        help="stored value that is no measurement, beside what the file declares",
    )  # fmt: skip
    upscale.add_argument(
        "--bounds", nargs=2, type=float, metavar=("LOW", "HIGH"),
        help="stored values that results are held in (default: where the file declares such)",
    )  # fmt: skip
    upscale.add_argument(
        "--overshoot", type=float, metavar="SHARE",
        help="how far results may leave the range of the 3 x 3 input pixels around, as a share of "
        "it; inf: no limit (default: the bundle's)",
    )  # fmt: skip


def add_scenes(upscale: argparse.ArgumentParser) -> None:
    """Add parts and windows of rasters."""
    upscale.add_argument(
        "--window", nargs=4, type=int, metavar=("COLUMN", "ROW", "WIDTH", "HEIGHT"),
        help="a part of a raster, in its pixels",
    )  # fmt: skip
    upscale.add_argument(
        "--bbox", nargs=4, type=float, metavar=("LEFT", "BOTTOM", "RIGHT", "TOP"),
        help="a part of a raster, in units of its reference system",
    )  # fmt: skip
    upscale.add_argument(
        "--cog", action="store_true", default=None, help="rasters as cloud-optimized GeoTIFF"
    )
    upscale.add_argument(
        "--scene_limit", "--scene-limit", type=float, metavar="MILLIONS",
        help="values of a raster's result above which it is not held in memory (default: 64)",
    )  # fmt: skip


def add_trust(*commands: argparse.ArgumentParser) -> None:
    """Add what an input may reach."""
    for command in commands:
        command.add_argument(
            "--linked_files", choices=("folder", "anywhere"),
            help="files that a VRT or HDF5 input may name: in its folder (default), or anywhere",
        )  # fmt: skip


def add_runtime(upscale: argparse.ArgumentParser) -> None:
    """Add what runs the network."""
    upscale.add_argument(
        "--runtime",
        help="torch, openvino, onnxruntime, inductor or tensorrt (default: auto, the fastest)",
    )
    upscale.add_argument(
        "--precision", help="float32, bfloat16, float16; int8: 2 to 3 times as fast on CPUs"
    )


def add_many(upscale: argparse.ArgumentParser) -> None:
    """Add what many inputs need."""
    upscale.add_argument(
        "--skip_done", action="store_true", help="leave out results that are there and unchanged"
    )
    upscale.add_argument(
        "--cluster", metavar="WHERE",
        help="share inputs out on Dask: local, or tcp://host:8786; skips what is done",
    )  # fmt: skip
    upscale.add_argument(
        "--workers", type=_count, help="processes of --cluster local (default: by GPUs and cores)"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def plain_flags(words: Sequence[str], flags: Container[str]) -> list[str]:
    """Return a command line in which flags have no values: True goes, False takes its flag along.

    Example:
        >>> plain_flags(["--cog", "True", "a.tif", "--report=False"], {"--cog", "--report"})
        ['--cog', 'a.tif']
    """
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, is_joined, value = word.partition("=")
        if name not in flags:
            kept.append(word)
            continue
        if not is_joined and rest and rest[0].lower() in ("true", "false"):
            value = rest.pop(0)
        if value.lower() in ("", "true"):
            kept.append(name)
        elif value.lower() != "false":
            kept.append(word)  # it is refused as it stands
    return kept


def number(text: str) -> float:
    """Read a whole or other number; 4 and 4.0 are one."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    return int(value) if value.is_integer() else value


def _spacing(text: str) -> float | list[float | None]:
    """Read one length or several, maybe in MONAI's brackets; None keeps an axis."""
    parts = [part.strip() for part in text.strip("[]()").split(",")]
    try:
        values = [None if part == "None" else float(part) for part in parts]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, such as 0.5, got {text!r}") from None
    return values if len(values) > 1 or values[0] is None else values[0]


def add_train(commands: Any) -> None:
    """Add the command "train"."""
    train = commands.add_parser(
        "train", help="train a bundle's model or a system, in one or two stages", allow_abbrev=False
    )
    train.add_argument("--bundle", default="natural_sr", help="name or folder (%(default)s)")
    train.add_argument("--system", help="name or YAML file (default: the bundle's own model)")
    train.add_argument("--dataset_dir", required=True, help="folder of training images")
    train.add_argument("--lr_dir", help="folder of measured small images; they are made otherwise")
    train.add_argument("--validation_dir", help="folder of images to validate on")
    train.add_argument(
        "--split_table", help="CSV: file, patient or place, perhaps split, of each image"
    )
    train.add_argument("-o", "--output_dir", required=True, help="folder of the run; continued")
    train.add_argument(
        "--stages", type=int, choices=(1, 2), default=1,
        help="1: pixel loss; 2: then a GAN, stage 1 going to OUTPUT_DIR/stage_1",
    )  # fmt: skip
    train.add_argument("--scale", type=int, help="2, 3 or 4")
    add_size(train)
    train.add_argument("--teacher", help="weights of the best size, as a second target in stage 1")
    train.add_argument(
        "--degradation", help="how small images are made: bicubic, noise, robust, ... or a file"
    )
    train.add_argument("--minutes", type=float, help="budget of each stage in minutes")
    train.add_argument("--steps", type=int, help="budget of the last stage in steps")
    train.add_argument("--stage_1_steps", type=int, help="budget of stage 1 before stage 2")
    train.add_argument("--pretrained", help="weights to start from; with 2 stages: of stage 1")
    train.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    train.add_argument("--precision", choices=("float32", "bfloat16", "float16"))
    train.add_argument("--seed", type=int, help="decides every batch")
    train.add_argument("--perceptual_backbone", help="squeezenet1_1 (default), vgg19, ...")
    train.add_argument("--perceptual_weights", help="file of the backbone's weights")
    train.add_argument(
        "--dry_run", action="store_true", default=None, help="one step, nothing kept"
    )
    add_trust(train)


def add_evaluate(commands: Any) -> None:
    """Add the command "evaluate"."""
    evaluate = commands.add_parser(
        "evaluate", help="judge a bundle's model and systems on benchmarks", allow_abbrev=False
    )
    evaluate.add_argument("--bundle", default="natural_sr", help="name or folder (%(default)s)")
    evaluate.add_argument("--dataset", nargs="+", help="Set5, Set14, XRay, ..., or a YAML file")
    evaluate.add_argument("--root", help="folder of the images; without --dataset all of them")
    evaluate.add_argument("--lr_root", help="folder of their low-resolution images")
    evaluate.add_argument("--protocol", choices=("natural", "native"), help="of such a folder")
    evaluate.add_argument("--slice_step", type=int, help="judge every so many slices")
    evaluate.add_argument("--patient", help="regular expression on the names of files")
    evaluate.add_argument(
        "--download", action="store_true", default=None, help="fetch the images into root"
    )
    evaluate.add_argument("-o", "--output_dir", required=True, help="folder of the results")
    evaluate.add_argument(
        "--system", nargs="+",
        help="srcnn, ..., or of the bundle: model (default), fast, perceptual, robust, views",
    )  # fmt: skip
    evaluate.add_argument("--scale", type=int, help="2, 3 or 4 (default: the bundle's)")
    add_size(evaluate)
    evaluate.add_argument("--perception", type=float, help="of the model: 0 faithful ... 1")
    evaluate.add_argument(
        "--robust", action="store_true", default=None, help="its weights for degraded input"
    )
    evaluate.add_argument(
        "--uncertainty", action="store_true", default=None, help="whether its interval holds"
    )
    evaluate.add_argument("--consistency", type=int, help="back-projection steps of all systems")
    evaluate.add_argument("--ckpt_path", help="weights file in place of the bundle's")
    evaluate.add_argument("--measures", nargs="+", help="psnr, ssim, ms_ssim, lpips, ...")
    evaluate.add_argument("--per_class", type=int, help="only the first images of each class")
    evaluate.add_argument(
        "--save_images", action="store_true", default=None, help="keep the results as PNG files"
    )
    evaluate.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    evaluate.add_argument("--seed", type=int, help="of the bootstrap")
    add_trust(evaluate)
