"""The plain ``monai.bundle run`` ends every mistake of the user in one line and exit code 2."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
from monai.data import MetaTensor
from monai.transforms import LoadImage
from PIL import Image

from monai_sr import hook
from monai_sr.core.errors import OptionError
from monai_sr.upscaling.manifest import Manifest
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle
from tests.robust_factory import with_robust

COMMAND = str(Path(monai.bundle.__file__).with_name("__main__.py"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(autouse=True)
def _python_restored(monkeypatch):
    """Undo what the hook may change in a process, being meant for a command alone."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.delenv(hook.TRACEBACK_VARIABLE, raising=False)


@pytest.fixture
def photo(tmp_path):
    return write_raster(tmp_path / "photo.png", pixels((3, 5, 7)))


def words(bundle, source, out, *more):
    config = bundle / "configs" / "inference.yaml"
    return [
        "run", "--bundle_root", str(bundle), "--config_file", str(config), "--input", str(source),
        "--output_dir", str(out), "--device", "cpu", *map(str, more),
    ]  # fmt: skip


@pytest.fixture
def command(monkeypatch, capfd):
    """Run the command in this process as Python runs it; return code, stdout and stderr."""

    def run(arguments):
        monkeypatch.setattr(sys, "argv", [COMMAND, *arguments])
        # The hook acts when it is imported, as it is in a fresh process.
        monkeypatch.delitem(sys.modules, "monai_sr.hook", raising=False)
        code = 0
        try:
            try:
                runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
            except Exception:
                sys.excepthook(*sys.exc_info())
                code = 1
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


def assert_one_line(code, out, err, text):
    assert code == hook.EXIT_CODE
    assert "Traceback" not in out + err
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert lines[0].startswith("monai-sr: error: ")
    assert text in lines[0]


def process(arguments, folder):
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        # MONAI's own warning about every configuration comes before any bundle can act.
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_real_process_enlarges_the_good_files_and_names_the_bad_one(bundle, photo, tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    photo.rename(root / "photo.png")
    write_nifti(root / "brain.nii.gz")
    (root / "bad.png").write_bytes(b"no image")
    code, out, err = process(words(bundle, root, "out", "--scale", "2"), tmp_path)
    assert_one_line(code, out, err, "1 of 3 inputs could not be enlarged, 2 done")
    assert "bad.png: must be an image" in out
    assert "> input:" not in out  # MONAI's own lines would repeat a path that may name a patient
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "brain_x2.nii.gz", "monai_sr_manifest.csv", "photo_x2.png",
    ]  # fmt: skip


def test_a_real_process_refuses_a_misspelt_option(bundle, photo, tmp_path):
    code, out, err = process(words(bundle, photo, "out", "--scal", "2"), tmp_path)
    assert_one_line(code, out, err, "option '--scal' is unknown; did you mean '--scale'")
    assert not (tmp_path / "out").exists()


def test_the_command_does_its_job(bundle, photo, tmp_path, command):
    code, out, err = command(words(bundle, photo, tmp_path / "out"))
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "out" / "photo_x4.png") as image:
        assert image.size == (28, 20)
    assert "LR-PSNR" in out


def test_text_that_says_yes_is_true(bundle, photo, tmp_path, command):
    said = ["--deidentify", "yes", "--report=true", "--robust", "0"]
    code, _, err = command(words(bundle, photo, tmp_path / "out", *said))
    assert (code, err) == (0, "")
    names = sorted(f.name for f in (tmp_path / "out").iterdir())
    assert any(name.endswith(".html") for name in names)
    assert not any("photo" in name for name in names)


