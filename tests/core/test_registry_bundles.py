"""A bundle is found by folder and by name, from anywhere."""

from __future__ import annotations

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.core.registry import find_bundle, list_bundles
from tests.network_factory import tiny_bundle


def test_the_bundles_of_the_project_are_listed(repo_root):
    found = list_bundles()
    assert {"natural_sr", "xray_sr"} <= set(found)
    assert all(folder.is_absolute() for folder in found.values())
    assert found["natural_sr"] == repo_root / "bundles" / "natural_sr"


def test_a_name_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle("xray_sr") == list_bundles()["xray_sr"]


def test_a_folder_goes_before_a_name(tmp_path, monkeypatch):
    tiny_bundle(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_bundle("natural_sr") == tmp_path / "natural_sr"
    assert find_bundle(tmp_path / "natural_sr") == tmp_path / "natural_sr"


def test_a_folder_of_results_does_not_hide_the_bundle_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "natural_sr").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_bundle("natural_sr") == list_bundles()["natural_sr"]


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(OptionError, match="is no bundle"):
        find_bundle(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match=r"did you mean 'xray_sr'.*known: ct_sr, mri_sr"):
        find_bundle("xray")
