"""The command ``monai-sr``: upscale files and train by the name of a bundle, from anywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from monai_sr import __version__
from monai_sr.apps.cli_reports import REPORT_COMMANDS, REPORT_OPTIONS, add_report_commands
from monai_sr.core.errors import OptionError
from monai_sr.core.registry import unknown_name

if TYPE_CHECKING:
    from monai_sr.apps.workflow import SRWorkflow

_EXIT_CODE = 2
_INFERENCE = (
    "scale", "spacing", "slice_axis", "spatial_dims", "consistency", "device", "ckpt_path", "range",
    "robust", "perception", "compression", "deidentify", "uncertainty", "window", "bbox", "cog",
    "scene_limit", "report",
)  # fmt: skip
_TRAINING = (
    "dataset_dir", "validation_dir", "split_table", "output_dir", "scale", "minutes", "steps",
    "stage_1_steps", "device", "precision", "seed", "pretrained", "dry_run",
    "perceptual_backbone", "perceptual_weights",
)  # fmt: skip
_EVALUATION = (
    "dataset", "root", "lr_root", "protocol", "slice_step", "patient", "download", "output_dir",
    "scale", "perception", "robust", "uncertainty", "consistency",
    "ckpt_path", "measures", "per_class", "save_images", "device", "seed",
)  # fmt: skip
_OTHERS = (
    "output_dir", "bundle", "system", "stages", "degradation", "cluster", "workers", "skip_done",
)  # fmt: skip
_OPTIONS = [f"--{n}" for n in (*_OTHERS, *_INFERENCE, *_TRAINING, *_EVALUATION, *REPORT_OPTIONS)]
_DESCRIPTION = "Single-image super-resolution of DICOM, NIfTI, GeoTIFF and plain images."


class _Parser(argparse.ArgumentParser):
    """Answers a wrong call in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(_EXIT_CODE, f"monai-sr: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="monai-sr", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"monai-sr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    upscale = commands.add_parser(
        "upscale", help="enlarge a file, a DICOM series folder or a folder", allow_abbrev=False
    )
    upscale.add_argument(
        "input", help="file, folder, .SAFE product, 'pattern*.tif', or .txt that lists them"
    )
    upscale.add_argument("-o", "--output_dir", required=True, help="folder of the results")
    upscale.add_argument("--bundle", default="natural_sr", help="name or folder (%(default)s)")
    upscale.add_argument("--system", help="a system in place of the bundle's own model")
    upscale.add_argument("--robust", action="store_true", default=None, help="for degraded input")
    upscale.add_argument(
        "--perception", type=float, help="0: faithful (default) ... 1: perceptual, invents detail"
    )
    upscale.add_argument("--scale", type=_number, help="up to 4 (default: the bundle's)")
    _add_grid(upscale)
    _add_scenes(upscale)
    upscale.add_argument("--consistency", type=int, help="back-projection steps (0: off)")
    upscale.add_argument(
        "--compression", help="DICOM pixels, lossless: none (default), rle, jpegls, jpeg2000"
    )
    upscale.add_argument(
        "--deidentify", action="store_true", default=None, help="DICOM results without identity"
    )
    upscale.add_argument(
        "--uncertainty", action="store_true", default=None, help="with a map of the 90 %% interval"
    )
    upscale.add_argument(
        "--report", action="store_true", default=None, help="with a page about each result"
    )
    upscale.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    upscale.add_argument("--ckpt_path", help="weights file instead of the bundle's")
    upscale.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="stored values of black and white (default: by the file)",
    )
    _add_many(upscale)
    _add_train(commands)
    _add_evaluate(commands)
    add_report_commands(commands)
    commands.add_parser("bundles", help="list the installed bundles")
    commands.add_parser("systems", help="list the systems: parameters, scales, receptive field")
    return parser


def _add_grid(upscale: argparse.ArgumentParser) -> None:
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


def _add_scenes(upscale: argparse.ArgumentParser) -> None:
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


def _add_many(upscale: argparse.ArgumentParser) -> None:
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


def _number(text: str) -> float:
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


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train", help="train a bundle's model or a system, in one or two stages", allow_abbrev=False
    )
    train.add_argument("--bundle", default="natural_sr", help="name or folder (%(default)s)")
    train.add_argument("--system", help="name or YAML file (default: the bundle's own model)")
    train.add_argument("--dataset_dir", required=True, help="folder of training images")
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


def _add_evaluate(commands: Any) -> None:
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
        help="srcnn, ..., or of the bundle: model (default), perceptual, robust, views",
    )  # fmt: skip
    evaluate.add_argument("--scale", type=int, help="2, 3 or 4 (default: the bundle's)")
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


def _upscale(arguments: argparse.Namespace) -> None:
    from monai_sr.apps.workflow import SRWorkflow

    if arguments.slice_axis in ("0", "1", "2"):
        arguments.slice_axis = int(arguments.slice_axis)
    options = _given(arguments, ("input", "output_dir", *_INFERENCE))
    if arguments.cluster is not None:
        _upscale_on_cluster(arguments, options)
        return
    if arguments.workers is not None:
        raise OptionError("workers: belong to a cluster; add --cluster local")
    if arguments.skip_done:
        options["dataset#skip_done"] = True
    _run(SRWorkflow(arguments.bundle, system=arguments.system, **options))


def _upscale_on_cluster(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    from monai_sr.apps.cluster import upscale_on_cluster

    upscale_on_cluster(
        arguments.bundle, arguments.cluster, arguments.workers, system=arguments.system, **options
    )


def _train(arguments: argparse.Namespace) -> None:
    from monai_sr.apps.workflow import SRWorkflow
    from monai_sr.core.configs import find_config

    config = "train" if arguments.stages == 1 else "train_gan"
    how = arguments.degradation
    overlays = [find_config("degradations", how)] if how else []
    options = _given(arguments, _TRAINING)
    _run(
        SRWorkflow(arguments.bundle, config, system=arguments.system, overlays=overlays, **options)
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from monai_sr.apps.workflow import SRWorkflow

    options = _given(arguments, _EVALUATION)
    _run(SRWorkflow(arguments.bundle, "evaluate", system=arguments.system, **options))


def _given(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _run(workflow: SRWorkflow) -> None:
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _systems() -> None:
    from monai_sr.apps.systems import describe_systems

    print(describe_systems())


def _bundles() -> None:
    from monai_sr.apps.bundles import list_bundles

    for name, folder in list_bundles().items():
        print(f"{name}\t{folder}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 for anything a user can mend."""
    arguments, unknown = _parser().parse_known_args(argv)
    if unknown:
        kind = "option" if unknown[0].startswith("-") else "argument"
        sys.stderr.write(f"monai-sr: error: {unknown_name(kind, unknown[0], _OPTIONS)}\n")
        return _EXIT_CODE
    # Heavy imports come after the arguments are known to be right.
    import warnings

    warnings.filterwarnings("ignore", message=".*parsing config_file.*")
    warnings.filterwarnings("ignore", message=".*nvimgcodec.*")
    from monai_sr import hook

    try:
        {"bundles": _bundles, "systems": _systems}.get(
            arguments.command,
            lambda: {
                "upscale": _upscale,
                "train": _train,
                "evaluate": _evaluate,
                **REPORT_COMMANDS,
            }[arguments.command](arguments),
        )()
    except KeyboardInterrupt:
        sys.stderr.write("monai-sr: stopped; finished results are kept\n")
        return hook.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not hook.report(error):
            raise
        return _EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
