"""The command does its job by a bundle's name, and every mistake is one line and exit code 2."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sr import SuperResolver, __version__
from monai_sr.cli.main import _parser, main
from monai_sr.core.bundles import write_weights_sums
from monai_sr.core.errors import BadImageError
from monai_sr.functional.back_projection import back_project
from monai_sr.networks import create_generator, list_systems
from tests.image_factory import pixels, write_raster
from tests.network_factory import tiny, tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def photo(tmp_path):
    return write_raster(tmp_path / "photo.png", pixels((3, 5, 7)))


def upscale(source, out, *options, bundle):
    return main(["upscale", str(source), "-o", str(out), "--bundle", str(bundle), *options])


def only_line(capsys):
    """Return the one line on stderr; there is no traceback anywhere."""
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.count("\n") == 1, err
    assert err.startswith("monai-sr: error: ")
    return err


@pytest.mark.parametrize("scale", [2, 4])
def test_a_photo_is_enlarged(bundle, photo, tmp_path, capsys, scale):
    assert upscale(photo, tmp_path / "out", "--scale", str(scale), bundle=bundle) == 0
    with Image.open(tmp_path / "out" / f"photo_x{scale}.png") as image:
        assert image.size == (7 * scale, 5 * scale)
    assert f"photo_x{scale}.png" in capsys.readouterr().out


def test_the_output_option_has_a_long_name(bundle, photo, tmp_path):
    arguments = ["upscale", str(photo), "--output_dir", str(tmp_path / "out")]
    assert main([*arguments, "--bundle", str(bundle), "--consistency", "0"]) == 0


@pytest.mark.parametrize("option", ["--device", "--compression", "--precision", "--runtime"])
@pytest.mark.parametrize("sign", "$@%")
def test_a_value_that_a_configuration_would_obey_is_refused(
    bundle, photo, tmp_path, capsys, option, sign
):
    value = f"{sign}open({str(tmp_path / 'mark')!r}, 'w')"
    assert upscale(photo, tmp_path / "out", option, value, bundle=bundle) == 2
    assert f"{option[2:]}: must not begin with" in only_line(capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["photo.png"]


def test_a_file_whose_name_begins_like_an_expression(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "$a.png", pixels((3, 5, 7)))
    assert upscale("$a.png", "out", bundle=bundle) == 2
    assert only_line(capsys).endswith("write a file of that name as ./$a.png\n")
    assert upscale("./$a.png", "out", bundle=bundle) == 0
    assert (tmp_path / "out" / "$a_x4.png").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cog", "True"], True),
        (["--cog=true"], True),
        (["--cog"], True),
        (["--cog", "False"], False),
        (["--cog=False"], False),
        (["--no-cog"], False),
        ([], None),
    ],
)
def test_flags_take_true_and_false(words, expected):
    for line in (["a.tif", "-o", "out", *words], [*words, "a.tif", "-o", "out"]):
        arguments, unknown = _parser().parse_known_args(["upscale", *line])
        assert (arguments.cog, arguments.input, unknown) == (expected, "a.tif", [])


def test_a_flag_takes_nothing_else(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["upscale", "a.tif", "-o", "out", "--cog=maybe"])
    assert caught.value.code == 2
    assert "--cog/--no-cog: ignored explicit argument 'maybe'" in only_line(capsys)


def test_the_range_is_taken_as_two_numbers(bundle, photo, tmp_path, capsys):
    assert upscale(photo, tmp_path / "a", "--range", "-10", "300.5", bundle=bundle) == 0
    capsys.readouterr()
    assert upscale(photo, tmp_path / "b", "--range", "5", "1", bundle=bundle) == 2
    assert "two rising numbers" in only_line(capsys)


def test_other_weights_are_taken(bundle, photo, tmp_path, capsys):
    torch.save(tiny(3, seed=9).state_dict(), tmp_path / "good.pt")
    torch.save(tiny(1).state_dict(), tmp_path / "grey.pt")
    out = tmp_path / "out"
    assert upscale(photo, out, "--ckpt_path", str(tmp_path / "good.pt"), bundle=bundle) == 0
    capsys.readouterr()
    assert upscale(photo, out, "--ckpt_path", str(tmp_path / "grey.pt"), bundle=bundle) == 2
    line = only_line(capsys)
    assert "grey.pt: weights belong to another network" in line
    assert "head.weight" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scale", "5"], "trained for 2 and 4, got 5; use --scale 4"),
        (["--consistency", "-1"], "consistency: must be a whole number >= 0, got -1"),
        (["--device", "cuda:99"], "device: must be one that this machine has"),
        (["--ckpt_path", "none.pt"], "none.pt: weights file does not exist"),
        (["--scal", "2"], "option '--scal' is unknown; did you mean '--scale'"),
        (["extra.png"], "argument 'extra.png' is unknown"),
    ],
)
def test_a_wrong_option_is_one_line(bundle, photo, tmp_path, capsys, options, words):
    assert upscale(photo, tmp_path / "out", *options, bundle=bundle) == 2
    assert words in only_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["upscale"], ["upscale", "a.png"], ["upscal", "a.png"],
     ["upscale", "a.png", "-o", "out", "--scale", "two"],
     ["upscale", "a.nii", "-o", "out", "--spacing", "0.5,thin"],
     ["upscale", "a.nii", "-o", "out", "--slice-axis", "3"],
     ["upscale", "a.nii", "-o", "out", "--spatial_dims", "4"]],
)  # fmt: skip
def test_an_incomplete_call_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "--help" in only_line(capsys)


def test_a_bad_bundle_is_one_line(photo, tmp_path, capsys):
    assert upscale(photo, tmp_path / "out", bundle="xray") == 2
    assert "model 'xray' is unknown; did you mean 'xray_sr'" in only_line(capsys)
    assert upscale(photo, tmp_path / "out", bundle=tmp_path) == 2
    assert "is no bundle" in only_line(capsys)


def test_a_missing_input_is_one_line(bundle, tmp_path, capsys):
    assert upscale(tmp_path / "none.png", tmp_path / "out", bundle=bundle) == 2
    assert "none.png: no such file or folder" in only_line(capsys)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n cut"])
def test_a_file_that_is_no_image_is_one_line(bundle, tmp_path, capsys, content):
    (tmp_path / "bad.png").write_bytes(content)
    assert upscale(tmp_path / "bad.png", tmp_path / "out", bundle=bundle) == 2
    assert "bad.png" in only_line(capsys)


def test_an_output_folder_below_a_file_is_one_line(bundle, photo, capsys):
    assert upscale(photo, photo / "out", bundle=bundle) == 2
    assert "cannot be written" in only_line(capsys)


def test_a_folder_with_a_bad_file_does_the_others_and_counts(bundle, photo, tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    photo.rename(root / "photo.png")
    (root / "bad.png").write_bytes(b"")
    assert upscale(root, tmp_path / "out", bundle=bundle) == 2
    out, err = capsys.readouterr()
    assert "1 of 2 inputs could not be enlarged, 1 done" in err
    assert "bad.png: must hold an image" in out
    assert (tmp_path / "out" / "photo_x4.png").is_file()


def test_several_inputs_are_one_run(bundle, photo, tmp_path, capsys):
    other = write_raster(tmp_path / "other.png", pixels((3, 5, 7)))
    words = ["upscale", str(photo), str(other), str(tmp_path / "gone.png")]
    assert main([*words, "-o", str(tmp_path / "out"), "--bundle", str(bundle)]) == 2
    out, err = capsys.readouterr()
    assert "1 of 3 inputs could not be enlarged, 2 done" in err
    assert "gone.png" in out
    for name in ("photo_x4.png", "other_x4.png"):
        assert (tmp_path / "out" / name).is_file()


def test_an_input_apart_from_the_others_is_one_line(photo, capsys):
    assert main(["upscale", str(photo), "-o", "out", "other.png"]) == 2
    assert "argument 'other.png' is unknown; name inputs side by side" in only_line(capsys)


@pytest.mark.parametrize("options", [["--bids"], ["--assets", "B04"]])
def test_one_data_set_or_item_is_taken_at_a_time(photo, tmp_path, capsys, options):
    assert main(["upscale", str(photo), str(photo), "-o", str(tmp_path), *options]) == 2
    assert "input: must be one with --bids or --assets, got 2" in only_line(capsys)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_system_takes_the_place_of_the_bundles_model(bundle, photo, tmp_path, scale, steps):
    options = ["--system", "bicubic", "--scale", str(scale), "--consistency", str(steps)]
    assert upscale(photo, tmp_path / "out", *options, bundle=bundle) == 0
    with Image.open(photo) as image:
        lr = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    sr = create_generator("bicubic", scale=scale)(lr)
    expected = back_project(sr, lr, scale, steps, 0.0, 1.0)[0].permute(1, 2, 0) * 255
    with Image.open(tmp_path / "out" / f"photo_x{scale}.png") as image:
        found = np.array(image)
    # Rounded to the nearest; the last bit of a half may go either way.
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=0.5 + 1e-3)


def test_a_result_says_which_system_made_it(bundle, photo, tmp_path):
    out = tmp_path / "out"
    assert upscale(photo, out, "--system", "nearest", "--scale", "2", bundle=bundle) == 0
    with Image.open(out / "photo_x2.png") as image:
        assert any('"system": "nearest"' in str(value) for value in image.info.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--system", "bicubik"], "system 'bicubik' is unknown; did you mean 'bicubic'"),
        (["--system", "srcnn"], "srcnn_x4.pt: no weights of this system"),
        (["--system", "bicubic", "--scale", "5"], "scale: must be one of [2, 3, 4], got 5"),
        (["--perception", "1.5"], "perception: must be a number in [0, 1], got 1.5"),
        (["--perception", "-0.5"], "perception: must be a number in [0, 1], got -0.5"),
        (["--perception", "0.5"], "perception: this bundle has no perceptual weights"),
        (["--system", "bicubic", "--perception", "0.5"], "perception: must be 0 where no weights"),
        (["--robust"], "this bundle has no model_robust.pt"),
        (["--size", "fast"], "size: this bundle has no model_fast.pt"),
        (["--size", "fast", "--robust"], "leave --size or --robust out"),
        (["--size", "fast", "--perception", "1"], "leave --size or --perception out"),
        (["--size", "fast", "--system", "nearest"], "leave --size or --system out"),
    ],
)
def test_a_wrong_choice_of_model_is_one_line(bundle, photo, tmp_path, capsys, options, words):
    assert upscale(photo, tmp_path / "out", *options, bundle=bundle) == 2
    assert words in only_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_size_takes_its_own_network_and_weights(photo, tmp_path):
    sized = tiny_bundle(tmp_path)
    torch.manual_seed(5)
    fast = create_generator("compact_residual", in_channels=3)  # the size that the bundle tells
    torch.nn.init.normal_(fast.tail.weight, std=0.01)
    torch.save(fast.state_dict(), sized / "models" / "model_fast.pt")
    write_weights_sums(sized)
    results = {}
    for size in ("best", "fast"):
        assert upscale(photo, tmp_path / size, "--size", size, bundle=sized) == 0
        with Image.open(tmp_path / size / "photo_x4.png") as image:
            results[size] = np.array(image)
            told = any('"size": "fast"' in str(value) for value in image.info.values())
        assert told == (size == "fast")
        resolver = SuperResolver.from_bundle(sized, size=size)
        assert np.array_equal(results[size].T, resolver(photo).numpy())
    assert not np.array_equal(*results.values())


def test_perception_goes_from_one_face_to_the_other(photo, tmp_path):
    models = (faces := tiny_bundle(tmp_path)) / "models"
    torch.save(tiny(3, seed=5).state_dict(), models / "model_perceptual.pt")
    write_weights_sums(faces)
    results = {}
    for name, options in {
        "0": [], "1": ["--perception", "1"], "half": ["--perception", "0.5"],
        "own": ["--ckpt_path", str(models / "model_perceptual.pt"), "--consistency", "3"],
    }.items():  # fmt: skip
        assert upscale(photo, tmp_path / name, *options, bundle=faces) == 0
        with Image.open(tmp_path / name / "photo_x4.png") as image:
            results[name] = np.array(image)
    assert np.array_equal(results["1"], results["own"])
    assert not np.array_equal(results["0"], results["1"])
    assert not any(np.array_equal(results["half"], results[face]) for face in "01")


def test_an_interrupted_run_says_so(bundle, photo, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("monai_sr.upscaling.file_upscaler.FileUpscaler.upscale_all", interrupt)
    assert upscale(photo, tmp_path / "out", bundle=bundle) == 130
    assert "finished results are kept" in capsys.readouterr().err


def test_an_error_of_ours_that_nobody_foresaw_is_shown_in_full(
    bundle, photo, monkeypatch, tmp_path
):
    def fail(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("monai_sr.upscaling.file_upscaler.FileUpscaler.upscale_all", fail)
    with pytest.raises(ZeroDivisionError):
        upscale(photo, tmp_path / "out", bundle=bundle)


def test_a_traceback_is_shown_when_asked_for(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_SR_TRACEBACK", "1")
    with pytest.raises((BadImageError, RuntimeError)):
        upscale(tmp_path / "none.png", tmp_path / "out", bundle=bundle)


def test_bundles_are_listed(capsys):
    assert main(["bundles"]) == 0
    names = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"natural_sr", "xray_sr"} <= set(names)


def test_systems_are_listed(capsys):
    assert main(["systems"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert names == sorted(list_systems())


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"monai-sr {__version__}\n"


def test_help_comes_without_loading_torch():
    code = (
        "import sys\n"
        "from monai_sr.cli import main as cli\n"
        "try:\n"
        "    cli.main(['upscale', '--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'torch', 'monai', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--consistency" in done.stdout
