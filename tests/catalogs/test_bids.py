"""A BIDS data set in, a derivatives data set out that the validator passes; nothing is lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_sr.catalogs import upscale_bids
from monai_sr.core import list_bundles
from monai_sr.core.errors import BadImageError, OptionError, OutputError
from monai_sr.upscaling import FileUpscaler, RunFailedError
from tests.bids_factory import COLUMNS, write_data_set, write_json

BRAIN = "samples/mri_sr/brain_mr.nii.gz"
T1W = "sub-01/anat/sub-01_acq-fine_res-x2_desc-sr_T1w"
BOLD = "sub-01/func/sub-01_task-rest_res-x2_desc-sr_bold"
DWI = "sub-01/dwi/sub-01_res-x2_desc-sr_dwi"
SESSIONS = [f"sub-02/ses-{n}/anat/sub-02_ses-{n}_res-x2_desc-sr_T1w" for n in "12"]
RESULTS = [f"{T1W}.nii.gz", f"{DWI}.nii.gz", f"{BOLD}.nii.gz", *(f"{s}.nii" for s in SESSIONS)]


@pytest.fixture(scope="module")
def upscaler():
    return FileUpscaler("mri_sr:fast", scale=2, device="cpu", runtime="torch")


@pytest.fixture(scope="module")
def done(tmp_path_factory, repo_root, upscaler):
    """Return a data set, its derivatives and their results; not to be changed."""
    folder = tmp_path_factory.mktemp("bids")
    dataset = write_data_set(folder / "raw data", repo_root / BRAIN)
    output = folder / "out"
    return dataset, output, upscale_bids(dataset, output, upscaler)


@pytest.fixture
def copied(done, tmp_path):
    """Return copies of the data set and of its derivatives, beside each other as before."""
    for folder in done[:2]:
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / done[0].name, tmp_path / done[1].name


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def entries(output, stem):
    return json.loads((output / f"{stem}.json").read_text())


def errors(dataset):
    command = shutil.which("bids-validator-deno", path=Path(sys.executable).parent)
    if command is None:
        pytest.skip("needs the command bids-validator-deno: pip install 'monai-sr[dev]'")
    answer = subprocess.run([command, "--format", "json", dataset], capture_output=True, text=True)
    report = json.loads(answer.stdout)
    assert report["summary"]["totalFiles"] > 0
    return {
        (issue["code"], issue["location"])
        for issue in report["issues"]["issues"]
        if issue["severity"] == "error"
    }


def test_validator_finds_no_error(done):
    dataset, output, _ = done
    assert errors(dataset) == set()
    assert errors(output) == set()


def test_validator_would_find_what_is_wrong(copied):
    _, output = copied
    (output / "sub-01" / "dwi" / "sub-01_dwi.bvec").unlink()
    told = entries(output, T1W)
    del told["Resolution"]
    write_json(output / f"{T1W}.json", **told)
    (output / f"{BOLD}.nii.gz").rename(
        output / "sub-01/func/sub-01_task-rest_desc-sr_res-x2_bold.nii.gz"
    )
    wrong = {"DWI_MISSING_BVEC", "SIDECAR_KEY_REQUIRED", "FILENAME_MISMATCH"}
    assert {code for code, _ in errors(output)} >= wrong


def test_every_image_of_the_data_set_has_its_result_and_nothing_else_is_there(done):
    _, output, results = done
    images = {path for path in files(output) if ".nii" in path}
    assert images == set(RESULTS)
    assert [Path(r.output).relative_to(output).as_posix() for r in results] == RESULTS
    others = {path for path in files(output) if path not in images}
    side_cars = {f"{path.partition('.')[0]}.json" for path in RESULTS}
    gradients = {"sub-01/dwi/sub-01_dwi.bval", "sub-01/dwi/sub-01_dwi.bvec"}
    assert others == side_cars | gradients | {"dataset_description.json", "README.md"}


def test_results_are_those_of_the_same_call_on_a_file(done, upscaler, tmp_path):
    dataset, output, _ = done
    alone = upscaler(dataset / "sub-01/anat/sub-01_acq-fine_T1w.nii.gz", tmp_path)
    first, second = nib.load(alone.output), nib.load(output / f"{T1W}.nii.gz")
    assert np.array_equal(first.dataobj, second.dataobj)
    assert np.array_equal(first.affine, second.affine)
    assert second.shape == (48, 40, 3)


def test_side_car_says_how_and_of_what(done):
    _, output, results = done
    told = entries(output, T1W)
    weights = json.loads((list_bundles()["mri_sr"] / "configs/metadata.json").read_text())
    made = told["SuperResolution"]
    assert made["WeightsSHA256"] == weights["weights_sha256"]["models/model_fast.pt"]
    assert (made["Bundle"], made["Size"], made["Factors"]) == ("mri_sr", "fast", [2, 2, 1])
    assert made["Agreement"]["LRPSNR"] == results[0].lr_psnr > 40
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_acq-fine_T1w.nii.gz"]
    assert told["Resolution"] == "voxels of 0.5 x 0.5 x 4 mm, enlarged from 1 x 1 x 4 mm"
    assert told["SkullStripped"] is False


def test_side_car_inherits_what_stays_true(done):
    _, output, _ = done
    anat, func = entries(output, T1W), entries(output, BOLD)
    assert (anat["Manufacturer"], anat["MagneticFieldStrength"]) == ("Other", 3)
    assert anat["ImageType"] == ["DERIVED", "PRIMARY", "M"]
    assert "PixelBandwidth" not in anat
    assert (func["TaskName"], func["RepetitionTime"]) == ("rest", 2.0)
    assert func["SliceTiming"] == [0, 0.5, 1.0, 1.5]
    assert func["TotalReadoutTime"] == pytest.approx(0.0005 * (2 * COLUMNS - 1))
    assert "ReconMatrixPE" not in func


def test_gradients_go_along_from_wherever_they_lie(done):
    dataset, output, _ = done
    found = files(output)
    assert found["sub-01/dwi/sub-01_dwi.bval"] == (dataset / "dwi.bval").read_bytes()
    assert found["sub-01/dwi/sub-01_dwi.bvec"] == b"0 1\n0 0\n0 0\n"


def test_description_leads_back_to_the_source(done):
    _, output, _ = done
    told = json.loads((output / "dataset_description.json").read_text())
    assert told["DatasetType"] == "derivative"
    assert told["GeneratedBy"][0]["Name"] == "monai-sr"
    assert told["SourceDatasets"] == [{"URL": "../raw%20data", "DOI": "doi:10.0.2.3/dfjj.10"}]
    assert told["DatasetLinks"] == {"raw": "../raw%20data"}
    assert (told["Name"], told["License"]) == ("Two brains: enlarged by monai-sr", "CC0")


def test_data_set_itself_is_left_alone(done, tmp_path, repo_root):
    dataset, _, _ = done
    assert files(dataset) == files(write_data_set(tmp_path / "again", repo_root / BRAIN))


def test_second_run_makes_nothing_anew(copied, upscaler, caplog):
    dataset, output = copied
    before = {path: (output / path).stat().st_mtime_ns for path in files(output)}
    with caplog.at_level("INFO"):
        results = upscale_bids(dataset, output, upscaler)
    assert all(result.is_skipped for result in results)
    assert "left out unless --bids_suffix names them: 1 epi" in caplog.text
    assert "5 of 5 results were there already: skipped" in caplog.text
    assert {path: (output / path).stat().st_mtime_ns for path in files(output)} == before


@pytest.mark.parametrize("change", ["input", "result", "record", "model"])
def test_what_is_not_as_it_was_is_made_again(copied, upscaler, change):
    dataset, output = copied
    whole = files(output)
    image = dataset / "sub-02/ses-2/anat/sub-02_ses-2_T1w.nii"
    made = output / f"{SESSIONS[1]}.nii"
    if change == "input":
        content = bytearray(image.read_bytes())
        content[-100] ^= 1
        image.write_bytes(content)
    elif change == "result":
        made.write_bytes(made.read_bytes()[:-1])
    elif change == "record":
        made.with_suffix(".json").write_text("{")
    else:
        upscaler = FileUpscaler("mri_sr", system="bicubic", scale=2, device="cpu")
    results = upscale_bids(dataset, output, upscaler)
    anew = [Path(r.output).relative_to(output).as_posix() for r in results if not r.is_skipped]
    assert anew == (RESULTS if change == "model" else RESULTS[-1:])
    assert (files(output) == whole) == (change in ("result", "record"))


def test_side_car_follows_what_the_input_says(copied, upscaler):
    dataset, output = copied
    before = (output / f"{T1W}.nii.gz").stat().st_mtime_ns
    write_json(dataset / "T1w.json", Manufacturer="Acme", MagneticFieldStrength=7)
    upscale_bids(dataset, output, upscaler)
    assert entries(output, T1W)["MagneticFieldStrength"] == 7
    assert (output / f"{T1W}.nii.gz").stat().st_mtime_ns == before


class Stopping:
    """Stands before an upscaler and stops it within its third image."""

    def __init__(self, upscaler, stop):
        self.upscaler, self.stop, self.count = upscaler, stop, 0
        self.mark, self.fingerprint = upscaler.mark, upscaler.fingerprint

    def __call__(self, source, output_dir):
        self.count += 1
        if self.count == 3:
            (output_dir / "half.nii.gz").write_bytes(b"half")
            self.stop()
        return self.upscaler(source, output_dir)


def test_interrupted_run_leaves_whole_results_and_goes_on(done, tmp_path, upscaler):
    dataset, whole, _ = done
    output = tmp_path / "out"

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_bids(dataset, output, Stopping(upscaler, stop))
    assert {path for path in files(output) if ".nii" in path} == set(RESULTS[:2])
    assert errors(output) == set()
    results = upscale_bids(dataset, output, upscaler)
    assert [result.is_skipped for result in results] == [True, True, False, False, False]
    assert {p: c for p, c in files(output).items() if p.endswith(".json")}.keys() == {
        p for p in files(whole) if p.endswith(".json")
    }
    assert all(files(output)[path] == files(whole)[path] for path in RESULTS)


_KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from monai_sr.catalogs import upscale_bids
from monai_sr.upscaling import FileUpscaler
from tests.catalogs.test_bids import Stopping
upscaler = FileUpscaler("mri_sr:fast", scale=2, device="cpu", runtime="torch")
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
upscale_bids(sys.argv[1], sys.argv[2], Stopping(upscaler, kill))
"""


