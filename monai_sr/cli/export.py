"""The command ``monai-sr export``: a model in a form that programs without monai-sr run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_sr.core import OptionError, find_model, printable

_FORMATS = {
    "torchscript": "export_torchscript",
    "deepness": "export_deepness",
}
"""What ``--format`` takes: name -> function of :mod:`monai_sr.integrations`, which gets the model,
the folder, the scale and its own options, and returns what it wrote."""

_OF_DEEPNESS = ("tile_size", "pixel_size")


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
        help="torchscript: a MONAI bundle of stock parts (default); deepness: an ONNX file for the "
        "plug-in of QGIS",
    )
    export.add_argument("--scale", type=int, default=4, help="enlargement (%(default)s)")
    export.add_argument("--tile_size", type=int, help="deepness: side of tiles, in pixels (256)")
    export.add_argument(
        "--pixel_size", type=float, metavar="METERS", help="deepness: of the layer, which it reads"
    )


def _export(arguments: argparse.Namespace) -> None:
    from monai_sr import integrations

    model = find_model(arguments.model)
    write = getattr(integrations, _FORMATS[arguments.format])
    own = {name: getattr(arguments, name) for name in _OF_DEEPNESS}
    given = {name: value for name, value in own.items() if value is not None}
    if given and arguments.format != "deepness":
        raise OptionError(
            f"{next(iter(given))}: is of --format deepness; add that, or leave it out"
        )
    written = write(model, Path(arguments.output_dir), scale=arguments.scale, **given)
    print(f"{model.name} x{arguments.scale}: {printable(written)}")


EXPORT_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"export": _export}
