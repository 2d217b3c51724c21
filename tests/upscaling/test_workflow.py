"""The workflow finds its bundle by name and refuses what the configuration does not know."""

from __future__ import annotations

import logging
import sys

import pytest

from monai_sr.cli.main import main
from monai_sr.core.errors import OptionError, SRError, user_message
from monai_sr.upscaling.workflow import SRWorkflow
from tests.image_factory import pixels, write_raster
from tests.network_factory import OWN_NETWORK, tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


def test_a_run_writes_its_results(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_raster(tmp_path / "a.png", pixels((3, 5, 7)))
    workflow = SRWorkflow(bundle, input=str(source), output_dir="out", scale=2, device="cpu")
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    assert (tmp_path / "out" / "a_x2.png").is_file()


def test_an_entry_inside_an_entry_may_be_replaced(bundle):
    workflow = SRWorkflow(bundle, **{"network_def::channels": 8, "inferer#tile_size": 7})
    assert workflow.parser["inferer"]["tile_size"] == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scal": 2}, "option 'scal' is unknown; did you mean 'scale'"),
        ({"infere#tile_size": 2}, "did you mean"),
        ({"config": "infrence"}, "configuration 'infrence' is unknown; did you mean 'inference'"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(bundle, options, words):
    with pytest.raises(OptionError, match=words):
        SRWorkflow(bundle, **options)


def test_a_training_configuration_is_a_training_workflow():
    assert SRWorkflow("natural_sr", "train").get_workflow_type() == "train"
    assert SRWorkflow("natural_sr").get_workflow_type() == "infer"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"range": 5}, "range: must be two rising numbers, got 5"),
        ({"consistency": "two"}, "consistency: must be a whole number"),
        ({"tile_size": 1.5}, "tile_size: must be a whole number"),
        ({"device": "gpu"}, "device: must be one that this machine has, got 'gpu'"),
        ({"device": "cuda:99"}, "device: must be one that this machine has, got 'cuda:99'"),
        ({"precision": "int4"}, "precision: must be float32, bfloat16, float16 or int8"),
        ({"scale": 5}, "trained for 2 and 4, got 5"),
        ({"slice_axis": 3}, "slice_axis: must be auto, 0, 1 or 2, got 3"),
        ({"spatial_dims": 4}, "spatial_dims: must be 2 or 3, got 4"),
        ({"spatial_dims": 3}, "this bundle has no weights for volumes"),
        ({"spacing": -1}, "spacing: must be a length in mm"),
        ({"scale": "four"}, "got four"),
        ({"ckpt_path": "none.pt"}, "none.pt: weights file does not exist"),
        ({"input": None}, "add --input PATH"),
        ({"network_def#name": "hybrid_cascad"}, "did you mean 'hybrid_cascade'"),
        ({"network_def#chanels": 3}, "chanels"),
    ],
)
def test_every_wrong_value_has_one_line_for_the_user(bundle, tmp_path, options, words):
    source = write_raster(tmp_path / "a.png", pixels((3, 5, 7)))
    given = {"input": str(source), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    workflow = SRWorkflow(bundle, **{**given, **options})
    workflow.initialize()
    with pytest.raises((SRError, RuntimeError)) as caught:
        workflow.run()
    line = user_message(caught.value)
    assert line is not None, caught.value
    assert words in line
    assert not (tmp_path / "out").exists()


def test_the_logging_of_a_program_stays_as_it_is(bundle, capsys):
    root, ours = logging.getLogger(), logging.getLogger("monai_sr")
    handler = logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        before = root.level, root.handlers[:], ours.level, ours.handlers[:], ours.propagate
        capsys.readouterr()
        SRWorkflow(bundle, device="cpu")
        assert capsys.readouterr() == ("", "")
        after = root.level, root.handlers[:], ours.level, ours.handlers[:], ours.propagate
        assert after == before
        logging.getLogger("host").info("is heard")
        assert capsys.readouterr().err == "is heard\n"
    finally:
        root.removeHandler(handler)


def test_a_command_says_nothing_of_logging(bundle, tmp_path, capsys):
    source = write_raster(tmp_path / "photo.png", pixels((3, 5, 7)))
    assert main(["upscale", str(source), "-o", str(tmp_path / "out"), "--bundle", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert "photo_x4.png" in out
    assert "logging" not in out + err
    assert not logging.getLogger("monai_sr").handlers


def test_a_network_of_ones_own_counts_by_its_code(bundle, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file, system = tmp_path / "own_network_signed.py", tmp_path / "own.yaml"
    file.write_text(OWN_NETWORK)
    system.write_text("network_def: {_target_: own_network_signed.Own, scale: '@scale'}")
    given = {"system": system, "ckpt_path": "own.pt"}
    before = SRWorkflow(bundle, **given).fingerprint()
    assert SRWorkflow(bundle, **given).fingerprint() == before
    file.write_text(OWN_NETWORK.replace("+ 0.1", "+ 0.2"))
    assert SRWorkflow(bundle, **given).fingerprint() != before


def test_a_margin_without_limit_may_come_as_text(bundle):
    workflow = SRWorkflow(bundle, overshoot="inf")
    assert workflow.parser.get_parsed_content("inferer").overshoot is None
