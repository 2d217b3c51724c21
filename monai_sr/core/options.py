"""Declare every option once: command line, heads of ``inference.yaml`` and ``evaluate.yaml``, docs.

Nothing but Python's own library is imported here: ``monai-sr --help`` waits for no other.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from monai_sr.core.errors import OptionError

_WIDTH = 100
_NOTE: Any = {"initial_indent": "# ", "subsequent_indent": "# "}
_BY_MODEL = '{_target_: monai_sr.core.models.model_entry, model: "@model", bundle: "@bundle_root"'
_SAYS_NOTHING = ("none", "null", "false", "0", "0.0")


class Option(NamedTuple):
    """An option and all that is said about it.

    Attributes:
        name: of the option and of the entry in a bundle's configuration.
        help: what it means, in the words of ``--help`` and of the configuration.
        kind: of its value: "text", "path", "flag" (stands alone), "choice" (or has one), "switch"
            (or its denial), "int", "float", or one that :mod:`monai_sr.cli.options` reads.
        choices: values that the command line takes.
        nargs: how many values, as of argparse; "positional" and "positionals" have no flag.
        metavar: of the values in ``--help``.
        flags: other spellings.
        required: whether the command line asks for it.
        default: of the command line; None leaves it to the configuration.
        entry: what the configuration says where nothing is given; None: it has no such entry.
        follows_model: whether the entry is what a ``model`` stands for, where one is given.
        example: a value as ``python -m monai.bundle run`` takes it, for the documents.
        more: what only the documents add, in Markdown.
        excludes: options that say otherwise; two of them at once are refused.
        of: "both"; "command": what the command itself obeys; "configuration": no command has it.
    """

    name: str
    help: str = ""
    kind: str = "text"
    choices: Sequence[Any] | None = None
    nargs: int | str | None = None
    metavar: str | tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    entry: str | None = None
    follows_model: bool = False
    example: str = ""
    more: str = ""
    excludes: tuple[str, ...] = ()
    of: str = "both"

    def yaml(self) -> str:
        """Return its lines in the recipe of the configuration, where it has an entry."""
        entry = str(self.entry)
        if self.follows_model:
            entry = f"{_BY_MODEL}, name: {self.name}, default: {entry}}}"
        first, _, rest = entry.partition("\n")
        note = f"{self.help}, {self.example}" if self.example.startswith('"') else self.help
        line = f"{self.name}: {first}".rstrip()
        if len(f"{line}  # {note}") > _WIDTH:
            line = "\n".join([*textwrap.wrap(note, _WIDTH, **_NOTE), line])
        else:
            line = f"{line}  # {note}"
        return f"{line}\n{rest}" if rest else line

    def row(self) -> str:
        """Return its row of a table in the documents."""
        is_flag = self.kind in ("flag", "switch")
        value = "" if is_flag else self.example or "|".join(map(str, self.choices or ()))
        flag = self.name.upper() if "positional" in str(self.nargs) else f"--{self.name}"
        others = " or ".join(f"`--{name}`" for name in self.excludes)
        says = "; ".join(filter(None, (self.help, self.more, others and f"not with {others}")))
        option = f"{flag} {value}".rstrip().replace("|", "` or `")
        return f"| `{option}` | {says} |"

    def is_said(self, value: object) -> bool:
        """Tell whether a value says anything, which a default does not."""
        return str(value).lower() not in (*_SAYS_NOTHING, str(self.entry).lower())


class Command:
    """A command of ``monai-sr`` that runs a configuration of a bundle.

    Args:
        name: of the command.
        help: what it does.
        groups: title -> options.
    """

    def __init__(self, name: str, help: str, groups: Mapping[str, tuple[Option, ...]]) -> None:  # noqa: A002
        self.name, self.help, self.groups = name, help, groups

    def __iter__(self) -> Iterator[Option]:
        """Iterate over all options."""
        return (option for options in self.groups.values() for option in options)

    def entries(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was given of the entries of its configuration."""
        names = [option.name for option in self if option.of == "both"]
        return {name: given[name] for name in names if given.get(name) is not None}

    def check(self, given: Mapping[str, object]) -> None:
        """Refuse two options of which each says what the other says, too.

        Args:
            given: what the user gave, by name.

        Raises:
            OptionError: naming both.
        """
        said = {o.name: o for o in self if o.is_said(given.get(o.name))}
        for name, option in said.items():
            for other in option.excludes:
                if other in said:
                    raise OptionError(
                        f"{name}: must be left out beside {other}, got {given[name]} and "
                        f"{given[other]}; leave --{name} or --{other} out"
                    )


