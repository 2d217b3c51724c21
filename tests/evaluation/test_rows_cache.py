"""Whatever a figure depends on is in its key."""

import pytest

from monai_sr.evaluation.rows import content_key


@pytest.mark.parametrize("part", ["code_digest", "library_versions"])
def test_code_and_libraries_are_in_the_key(monkeypatch, part):
    before = content_key(image="a")
    assert content_key(image="a") == before != content_key(image="b")
    monkeypatch.setattr(f"monai_sr.evaluation.rows.{part}", lambda: "another")
    assert content_key(image="a") != before
