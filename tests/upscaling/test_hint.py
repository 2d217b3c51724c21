"""Large inputs that look degraded get a hint, and the results that they would have had."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from monai_sr import FileUpscaler
from monai_sr.upscaling import hint
from monai_sr.upscaling.hint import may_hint
from monai_sr.upscaling.manifest import Manifest
from tests.image_factory import NORTH_UP, write_raster
from tests.robust_factory import with_robust
from tests.scene_factory import smooth


@pytest.fixture(scope="module")
def always(tmp_path_factory):
    return with_robust(tmp_path_factory.mktemp("always"), {"2": 0, "4": 0})


@pytest.fixture
def source(tmp_path):
    return write_raster(tmp_path / "a.tif", smooth((3, 80, 90)), transform=NORTH_UP, crs=32614)


@pytest.fixture
def every_size(monkeypatch):
    monkeypatch.setattr(hint, "_LEAST_PX", 1)


def upscaler(bundle, **options):
    return FileUpscaler(bundle, scale=2, device="cpu", **options)


@pytest.mark.parametrize("limit", [0, 64])
def test_what_looks_degraded_is_told_and_enlarged_as_ever(
    limit, always, source, tmp_path, monkeypatch, caplog
):
    shared = upscaler(always, scene_limit=limit)
    before = shared(source, tmp_path / "before")
    monkeypatch.setattr(hint, "_LEAST_PX", 80 * 90)
    found = shared(source, tmp_path / "found")
    assert before.hint == ""
    assert found.hint.startswith("looks degraded (noise ")
    assert found.hint.endswith("try --robust auto")
    assert f"{source}: {found.hint}" in found.warnings
    assert Path(found.output).read_bytes() == Path(before.output).read_bytes()
    assert (found.weights, found.made_by) == ("", before.made_by)
    monkeypatch.setattr(hint, "_LEAST_PX", 80 * 90 + 1)
    assert shared(source, tmp_path / "small").hint == ""


def test_the_manifest_keeps_it_and_what_is_done_is_skipped(always, source, tmp_path, every_size):
    run = {"dataset#skip_done": True}
    (found,) = upscaler(always, **run).upscale_all(source, tmp_path / "out")
    (row,) = Manifest(tmp_path / "out").results().values()
    assert row["hint"] == found.hint != ""
    (again,) = upscaler(always, **run).upscale_all(source, tmp_path / "out")
    assert again.is_skipped


@pytest.mark.parametrize("limits", [None, {"2": 9, "4": 9}, {"2": None, "4": None}])
def test_clean_inputs_and_bundles_without_limits_get_none(limits, source, tmp_path, every_size):
    bundle = with_robust(tmp_path, limits)
    assert upscaler(bundle)(source, tmp_path / "out").hint == ""


def test_what_fails_in_measuring_costs_no_result(always, source, tmp_path, every_size, monkeypatch):
    def fails(*_args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(hint.Hints, "_chooser", fails)
    (found,) = upscaler(always).upscale_all(source, tmp_path / "out")
    assert (found.error, found.hint) == (None, "")


def test_damaged_limits_cost_no_result_that_needs_none(source, tmp_path, every_size):
    bundle = with_robust(tmp_path, {"2": 9, "4": 9})
    (bundle / "models" / "robust.json").write_text("{broken")
    assert upscaler(bundle)(source, tmp_path / "out").hint == ""


def test_codes_and_damaged_files_get_none(always, tmp_path, every_size):
    labels = np.tile(np.arange(3, dtype="u1"), (1, 36, 12))
    file = write_raster(tmp_path / "labels.tif", labels)
    shared = upscaler(always, kind="label")
    assert shared(file, tmp_path / "out").hint == ""
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(Exception, match=r"labels\.tif"):
        shared(file, tmp_path / "out")


def test_threads_share_one_network(always, tmp_path, every_size, caplog):
    files = [
        write_raster(tmp_path / f"{i}.tif", smooth((3, 40, 40 + i)), transform=NORTH_UP, crs=32614)
        for i in range(4)
    ]
    shared = upscaler(always)
    with caplog.at_level(logging.WARNING, "monai_sr"), ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda f: shared(f, tmp_path / "out"), files))
    assert all(result.hint for result in results)
    assert caplog.text.count("try --robust auto") == 4


@pytest.mark.parametrize(
    "options",
    [{"robust": False}, {"robust": True}, {"size": "fast"}, {"perception": 0.5},
     {"system": "srcnn"}, {"ckpt_path": "w.pt"}, {"precision": "int8"}, {"spatial_dims": 3},
     {"window": [0, 0, 9, 9]}],
)  # fmt: skip
def test_who_chose_otherwise_is_left_alone(options):
    assert not may_hint(options)
    assert may_hint({"scale": 2, "size": "best", "perception": 0.0, "uncertainty": True})