def path_options() -> Iterator[str]:
    """Yield the names of options that name one file or folder."""
    for command in (UPSCALE, TRAIN, EVALUATE):
        yield from (option.name for option in command if option.kind == "path")


_MODEL = Option("model", "natural_sr:fast, xray_sr:perceptual, srcnn, ...: see monai-sr models",
                of="command", entry="null", example="NAME",
                more="[how models are named](how-to/models.md)")  # fmt: skip
_SIZE = Option("size", "of the bundle's model: best (default) or fast", choices=("best", "fast"),
               entry="best", follows_model=True, example="fast",
               more="a network of a third of the arithmetic, 0.12 to 0.38 dB lower",
               excludes=("perception", "robust", "system", "spatial_dims"))  # fmt: skip
_LINKED = Option("linked_files",
                 "files that a VRT, HDF5 or item may name: in its folder (default), or anywhere",
                 choices=("folder", "anywhere"), of="command", example="anywhere")  # fmt: skip

UPSCALE = Command("upscale", "enlarge a file, a DICOM series folder or a folder", {
    "files": (
        Option("input",
               "file, folder, zip, DICOMDIR, .SAFE, 'pattern*.tif', address, or .txt of these",
               kind="path", nargs="positionals", entry="null", more="one or several"),
        Option("dataset_dir", "the same by MONAI's name for it", kind="path", entry='"@input"',
               of="configuration"),
        Option("assets", "of a STAC item: B04,B08, or B04+B08 as one image (default: role data)",
               metavar="KEYS", of="command", example="B04,B08", more="[how](how-to/stac.md)",
               excludes=("cluster", "deidentify", "bids")),
        Option("output_dir", "folder of the results", kind="path", flags=("-o",), required=True,
               entry="out", example="DIR"),
    ),
    "model": (
        _MODEL,
        Option("bundle", "name or folder (default: by each input)", of="command", example="NAME"),
        Option("system", "a system in place of the bundle's own model", kind="path", of="command",
               entry="null", follows_model=True, example="NAME",
               more="a method of the literature, as the results table judges it, without "
               "back-projection: `srcnn`, `vdsr`, ...; `monai-sr systems` lists them"),
        _SIZE,
        Option("robust", "for degraded input: for all (true), or for what is found to be so (auto)",
               kind="choice", choices=("auto", True, False), entry="false", follows_model=True,
               example="auto", more="weights for noisy, blurred and compressed input; alone: true "
               "([how](how-to/robust-auto.md))", excludes=("system", "spatial_dims")),
        Option("perception", "0: faithful (default) ... 1: perceptual, invents detail",
               kind="float", entry="0.0", follows_model=True, example="A",
               more="by a GAN, not for diagnosis (all but `ct_sr`)", excludes=("robust",)),
        Option("ckpt_path", "weights file instead of the bundle's", kind="path", example="FILE",
               more="[also of others](how-to/foreign-weights.md)",
               entry="\n"
               "  _target_: monai_sr.networks.weights_file\n"
               "  folder: $str(@bundle_root) + '/models'\n"
               "  _same_: system scale robust spatial_dims size perception"),
    ),
    "grid": (
        Option("scale", "up to 4 (default: the bundle's)", kind="number", example="2",
               more="4 unless told; others than 2 and 4, such as 2.5, are resampled from the next "
               "trained one", excludes=("spacing",),
               entry="\n  _target_: monai_sr.networks.trained_scale\n  _same_: spatial_dims"),
        Option("spacing",
               "spacing of the result in place of a scale, in mm, of GeoTIFF in units of its "
               "reference system: 0.5, or one for each axis: 0.5,0.5,1.0", kind="spacing",
               metavar="S", entry="null", example='"[0.5,0.5,1.0]"'),
        Option("tune", "minutes to learn from each volume's slices before these become thinner",
               kind="float", metavar="MINUTES", entry="0.0", example="2",
               more="with `--spacing` ([how](how-to/thick-slices.md#tune-it-on-one-volume))"),
        Option("slice_axis", "axis of a NIfTI volume's slices (default: the thickest)",
               flags=("--slice-axis",), kind="axis", entry="auto", example="0",
               choices=("auto", 0, 1, 2)),
        Option("spatial_dims",
               "3: enlarge NIfTI volumes along all axes (default: 2, within their slices)",
               flags=("--spatial-dims",), kind="int", choices=(2, 3), entry="2", follows_model=True,
               example="3", more="×2 unless told; with `--spacing` they become isotropic"),
    ),
    "values": (
        Option("consistency", "back-projection steps (0: off)", kind="int", example="N",
               more="2 unless told (with `--perception` 3, with `--robust` or `--system` none)",
               entry="\n"
               "  _target_: monai_sr.networks.consistency_steps\n"
               "  _same_: system robust perception"),
        Option("overshoot",
               "how far results may leave the range of the 3 x 3 input pixels around, as a share "
               "of it; inf: no limit (default: the bundle's)", kind="float", metavar="SHARE",
               entry="${overshoot}", example="0.5", more="[what it costs](concepts.md)"),
        Option("kind",
               "what values mean; labels and bit masks keep their codes (default: as each file "
               "says)", choices=("auto", "intensity", "label", "bits", "phase"), entry="auto",
               example="label", more="[how](formats.md#what-values-mean)"),
        Option("range", "stored values of black and white (default: by the file)", nargs=2,
               kind="float", metavar=("LOW", "HIGH"), entry="null", example='"[0,4095]"'),
        Option("nodata", "stored value that is no measurement, beside what the file declares",
               kind="float", metavar="VALUE", entry="null", example="-9999"),
        Option("bounds",
               "stored values that results are held in (default: where the file declares such)",
               nargs=2, kind="float", metavar=("LOW", "HIGH"), entry="null", example='"[-1,1]"'),
    ),
    "results": (
        Option("compression", "DICOM pixels, lossless: none (default), rle, jpegls, jpeg2000",
               entry="none", example="rle"),
        Option("deidentify", "results that tell of no person", kind="flag", entry="false",
               excludes=("cluster",),
               more="nor do their names ([what goes](formats.md#de-identification))"),
        Option("deidentify_key", "file with a secret, which keys the hashes of UIDs and names",
               entry="null", example="FILE"),
        Option("uncertainty", "with a map of the 90 % interval", kind="flag", entry="false",
               more="the result is the mean of eight views"),
        Option("report", "with a page about each result", kind="flag", entry="false",
               more="before and after, agreement, origin, unusual input ([how](how-to/report.md))"),
    ),
    "rasters": (
        Option("window", "a part of a raster, in its pixels", nargs=4, kind="int",
               metavar=("COLUMN", "ROW", "WIDTH", "HEIGHT"), entry="null",
               example='"[0,0,512,512]"', excludes=("bbox",)),
        Option("bbox", "a part of a raster, in units of its reference system", nargs=4,
               kind="float", metavar=("LEFT", "BOTTOM", "RIGHT", "TOP"), entry="null",
               example='"[5.1,52.0,5.2,52.1]"'),
        Option("cog", "rasters as cloud-optimized GeoTIFF (default: where the input is one)",
               kind="switch", entry="null", more="with overviews; `--no-cog`: never"),
        Option("scene_limit",
               "values of a raster's result above which it is not held in memory (default: 64)",
               flags=("--scene-limit",), kind="float", metavar="MILLIONS", entry="64",
               example="200", more="larger ones go through in windows ([how](how-to/scenes.md))"),
    ),
    "computing": (
        Option("device", "cpu, cuda, cuda:1, ... (default: a GPU if there is one)",
               example="cuda:1", entry="{_target_: monai_sr.core.devices.best_device}"),
        Option("runtime",
               "torch, openvino, onnxruntime, inductor or tensorrt (default: auto, the fastest)",
               entry="auto", example="openvino", more="[which](how-to/runtimes.md)"),
        Option("precision", "float32, bfloat16, float16; int8: 2 to 3 times as fast on CPUs",
               example="int8",
               more="with `monai-sr[openvino]`; on average at most 0.04 dB off (perceptual X-ray "
               "weights 0.14); `[onnxruntime]` can do it, but gains little",
               entry='\n'
               '  _target_: monai_sr.core.devices.inference_precision\n'
               '  _same_: device\n  spread: "@uncertainty"'),
        Option("tile_size", "side of tiles, in input pixels", of="configuration", example="256",
               entry="\n"
               "  _target_: monai_sr.runtimes.tile_side\n"
               "  _same_: device runtime precision system spatial_dims"),
    ),
    "many inputs": (
        Option("skip_done", "leave out results that are there and unchanged", kind="flag",
               of="command"),
        Option("cluster", "share inputs out on Dask: local, or tcp://host:8786; skips what is done",
               metavar="WHERE", of="command", example="local", more="[how](how-to/many-scenes.md)"),
        Option("workers", "processes of --cluster local (default: by GPUs and cores)", kind="count",
               of="command", example="4"),
        _LINKED,
    ),
    "BIDS": (
        Option("bids", "the input is a BIDS data set, the results are its derivatives",
               kind="flag", of="command", more="skips what is done ([how](how-to/bids.md))",
               excludes=("cluster", "deidentify", "uncertainty", "report", "window", "bbox")),
        Option("participant_label", "only these participants, with or without sub-", nargs="+",
               metavar="LABEL", flags=("--participant-label",), of="command", example="01"),
        Option("bids_suffix", "only these images (default: all of anat, func and dwi)", nargs="+",
               metavar="SUFFIX", of="command", example="T1w"),
    ),
})  # fmt: skip
"""Of ``monai-sr upscale`` and ``inference.yaml``."""

