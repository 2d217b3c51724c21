"""The command ``rio superres`` of rasterio: enlarges one raster as ``monai-sr upscale`` does.

Only ``click``, which rasterio brings, is imported here: ``rio`` looks at every plug-in it finds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rasterio.rio import options as rio_options

from monai_sr.core import (
    UPSCALE,
    Option,
    OptionError,
    appear_together,
    check_plain,
    log_to_stdout,
    printable,
    user_message,
)

_EXIT_CODE = 2
_LEFT_OUT = (
    # One file in, one out: what makes others, or belongs to other formats, is monai-sr's own.
    "input", "output_dir", "bundle", "slice_axis", "spatial_dims", "compression", "deidentify_key",
    "uncertainty", "report", "skip_done", "cluster", "workers", "linked_files",
)  # fmt: skip


def _spacing(text: str) -> float | list[float]:
    """Read one length, or one for each axis: 0.5, or 0.5,0.25."""
    try:
        parts = [float(part) for part in text.strip("[]()").split(",")]
    except ValueError as error:
        raise click.BadParameter(f"must be a number, such as 0.5, got {text!r}") from error
    return parts if len(parts) > 1 else parts[0]


_TYPES: dict[str, Any] = {
    "int": int, "float": float, "number": float, "text": str, "path": str, "axis": str,
    "spacing": _spacing,
}  # fmt: skip


def _chosen() -> Iterator[Option]:
    """Yield the options of ``monai-sr upscale`` that fit one raster."""
    for option in UPSCALE:
        if option.of != "configuration" and option.name not in _LEFT_OUT:
            yield option


def _command(function: Callable[..., None]) -> click.Command:
    """Make a command of rio of a function: one file in, one out, and the options of the table."""
    wrapped: Any = rio_options.overwrite_opt(function)
    for option in reversed(list(_chosen())):
        kind: dict[str, Any] = {"is_flag": True}
        if option.kind not in ("flag", "switch"):
            choice = click.Choice([str(c) for c in option.choices]) if option.choices else None
            metavar = option.metavar
            kind = {
                "type": choice or _TYPES[option.kind],
                "nargs": option.nargs or 1,
                "metavar": " ".join(metavar) if isinstance(metavar, tuple) else metavar,
            }
        flags = [flag for flag in option.flags if flag.startswith("--")]
        flag, denied = f"--{option.name}", f"no-{option.name}"
        flag = f"{flag}/--{denied}" if option.kind == "switch" else flag
        declare = click.option(flag, *flags, option.name, default=None, help=option.help, **kind)
        wrapped = declare(wrapped)
    wrapped = rio_options.file_in_arg(rio_options.file_out_arg(wrapped))
    named = click.command("superres", short_help="Enlarge a raster by super-resolution.")
    return named(wrapped)


class _Failure(click.ClickException):
    exit_code = _EXIT_CODE


@_command
def superres(input: str, output: str, overwrite: bool, **given: Any) -> None:  # noqa: A002
    """Enlarge a raster by super-resolution.

    INPUT is a GeoTIFF or another raster; OUTPUT is a GeoTIFF, or PNG where INPUT is a photo. It has
    the place, the bands, the data type and the nodata value of INPUT, and is what monai-sr upscale
    makes of it. Derived data: not for measurements of what the input does not show.
    """
    try:
        with log_to_stdout():
            _upscale(input, Path(output), overwrite, _named(given))
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        raise _Failure(printable(message)) from error


def _named(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given, as the table of options has it."""
    named = {name: value for name, value in given.items() if value not in (None, False)}
    pairs = {name: list(value) for name, value in named.items() if isinstance(value, tuple)}
    scale = named.get("scale")
    return {**named, **pairs, **({"scale": int(scale)} if scale and scale == int(scale) else {})}


def _upscale(source: str, output: Path, overwrite: bool, options: dict[str, Any]) -> None:
    check_plain({"input": source, "output": str(output), **options})
    UPSCALE.check(options)
    if output.exists() and not overwrite:
        raise OptionError(f"{output}: exists already; choose another name, or add --overwrite")
    if not output.parent.is_dir():
        raise OptionError(f"{output}: must lie in a folder that exists, got none; make it first")
    from monai_sr import FileUpscaler
    from monai_sr.formats import output_suffix

    suffix = ".tif" if options.get("cog") else output_suffix(source)
    if output.suffix.lower() not in (suffix, ".tiff" if suffix == ".tif" else suffix):
        raise OptionError(
            f"{output}: must end in {suffix}, as the result of this input is written, got "
            f"'{output.suffix}'; name it so"
        )
    upscaler = FileUpscaler(options.pop("model", None), progress=True, **options)
    with tempfile.TemporaryDirectory(prefix=".superres-", dir=output.parent) as folder:
        result = upscaler(source, folder)
        _publish(Path(str(result.output)), [Path(file) for file in result.files], output)
    click.echo(
        f"{printable(output)}: {result.size_in} -> {result.size_out}, agrees with the input by "
        f"{result.lr_psnr:.1f} dB"
    )


def _publish(made: Path, files: list[Path], output: Path) -> None:
    """Give the result, and what lies beside it, the name that was asked for."""
    from monai_sr.formats import replacing

    with replacing(output, has_maps=False), appear_together(output.parent) as hidden:
        for file in files:
            file.rename(hidden / f"{output.name}{file.name.removeprefix(made.name)}")
