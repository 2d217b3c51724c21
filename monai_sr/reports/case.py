"""Writes a page about one result: before and after, agreement with the input, origin, warnings.

Nothing that identifies a patient is on it: of the input's metadata only modality and window are
read. Values are compared as they are stored; windows serve the display alone.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from PIL import Image

from monai_sr.core import PageError, PathLike, user_message
from monai_sr.formats import Facts, format_of_meta, kind_of, report_path
from monai_sr.reports.display import Display, dicom_header, display_of, uncertainty_levels
from monai_sr.reports.pages import data_uri, write_page
from monai_sr.reports.planes import (
    PlanePair,
    choose_crops,
    plane_pairs,
    planes_of,
    slice_axis_of,
)
from monai_sr.transforms import compare_with_training, to_stored

_OVERVIEW_PX = 1024  # longest side of whole planes
_CROP_PX = (16, 48)  # smallest and largest side of crops, in pixels of the input
_CROPS = 4
_PLANES = 3
_FACTS = {
    "software": "Software",
    "version": "Version",
    "bundle": "Bundle",
    "system": "System",
    "kind": "Values",
    "scale": "Scale",
    "spacing": "Spacing (mm)",
    "consistency": "Back-projection steps",
    "perception": "Perceptual share",
    "self_ensemble": "Views averaged",
    "precision": "Precision",
    "found": "Found of the input",
    "range": "Stored values of 0 and 1",
    "weights": "Weights",
    "weights_sha256": "SHA-256 of the weights",
    "perceptual_sha256": "SHA-256 of the perceptual weights",
}


class CaseReportd(MapTransform):
    """Write ``<result>_report.html`` beside each result that was saved.

    Args:
        keys: results as :class:`monai_sr.transforms.SaveImageSRd` leaves them.
        metadata: ``metadata.json`` of the bundle.
        enabled: whether pages are written at all.
        ref: key of the input in [0, 1].
    """

    def __init__(
        self,
        keys: KeysCollection,
        metadata: PathLike,
        enabled: bool = True,
        ref: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.metadata = Path(str(metadata))
        self.enabled = enabled
        self.ref = ref

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write a page for every key.

        Raises:
            PageError: it cannot be written; the result stays.
        """
        d = dict(data)
        if self.enabled:
            for key in self.key_iterator(d):
                result = Facts(d[key].meta).output
                try:
                    self._write(d[key], d[self.ref])
                except Exception as error:
                    why = user_message(error) or f"could not be made ({type(error).__name__})"
                    raise PageError(
                        f"{result}: is whole, but has no page: {why}", result
                    ) from error
        return d

    def _write(self, pred: MetaTensor, image: MetaTensor) -> None:
        meta = pred.meta
        unit = torch.as_tensor(image.detach().cpu().numpy())
        lr, sr = to_stored(unit, image.meta), pred.cpu().numpy()
        known = Facts(meta)
        widths = known.uncertainty.reshape(sr.shape) if known.knows("uncertainty") else None
        facts = json.loads(Facts(meta).provenance)
        display = display_of(lr, meta)
        highest = 0.0 if widths is None else float(np.nan_to_num(np.nanquantile(widths, 0.995)))
        modality = ""
        if format_of_meta(meta).has_window:
            modality = str(dicom_header(meta).get("Modality", ""))
        axis = slice_axis_of(meta, unit.ndim - 1)
        training = compare_with_training(
            planes_of(unit.numpy(), axis, _PLANES),
            self.metadata,
            str(facts.get("weights_sha256")),
            known.scale if known.knows("scale") else float(facts.get("scale", 1)),
            modality,
        )
        result = Path(Facts(meta).output)
        planes = [
            _plane(pair, display, highest) for pair in plane_pairs(lr, sr, widths, meta, _PLANES)
        ]
        write_page(
            report_path(result),
            "case.html",
            name=result.name,
            facts=_shown_facts({**facts, "kind": _kind(meta)}),
            modality=modality,
            size_in=_size(lr.shape),
            size_out=_size(sr.shape),
            lr_psnr=Facts(meta).lr_psnr,
            bands=np.asarray(Facts(meta).bands, dtype=np.float64).reshape(-1, 2).tolist(),
            is_perceptual=bool(facts.get("perception")),
            training=training,
            display=display.caption,
            highest=f"{highest:.4g}" if widths is not None else "",
            planes=planes,
            aspects=sorted({p["aspect"] for plane in planes for p in (plane, *plane["crops"])}),
        )