def test_each_input_gets_the_weights_that_it_needs(tmp_path, command):
    both = with_robust(tmp_path / "bundles", {"2": 0, "4": 0})
    file = write_raster(tmp_path / "photo.png", pixels((3, 30, 25)))
    code, out, err = command(words(both, file, tmp_path / "auto", "--robust", "auto"))
    assert (code, err) == (0, "")
    assert "robust weights" in out
    assert "LR-PSNR" in out
    assert command(words(both, file, tmp_path / "alone", "--robust", "True"))[0] == 0
    found, alone = (Image.open(tmp_path / name / "photo_x4.png") for name in ("auto", "alone"))
    assert np.array_equal(np.asarray(found), np.asarray(alone))
    assert '"found": "degraded input: noise' in found.info["SUPER_RESOLUTION"]
    (row,) = Manifest(tmp_path / "auto").results().values()
    assert row["weights"] == "robust"


def test_auto_takes_flags_without_a_value(tmp_path, command):
    both = with_robust(tmp_path / "bundles", {"2": 0, "4": 0})
    file = write_raster(tmp_path / "anna.png", pixels((3, 30, 25)))
    flags = ["--deidentify", "--robust", "auto", "--report"]
    code, out, err = command(words(both, file, tmp_path / "auto", *flags))
    assert (code, err) == (0, "")
    assert "anna" not in out
    names = {made.suffix: made.name for made in (tmp_path / "auto").iterdir()}
    assert {".png", ".html"} <= set(names)
    assert "anna" not in names[".png"]


def test_auto_says_what_it_cannot_do_in_one_line(bundle, photo, tmp_path, command):
    given = words(bundle, photo, tmp_path / "out", "--robust", "auto")
    own = given.index("--config_file") + 1
    copy = tmp_path / "mine.yaml"
    copy.write_bytes(Path(given[own]).read_bytes())
    cases = [
        ([*given[:own], str(copy), *given[own + 1 :]], "own inference.yaml alone, which"),
        ([*given, "--final_id", "done"], "got final_id; use monai-sr upscale"),
        ([*given, "--ckpt_path", "w.pt"], "leave --ckpt_path out"),
        (
            [*given, "--model", "fast"],
            "--config_file and --bundle_root name, got model",
        ),
        (
            given[: given.index("--bundle_root")] + given[given.index("--bundle_root") + 2 :],
            "which --config_file and --bundle_root name",
        ),
        ([*given, "--input", "none.png"], "none.png: no such file or folder"),
    ]
    for arguments, text in cases:
        assert_one_line(*command(arguments), text)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--scal", "2"], "did you mean '--scale'"),
        (["--device", "$__import__('os').abort()"], "--device: must not begin with $ or @ or %"),
        (["--device=$__import__('os').abort()"], "--device: must not begin with $"),
        (["--compression", "@name"], "write a file of that name as ./@name"),
        (["--range", "[0,'$__import__(\"os\").abort()']"], "--range: must not begin with $"),
        (["--window", "{a: ['@device']}"], "--window: must not begin with $"),
        (["--dataset#data", "$[]"], "--dataset#data: must not begin with $"),
        (["--robust", "false"], "--robust: must be auto or True or False, got 'false'"),
        (["--uncertainty=no"], "--uncertainty: must be True or False, got 'no'"),
        (["--output_dir", "out,1"], "reads that as several values; write ./out,1, or use monai-sr"),
        (["--input", "scenes,2024"], "--input scenes,2024: this command reads that as several"),
        (["--ckpt_path={run}"], "reads that as several values; write ./{run}"),
        (["--output_dir", "2022_02"], "reads that as the number 202202; write ./2022_02"),
        (["--input=1e3"], "--input 1e3: this command reads that as the number 1000.0"),
        (["--scale=5"], "trained for 2 and 4, got 5; use --scale 4"),
        (["-scal", "2"], "did you mean '--scale'"),
        (["--network_def#chanels", "8"], "unexpected keyword argument 'chanels'"),
        (["--network_def#block", "dense"], "weights belong to another network"),
        (["--consistency", "-1"], "consistency: must be a whole number >= 0, got -1"),
        (["--range", "[9,1]"], "range: must be two rising numbers"),
        (["--range", "5"], "range: must be two rising numbers"),
        (["--device", "gpu"], "device: must be one that this machine has, got 'gpu'"),
        (["--tile_size", "0"], "tile_size"),
        (["--ckpt_path", "none.pt"], "none.pt: weights file does not exist"),
        (["--ckpt_path", __file__], "weights cannot be read as a plain state dict"),
        (["--input", "none.png"], "none.png: no such file or folder"),
    ],
)
def test_a_wrong_option_is_one_line(bundle, photo, tmp_path, command, more, text):
    assert_one_line(*command(words(bundle, photo, tmp_path / "out", *more)), text)
    assert not (tmp_path / "out").exists()


