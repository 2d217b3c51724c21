"""The JSON file beside a result in BIDS: what stays true of the input, and how the result was made.

BIDS 1.10, "Common data types and metadata", "Task (including resting state) imaging data",
"Derivatives: common data types"; what dcm2niix and dcmstack write besides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from monai_sr.core import BadImageError
from monai_sr.formats import disclaimer

MADE = "SuperResolution"
"""The entry that says how a result was made."""
RAW = "raw"
"""What URIs call the data set of the inputs."""

_AXES = ("i", "j", "k")
_COMMENT = 6  # extension code of plain text in NIfTI
_OF_PIXELS = (
    "AcquisitionVoxelSize", "PixelSpacing", "PixelBandwidth",
    "dcmmeta_shape", "dcmmeta_affine", "dcmmeta_slice_dim", "dcmmeta_reorient_transform",
)  # fmt: skip
_OF_SLICES = ("SliceTiming", "SliceThickness", "SpacingBetweenSlices")
_OF_LINES = ("ReconMatrixPE", "BandwidthPerPixelPhaseEncode")
_READOUT = "TotalReadoutTime"
# Of other files of the input's data set, or of the input as a derivative itself.
_LINKS = (
    "IntendedFor", "B0FieldIdentifier", "B0FieldSource", "Sources", "RawSources", "Resolution",
    "Description", MADE,
)  # fmt: skip


@dataclass(frozen=True)
class Grids:
    """The voxels of an input and of its result.

    Attributes:
        before: number of voxels along the axes i, j, k of the input.
        after: of the result.
        zooms_before: their sizes in the unit of the file, which is mm unless it says otherwise.
        zooms_after: of the result.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    zooms_before: tuple[float, ...]
    zooms_after: tuple[float, ...]

    @classmethod
    def of(cls, image: Path, result: Path) -> Grids:
        """Read the headers of an input and its result."""
        (before, zooms), (after, new_zooms) = _grid(image), _grid(result)
        return cls(before, after, zooms, new_zooms)

    def along(self, direction: object) -> tuple[int, int] | None:
        """Return how many voxels an axis had and has.

        Args:
            direction: as BIDS names it: "i", "j-", "k"; None for anything else.
        """
        if not isinstance(direction, str) or direction.rstrip("-") not in _AXES:
            return None
        axis = _AXES.index(direction.rstrip("-"))
        return self.before[axis], self.after[axis]

    def keeps(self, direction: object) -> bool:
        """Tell whether an axis has as many voxels as before; of no axis, whether all have."""
        lines = self.along(direction)
        return self.before == self.after if lines is None else lines[0] == lines[1]

    def words(self) -> str:
        """Say from which voxels to which."""
        both = (self.zooms_before, self.zooms_after)
        first, last = (" x ".join(f"{z:.4g}" for z in zooms) for zooms in both)
        return f"voxels of {last} mm, enlarged from {first} mm"

    def factors(self) -> list[float]:
        """Return how many times each axis has become as long."""
        return [round(a / b, 6) for a, b in zip(self.after, self.before, strict=True)]