def _plane(pair: PlanePair, display: Display, highest: float) -> dict[str, Any]:
    """Return the pictures of one plane."""
    before, after = display(pair.lr), display(pair.sr)
    width, height = pair.sr.shape[1:]
    found: dict[str, Any] = {
        "title": pair.title,
        "before": data_uri(pair.shown(_bounded(before))),
        "after": data_uri(pair.shown(_bounded(after))),
        "aspect": f"{width * pair.pixel_aspect / height:.5f}",
        "is_reduced": max(width, height) > _OVERVIEW_PX,
        "crops": [],
    }
    widest = None if pair.half_width is None else pair.half_width.mean(axis=0)
    if widest is not None:
        found["uncertainty"] = data_uri(pair.shown(_bounded(uncertainty_levels(widest, highest))))
    grey = before if before.ndim == 2 else before.mean(axis=-1)
    smallest, largest = _CROP_PX
    side = max(min(largest, min(grey.shape) // 3), smallest)
    for left, top, why in choose_crops(grey.T, widest, side, _CROPS):
        found["crops"].append(_crop(pair, (before, after), (left, top), side, why))
    return found


def _crop(
    pair: PlanePair, levels: tuple[Any, Any], corner: tuple[int, int], side: int, why: str
) -> dict[str, Any]:
    """Cut the same place out of both pictures; the larger one to the nearest pixel."""
    small, large = levels
    ratios = [b / a for a, b in zip(pair.lr.shape[1:], pair.sr.shape[1:], strict=True)]
    (x0, y0), (x1, y1) = (
        corner,
        [min(c + side, n) for c, n in zip(corner, pair.lr.shape[1:], strict=True)],
    )
    a, b = (round(x * ratios[0]) for x in (x0, x1))
    c, d = (round(y * ratios[1]) for y in (y0, y1))
    return {
        "why": why,
        "place": f"columns {x0}–{x1 - 1}, rows {y0}–{y1 - 1} of the input",
        "before": data_uri(pair.shown(small[y0:y1, x0:x1])),
        "after": data_uri(pair.shown(large[c:d, a:b])),
        "aspect": f"{(b - a) * pair.pixel_aspect / (d - c):.5f}",
    }


def _bounded(levels: np.ndarray) -> np.ndarray:
    """Reduce a picture to the size of an overview."""
    height, width = levels.shape[:2]
    longest = max(height, width)
    if longest <= _OVERVIEW_PX:
        return levels
    size = [max(round(side * _OVERVIEW_PX / longest), 1) for side in (width, height)]
    picture = Image.fromarray(np.ascontiguousarray(levels))
    return np.asarray(picture.resize((size[0], size[1]), Image.Resampling.LANCZOS))


def _size(shape: tuple[int, ...]) -> str:
    channels, *sizes = shape
    return " × ".join(map(str, sizes)) + (f", {channels} bands" if channels > 1 else "")


def _kind(meta: Mapping[str, Any]) -> str:
    return f"{kind_of(meta)} ({Facts(meta).kind_reason})"


def _shown_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(title, _text(facts[key])) for key, title in _FACTS.items() if key in facts]


def _text(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "; ".join(f"band {number}: {_text(pair)}" for number, pair in enumerate(value, 1))
    if isinstance(value, list):
        return " … ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return str(value)