@pytest.mark.slow
def test_killed_run_goes_on_and_leaves_nothing_behind(done, tmp_path, upscaler, repo_root):
    dataset, whole, _ = done
    output = tmp_path / "out"
    words = [sys.executable, "-c", _KILLED, dataset, output, repo_root]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert len(list(output.rglob("half.nii.gz"))) == 1
    assert {path for path in files(output) if ".nii" in path and "half" not in path} == set(
        RESULTS[:2]
    )
    assert errors(output) == set()  # what is half there is hidden
    results = upscale_bids(dataset, output, upscaler)
    assert [result.is_skipped for result in results] == [True, True, False, False, False]
    assert files(output).keys() == files(whole).keys()
    assert all(files(output)[path] == files(whole)[path] for path in RESULTS)


def test_bad_image_is_named_and_the_others_are_made(copied, upscaler, tmp_path, caplog):
    dataset, _ = copied
    bad = dataset / "sub-01/func/sub-01_task-rest_bold.nii.gz"
    bad.write_bytes(bad.read_bytes()[:500])
    output = tmp_path / "new"
    with pytest.raises(RunFailedError, match="1 of 5 inputs could not be enlarged, 4 done"):
        upscale_bids(dataset, output, upscaler)
    assert "sub-01_task-rest_bold.nii.gz: " in caplog.text
    assert "copy or export it again" in caplog.text
    assert not (output / "sub-01" / "func").exists()
    assert errors(output) == set()


