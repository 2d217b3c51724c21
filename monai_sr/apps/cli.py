"""The command ``monai-sr``: upscale files by the name of a bundle, from anywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from monai_sr import __version__
from monai_sr.core.registry import unknown_name

_EXIT_CODE = 2
_OPTIONS = (
    "--output_dir", "--bundle", "--scale", "--consistency", "--device", "--ckpt_path", "--range"
)  # fmt: skip
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
    upscale.add_argument("input", help="file, DICOM series folder, or folder of mixed files")
    upscale.add_argument("-o", "--output_dir", required=True, help="folder of the results")
    upscale.add_argument("--bundle", default="natural_sr", help="name or folder (%(default)s)")
    upscale.add_argument("--scale", type=int, help="2 or 4 (default: the bundle's)")
    upscale.add_argument("--consistency", type=int, help="back-projection steps (0: off)")
    upscale.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    upscale.add_argument("--ckpt_path", help="weights file instead of the bundle's")
    upscale.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="stored values of black and white (default: by the file)",
    )
    commands.add_parser("bundles", help="list the installed bundles")
    return parser


def _upscale(arguments: argparse.Namespace) -> None:
    from monai_sr.apps.workflow import SRWorkflow

    names = ["input", *(option.removeprefix("--") for option in _OPTIONS if option != "--bundle")]
    given = {name: getattr(arguments, name) for name in names}
    workflow = SRWorkflow(arguments.bundle, **{k: v for k, v in given.items() if v is not None})
    workflow.initialize()
    workflow.run()
    workflow.finalize()


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
        if arguments.command == "bundles":
            _bundles()
        else:
            _upscale(arguments)
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
