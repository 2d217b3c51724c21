"""Checksums are those of sha256sum, and a result counts as done only if nothing has changed."""

from __future__ import annotations

import hashlib

import pytest

from monai_sr.formats.identity import digest, input_digest
from monai_sr.upscaling.manifest import is_done
from tests.sentinel2_factory import band_file, write_product, write_zip


def test_one_file_has_its_own_sum(tmp_path):
    file = tmp_path / "a.tif"
    file.write_bytes(b"abc" * 10**6)
    assert digest([file]) == input_digest(str(file)) == hashlib.sha256(b"abc" * 10**6).hexdigest()


def test_several_files_have_the_sum_of_what_sha256sum_prints(tmp_path):
    lines = ""
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_text(name)
        lines += f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert input_digest([str(tmp_path / "1.dcm"), str(tmp_path / "2.dcm")]) == expected
    assert digest([tmp_path]) == expected


def test_a_part_of_a_product_changes_with_its_own_bands(tmp_path):
    product = write_product(tmp_path)
    parts = [f"{product}:{r}m" for r in (10, 20, 60)]
    before = [input_digest(p) for p in parts]
    assert len(set(before)) == 3
    for file in (band_file(product, "B08", 10), band_file(product, "SCL", 20)):
        file.write_bytes(file.read_bytes() + b"\0")
    after = [input_digest(p) for p in parts]
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, False, True]
    packed = write_zip(product)
    assert input_digest(f"{packed}:10m") == digest([packed])


@pytest.fixture
def made(tmp_path):
    """Return a result and its row of the manifest."""
    output = tmp_path / "a_x4.tif"
    output.write_text("result")
    row = {"source": "a.tif", "input_sha256": "in", "made_by": "us"}
    return output, {**row, "output_sha256": digest([output])}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"input_sha256": "other"}, False),
        ({"made_by": "others"}, False),
        ({"made_by": ""}, False),
        ({"has_map": True}, False),
    ],
)
def test_a_result_is_done_if_it_was_made_of_the_same_by_the_same(made, change, expected):
    output, row = made
    given = {"input_sha256": "in", "made_by": "us", "has_map": False, **change}
    assert is_done(row, output, **given) is expected


def test_a_lost_or_changed_result_is_not_done(made):
    output, row = made
    output.write_text("other")
    assert not is_done(row, output, "in", "us", False)
    output.unlink()
    assert not is_done(row, output, "in", "us", False)


def test_a_run_without_fingerprint_never_counts_as_done(made):
    output, row = made
    assert not is_done({**row, "made_by": ""}, output, "in", "", False)


def test_classes_belong_to_a_result(tmp_path, made):
    output, row = made
    row["source"] = f"{write_product(tmp_path)}:20m"
    assert not is_done(row, output, "in", "us", False)
    output.with_name("a_x4_SCL.tif").write_text("classes")
    assert is_done(row, output, "in", "us", False)