def test_what_a_macro_of_the_command_line_names_is_not_executed(bundle, photo, tmp_path, command):
    """MONAI puts the file's content in place of %FILE::key before a bundle can say a word."""
    ran, file = tmp_path / "ran", tmp_path / "macro.yaml"
    file.write_text(f"key: $open({str(ran)!r}, 'w')\n")
    for option in ("--device", "--initialize", "--run"):
        given = words(bundle, photo, tmp_path / "out", option, f"%{file}::key")
        assert_one_line(*command(given), f"{option}: must not begin with $ or @ or %")
        assert not ran.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut"])
@pytest.mark.parametrize("name", ["bad.png", "bad.dcm", "bad.nii.gz", "bad.tif"])
def test_a_file_that_is_no_image_is_one_line(bundle, tmp_path, command, name, content):
    (tmp_path / name).write_bytes(content)
    assert_one_line(*command(words(bundle, tmp_path / name, tmp_path / "out")), name)


def test_an_output_folder_below_a_file_is_one_line(bundle, photo, command):
    assert_one_line(*command(words(bundle, photo, photo / "out")), "cannot be written")


def test_an_input_that_is_not_given_is_one_line(bundle, tmp_path, command):
    arguments = words(bundle, "x", tmp_path / "out")
    at = arguments.index("--input")
    del arguments[at : at + 2]
    assert_one_line(*command(arguments), "add --input PATH")


def test_a_path_that_the_command_would_cut_is_one_line(bundle, photo, tmp_path, command):
    assert_one_line(*command(words(bundle, photo, tmp_path / "a#b")), "'#' begins a comment")


def test_ctrl_c_is_no_crash(bundle, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [COMMAND, *words(bundle, photo, tmp_path / "out")])
    monkeypatch.delitem(sys.modules, "monai_sr.hook", raising=False)
    import monai_sr.hook

    with pytest.raises(SystemExit) as caught:
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert caught.value.code == monai_sr.hook.INTERRUPTED
    assert "finished results are kept" in capsys.readouterr().err


def test_the_options_of_monai_itself_are_known(bundle, photo, tmp_path, command):
    more = ["--workflow_type", "infer", "--run_id", "run", "--network_def::block", "plain"]
    code, _, err = command(words(bundle, photo, tmp_path / "out", *more))
    assert (code, err) == (0, "")


def test_a_traceback_is_shown_when_asked_for(bundle, tmp_path, command, monkeypatch):
    monkeypatch.setenv(hook.TRACEBACK_VARIABLE, "1")
    code, _, err = command(words(bundle, tmp_path / "none.png", tmp_path / "out"))
    assert code == 1
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([COMMAND, "run", "--input", "a"], True),
        ([COMMAND, "ckpt_export"], False),
        ([COMMAND], False),
        (["/usr/bin/pytest", "run"], False),
        ([""], False),
        (["-c"], False),
    ],
)
def test_the_hook_acts_in_the_run_command_alone(argv, expected):
    assert hook.is_bundle_command(argv) == expected


def test_importing_the_hook_in_a_program_changes_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, "monai_sr.hook")
    before = sys.excepthook
    import monai_sr.hook

    assert monai_sr.hook is not hook
    assert sys.excepthook is before


