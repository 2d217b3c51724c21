"""Where the result that is shown comes from: a model computes it, or it is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_sr.core import BadImageError, PathLike, sha256
from monai_sr.formats import digest, input_digest, read_key, split_part
from monai_sr.upscaling import FileUpscaler, Manifest, find_inputs

_LEVELS = 8  # folders above a result that may hold its record


@dataclass(frozen=True)
class Made:
    """A result.

    Attributes:
        output: the file, or the folder of a DICOM series.
        facts: title and value of what is said of it.
        warnings: lines.
    """

    output: Path
    facts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


Make = Callable[[PathLike, Path], Made]
"""Input and folder -> the result of it."""


def one_image(source: PathLike) -> str | list[str]:
    """Return the file of an input, or the files of its DICOM series.

    Raises:
        BadImageError: the input is missing, or holds none, several, or a part of a product.
    """
    inputs = find_inputs(source, Path(source) / "no results", (), True)
    (files, *others) = inputs.files.values() if inputs.files else ([],)
    if others or not files or inputs.archives or split_part(files[0]):
        raise BadImageError(
            f"{source}: must be one image file or the folder of one series, got "
            f"{len(others) + 1} images or an archive; name one of them"
        )
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


def made_by_model(model: PathLike | None, **options: Any) -> Make:
    """Return what computes a result.

    Args:
        model: as for :class:`monai_sr.FileUpscaler`.
        **options: entries of the bundles' ``inference.yaml``.

    Raises:
        OptionError: an option does not fit.
    """
    upscaler = FileUpscaler(model, **options)

    def make(source: PathLike, folder: Path) -> Made:
        result = upscaler(source, folder)
        facts = {
            "Model": result.bundle,
            "Values": result.kind,
            "Size": f"{result.size_in} to {result.size_out}",
            **_agreement(f"{result.lr_psnr:.1f}", f"{result.off_share:.2%}", result.worst_off),
            "Computed in": f"{result.seconds:.1f} s",
        }
        return Made(Path(str(result.output)), tuple(facts.items()), tuple(result.warnings))

    return make


def existing(
    result: PathLike, source: PathLike, size: str, deidentify_key: PathLike | None = None
) -> Make:
    """Return what gives a result that is there, once it has proved to be that of the input.

    Args:
        result: written by ``monai-sr upscale``, whose record lies in its folder or above.
        source: its input.
        size: of the input, or of the part of it that is shown, as records have it.
        deidentify_key: the file that keyed the checksums of the record.

    Raises:
        BadImageError: it is not on record, was changed, or is the result of something else.
    """
    path = Path(result)
    row = _row(path)
    image = one_image(source)
    known = input_digest(image)
    key = read_key(deidentify_key, deidentify_key is not None)
    if row["input_sha256"] != (sha256(known, key) if key else known):
        raise BadImageError(
            f"{result}: must be made of {source} as it is now, got the result of another input; "
            "name its own input, or leave --result out"
        )
    if row["size_in"] != size:
        raise BadImageError(
            f"{result}: must be of all that is shown, {size}, got a result of {row['size_in']}; "
            "name the part with --window or --bbox"
        )
    if row["output_sha256"] != digest([path]):
        raise BadImageError(
            f"{result}: must be as it was written, got other content; make it again"
        )
    share = f"{float(row['off_by_one_share'] or 'nan'):.2%}"
    facts = {
        "Values": row["kind"],
        "Size": f"{row['size_in']} to {row['size_out']}",
        **_agreement(row["lr_psnr"], share, float(row["worst_off"] or "nan")),
    }
    return lambda *_: Made(path, tuple(facts.items()))


def _row(result: Path) -> Mapping[str, str]:
    whole = result.resolve()
    for folder in list(whole.parents)[:_LEVELS]:
        if (folder / Manifest.name).is_file():
            rows = Manifest(folder).results().items()
            found = next((row for path, row in rows if path.resolve() == whole), None)
            if found is not None:
                return found
    raise BadImageError(
        f"{result}: must be on record in {Manifest.name} of its folder, got no line of it; make it "
        "with monai-sr upscale, or leave --result out"
    )


def _agreement(lr_psnr: str, off_share: str, worst_off: float) -> dict[str, str]:
    return {
        "LR-PSNR": f"{lr_psnr} dB",
        "Pixels off by more than 1": f"{off_share}, at most by {worst_off:.3g}",
    }
