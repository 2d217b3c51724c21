"""``monai-sr upscale --bids`` on a whole data set: what the command takes and refuses."""

from __future__ import annotations

import re

import pytest

from monai_sr.cli.main import main
from tests.bids_factory import write_data_set


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, samples_dir):
    folder = tmp_path_factory.mktemp("bids") / "raw"
    return write_data_set(folder, samples_dir / "mri_sr" / "brain_mr.nii.gz")


def test_command_makes_derivatives_of_the_bundle_that_fits(dataset, tmp_path, capsys):
    words = ["upscale", str(dataset), "-o", str(tmp_path), "--bids", "--scale", "2",
             "--system", "bicubic", "--device", "cpu", "--participant_label", "01",
             "--bids_suffix", "T1w"]  # fmt: skip
    assert main(words) == 0
    assert "sub-01_acq-fine_res-x2_desc-sr_T1w.nii.gz" in capsys.readouterr().out
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"dataset_description.json", "README.md",
                     "sub-01_acq-fine_res-x2_desc-sr_T1w.json",
                     "sub-01_acq-fine_res-x2_desc-sr_T1w.nii.gz"}  # fmt: skip
    told = (tmp_path / "sub-01/anat/sub-01_acq-fine_res-x2_desc-sr_T1w.json").read_text()
    assert '"System": "bicubic"' in told
    assert main(words) == 0
    assert "1 of 1 results were there already: skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bids", "--uncertainty"], "bids: must be left out beside uncertainty, .*leave --bids"),
        (["--bids", "--cluster", "local"], "bids: must be left out beside cluster"),
        (["--bids", "--deidentify"], "bids: must be left out beside deidentify"),
        (["--participant_label", "01"], "participant_label: belongs to .*; add --bids"),
        (["--bids_suffix", "T1w"], "bids_suffix: belongs to a BIDS data set; add --bids"),
        (["--bids", "--participant_label", "07"], "participant_label '07' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(dataset, tmp_path, capsys, words, message):
    assert main(["upscale", str(dataset), "-o", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said)
    assert not (tmp_path / "out").exists()