def test_participants_and_suffixes_are_chosen(done, upscaler, tmp_path):
    dataset, _, _ = done
    results = upscale_bids(
        dataset, tmp_path, upscaler, participants=["sub-01"], suffixes=["T1w", "epi"]
    )
    names = [Path(result.output).name for result in results]
    assert names == ["sub-01_acq-fine_res-x2_desc-sr_T1w.nii.gz",
                     "sub-01_dir-AP_res-x2_desc-sr_epi.nii.gz"]  # fmt: skip
    epi = entries(tmp_path, "sub-01/fmap/sub-01_dir-AP_res-x2_desc-sr_epi")
    assert epi["TotalReadoutTime"] == pytest.approx(0.01 * 39 / 19)
    assert "IntendedFor" not in epi
    assert errors(tmp_path) == set()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"participants": ["03"]}, "participant_label '03' is unknown; .*known: 01, 02"),
        ({"suffixes": ["T2w"]}, "bids_suffix 'T2w' is unknown; did you mean 'T1w'"),
        ({"participants": ["02"], "suffixes": ["bold"]}, "holds no NIfTI image to enlarge"),
    ],
)
def test_choice_of_nothing_is_refused(done, upscaler, tmp_path, choice, message):
    with pytest.raises((OptionError, BadImageError), match=message):
        upscale_bids(done[0], tmp_path / "out", upscaler, **choice)
    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_data_set_is_refused(upscaler, tmp_path):
    with pytest.raises(BadImageError, match=r"without dataset_description[.]json; name its root"):
        upscale_bids(tmp_path, tmp_path / "out", upscaler)
    with pytest.raises(BadImageError, match="must be the folder of a BIDS data set"):
        upscale_bids(tmp_path / "none", tmp_path / "out", upscaler)


