"""Chooses the bundle that fits an input, by what its header says, and runs each input with its own.

A photo model sharpens a radiograph without a word, and the result looks right. So where the user
names no bundle, modality, reference system and bands decide, and the choice is said with its
reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_sr.core import (
    DEFAULT,
    OptionError,
    PathLike,
    SRError,
    WeightsError,
    find_bundle,
)
from monai_sr.formats import UNKNOWN, format_of, split_part
from monai_sr.networks import weights_file
from monai_sr.upscaling.files import FileDataset


@dataclass(frozen=True)
class Choice:
    """A bundle for an input.

    Attributes:
        bundle: its name.
        reason: why, in words that follow "since".
    """

    bundle: str
    reason: str


def choose_bundle(source: PathLike | Sequence[PathLike]) -> Choice:
    """Choose the installed bundle for an input by its header; NIfTI also by a look at its values.

    Args:
        source: a file, the files of a DICOM series, or a part of a Sentinel-2 product.

    Returns:
        "natural_sr" for what cannot be read, too: its reader will say why.
    """
    if isinstance(source, str) and split_part(source):
        return Choice("satellite_sr", "it is a Sentinel-2 product")
    first = source if isinstance(source, str | Path) else source[0]  # type: ignore[index]
    try:
        found = format_of(first).subject(Path(first))
    except (SRError, OSError, ValueError):
        found = UNKNOWN
    return Choice(f"{found.domain}_sr" if found.domain else DEFAULT, found.reason)


def fitting_bundle(choice: Choice, system: PathLike | None, scale: float) -> Choice:
    """Return the choice, or the bundle of photos where only that has weights of a system."""
    if system is None or choice.bundle == DEFAULT:
        return choice
    try:
        weights_file(find_bundle(choice.bundle) / "models", system=system, scale=scale)
    except WeightsError:
        return Choice(DEFAULT, f"{choice.bundle} has no weights of {Path(system).stem}")
    return choice


def only_bundle(*, system: PathLike | None = None, **options: Any) -> str:
    """Return the one bundle that fits everything that an input names.

    Raises:
        OptionError: if there are several.
    """
    names = sorted({choice.bundle for choice in choices(planned(options).data, system, options)})
    if len(names) > 1:
        raise OptionError(
            f"cluster: must have inputs of one bundle, got some for {', '.join(names)}; "
            "add --bundle, or leave --cluster out"
        )
    return names[0]


def choices(
    items: Sequence[Mapping[str, Any]], system: PathLike | None, options: Mapping[str, Any]
) -> list[Choice]:
    """Return the bundle for each input of :class:`.FileDataset`."""
    scale = options.get("scale", _volume_scale(options))
    return [fitting_bundle(choose_bundle(i["image"]), system, scale) for i in items]


def planned(
    options: Mapping[str, Any], items: Sequence[dict[str, Any]] | None = None
) -> FileDataset:
    """Find and name everything once, whatever enlarges it.

    Args:
        options: entries of a bundle's ``inference.yaml``.
        items: in place of the option ``input``, see :class:`.FileDataset`.
    """
    return FileDataset(
        options.get("input"),
        lambda sample: sample,
        options.get("output_dir", ""),
        options.get("scale", _volume_scale(options)),
        options.get("spacing"),
        bool(options.get("deidentify")),
        options.get("deidentify_key"),
        skip_done=bool(options.get("dataset#skip_done")),
        items=items,
    )


def _volume_scale(options: Mapping[str, Any]) -> int:
    """Return the scale by default, as the bundles' configurations have it."""
    return 2 if options.get("spatial_dims") == 3 else 4
