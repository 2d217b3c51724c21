"""A view opens with its input, gains its result, tells of no person, and leaves nothing behind."""

from __future__ import annotations

import json
import logging

import pytest

from monai_sr.core import BadImageError
from monai_sr.viewer import View
from monai_sr.viewer.pyramid import TileId
from tests.dicom_factory import SECRETS, stored, write
from tests.image_factory import NORTH_UP, pixels, write_nifti, write_raster
from tests.viewer.factory import doubled, doubled_volume, made_of

FIRST = TileId(0, 0, 0, 0)


@pytest.fixture
def closing():
    views = []
    yield lambda view: views.append(view) or view
    for view in views:
        view.close()


def names(view):
    return [layer["name"] for layer in view.state()["layers"]]


def test_the_input_is_there_before_the_result(tmp_path, closing):
    array = pixels((3, 20, 30))
    view = closing(View(write_raster(tmp_path / "a.tif", array)))
    assert view.state()["phase"] == "computing"
    assert names(view) == ["input"]
    assert view.tile("input", FIRST).startswith(b"\x89PNG")
    assert view.tile("result", FIRST) is None
    view.run(made_of(doubled(tmp_path / "b.tif", array), (("Values", "color"),)))
    assert view.state()["phase"] == "done"
    assert view.state()["facts"] == [["Values", "color"]]
    assert names(view) == ["input", "bicubic", "result", "agreement"]
    assert view.tile("result", FIRST).startswith(b"\x89PNG")


def test_a_failure_leaves_the_input_and_says_why(tmp_path, closing, caplog):
    path = write_raster(tmp_path / "Doe_Jane.tif")
    view = closing(View(path))

    def fail(source, folder):
        raise BadImageError(f"{source}: must be larger, got 5 x 7; pad it")

    with caplog.at_level(logging.INFO, "monai_sr"):
        view.run(fail)
    state = view.state()
    assert (state["phase"], state["error"]) == ("failed", "must be larger, got 5 x 7; pad it")
    assert names(view) == ["input"]
    assert "must be larger" in caplog.text


def test_an_unforeseen_failure_shows_nothing_of_its_inside(tmp_path, closing, caplog):
    view = closing(View(write_raster(tmp_path / "a.tif")))

    def fail(source, folder):
        raise RuntimeError(f"{SECRETS[0]} in {source}")

    with caplog.at_level(logging.INFO, "monai_sr"):
        view.run(fail)
    assert view.state()["error"] == "the result could not be made"
    assert SECRETS[0] not in caplog.text


def test_nothing_names_a_person_or_a_file(tmp_path, closing, caplog):
    path = write(tmp_path / "Doe^Jane.dcm", stored((20, 30)), WindowCenter=40, WindowWidth=400)
    result = write(tmp_path / "Doe^Jane_x2.dcm", stored((40, 60)))
    warnings = (f"{path}: an odd header", "a header is odd")
    with caplog.at_level(logging.INFO, "monai_sr"):
        view = closing(View(path))
        view.run(made_of(result, warnings=warnings))
    state = json.dumps(view.state())
    for secret in (*SECRETS, "Doe", str(tmp_path)):
        assert secret not in state
        assert secret not in caplog.text
    assert view.state()["warnings"] == ["an odd header", "a header is odd"]
    assert view.state()["disclaimer"].endswith("not for primary diagnosis")


def test_values_under_the_cursor_are_stored_ones(tmp_path, closing):
    array = pixels((3, 20, 30))
    view = closing(View(write_raster(tmp_path / "a.tif", array, transform=NORTH_UP)))
    view.run(made_of(doubled(tmp_path / "b.tif", array + 1, transform=NORTH_UP)))
    found = view.values(12.7, 5.2, 0)
    assert found["input"] == array[:, 5, 12].tolist()
    assert found["result"] == (array[:, 5, 12] + 1).tolist()
    assert len(found["agreement"]) == 3
    assert view.values(30, 5, 0) is None
    assert view.values(-0.1, 5, 0) is None
    assert view.values(3, 5, 1) is None


def test_slices_of_input_and_result_belong_together(tmp_path, closing):
    array = pixels((7, 5, 3), "int16")
    view = closing(View(write_nifti(tmp_path / "a.nii", array)))
    view.run(made_of(doubled_volume(tmp_path / "b.nii", array)))
    assert view.state()["slices"] == 3
    for at in range(3):
        found = view.values(2.5, 1.5, at)
        # The second axis of NIfTI points up.
        assert found["input"] == found["result"] == [array[2, 3, at]]
        assert view.tile("result", TileId(at, 0, 0, 0)) is not None
    assert view.tile("input", TileId(3, 0, 0, 0)) is None


def test_uncertainty_is_shown_where_its_map_lies_beside_the_result(tmp_path, closing):
    array = pixels((1, 20, 30))
    view = closing(View(write_raster(tmp_path / "a.tif", array)))
    result = doubled(tmp_path / "b.tif", array)
    doubled(tmp_path / "b_uncertainty.tif", pixels((1, 20, 30), "float32") ** 2)
    view.run(made_of(result))
    assert names(view)[3] == "uncertainty"
    bar = view.state()["layers"][3]["scale"]
    assert bar["low"] == 0
    assert bar["unit"] == "units of its map"


def test_what_was_made_to_be_looked_at_goes(tmp_path):
    view = View(write_raster(tmp_path / "a.tif"))
    assert view.folder.stat().st_mode & 0o077 == 0
    view.close()
    assert not view.folder.exists()
