"""Builds a page on which a reader picks the better of two unnamed results, without knowing whose.

Every image is shown once for every two systems, or for some of them in turn. The page and the names
of its pictures tell nothing of the systems: which is which stands in a key that is kept apart.
"""

import csv
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_sr.core import (
    BadImageError,
    OptionError,
    PathLike,
    atomic_file,
    atomic_folder,
    file_sha256,
    sha256,
    true_cell,
)
from monai_sr.evaluation import Choice
from monai_sr.formats import format_of_meta
from monai_sr.reports.display import display_of
from monai_sr.reports.pages import render
from monai_sr.reports.planes import planes_of, slice_axis_of
from monai_sr.transforms import load_image

FORMAT = "monai-sr blind comparison 1"
COLUMNS = ("design", "reader", "trial", "left", "right", "choice", "seconds")
_SHARES = {"left": 1.0, "right": 0.0, "none": 0.5}
_NO_IMAGES = (".csv", ".html", ".json", ".md", ".txt", ".xml", ".yaml")
_NAMED = 5  # files listed in a message


@dataclass(frozen=True)
class Trial:
    """One question: an image, and whose result is on which side."""

    image: str
    left: str
    right: str


def plan_trials(
    images: Sequence[str], systems: Sequence[str], count: int | None, seed: int
) -> list[Trial]:
    """Order pairs at random, every two systems equally often and as often on either side.

    Args:
        images: names.
        systems: names, at least two.
        count: how many pairs; None: every image with every two systems.
        seed: decides order and sides.

    Returns:
        The trials. However many there are, numbers of trials of two pairs of systems, of two
        images, and of the two sides of a pair differ by one at most.
    """
    source = random.Random(seed)
    shuffled = source.sample(list(images), len(images))
    pairs = source.sample(list(combinations(systems, 2)), len(systems) * (len(systems) - 1) // 2)
    total = len(shuffled) * len(pairs)
    swaps = {pair: source.randrange(2) for pair in pairs}
    trials = []
    for index in range(min(total, count or total)):
        turn, place = divmod(index, len(shuffled))
        pair = pairs[(turn + place) % len(pairs)]
        swaps[pair] += 1
        left, right = pair if swaps[pair] % 2 else pair[::-1]
        trials.append(Trial(shuffled[place], left, right))
    source.shuffle(trials)
    return trials


def write_blind_comparison(
    folders: Sequence[PathLike],
    output: PathLike,
    key: PathLike,
    *,
    count: int | None = None,
    seed: int = 0,
) -> int:
    """Write the page with its pictures, and the key.

    Args:
        folders: results of one system each, named like it, with the same file names inside.
        output: folder of the page, ``index.html``; replaced as a whole.
        key: file that tells which picture is whose.
        count: how many pairs to judge; None: all.
        seed: decides order, sides and names of pictures.

    Returns:
        The number of pairs.

    Raises:
        OptionError: fewer than two folders, or two of one name.
        BadImageError: folders differ in their files, or results in their size.
        OutputError: something cannot be written.
    """
    systems = _systems(folders)
    if count is not None and count < 1:
        raise OptionError(f"trials: must be at least 1, got {count}; leave --trials out for all")
    if Path(key).absolute().is_relative_to(Path(output).absolute()):
        raise OptionError(f"{key}: must lie outside {output}, which readers get; name another file")
    images = _common_files(systems)
    trials = plan_trials(images, list(systems), count, seed)
    # Other results are another page, which must not meet the answers of this one.
    source = random.Random(f"{seed} {_digest(systems, images)}")
    shown = sorted({(t.image, s) for t in trials for s in (t.left, t.right)})
    codes = {pair: f"{source.getrandbits(48):012x}" for pair in source.sample(shown, len(shown))}
    design = f"{source.getrandbits(32):08x}"
    content = {
        "design": design,
        "trials": [[codes[t.image, t.left], codes[t.image, t.right]] for t in trials],
    }
    with atomic_folder(output) as folder:
        (folder / "images").mkdir()
        for image in sorted({t.image for t in trials}):
            needed = [s for s in systems if (image, s) in codes]
            for name, picture in _pictures(image, {s: systems[s] for s in needed}).items():
                picture.save(folder / "images" / f"{codes[image, name]}.png")
        page = render("blind.html", content=content)
        (folder / "index.html").write_text(page, encoding="utf-8")
        _write_key(key, design, seed, codes)
    return len(trials)


def read_choices(tables: Sequence[PathLike], keys: Sequence[PathLike]) -> list[Choice]:
    """Read what readers chose, and tell whose results those were.

    Args:
        tables: CSV files that the page exported.
        keys: keys of the pages that they come from.

    Raises:
        BadImageError: a file is no such table or key, its key is missing, or a pair was judged
            twice by one reader.
    """
    pictures: dict[str, dict[str, Any]] = {}
    for key in keys:
        content = _key(key)
        pictures[content["design"]] = content["pictures"]
    choices: dict[tuple[str, str, str], Choice] = {}
    for table in tables:
        for row in _rows(table):
            if row["design"] not in pictures:
                raise BadImageError(
                    f"{table}: comes from page {row['design']}, whose key was not given; add --key"
                )
            about = (row["design"], row["reader"], row["trial"])
            if about in choices:
                raise BadImageError(
                    f"{table}: reader {row['reader']!r} has judged pair {row['trial']} twice; "
                    "leave one of the tables out, or tell readers apart"
                )
            choices[about] = _choice(table, row, pictures[row["design"]])
    return list(choices.values())


def _systems(folders: Sequence[PathLike]) -> dict[str, Path]:
    systems = {Path(folder).resolve().name: Path(folder) for folder in folders}
    if len(systems) < len(folders) or len(systems) < 2:
        raise OptionError(
            f"folders: must be at least two of different names, got {', '.join(map(str, folders))};"
            " rename one: folders are named like their systems"
        )
    return systems


def _common_files(systems: dict[str, Path]) -> list[str]:
    files: dict[str, set[str]] = {}
    for name, folder in systems.items():
        if not folder.is_dir():
            raise BadImageError(f"{folder}: is no folder of results; check its name")
        files[name] = {
            f.relative_to(folder).as_posix()
            for f in folder.rglob("*")
            if f.is_file()
            and not any(part.startswith(".") for part in f.relative_to(folder).parts)
            and f.suffix.lower() not in _NO_IMAGES
            and "_uncertainty." not in f.name
        }
    every = set().union(*files.values())
    if not every:
        raise BadImageError(f"{systems[next(iter(systems))]}: holds no image; name another folder")
    for name, found in files.items():
        lacking = sorted(every - found)
        if lacking:
            more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
            raise BadImageError(
                f"{systems[name]}: lacks {', '.join(lacking[:_NAMED])}{more}; every folder must "
                "hold the same files"
            )
    return sorted(every)


def _digest(systems: dict[str, Path], images: list[str]) -> str:
    lines = [
        f"{name} {image} {file_sha256(folder / image)}"
        for name, folder in systems.items()
        for image in images
    ]
    return sha256("".join(lines).encode(errors="replace"))


def _pictures(image: str, folders: dict[str, Path]) -> dict[str, Image.Image]:
    """Return what is shown of every system's result; all by the same mapping."""
    display = shape = None
    pictures = {}
    for name, folder in folders.items():
        loaded = load_image(folder / image)
        stored = loaded.numpy()
        if display is None or shape is None:
            display, shape = display_of(stored, loaded.meta), stored.shape
        if stored.shape != shape:
            raise BadImageError(
                f"{folder / image}: must be as large as the other results, {shape}, got "
                f"{stored.shape}; enlarge it likewise"
            )
        (plane,) = planes_of(stored, slice_axis_of(loaded.meta, stored.ndim - 1), 1)
        levels = display(plane)
        if format_of_meta(loaded.meta).is_upward:
            levels = levels[::-1]
        pictures[name] = Image.fromarray(np.ascontiguousarray(levels))
    return pictures


def _write_key(path: PathLike, design: str, seed: int, codes: dict[tuple[str, str], str]) -> None:
    pictures = {code: {"image": i, "system": s} for (i, s), code in sorted(codes.items())}
    content = {"format": FORMAT, "design": design, "seed": seed, "pictures": pictures}
    with atomic_file(path) as partial:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


def _key(path: PathLike) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError("another format")
        return dict(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadImageError(
            f"{path}: must be the key that monai-sr compare wrote, got {error}; check --key"
        ) from error


def _rows(path: PathLike) -> list[dict[str, str]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ValueError(f"the columns {', '.join(reader.fieldnames or ()) or 'none'}")
            return [{k: true_cell(v or "") for k, v in row.items() if k} for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise BadImageError(
            f"{path}: must be a table that the page exported, got {error}; export it again"
        ) from error


def _choice(table: PathLike, row: dict[str, str], pictures: dict[str, Any]) -> Choice:
    try:
        left, right = pictures[row["left"]], pictures[row["right"]]
        share = _SHARES[row["choice"]]
    except KeyError as error:
        raise BadImageError(
            f"{table}: pair {row['trial']} holds {error}, which its page does not know; "
            "export it again"
        ) from error
    return Choice(row["reader"], left["image"], left["system"], right["system"], share)
