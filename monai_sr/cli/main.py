"""The command ``monai-sr``: upscale files and train by the name of a bundle, from anywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from monai_sr.cli.options import (
    add_evaluate,
    add_grid,
    add_many,
    add_runtime,
    add_scenes,
    add_size,
    add_train,
    add_trust,
    add_values,
    number,
    plain_flags,
)
from monai_sr.cli.reports import REPORT_COMMANDS, REPORT_OPTIONS, add_report_commands
from monai_sr.core.errors import OptionError
from monai_sr.core.log import log_to_stdout
from monai_sr.core.plain_options import check_plain
from monai_sr.core.registry import unknown_name
from monai_sr.core.text import print_safely, printable
from monai_sr.core.version import __version__

if TYPE_CHECKING:
    from monai_sr.upscaling.workflow import SRWorkflow

_EXIT_CODE = 2
_INFERENCE = (
    "scale", "spacing", "slice_axis", "spatial_dims", "consistency", "device", "ckpt_path", "range",
    "size", "robust", "perception", "compression", "deidentify", "deidentify_key", "uncertainty",
    "window", "bbox", "cog", "scene_limit", "report", "runtime", "precision", "nodata", "bounds",
    "overshoot", "kind",
)  # fmt: skip
_TRAINING = (
    "dataset_dir", "lr_dir", "validation_dir", "split_table", "output_dir", "scale", "minutes",
    "steps", "stage_1_steps", "device", "precision", "seed", "pretrained", "dry_run",
    "perceptual_backbone", "perceptual_weights", "size", "teacher",
)  # fmt: skip
_EVALUATION = (
    "dataset", "root", "lr_root", "protocol", "slice_step", "patient", "download", "output_dir",
    "scale", "size", "perception", "robust", "uncertainty", "consistency",
    "ckpt_path", "measures", "per_class", "save_images", "device", "seed",
)  # fmt: skip
_OTHERS = (
    "output_dir", "bundle", "system", "stages", "degradation", "cluster", "workers", "skip_done",
    "linked_files",
)  # fmt: skip
_OPTIONS = [f"--{n}" for n in (*_OTHERS, *_INFERENCE, *_TRAINING, *_EVALUATION, *REPORT_OPTIONS)]
_DESCRIPTION = "Single-image super-resolution of DICOM, NIfTI, GeoTIFF and plain images."


class _Parser(argparse.ArgumentParser):
    """Answers a wrong call in one line, as every other error."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Take True and False after a flag, as the command of MONAI wants them."""
        flags = {
            name
            for action in self._actions
            if action.nargs == 0 and action.const is True
            for name in action.option_strings
        }
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(plain_flags(words, flags), namespace)

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(_EXIT_CODE, f"monai-sr: error: {printable(message)}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="monai-sr", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"monai-sr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    upscale = commands.add_parser(
        "upscale", help="enlarge a file, a DICOM series folder or a folder", allow_abbrev=False
    )
    upscale.add_argument(
        "input",
        help="file, folder, zip, DICOMDIR, .SAFE product, 'pattern*.tif', or .txt of these",
    )
    upscale.add_argument("-o", "--output_dir", required=True, help="folder of the results")
    upscale.add_argument("--bundle", help="name or folder (default: by each input)")
    upscale.add_argument("--system", help="a system in place of the bundle's own model")
    add_size(upscale)
    upscale.add_argument("--robust", action="store_true", default=None, help="for degraded input")
    upscale.add_argument(
        "--perception", type=float, help="0: faithful (default) ... 1: perceptual, invents detail"
    )
    upscale.add_argument("--scale", type=number, help="up to 4 (default: the bundle's)")
    add_grid(upscale)
    add_scenes(upscale)
    upscale.add_argument("--consistency", type=int, help="back-projection steps (0: off)")
    upscale.add_argument(
        "--compression", help="DICOM pixels, lossless: none (default), rle, jpegls, jpeg2000"
    )
    upscale.add_argument(
        "--deidentify", action="store_true", default=None, help="results that tell of no person"
    )
    upscale.add_argument(
        "--deidentify_key", help="file with a secret, which keys the hashes of UIDs and names"
    )
    upscale.add_argument(
        "--uncertainty", action="store_true", default=None, help="with a map of the 90 %% interval"
    )
    upscale.add_argument(
        "--report", action="store_true", default=None, help="with a page about each result"
    )
    upscale.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    upscale.add_argument("--ckpt_path", help="weights file instead of the bundle's")
    add_runtime(upscale)
    add_values(upscale)
    add_many(upscale)
    add_trust(upscale)
    add_train(commands)
    add_evaluate(commands)
    add_report_commands(commands)
    commands.add_parser("bundles", help="list the installed bundles")
    commands.add_parser("systems", help="list the systems: parameters, scales, receptive field")
    return parser


def _upscale(arguments: argparse.Namespace) -> None:
    from monai_sr.core.bundles import list_bundles
    from monai_sr.core.optional import import_monai_light

    # A bundle of somebody else may need any part of MONAI.
    if arguments.bundle is None or arguments.bundle in list_bundles():
        import_monai_light()
    from monai_sr.upscaling.workflow import SRWorkflow

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
    if arguments.bundle is None:
        from monai_sr.upscaling.choice import upscale_each

        upscale_each(system=arguments.system, **options)
    else:
        _run(SRWorkflow(arguments.bundle, system=arguments.system, **options))


def _upscale_on_cluster(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    from monai_sr.cli.cluster import upscale_on_cluster
    from monai_sr.upscaling.choice import only_bundle

    bundle = arguments.bundle or only_bundle(system=arguments.system, **options)
    upscale_on_cluster(
        bundle, arguments.cluster, arguments.workers, system=arguments.system, **options
    )


def _train(arguments: argparse.Namespace) -> None:
    from monai_sr.core.registry import find_config
    from monai_sr.upscaling.workflow import SRWorkflow

    config = "train" if arguments.stages == 1 else "train_gan"
    how = arguments.degradation
    overlays = [find_config("degradations", how)] if how else []
    options = _given(arguments, _TRAINING)
    _run(
        SRWorkflow(arguments.bundle, config, system=arguments.system, overlays=overlays, **options)
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from monai_sr.upscaling.workflow import SRWorkflow

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
    from monai_sr.cli.systems import describe_systems

    print(describe_systems())


def _bundles() -> None:
    from monai_sr.core.bundles import list_bundles

    for name, folder in list_bundles().items():
        print(f"{printable(name)}\t{printable(folder)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 for anything a user can mend."""
    print_safely()
    arguments, unknown = _parser().parse_known_args(argv)
    if unknown:
        kind = "option" if unknown[0].startswith("-") else "argument"
        message = printable(unknown_name(kind, unknown[0], _OPTIONS))
        sys.stderr.write(f"monai-sr: error: {message}\n")
        return _EXIT_CODE
    if getattr(arguments, "linked_files", None):
        os.environ["MONAI_SR_LINKED_FILES"] = arguments.linked_files  # reaches workers, too
    # Heavy imports come after the arguments are known to be right.
    import warnings

    warnings.filterwarnings("ignore", message=".*parsing config_file.*")
    warnings.filterwarnings("ignore", message=".*nvimgcodec.*")
    from monai_sr import hook

    try:
        check_plain(vars(arguments))
        with log_to_stdout():
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