def _grid(file: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    header: Any = nib.load(file).header
    shape = (*header.get_data_shape(), 1, 1)[:3]
    zooms = np.array((*header.get_zooms(), 1, 1)[:3], dtype=np.float64)
    unit = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
    return tuple(int(n) for n in shape), tuple(float(z) for z in zooms * unit)


def read_json(file: Path) -> dict[str, Any]:
    """Read a file that has entries.

    Raises:
        BadImageError: if it cannot be read, or has none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadImageError(f"{file}: must be readable JSON, got another file; mend it") from error
    if not isinstance(content, dict):
        raise BadImageError(
            f"{file}: must be JSON with entries, got a {type(content).__name__}; mend it"
        )
    return content


def inherited(files: Iterable[Path]) -> dict[str, Any]:
    """Return what side-cars say together; the later ones decide."""
    entries: dict[str, Any] = {}
    for file in files:
        entries |= read_json(file)
    return entries


def still_true(entries: Mapping[str, Any], grids: Grids) -> dict[str, Any]:
    """Return what stays true of an image whose voxels have become smaller.

    Left out are sizes of voxels, times of slices that there are no more, and names of files of
    another data set. EffectiveEchoSpacing stays: the field of view and the time between two
    lines of k-space are what they were. TotalReadoutTime, by definition the spacing times the
    number of lines less one, grows with the lines of the result, so that an unwarping program,
    which takes it for voxels, moves them by the same millimeters.

    Args:
        entries: of the input.
        grids: of the input and the result.
    """
    gone = [*_LINKS]
    if grids.before != grids.after:
        gone += _OF_PIXELS
    if not grids.keeps(entries.get("SliceEncodingDirection", "k")):
        gone += _OF_SLICES
    direction = entries.get("PhaseEncodingDirection")
    if not grids.keeps(direction):
        gone += (*_OF_LINES, _READOUT)
    kept = {key: value for key, value in entries.items() if key not in gone}
    total = entries.get(_READOUT)
    lines = grids.along(direction)
    if _READOUT in gone and lines and lines[0] > 1 and isinstance(total, int | float):
        kept[_READOUT] = total * (lines[1] - 1) / (lines[0] - 1)
    if isinstance(kept.get("ImageType"), list) and kept["ImageType"]:
        kept["ImageType"] = ["DERIVED", *kept["ImageType"][1:]]
    return {key: _with_home(value) for key, value in kept.items()}


def _with_home(value: Any) -> Any:
    """Name the data set in URIs that mean the input's own."""
    if isinstance(value, str) and value.startswith("bids::"):
        return f"bids:{RAW}:{value.removeprefix('bids::')}"
    if isinstance(value, list):
        return [_with_home(each) for each in value]
    if isinstance(value, dict):
        return {key: _with_home(each) for key, each in value.items()}
    return value


def provenance_in(result: Path) -> dict[str, Any]:
    """Return what a result of ours says about its making; {} where it says nothing."""
    image: Any = nib.load(result)
    for extension in reversed(image.header.extensions):
        if extension.get_code() == _COMMENT:
            text = extension.get_content()
            text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            try:
                facts = json.loads(text.rstrip("\0 "))
            except ValueError:
                continue
            if isinstance(facts, dict) and facts.get("software") == "monai-sr":
                return facts
    return {}


def side_car(
    entries: Mapping[str, Any],
    grids: Grids,
    made: Mapping[str, Any],
    sources: Sequence[str],
    *,
    is_raw: bool,
) -> dict[str, Any]:
    """Return the entries beside a result.

    SkullStripped, which BIDS asks of every derived image, is what the input says; images of raw
    data sets that say nothing are taken for as they were scanned.

    Args:
        entries: of the input, see :func:`inherited`.
        grids: of the input and the result.
        made: how the result was made, see :func:`record_of`.
        sources: paths of the inputs in their data set, with slashes.
        is_raw: whether that is a raw data set.
    """
    uris = [f"bids:{RAW}:{source}" for source in sources]
    kept = still_true(entries, grids)
    if is_raw:
        kept.setdefault("SkullStripped", False)
    kept.setdefault("SpatialReference", uris[0])
    resampling = made.get("Resampling")
    how = f"Enlarged by {resampling}" if resampling else f"Enlarged by {made.get('Bundle')}"
    said = disclaimer({"resampling": resampling} if resampling else {})
    return kept | {
        "Description": f"{how}, monai-sr {made.get('Version')}. {said}",
        "Resolution": grids.words(),
        "Sources": uris,
        MADE: dict(made),
    }


def record_of(provenance: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return how a result was made, in the spelling of BIDS: SoftwareVersion, not software_version.

    Args:
        provenance: see :func:`provenance_in`.
        **facts: more of it; numbers that JSON does not know become null.
    """
    named = {_camel(key): value for key, value in provenance.items()} | facts
    return {key: _finite(value) for key, value in named.items()}


def _camel(key: str) -> str:
    return "".join(part.capitalize() for part in key.split("_")).replace("Sha256", "SHA256")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_text(entries: Mapping[str, Any]) -> str:
    """Return JSON as it is written: one entry a line, readable names."""
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
