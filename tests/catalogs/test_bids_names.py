"""Names of BIDS: entities and their order, the places of images, the inheritance principle."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_sr.catalogs.bids_names import BidsName, applying, find_images, res_label
from monai_sr.formats import result_mark


def name(text):
    found = BidsName.of(Path(text))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    ["sub-01_T1w.nii.gz", "sub-01_ses-2_task-rest_acq-1+2_run-1_bold.nii", "T1w.json",
     "task-rest_bold.json", "sub-01_dwi.bval"],
)  # fmt: skip
def test_name_is_read_and_written_as_it_was(text):
    assert str(name(text)) == text


@pytest.mark.parametrize(
    "text", ["sub-01_T1w_x4.nii.gz", "sub_01_T1w.nii", "sub-01_acq-a_b_T1w.nii", "sub-01-a_T1w.nii",
             "sub-01_sub-02_T1w.nii", "sub-01_acq-ä_T1w.nii", ".nii"],
)  # fmt: skip
def test_other_names_are_none_of_bids(text):
    assert BidsName.of(Path(text)) is None


# The order is that of rules/entities.yaml of the schema: ... space, ..., seg, scale, res, den,
# label, prov, desc.
@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("sub-01_T1w.nii.gz", "sub-01_res-x4_desc-sr_T1w.nii.gz"),
        ("sub-01_space-MNI_bold.nii", "sub-01_space-MNI_res-x4_desc-sr_bold.nii"),
        ("sub-01_hemi-L_seg-a_dseg.nii", "sub-01_hemi-L_seg-a_res-x4_desc-sr_dseg.nii"),
        ("sub-01_res-1_den-2_label-GM_mask.nii", "sub-01_res-x4_den-2_label-GM_desc-sr_mask.nii"),
        ("sub-01_desc-preproc_T1w.nii", "sub-01_res-x4_desc-preprocSr_T1w.nii"),
    ],
)
def test_result_keeps_entities_in_the_order_of_the_schema(source, result):
    assert str(name(source).enlarged("x4")) == result


@pytest.mark.parametrize(
    ("scale", "spacing", "label"),
    [(4, None, "x4"), (2.5, None, "x2p5"), (4, 0.5, "0p5mm"), (4, (0.5, 0.5, 1.0), "0p5x0p5x1mm"),
     (4, (0.5, None, 1.0), "0p5xkeptx1mm")],
)  # fmt: skip
def test_labels_of_resolutions_are_letters_and_digits(scale, spacing, label):
    assert res_label(result_mark(scale, spacing, "mm")) == label
    assert BidsName.of(Path(f"sub-1_res-{label}_T1w.nii"))


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("")


def test_images_are_found_where_bids_has_them(tmp_path):
    good = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/ses-a/func/sub-01_ses-a_task-x_bold.nii"]
    lost = ["sub-01/anat/sub-02_T1w.nii", "sub-01/ses-a/anat/sub-01_ses-b_T1w.nii.gz",
            "sub-01/anat/sub-01_T1w_new.nii", "sub-01/anat/sub-01_T1w.v2.nii"]  # fmt: skip
    touch(tmp_path, *good, *lost, "derivatives/x/sub-01/anat/sub-01_T1w.nii",
          "sourcedata/sub-01/anat/sub-01_T1w.nii", "sub-01/anat/sub-01_T1w.json",
          "sub-01/anat/.sub-01_T1w.nii", "code/sub-01_T1w.nii",
          "sub-01/func/sub-01_task-x_den-91k_bold.dtseries.nii")  # fmt: skip
    found = {file.relative_to(tmp_path).as_posix(): name for file, name in find_images(tmp_path)}
    assert sorted(found) == sorted(good + lost)
    assert {path for path, name in found.items() if name is not None} == set(good)


def test_side_cars_apply_from_the_root_to_the_image(tmp_path):
    image = "sub-01/ses-a/func/sub-01_ses-a_task-rest_run-1_bold.nii.gz"
    wanted = ["bold.json", "task-rest_bold.json", "sub-01/sub-01_task-rest_bold.json",
              "sub-01/ses-a/func/sub-01_ses-a_task-rest_run-1_bold.json"]  # fmt: skip
    touch(tmp_path, image, *wanted, "task-rest_sbref.json", "task-other_bold.json",
          "sub-01/ses-a/func/sub-01_ses-a_task-rest_run-2_bold.json",
          "sub-02/sub-02_bold.json", "sub-01/ses-b/bold.json")  # fmt: skip
    found = applying(tmp_path, tmp_path / image, name(image.rpartition("/")[2]), ".json")
    assert [file.relative_to(tmp_path).as_posix() for file in found] == wanted


def test_tables_of_another_suffix_apply_by_their_entities(tmp_path):
    image = "sub-01/perf/sub-01_acq-a_asl.nii.gz"
    touch(tmp_path, image, "sub-01/perf/sub-01_acq-a_aslcontext.tsv", "sub-01/perf/sub-01_asl.tsv")
    found = applying(tmp_path, tmp_path / image, name(Path(image).name), ".tsv", "aslcontext")
    assert [file.name for file in found] == ["sub-01_acq-a_aslcontext.tsv"]
