"""The command ``monai-sr view``: a page on this machine to look at an input and its result."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from monai_sr.cli.options import add_command
from monai_sr.core import UPSCALE, Command, Option, find_model, list_bundles

if TYPE_CHECKING:
    from pathlib import Path

    from monai_sr.viewer.making import Make

_SHARED = {
    "model": ("model", "bundle", "system", "size", "robust", "perception", "ckpt_path"),
    "grid": ("scale", "spacing", "slice_axis", "spatial_dims"),
    "values": ("consistency", "overshoot", "kind", "range", "nodata", "bounds"),
    "results": ("uncertainty",),
    "rasters": ("window", "bbox", "scene_limit", "linked_files"),
    "computing": ("device", "runtime", "precision"),
}
_OF_UPSCALE = {option.name: option for option in UPSCALE}
_MAKING = [
    name
    for title in ("model", "grid", "values", "results", "computing")
    for name in _SHARED[title]
    if name not in ("kind", "nodata", "slice_axis")  # a result that is there is read by them, too
]
VIEW = Command(
    "view",
    "look at an input, its result and how they agree, in a browser on this machine",
    {
        "view": (
            Option("input", "a file, or the folder of one DICOM series", nargs="positional",
                   of="command"),
            Option("result", "a result that monai-sr upscale made of it, in place of a new one",
                   kind="path", of="command", excludes=tuple(_MAKING), example="FILE"),
            Option("deidentify_key", "file that keyed the record of that result", kind="path",
                   of="command", example="FILE"),
            Option("port", "of 127.0.0.1 (default: any free one)", kind="int", default=0,
                   of="command", example="8765"),
            Option("no_browser", "only print the address", flags=("--no-browser",), kind="flag",
                   of="command"),
        ),
        **{title: tuple(_OF_UPSCALE[name] for name in names) for title, names in _SHARED.items()},
    },
)  # fmt: skip
"""The command; what it shares with ``upscale`` means the same."""


def add_view_command(commands: Any) -> None:
    """Add the parser of :data:`VIEW_COMMANDS`."""
    add_command(commands, VIEW)


def _view(arguments: argparse.Namespace) -> None:
    VIEW.check(vars(arguments))
    make = _make(arguments) if arguments.result is None else None
    from monai_sr.viewer import View, ViewServer, existing

    names = ("kind", "nodata", "window", "bbox", "slice_axis")
    given = {name: getattr(arguments, name) for name in names}
    view = View(arguments.input, **{k: v for k, v in given.items() if v is not None})
    try:
        if make is None:
            key = arguments.deidentify_key
            make = existing(arguments.result, arguments.input, view.size, key)
        with ViewServer(view, arguments.port) as server:
            print(f"Open {server.address} in a browser of this machine; Ctrl-C ends it", flush=True)
            view.start(make)
            if not arguments.no_browser:
                _show(server.address, view.folder)
            server.serve_forever()
    except KeyboardInterrupt:
        print("monai-sr: ended; what was shown is removed")
    finally:
        view.close()


def _make(arguments: argparse.Namespace) -> Make:
    """Return what computes the result; its options are checked before anything is opened."""
    model = None
    if arguments.model is not None:
        model = find_model(arguments.model, arguments.bundle)
    elif arguments.bundle is not None:
        model = find_model(arguments.bundle)
    # A bundle of somebody else may need any part of MONAI.
    if model is None or model.bundle in list_bundles().values():
        from monai_sr.core import import_monai_light

        import_monai_light()
    from monai_sr.viewer import made_by_model

    options = {"system": arguments.system, **VIEW.entries(vars(arguments))}
    if model is None:
        return made_by_model(None, **options)
    return made_by_model(model.bundle, **model.with_given(options))


def _show(address: str, folder: Path) -> None:
    """Open a browser by a file that only this user can read.

    On its command line others would see the token.
    """
    import webbrowser
    from html import escape

    page = folder / "open.html"
    page.write_text(
        '<!doctype html><html lang="en"><title>monai-sr view</title>'
        f'<meta http-equiv="refresh" content="0; url={escape(address)}"></html>',
        encoding="utf-8",
    )
    webbrowser.open(page.as_uri())


VIEW_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"view": _view}
