"""A model has one name everywhere: the command line, Python, configurations and metadata."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from monai_sr import SuperResolver
from monai_sr.cli.main import main
from monai_sr.core.errors import OptionError
from monai_sr.core.models import WAYS, find_model, list_models
from monai_sr.core.registry import find_bundle, list_bundles
from monai_sr.evaluation.candidates import find_candidates
from monai_sr.networks import create_network, weights_file
from monai_sr.upscaling.super_resolver import inference_config
from monai_sr.upscaling.workflow import SRWorkflow
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny_bundle

FAST = {"size": "fast"}


@pytest.mark.parametrize(
    ("name", "bundle", "found", "options"),
    [
        ("natural_sr", None, "natural_sr", {}),
        ("natural_sr:best", None, "natural_sr", {}),
        ("natural_sr:fast", None, "natural_sr:fast", FAST),
        ("xray_sr:perceptual", None, "xray_sr:perceptual", {"perception": 1.0}),
        ("natural_sr:robust", None, "natural_sr:robust", {"robust": True}),
        ("mri_sr:volumes", None, "mri_sr:volumes", {"spatial_dims": 3}),
        ("natural_sr:srcnn", None, "natural_sr:srcnn", {"system": "srcnn"}),
        ("srcnn", None, "natural_sr:srcnn", {"system": "srcnn"}),
        ("hybrid_cnn_gan", None, "natural_sr:hybrid_cnn_gan", {"system": "hybrid_cnn_gan"}),
        ("hybrid_cnn_gan", "mri_sr", "mri_sr:hybrid_cnn_gan", {"system": "hybrid_cnn_gan"}),
        ("fast", "mri_sr", "mri_sr:fast", FAST),
        ("mri_sr:fast", "mri_sr", "mri_sr:fast", FAST),
        # To be trained; and what learns nothing.
        ("edsr", None, "natural_sr:edsr", {"system": "edsr"}),
        ("xray_sr:bicubic", None, "xray_sr:bicubic", {"system": "bicubic"}),
    ],
)
def test_a_name_stands_for_options_of_a_bundle(name, bundle, found, options):
    model = find_model(name, bundle)
    assert (model.name, dict(model.options)) == (found, options)
    assert model.bundle == find_bundle(found.partition(":")[0])


def test_a_folder_stands_for_its_bundle(tmp_path, monkeypatch):
    folder = tiny_bundle(tmp_path)
    assert find_model(folder).bundle == folder
    assert find_model(f"{folder}:fast").options == FAST
    monkeypatch.chdir(folder)
    assert find_model("fast", ".").bundle == folder


def test_a_file_of_ones_own_is_a_system(tmp_path):
    file = tmp_path / "a:b.yaml"
    file.write_text("network_def: {name: srcnn}")
    assert find_model(file, "xray_sr").options == {"system": str(file)}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("natural_sr:fats", "'natural_sr:fast'"),
        ("naturl_sr:fast", "'natural_sr:fast'"),
        ("natural", "'natural_sr'"),
        ("vdrs", "'vdsr'"),
        ("fats", "'natural_sr:fast'"),
        ("robust", "'natural_sr:robust'"),  # a way is no model without its bundle
        ("ct_sr:perceptual", "'mri_sr:perceptual'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    with pytest.raises(OptionError, match=f"model '{name}' is unknown; did you mean .*{near}") as e:
        find_model(name)
    assert str(e.value).endswith("monai-sr models lists all")


def test_a_model_of_another_bundle_is_refused():
    with pytest.raises(OptionError, match="must be of the bundle mri_sr, got xray_sr:fast"):
        find_model("xray_sr:fast", "mri_sr")


@pytest.mark.parametrize("way", WAYS)
def test_names_and_options_find_the_same_weights(way):
    """Metadata and the old flags say the same, for every bundle that has the weights."""
    for folder in list_bundles().values():
        models = list_models(folder)
        assert (way in models) == (folder / "models" / WAYS[way][0]).is_file()
        if way in models and way != "perceptual":  # which is mixed into the faithful weights
            file = weights_file(folder / "models", **models[way]["options"])
            assert file == str(folder / models[way]["weights"]["any"])


def test_systems_in_metadata_are_those_whose_weights_are_there():
    for folder in list_bundles().values():
        files = {f"models/systems/{file.name}" for file in folder.glob("models/systems/*.pt")}
        found = set()
        for entry in list_models(folder).values():
            if "system" not in entry["options"]:
                continue
            assert set(entry["weights"]) <= {"any", *map(str, entry["scales"])}
            for scale in entry["scales"]:
                system = {**entry["options"], "scale": scale}
                file = weights_file(folder / "models", **system)
                weights = entry["weights"]
                assert file == str(folder / weights.get("any", weights.get(str(scale))))
            found |= set(entry["weights"].values())
        assert found == files


@pytest.mark.parametrize("name", ["srgan_8", "srcnn", "recursive_cascade_gan", "hybrid_cnn_gan"])
def test_parameters_in_metadata_are_those_of_the_network(name):
    entry = list_models(find_bundle("natural_sr"))[name]
    network = create_network("", system=name, system_scale=4, in_channels=3)
    assert entry["parameters"] == sum(p.numel() for p in network.parameters())


def test_a_bundle_whose_metadata_lists_nothing_is_looked_through(tmp_path):
    folder = tiny_bundle(tmp_path)
    file = folder / "configs" / "metadata.json"
    content = json.loads(file.read_text())
    del content["models"], content["model_figures"]
    file.write_text(json.dumps(content))
    assert find_model(folder).options == {}
    assert list(list_models(folder)) == ["best"]
    with pytest.raises(OptionError, match="natural_sr:fast' is unknown"):
        find_model(f"{folder}:fast")


def test_an_option_that_says_otherwise_is_refused():
    model = find_model("natural_sr:fast")
    assert model.with_given({"scale": 2, "size": None}) == {"scale": 2, "size": "fast"}
    assert model.with_given({"size": "fast"}) == FAST
    with pytest.raises(OptionError, match="size: must be fast for the model natural_sr:fast, got"):
        model.with_given({"size": "best"})
    with pytest.raises(OptionError, match="leave --size or --robust out"):
        inference_config("natural_sr:fast", {"robust": True})
    with pytest.raises(OptionError, match="leave --size or --robust out"):
        SRWorkflow("natural_sr:fast", robust=True)


def test_python_takes_the_name():
    image = np.random.default_rng(0).random((3, 8, 9), dtype=np.float32)
    named = SuperResolver("natural_sr:fast", device="cpu")
    flagged = SuperResolver.from_bundle("natural_sr", size="fast", device="cpu")
    assert named.weights_sha256 == flagged.weights_sha256
    np.testing.assert_array_equal(named(image), flagged(image))
    with pytest.raises(OptionError, match="inferer: a network needs one"):
        SuperResolver(named.network)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fast", {"size": "fast", "system": None, "perception": 0.0}),
        ("natural_sr:perceptual", {"size": "best", "perception": 1.0, "consistency": 3}),
        ("srcnn", {"system": "srcnn", "consistency": 0}),
        (None, {"size": "best", "robust": False, "spatial_dims": 2, "consistency": 2}),
    ],
)
def test_configurations_take_the_name(name, expected):
    config = inference_config("natural_sr", {"model": name})
    assert {key: config.get_parsed_content(key) for key in expected} == expected
    file = re.escape(str(config.get_parsed_content("ckpt_path")))
    flags = {k: v for k, v in expected.items() if k != "consistency"}
    other = inference_config("natural_sr", flags)
    assert re.fullmatch(file, str(other.get_parsed_content("ckpt_path")))


def test_evaluations_take_names_of_several_bundles():
    found = find_candidates("mri_sr", 4, ["fast", "xray_sr:fast", "natural_sr:srcnn", "model"])
    assert [c.name for c in found] == [
        "bicubic",
        "mri_sr, fast",
        "xray_sr, fast",
        "srcnn",
        "mri_sr",
    ]


@pytest.mark.parametrize("spelling", [["--model", "fast", "--bundle"], ["--bundle"]])
def test_the_command_takes_the_name(tmp_path, capsys, spelling):
    folder = tiny_bundle(tmp_path)
    photo = write_raster(tmp_path / "photo.png", pixels((3, 5, 7)))
    name = str(folder) if "--model" in spelling else f"{folder}:fast"
    assert main(["upscale", str(photo), "-o", str(tmp_path / "out"), *spelling, name]) == 2
    # The tiny bundle has no such weights: both spellings asked for them.
    assert "size: this bundle has no model_fast.pt; leave --size out" in capsys.readouterr().err
