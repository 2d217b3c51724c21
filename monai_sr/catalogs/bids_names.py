"""Names of BIDS: what the name of a file says, what applies to an image, what results are called.

BIDS 1.10, https://bids-specification.readthedocs.io: "Filenames" (entities, suffix, extension, and
their order), "The Inheritance Principle", "Derivatives: preprocessed, coregistered and/or resampled
volumes" (``res`` and ``desc``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_ENTITY = re.compile(r"([a-zA-Z]+)-([0-9a-zA-Z+]+)")
_SUFFIX = re.compile(r"[0-9a-zA-Z]+")
_IMAGES = (".nii.gz", ".nii")
# CIFTI-2: values on the surface of the cortex and elsewhere, no volumes.
_CIFTI = re.compile(r"\.[dp](conn|label|scalar|tseries)\w*\.nii$")
_FOLDERS = ("sub-*/*", "sub-*/ses-*/*")
_BEHIND_RES = ("den", "label", "prov", "desc")  # of the order of entities; all others come before
_DESC = "sr"


@dataclass(frozen=True)
class BidsName:
    """The name of a file.

    Attributes:
        entities: key and label of each, in their order.
        suffix: what it holds: "T1w", "bold".
        extension: with its dot: ".nii.gz".
    """

    entities: tuple[tuple[str, str], ...]
    suffix: str
    extension: str

    @classmethod
    def of(cls, file: Path) -> BidsName | None:
        """Read a name; None where it is none of BIDS.

        Example:
            >>> BidsName.of(Path("sub-01/anat/sub-01_acq-fine_T1w.nii.gz"))
            BidsName(entities=(('sub', '01'), ('acq', 'fine')), suffix='T1w', extension='.nii.gz')
        """
        stem, dot, rest = file.name.partition(".")
        *parts, suffix = stem.split("_")
        matches = [_ENTITY.fullmatch(part) for part in parts]
        entities = tuple((match[1], match[2]) for match in matches if match)
        is_name = len(entities) == len(parts) and _SUFFIX.fullmatch(suffix)
        is_unique = len(dict(entities)) == len(entities)
        return cls(entities, suffix, dot + rest) if is_name and is_unique else None

    def __str__(self) -> str:
        """Return the name of the file."""
        pairs = (f"{key}-{label}" for key, label in self.entities)
        return "_".join([*pairs, self.suffix]) + self.extension

    def label(self, key: str) -> str:
        """Return the label of an entity, "" where it is not there."""
        return dict(self.entities).get(key, "")

    def applies_to(self, image: BidsName) -> bool:
        """Tell whether what a file of this name says holds for an image, if it lies above it."""
        return self.suffix == image.suffix and set(self.entities) <= set(image.entities)

    def enlarged(self, res: str) -> BidsName:
        """Return the name of a result: all entities are kept, ``res`` and ``desc`` are its own.

        Args:
            res: label of the resolution.

        Example:
            >>> str(BidsName.of(Path("sub-01_label-WM_desc-fine_mask.nii")).enlarged("x2"))
            'sub-01_res-x2_label-WM_desc-fineSr_mask.nii'
        """
        desc = f"{self.label('desc')}Sr" if self.label("desc") else _DESC
        kept = [pair for pair in self.entities if pair[0] not in ("res", "desc")]
        behind = [pair for pair in kept if pair[0] in _BEHIND_RES]
        before = [pair for pair in kept if pair[0] not in _BEHIND_RES]
        return replace(self, entities=(*before, ("res", res), *behind, ("desc", desc)))


def res_label(mark: str) -> str:
    """Return the label that stands for a resolution; labels have letters and digits only.

    Args:
        mark: what names of results end in elsewhere, see :func:`monai_sr.formats.result_mark`.

    Example:
        >>> res_label("_x2.5"), res_label("_0.5x0.5x-mm")
        ('x2p5', '0p5x0p5xkeptmm')
    """
    return mark.strip("_").replace(".", "p").replace("-", "kept").replace("_", "")


def find_images(dataset: Path) -> Iterator[tuple[Path, BidsName | None]]:
    """Yield the NIfTI images of a data set, sorted, each with its name if it is one of BIDS.

    What lies in ``derivatives``, ``sourcedata``, ``code`` and hidden folders is none of it.

    Args:
        dataset: its folder.
    """
    found = (file for folder in _FOLDERS for file in dataset.glob(f"{folder}/sub-*"))
    for file in sorted(file for file in found if file.name.lower().endswith(_IMAGES)):
        if _CIFTI.search(file.name):
            continue
        name = BidsName.of(file)
        places = file.relative_to(dataset).parts[:-2]  # sub-01[, ses-02]
        is_at_home = (
            name is not None
            and name.extension in _IMAGES
            and all(
                place in (f"sub-{name.label('sub')}", f"ses-{name.label('ses')}")
                for place in places
            )
        )
        yield file, name if is_at_home else None


def applying(
    dataset: Path, image: Path, name: BidsName, extension: str, suffix: str = ""
) -> list[Path]:
    """Return the files that say something about an image, the most general first.

    Args:
        dataset: its folder.
        image: the image.
        name: of the image.
        extension: of the files: ".json", ".bval".
        suffix: of the files, where it is not that of the image.
    """
    wanted = replace(name, suffix=suffix or name.suffix)
    found: list[Path] = []
    for folder in reversed(_up_to(dataset, image)):
        named = ((file, BidsName.of(file)) for file in sorted(folder.glob(f"*{extension}")))
        here = [
            (len(n.entities), file)
            for file, n in named
            if n is not None and n.extension == extension and n.applies_to(wanted)
        ]
        found += [file for _, file in sorted(here)]
    return found


def _up_to(dataset: Path, image: Path) -> list[Path]:
    """Return the folder of a file and those above it, up to that of the data set."""
    inside = image.relative_to(dataset)
    return [dataset / folder for folder in inside.parents]
