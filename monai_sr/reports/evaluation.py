"""Makes one page of an evaluation: summary, plots, and crops of all systems side by side.

Reads what ``monai-sr evaluate --save_images`` leaves, as docs/how-to/evaluate.md describes it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_sr.core import BadImageError, PathLike, get_logger
from monai_sr.evaluation import BICUBIC, FORMAT, Row, read_rows, short, slug
from monai_sr.metrics import STANDARD
from monai_sr.reports.crops import BUDGET, LADDER, Step, crops_of_image
from monai_sr.reports.display import window_viewer
from monai_sr.reports.pages import write_page
from monai_sr.reports.plots import trade_offs

_logger = get_logger(__name__)

_SHOWN = STANDARD[:3]
"""Measures under each crop."""
_COSTS = {"parameters": "parameters", "multiply_adds": "multiply_adds_per_output_pixel"}


def write_evaluation_report(
    results: PathLike, output: PathLike, roots: Sequence[PathLike] = ()
) -> int:
    """Write the page about all sets of a folder of results.

    Args:
        results: folder that an evaluation wrote to, or one of its JSON files.
        output: the page; appears whole.
        roots: folders of the images that were judged, for the windows of DICOM files.

    Returns:
        The number of images with crops.

    Raises:
        BadImageError: there are no results, or files that belong to them are missing or damaged.
        MissingDependencyError: matplotlib is not installed.
        OutputError: the page cannot be written.
    """
    documents = _documents(Path(results))
    images: list[list[dict[str, Any]]] = []
    step = LADDER[0]
    for step in LADDER:
        images = []
        for path, document in documents:
            left = BUDGET - sum(_bytes(part) for part in images)
            images.append(_images(path, document, step, left, [Path(root) for root in roots]))
        if sum(_bytes(part) for part in images) <= BUDGET:
            break
    write_page(
        output,
        "evaluation.html",
        sets=[
            _set(document, found) for (_, document), found in zip(documents, images, strict=True)
        ],
        crop_side=step.side,
        quality=step.quality,
    )
    return sum(map(len, images))


def _documents(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the summaries of a folder; its other JSON files are named and left out."""
    if results.is_file():
        return [(results, _document(results))]
    found, others = [], []
    for path in sorted(results.glob("*.json")):
        if _is_summary(path):
            found.append((path, _document(path)))
        else:
            others.append(path.name)
    if not found:
        got = f"only other JSON files ({', '.join(others)})" if others else "no JSON file"
        raise BadImageError(
            f"{results}: must be a folder of monai-sr evaluate, got {got}; evaluate first"
        )
    for name in others:
        _logger.warning("%s: not a summary of monai-sr evaluate, left out", results / name)
    return found


def _is_summary(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"format", "dataset", "systems"} <= content.keys()


def _document(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadImageError(
            f"{path}: must be a summary of monai-sr evaluate, got {error}; evaluate again"
        ) from error


def main_system(document: Mapping[str, Any]) -> str:
    """Return the system by which images are ordered: the best by PSNR beside bicubic."""
    means = {s["name"]: s["means"]["psnr"]["mean"] for s in document["systems"]}
    others = {k: v for k, v in means.items() if k != BICUBIC.name and v is not None}
    return max(others, key=lambda name: others[name]) if others else BICUBIC.name


def _images(
    path: Path, document: dict[str, Any], step: Step, budget: int, roots: Sequence[Path]
) -> list[dict[str, Any]]:
    """Return what the page shows of every image; stops early when the budget is spent."""
    if not document["pictures"]:
        return []
    rows: dict[tuple[str, str], dict[str, Row]] = {}
    for row in read_rows(path.parent / document["rows"]):
        rows.setdefault((row.label, row.image), {})[row.system] = row
    main = main_system(document)
    found = []
    spent = 0
    for (label, name), by_system in rows.items():
        folder = path.parent / document["pictures"]
        folder = (folder / slug(label) if label else folder) / slug(name)
        systems = [s["name"] for s in document["systems"] if s["name"] in by_system]
        key = f"{label}/{name}" if label else name
        files = document["dataset"].get("files") or {}
        viewer = window_viewer(files[key], roots) if key in files else None
        crops = crops_of_image(folder, systems, document["scale"], step, viewer)
        psnr, base = (
            by_system[s]["psnr"] if s in by_system else math.nan for s in (main, BICUBIC.name)
        )
        for system, shown in zip(systems, crops["systems"], strict=True):
            shown["figures"] = _figures(by_system[system], document["measures"])
        gain = psnr - base
        found.append(
            {
                **crops,
                "name": key,
                "psnr": psnr if math.isfinite(psnr) else 1e3,
                "gain": gain if math.isfinite(gain) else 0.0,
            }
        )
        spent += _bytes(found[-1:])
        if spent > budget:
            break
    return sorted(found, key=lambda image: float(image["psnr"]))


def _bytes(images: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(image["bytes"]) for image in images)


def _figures(row: Row, measures: Mapping[str, Any]) -> list[str]:
    values = [(m, row[m]) for m in _SHOWN if m in measures]
    return [
        f"{measures[m]['title'].split(' (')[0]} {v:.{measures[m]['digits']}f}"
        for m, v in values
        if not math.isnan(v)
    ]


def _set(document: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    classes = document["dataset"]["classes"]
    tables = [("", table(document["systems"], document["measures"]))]
    for label in classes:
        parts = [{**s, **s["classes"][label]} for s in document["systems"]]
        tables.append((label, table(parts, document["measures"])))
    return {
        "document": document,
        "main": main_system(document),
        "tables": tables,
        "plot": trade_offs(document),
        "images": images,
        "left_out": document.get("left_out") or {},
    }


def table(
    systems: Sequence[Mapping[str, Any]], measures: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the rows of a summary, the best of each measure marked.

    Figures that look alike at the decimals shown are equally good.
    """
    rows = []
    for system in systems:
        cells = []
        for name, measure in measures.items():
            digits = measure["digits"]
            mean = (system["means"].get(name) or {}).get("mean")
            seen = [(s["means"].get(name) or {}).get("mean") for s in systems]
            known = [round(value, digits) for value in seen if value is not None]
            better = {True: max, False: min}.get(measure["is_more_better"])
            is_best = (
                mean is not None
                and better is not None
                and len(known) > 1
                and round(mean, digits) == better(known)
            )
            cells.append({"mean": _interval(system["means"].get(name), digits), "is_best": is_best})
        gain = ((system.get("difference_to_bicubic") or {}).get("psnr")) or None
        costs = {key: _short(system.get(name)) for key, name in _COSTS.items()}
        rows.append(
            {"system": system, "cells": cells, "gain": _interval(gain, 2, sign="+"), **costs}
        )
    return rows


def _short(value: float | None) -> str:
    return "–" if value is None else short(value)


def _interval(mean: Mapping[str, Any] | None, digits: int, sign: str = "") -> tuple[str, str]:
    """Return the mean and its interval as text, both empty where unknown."""
    if not mean or mean["mean"] is None:
        return "", ""
    low, high = mean.get("low"), mean.get("high")
    ends = (
        "" if low is None or high is None else f"{low:{sign}.{digits}f} … {high:{sign}.{digits}f}"
    )
    return f"{mean['mean']:{sign}.{digits}f}", ends