TRAIN = Command("train", "train a bundle's model or a system, in one or two stages", {
    "model": (
        _MODEL,
        Option("bundle", "name or folder (natural_sr)", of="command", example="NAME"),
        Option("system", "name or YAML file (default: the bundle's own model)", kind="path",
               of="command", example="NAME"),
        _SIZE._replace(excludes=("system",)),
        Option("pretrained", "weights to start from; with 2 stages: of stage 1", kind="path",
               example="FILE", more="RGB for grey and the reverse too"),
        Option("teacher",
               "second target in stage 1: weights of the best size, or a folder of results",
               kind="path", example="FILE",
               more="[how](how-to/train.md#a-fast-model-and-its-teacher)"),
    ),
    "images": (
        Option("dataset_dir", "folder of training images", kind="path", required=True,
               example="DIR"),
        Option("lr_dir", "folder of measured small images; they are made otherwise", kind="path",
               example="DIR", more="of the same names ([how](how-to/measured-pairs.md))"),
        Option("validation_dir", "folder of images to validate on", kind="path", example="DIR",
               more="else 3 % of the subjects are held out"),
        Option("split_table", "CSV: file, patient or place, perhaps split, of each image",
               example="FILE"),
        Option("degradation", "how small images are made: bicubic, noise, robust, ... or a file",
               of="command", example="robust"),
        _LINKED,
    ),
    "run": (
        Option("output_dir", "folder of the run; continued", kind="path", flags=("-o",),
               required=True, example="RUN"),
        Option("stages", "1: pixel loss; 2: then a GAN, stage 1 going to OUTPUT_DIR/stage_1",
               kind="int", choices=(1, 2), default=1, of="command", example="2"),
        Option("scale", "2, 3 or 4", kind="int", example="2"),
        Option("minutes", "budget of each stage in minutes", kind="float", example="N",
               more="the cosine schedule ends with it"),
        Option("steps", "budget of the last stage in steps", kind="int", example="N",
               more="30000 unless told"),
        Option("stage_1_steps", "budget of stage 1 before stage 2", kind="int", example="N"),
        Option("seed", "decides every batch", kind="int", example="N"),
        Option("device", "cpu, cuda, ... (default: a GPU if there is one)", example="cuda:1"),
        Option("precision", choices=("float32", "bfloat16", "float16"), example="bfloat16",
               more="by default `bfloat16` on GPUs and on x86 CPUs that multiply in it "
               "(AVX512_BF16, AMX) and are faster so, which is timed once; else `float32`"),
        Option("perceptual_backbone", "squeezenet1_1 (default), vgg19, ...", example="vgg19"),
        Option("perceptual_weights", "file of the backbone's weights", kind="path", example="FILE"),
        Option("dry_run", "one step, nothing kept", kind="flag"),
    ),
})  # fmt: skip
"""Of ``monai-sr train``; ``train.yaml`` and ``train_gan.yaml`` have more entries."""

