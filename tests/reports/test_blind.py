"""A blind comparison is balanced, tells nothing of the systems, and comes back as it was judged."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_sr.cli.main import main
from monai_sr.core.errors import BadImageError
from monai_sr.reports.blind import COLUMNS, plan_trials, read_choices
from tests import dicom_factory as factory
from tests.image_factory import pixels, write_raster
from tests.reports.pages import check_page

SYSTEMS = ("alpha", "beta", "gamma")
IMAGES = ("kidney.png", "liver.png")


@pytest.fixture
def folders(tmp_path):
    for seed, system in enumerate(SYSTEMS):
        (tmp_path / system).mkdir()
        for i, image in enumerate(IMAGES):
            write_raster(tmp_path / system / image, pixels((3, 6, 5), seed=10 * seed + i))
    return [str(tmp_path / system) for system in SYSTEMS]


@given(st.integers(1, 9), st.integers(2, 5), st.none() | st.integers(1, 60), st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_every_design_is_balanced(images, systems, count, seed):
    names = [f"s{i}" for i in range(systems)]
    trials = plan_trials([f"i{i}" for i in range(images)], names, count, seed)
    every = images * systems * (systems - 1) // 2
    assert len(trials) == min(every, count or every)
    asked = [(t.image, frozenset((t.left, t.right))) for t in trials]
    assert len(set(asked)) == len(asked)
    shown = Counter(t.image for t in trials)
    assert len(trials) < images or max(shown.values()) - min(shown.values()) <= 1
    for a, b in combinations(names, 2):
        left = sum((t.left, t.right) == (a, b) for t in trials)
        right = sum((t.left, t.right) == (b, a) for t in trials)
        assert abs(left - right) <= 1


def test_a_seed_decides_everything():
    first, again, other = (plan_trials(IMAGES, SYSTEMS, None, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_the_page_tells_nothing_of_the_systems(folders, tmp_path):
    out = tmp_path / "page"
    assert main(["compare", *folders, "-o", str(out)]) == 0
    text = (out / "index.html").read_text(encoding="utf-8")
    check_page(text)
    files = [p.relative_to(out).as_posix() for p in out.rglob("*")]
    told = text + " ".join(files)
    assert not [name for name in (*SYSTEMS, "kidney", "liver") if re.search(rf"\b{name}\b", told)]
    assert len(files) == 2 + len(SYSTEMS) * len(IMAGES)
    for path in (out / "images").iterdir():
        assert re.fullmatch(r"[0-9a-f]{12}\.png", path.name)
        with Image.open(path) as picture:
            assert not picture.info
    assert not out.joinpath("page_key.json").exists()


def test_the_key_tells_whose_every_picture_is(folders, tmp_path):
    main(["compare", *folders, "-o", str(tmp_path / "page"), "--key", str(tmp_path / "k.json")])
    key = json.loads((tmp_path / "k.json").read_text())
    for code, known in key["pictures"].items():
        with (
            Image.open(tmp_path / "page" / "images" / f"{code}.png") as shown,
            Image.open(tmp_path / known["system"] / known["image"]) as original,
        ):
            assert (np.asarray(shown) == np.asarray(original)).all()


def test_dicom_results_are_shown_through_one_window(tmp_path):
    for system, shift in (("a", 0), ("b", 100)):
        values = factory.stored((6, 5), 12) // 2 + shift
        factory.write(
            tmp_path / system / "x.dcm", values.astype(np.uint16), WindowCenter=1000,
            WindowWidth=2000,
        )  # fmt: skip
    out = tmp_path / "page"
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(out)]) == 0
    key = json.loads((tmp_path / "page_key.json").read_text())
    codes = {v["system"]: code for code, v in key["pictures"].items()}
    shown = {s: np.asarray(Image.open(out / "images" / f"{c}.png")) for s, c in codes.items()}
    expected = np.clip((factory.stored((6, 5), 12) // 2 - 999.5) / 1999 + 0.5, 0, 1) * 255
    assert np.abs(shown["a"] - expected).max() <= 0.5 + 1e-6
    assert (shown["b"] >= shown["a"]).all()


def answers(path, key, judge):
    """Judge every two pictures of an image by ``judge(left system, right system)``."""
    known = json.loads(key.read_text())
    pairs = [
        (a, b)
        for a, b in combinations(known["pictures"], 2)
        if known["pictures"][a]["image"] == known["pictures"][b]["image"]
    ]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for i, (a, b) in enumerate(pairs, 1):
            choice = judge(*(known["pictures"][code]["system"] for code in (a, b)))
            writer.writerow([known["design"], path.stem, i, a, b, choice, 1.5])
    return str(path)


def test_scores_follow_what_readers_chose(folders, tmp_path, capsys):
    main(["compare", *folders, "-o", str(tmp_path / "page")])
    key = tmp_path / "page_key.json"
    tables = [
        answers(tmp_path / "r1.csv", key, lambda a, b: "left" if a < b else "right"),
        answers(tmp_path / "r2.csv", key, lambda a, b: "none"),
    ]
    capsys.readouterr()
    command = ["compare-scores", *tables, "--key", str(key), "-o", str(tmp_path / "s.csv")]
    assert main(command) == 0
    with (tmp_path / "s.csv").open() as stream:
        rows = {row["system"]: row for row in csv.DictReader(stream)}
    # Of each reader four pairs of every system, the first reader orders them by name.
    assert {k: float(v["score"]) for k, v in rows.items()} == {
        "alpha": 0.75, "beta": 0.5, "gamma": 0.25,
    }  # fmt: skip
    assert (rows["alpha"]["wins"], rows["alpha"]["ties"]) == ("4", "4")
    assert "12 answers of 2 readers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (lambda t: t.replace("design,", "page,"), "export it again"),
        (lambda t: t.replace("left\r\n", "x").replace(",left,", ",best,"), "export it again"),
        (lambda t: t + t.split("\r\n")[1] + "\r\n", "leave one of the tables out"),
    ],
)
def test_a_wrong_table_is_refused(folders, tmp_path, spoil, remedy):
    main(["compare", *folders, "-o", str(tmp_path / "page")])
    key = tmp_path / "page_key.json"
    table = tmp_path / "r.csv"
    answers(table, key, lambda a, b: "left")
    table.write_text(spoil(table.read_bytes().decode()), newline="")
    with pytest.raises(BadImageError, match=remedy):
        read_choices([table], [key])


def test_a_table_of_another_page_is_refused(folders, tmp_path):
    keys = []
    for seed in "12":
        out = tmp_path / f"p{seed}"
        main(["compare", *folders, "-o", str(out), "--seed", seed])
        keys.append(tmp_path / f"p{seed}_key.json")
    answers(tmp_path / "r.csv", keys[0], lambda a, b: "left")
    with pytest.raises(BadImageError, match="add --key"):
        read_choices([tmp_path / "r.csv"], [keys[1]])
    assert len(read_choices([tmp_path / "r.csv"], keys)) == 6


def test_folders_that_differ_are_refused(folders, tmp_path, capsys):
    (tmp_path / "beta" / "liver.png").unlink()
    assert main(["compare", *folders, "-o", str(tmp_path / "page")]) == 2
    assert "lacks liver.png; every folder must hold the same files" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_results_of_other_sizes_are_refused(folders, tmp_path, capsys):
    write_raster(tmp_path / "gamma" / "liver.png", pixels((3, 6, 6)))
    assert main(["compare", *folders, "-o", str(tmp_path / "page")]) == 2
    assert "enlarge it likewise" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
    assert not (tmp_path / "page_key.json").exists()


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--trials", "0"], "leave --trials out"),
        (["--key", "page/key.json"], "name another file"),
    ],
)
def test_a_wrong_option_is_refused(folders, tmp_path, capsys, monkeypatch, options, remedy):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *folders, "-o", "page", *options]) == 2
    assert remedy in capsys.readouterr().err


def test_one_folder_is_not_compared(folders, tmp_path, capsys):
    assert main(["compare", folders[0], "-o", str(tmp_path / "page")]) == 2
    assert "at least two of different names" in capsys.readouterr().err
