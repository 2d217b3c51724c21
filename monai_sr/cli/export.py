"""The command ``monai-sr export``: a model in a form that programs without monai-sr run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_sr.core import find_model, printable

_FORMATS = {
    "torchscript": "export_torchscript",
}
"""What ``--format`` takes: name -> function of :mod:`monai_sr.integrations`, which gets the model,
the folder and the scale and returns what it wrote."""


def add_export_command(commands: Any) -> None:
    """Add the parser of :data:`EXPORT_COMMANDS`."""
    export = commands.add_parser(
        "export", help="write a model as a bundle that runs without monai-sr", allow_abbrev=False
    )
    export.add_argument("model", help="a bundle, or BUNDLE:fast")
    export.add_argument("-o", "--output_dir", required=True, help="folder to write it into")
    export.add_argument(
        "--format",
        choices=_FORMATS,
        default="torchscript",
        help="torchscript: a MONAI bundle of stock parts (default)",
    )
    export.add_argument("--scale", type=int, default=4, help="enlargement (%(default)s)")


def _export(arguments: argparse.Namespace) -> None:
    from monai_sr import integrations

    model = find_model(arguments.model)
    write = getattr(integrations, _FORMATS[arguments.format])
    written = write(model, Path(arguments.output_dir), scale=arguments.scale)
    print(f"{model.name} x{arguments.scale}: {printable(written)}")


EXPORT_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"export": _export}