@pytest.mark.parametrize("place", ["", "sub-01/out", "derivatives"])
def test_place_within_the_data_set_is_refused(copied, upscaler, place):
    dataset, _ = copied
    before = files(dataset)
    with pytest.raises(OptionError, match=r"output_dir: .*; name .*monai-sr"):
        upscale_bids(dataset, dataset / place, upscaler)
    assert files(dataset) == before


def test_derivatives_folder_of_the_data_set_is_the_place(copied, upscaler):
    dataset, _ = copied
    output = dataset / "derivatives" / "monai-sr"
    for _ in range(2):  # results of the first run are no inputs of the second
        results = upscale_bids(dataset, output, upscaler, suffixes=["T1w"])
        assert len(results) == 3
    told = json.loads((output / "dataset_description.json").read_text())
    assert told["DatasetLinks"] == {"raw": "../.."}
    assert errors(output) == set()


def test_folder_of_something_else_is_refused(copied, upscaler, tmp_path):
    dataset, output = copied
    other = tmp_path / "other"
    write_json(other / "a.json")
    with pytest.raises(OutputError, match="must be empty or hold results of --bids"):
        upscale_bids(dataset, other, upscaler)
    moved = dataset.rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="got those of another data set or program"):
        upscale_bids(moved, output, upscaler)


def test_other_scale_stands_beside(copied, done):
    dataset, output = copied
    bicubic = FileUpscaler("mri_sr", system="bicubic", scale=2.5, device="cpu")
    upscale_bids(dataset, output, bicubic, participants=["02"])
    assert files(done[1]).keys() < files(output).keys()
    told = entries(output, SESSIONS[0].replace("x2", "x2p5"))
    assert told["SuperResolution"]["Factors"] == [2.5, 2.5, 1]
    assert errors(output) == set()


def test_segmentation_is_enlarged_by_its_codes(copied, upscaler, tmp_path):
    dataset, _ = copied
    codes = np.zeros((24, 20, 3), np.int16)
    codes[4:12, 5:15] = 7
    codes[12:20] = 3
    image = nib.Nifti1Image(codes, np.diag([1.0, 1.0, 4.0, 1.0]))
    write_json(dataset / "dataset_description.json", Name="d", BIDSVersion="1.10.0",
               DatasetType="derivative", GeneratedBy=[{"Name": "other"}])  # fmt: skip
    image.to_filename(dataset / "sub-01" / "anat" / "sub-01_desc-tissue_dseg.nii.gz")
    image.to_filename(dataset / "sub-01" / "anat" / "sub-01_label-GM_probseg.nii.gz")
    upscale_bids(dataset, tmp_path / "new", upscaler, suffixes=["dseg"])
    stem = "sub-01/anat/sub-01_res-x2_desc-tissueSr_dseg"
    made = np.asarray(nib.load(tmp_path / "new" / f"{stem}.nii.gz").dataobj)
    assert np.array_equal(made, codes.repeat(2, 0).repeat(2, 1))
    told = entries(tmp_path / "new", stem)
    assert told["Description"].startswith("Enlarged by nearest neighbor")
    assert "SkullStripped" not in told
    assert errors(tmp_path / "new") == set()
    results = upscale_bids(dataset, tmp_path / "new", upscaler, participants=["01"])
    assert [result.is_skipped for result in results] == [False, True, False, False]
    assert "probseg" not in "".join(files(tmp_path / "new"))  # shares of a class: left out


def test_linked_image_and_the_table_of_its_labels_go_along(copied, upscaler, tmp_path):
    # As git-annex keeps files: the image is a link to an object of another name.
    dataset, _ = copied
    perf = dataset / "sub-01" / "perf"
    perf.mkdir()
    bold = dataset / "sub-01/func/sub-01_task-rest_bold.nii.gz"
    kept = bold.rename(tmp_path / "MD5E-s12--c0ffee.nii.gz")
    (perf / "sub-01_asl.nii.gz").symlink_to(kept)
    (perf / "sub-01_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\nm0scan\n")
    upscale_bids(dataset, tmp_path / "new", upscaler, suffixes=["asl"])
    made = tmp_path / "new" / "sub-01" / "perf"
    assert {path.name for path in made.iterdir()} == {
        "sub-01_res-x2_desc-sr_asl.nii.gz", "sub-01_res-x2_desc-sr_asl.json",
        "sub-01_aslcontext.tsv",
    }  # fmt: skip
    assert (made / "sub-01_aslcontext.tsv").read_text().count("label") == 1
    assert nib.load(made / "sub-01_res-x2_desc-sr_asl.nii.gz").shape == (32, 40, 4, 3)


def test_place_that_is_a_file_is_named(done, upscaler, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out.*choose another output folder"):
        upscale_bids(done[0], tmp_path / "out", upscaler)
