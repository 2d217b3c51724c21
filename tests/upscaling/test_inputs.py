"""An input may be a pattern or a list; results keep the folders that inputs do not share."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.upscaling.inputs import find_inputs
from tests.dicom_factory import write_series
from tests.image_factory import write_raster


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """Make the folder that holds ``scenes`` the current one."""
    for name in ("a.tif", "b.tif", "c.png", "2023/a.tif", "2024/d.tif"):
        (tmp_path / "scenes" / name).parent.mkdir(parents=True, exist_ok=True)
        write_raster(tmp_path / "scenes" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scenes"


def found(data, out="out", made=()):
    """Return the inputs as text, and the folder that results repeat."""
    inputs = find_inputs(data, Path(out), made, True)
    return [str(name) for name in inputs.files], str(inputs.root)


@pytest.mark.parametrize(
    ("pattern", "names", "root"),
    [
        ("scenes/*.tif", ["scenes/a.tif", "scenes/b.tif"], "scenes"),
        ("scenes/[ac].*", ["scenes/a.tif", "scenes/c.png"], "scenes"),
        ("scenes/**/*.tif",
         ["scenes/2023/a.tif", "scenes/2024/d.tif", "scenes/a.tif", "scenes/b.tif"], "scenes"),
        ("scenes/20??", ["scenes/2023/a.tif", "scenes/2024/d.tif"], "scenes"),
        ("scenes/*/d.tif", ["scenes/2024/d.tif"], "scenes/2024"),
    ],
)  # fmt: skip
def test_a_pattern_names_what_it_matches(scenes, pattern, names, root):
    assert found(pattern) == (names, root)


def test_a_pattern_that_matches_nothing_is_refused(scenes):
    with pytest.raises(BadImageError, match="no such file or folder; check --input"):
        found("scenes/*.dcm")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(scenes):
    write_raster(scenes / "[ab].tif")
    assert found("scenes/[ab].tif") == (["scenes/[ab].tif"], "scenes")


def test_results_match_no_pattern(scenes):
    write_raster(scenes / "a_x4.tif")
    write_raster(scenes / "a_x4_uncertainty.tif")
    (scenes / "a.tif.aux.xml").write_text("<PAMDataset/>")
    names, _ = found("scenes/a*.tif*", "scenes", {(scenes / "a_x4.tif"): {}})
    assert names == ["scenes/a.tif"]


def test_a_list_names_files_folders_and_patterns(scenes, tmp_path):
    write_series(scenes / "series")
    (tmp_path / "list.txt").write_text(
        "# of this year\nscenes/2024\n\nscenes/[ab].tif\nscenes/series\nscenes/a.tif\n"
        "scenes/gone.tif\n"
    )
    names, root = found("list.txt")
    assert names == [
        "scenes/2024/d.tif", "scenes/a.tif", "scenes/b.tif", "scenes/series", "scenes/gone.tif",
    ]  # fmt: skip
    assert root == "scenes"


def test_relative_and_absolute_names_may_stand_in_one_list(scenes, tmp_path):
    (tmp_path / "list.txt").write_text(f"scenes/a.tif\n{scenes / '2024' / 'd.tif'}\n")
    names, root = found("list.txt")
    assert names == [str(scenes / "a.tif"), str(scenes / "2024" / "d.tif")]
    assert root == str(scenes)


def test_several_names_are_one_run(scenes):
    given = ["scenes/b.tif", "scenes/2023", "scenes/gone.tif", "scenes/[c].png"]
    names, root = found(given)
    assert names == ["scenes/b.tif", "scenes/2023/a.tif", "scenes/gone.tif", "scenes/c.png"]
    assert root == "scenes"
    assert found(["scenes/a.tif"]) == found("scenes/a.tif")


def test_what_a_shell_made_of_a_pattern_is_what_the_pattern_names(scenes, caplog):
    write_raster(scenes / "a_x4.tif")
    (scenes / "a.tif.aux.xml").write_text("<PAMDataset/>")
    made = {(scenes / "a_x4.tif"): {}}
    expanded = [str(f.relative_to(scenes.parent)) for f in sorted(scenes.glob("a*.tif*"))]
    assert len(expanded) == 3
    caplog.set_level("INFO", "monai_sr")
    assert found(expanded, "scenes", made) == found("scenes/a*.tif*", "scenes", made)
    assert caplog.messages == ["1 inputs are results on record: left out; name one alone to use it"]


def test_a_bad_zip_among_several_is_refused_alone(scenes):
    (scenes / "bad.zip").write_bytes(b"PK\x03\x04 cut")
    inputs = find_inputs(["scenes/bad.zip", "scenes/a.tif"], Path("out"), (), True)
    assert [str(name) for name in inputs.files] == ["scenes/a.tif"]
    assert "bad.zip" in inputs.refused[Path("scenes/bad.zip")]


def test_results_never_leave_the_output_folder(scenes, monkeypatch):
    monkeypatch.chdir(scenes / "2023")
    names, root = found(["a.tif", "../b.tif", "../2024/d.tif"])
    assert names == [str(scenes / name) for name in ("2023/a.tif", "b.tif", "2024/d.tif")]
    assert root == str(scenes)
    assert found(["../a.tif", "../b.tif"]) == (["../a.tif", "../b.tif"], "..")


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(BadImageError, match="holds no file to enlarge"):
        found(tmp_path / "list.txt")