def test_options_are_read_as_fire_reads_them():
    argv = ["run", "--scale", "2", "--input=a.png", "-range", "-1024", "--tile-size", "7",
            "--deidentify", "--a#b::c", "1", "--report", "--", "--trace"]  # fmt: skip
    assert hook.given_options(argv) == {
        "scale": "2", "input": "a.png", "range": "-1024", "tile_size": "7", "deidentify": "True",
        "a#b::c": "1", "report": "True",
    }  # fmt: skip


@pytest.mark.parametrize("config", ["train", "train_gan"])
@pytest.mark.parametrize("name", ["natural_sr", "xray_sr", "ct_sr", "mri_sr", "satellite_sr"])
def test_a_system_is_no_option_of_training_but_a_second_file(repo_root, name, config):
    file = repo_root / "bundles" / name / "configs" / f"{config}.yaml"
    arguments = ["run", "--config_file", str(file), "--steps", "3", "--system", "srcnn"]
    with pytest.raises(OptionError) as caught:
        hook.check_options(arguments)
    overlay = f"\"['{file}','configs/systems/srcnn.yaml']\""
    assert f"--system srcnn: training takes a system as a second file, --config_file {overlay}" in (
        str(caught.value)
    )
    assert "or use monai-sr train --system" in str(caught.value)
    # What is named as the remedy passes.
    both = str([str(file), str(repo_root / "configs" / "systems" / "srcnn.yaml")])
    hook.check_options(["run", "--config_file", both, "--steps", "3"])


def test_a_system_is_an_option_of_inference(bundle):
    config = str(bundle / "configs" / "inference.yaml")
    hook.check_options(["run", "--config_file", config, "--system", "bicubic"])


def test_a_system_enlarges_by_the_plain_command(bundle, photo, tmp_path, command):
    code, _, err = command(words(bundle, photo, tmp_path / "out", "--system", "bicubic"))
    assert (code, err) == (0, "")
    assert (tmp_path / "out" / "photo_x4.png").is_file()


def test_several_configuration_files_are_known_together(tmp_path):
    for name, text in (("a.yaml", "scale: 2\n"), ("b.json", '{"alpha": 1}')):
        (tmp_path / name).write_text(text)
    files = str([str(tmp_path / "a.yaml"), str(tmp_path / "b.json")])
    hook.check_options(["--config_file", files, "--scale", "4", "--alpha", "2"])
    with pytest.raises(OptionError, match="did you mean '--alpha'"):
        hook.check_options(["--config_file", files, "--alfa", "2"])
    hook.check_options(["--anything", "2"])


def test_errors_that_are_not_for_the_user_are_left_to_python(capsys):
    assert not hook.report(ValueError("boom"))
    assert capsys.readouterr().err == ""
    assert hook.report(OptionError("scale: got 3"))
    assert capsys.readouterr().err == "monai-sr: error: scale: got 3\n"


def test_importing_the_package_changes_nothing_in_monai(samples_dir, tmp_path):
    paths = [samples_dir / "natural_sr" / "photo.png", write_nifti(tmp_path / "a.nii.gz")]
    code = (
        "import sys, numpy as np\n"
        "from monai.transforms import LoadImage\n"
        "load = lambda: [LoadImage()(p) for p in sys.argv[1:]]\n"
        "before = load()\n"
        "import monai_sr, monai_sr.upscaling.super_resolver, monai_sr.upscaling.evaluator\n"
        "import monai_sr.hook\n"
        "import monai_sr.formats.registry, monai_sr.training.adversarial\n"
        "for a, b in zip(before, load(), strict=True):\n"
        "    assert np.array_equal(a.numpy(), b.numpy())\n"
        "    assert sorted(map(str, a.meta)) == sorted(map(str, b.meta))\n"
        "    assert np.array_equal(a.affine, b.affine)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, paths)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path in paths:
        assert isinstance(LoadImage()(path), MetaTensor)
        assert np.isfinite(LoadImage()(path).numpy()).all()


def test_importing_the_package_is_instant_and_silent():
    code = "import sys, monai_sr; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
