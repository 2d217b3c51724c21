"""What a scene is refused for, before any work."""

from __future__ import annotations

import pytest

from monai_sr.core.errors import OptionError, OutputError
from monai_sr.inferers import SelfEnsembleInferer
from monai_sr.transforms import PlanGrid
from monai_sr.upscaling.scene_source import SceneSource
from tests.scene_factory import in_windows, network, scenes, write_scene


def test_a_folder_in_the_place_of_the_result_is_refused(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    (tmp_path / "w.tif").mkdir()
    with pytest.raises(OutputError, match=r"must be a file, got a folder"):
        in_windows(source, tmp_path / "w.tif", network())


def test_uncertainty_is_refused_for_scenes(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    with pytest.raises(OptionError, match="uncertainty"):
        scenes().upscale(source, tmp_path / "w.tif", network(), SelfEnsembleInferer(spread=True))


def test_a_report_of_what_goes_through_in_windows_is_refused(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    assert not scenes(report=True).takes(source)
    for options in ({"limit": 0.001}, {"cog": True}):
        with pytest.raises(OptionError, match=r"scene.tif: report needs .* or raise --scene_limit"):
            scenes(report=True, **options).takes(source)


def test_a_plan_needs_no_memory_of_the_size_of_the_scene(tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    with SceneSource(source, PlanGrid(4)) as scene:
        assert scene.shape == (1, 57, 41)
        assert scene.meta["sr_sizes"].tolist() == [228, 164]