EVALUATE = Command("evaluate", "judge a bundle's model and systems on benchmarks", {
    "images": (
        Option("dataset", "Set5, Set14, XRay, ..., or a YAML file", entry="null", nargs="+",
               example="Set5", more="several to MONAI's command as `\"['Set5','Set14']\"`"),
        Option("root", "folder of the images; without --dataset all of them", entry="null",
               kind="path", example="DIR"),
        Option("lr_root", "folder of their low-resolution images", entry="null", kind="path",
               example="DIR",
               more="`a.png`, `ax4.png` or `a_x4.png` goes with `a.png`; what has no partner is "
               "named", excludes=("dataset",)),
        Option("protocol", "of such a folder", entry="${protocol}",
               choices=("natural", "natural_opencv", "native"), more="natural (of `natural_sr`): 8 "
               "bits, luma; natural_opencv: LR by OpenCV; native (of others): own range, no luma"),
        Option("slice_step", "judge every so many slices", entry="1", kind="int", example="N"),
        Option("patient", "regular expression on the names of files", entry="null",
               example='"([0-9]+)_"',
               more="finds the patient: intervals draw whole patients; DICOM says it itself"),
        Option("per_class", "only the first images of each class", entry="null", kind="int",
               example="N"),
        Option("download", "fetch the images into root", entry="false", kind="flag",
               more="where their address and content are known"),
        _LINKED,
    ),
    "models": (
        _MODEL._replace(nargs="+", entry=None),
        Option("bundle", "name or folder (natural_sr)", of="command", example="NAME"),
        Option("system",
               "srcnn, ..., or of the bundle: model (default), fast, perceptual, robust, views",
               entry="null", kind="path", nargs="+", of="command", example="NAME",
               excludes=("model",), more="views: mean of eight, with intervals"),
        Option("scale", "2, 3 or 4 (default: the bundle's)", entry="4", kind="int", example="2"),
        _SIZE._replace(excludes=(), follows_model=False),
        Option("perception", "of the model: 0 faithful ... 1", entry="0.0", kind="float",
               example="A", excludes=("robust",)),
        Option("robust", "its weights for degraded input", entry="false", kind="flag"),
        Option("uncertainty", "whether its interval holds", entry="false", kind="flag"),
        Option("consistency", "back-projection steps of all systems", entry="null", kind="int",
               example="N",
               more="unless told, the bundle's own number for its model, none for systems"),
        Option("ckpt_path", "weights file in place of the bundle's", entry="null", kind="path",
               example="FILE", more="of the one system that is judged"),
        Option("device", "cpu, cuda, ... (default: a GPU if there is one)",
               entry="{_target_: monai_sr.core.devices.best_device}", example="cuda:1"),
    ),
    "results": (
        Option("output_dir", "folder of the results", entry="$'evaluation/' + @name", kind="path",
               flags=("-o",), required=True, example="DIR"),
        Option("measures", "psnr, ssim, ms_ssim, lpips, ...",
               entry="[psnr, ssim, lpips, gmsd, dss, lr_psnr]", nargs="+", example="psnr",
               more="[all](how-to/evaluate.md)"),
        Option("save_images", "keep the results as PNG files", entry="false", kind="flag",
               more="for [reports](how-to/report.md)"),
        Option("measure_weights", "files of networks' weights", of="configuration", entry="null",
               example="\"{'lpips_alex': 'FILE'}\""),
        Option("cache_dir", "what was measured before; null keeps nothing", kind="path",
               of="configuration", entry="$str(@output_dir) + '/cache'", example="DIR"),
        Option("precision", "of the networks", of="configuration", entry="float32",
               example="bfloat16"),
        Option("seed", "of the bootstrap", entry="0", kind="int", example="N"),
    ),
})  # fmt: skip
"""Of ``monai-sr evaluate`` and ``evaluate.yaml``."""

__all__ = ["EVALUATE", "TRAIN", "UPSCALE", "Command", "Option", "path_options"]
