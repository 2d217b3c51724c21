"""docs/how-to/bids.md is true: its commands and code run on a small data set."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.bids_factory import write_data_set
from tests.docs.pages import run, sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "bids.md"
SECTIONS = sections(PAGE)


@pytest.fixture
def workplace(tmp_path, monkeypatch, samples_dir):
    write_data_set(tmp_path / "raw", samples_dir / "mri_sr" / "brain_mr.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quick(command):
    words = shlex.split(command)
    given = words.index("--model") if "--model" in words else None
    if given is not None:
        del words[given : given + 2]
    return shlex.join([*words, "--system", "bicubic", "--device", "cpu"])


def test_commands_write_what_the_page_shows(workplace):
    tree, *commands = sorted((b for b in SECTIONS[""]), key=lambda b: b.kind == "bash")
    assert [block.kind for block in (tree, *commands)] == ["text", "bash", "bash"]
    for block in commands:
        run(block, quick)
    top, *lines = tree.text.splitlines()
    shown = {line.split()[-1] for line in lines}
    output = workplace / top
    made = [*output.glob("*"), *output.glob("sub-01/**/*")]
    series = {"func", "sub-02", *(p.name for p in output.glob("sub-01/func/*"))}
    assert {path.name for path in made} - series == shown
    few = {path.name for path in (workplace / "out").rglob("*.nii*")}
    assert len(few) == 3
    assert {name.rpartition("_")[2].partition(".")[0] for name in few} == {"T1w"}


def test_entries_are_as_the_tables_say(workplace):
    run(next(b for b in SECTIONS[""] if b.kind == "bash"), quick)
    output = workplace / "raw/derivatives/monai-sr"
    told = json.loads(next(output.rglob("*_bold.json")).read_text())
    named = {cell for line in PAGE.read_text().splitlines() if line.startswith("| `")
             for cell in line.split("|")[1].replace("`", "").strip().split(", ")}  # fmt: skip
    ours = {"Sources", "SuperResolution", "SkullStripped", "SliceTiming", "EffectiveEchoSpacing",
            "TotalReadoutTime"}  # fmt: skip
    assert ours <= named & set(told)
    assert {"Description", "Resolution", "SpatialReference"} <= set(told)
    assert "Agreement" in told["SuperResolution"]
    assert not {"ReconMatrixPE", "IntendedFor"} & set(told)


def test_python_prints_each_result(workplace, capsys):
    (block,) = (b for b in SECTIONS["In Python"] if b.kind == "python")
    exec(compile(block.text.replace('"mri_sr"', '"mri_sr:fast"'), PAGE.name, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(" dB") for line in lines)


def test_interface_of_nipype_enlarges_an_image(workplace, monkeypatch, capsys):
    pytest.importorskip("nipype", reason="needs nipype, which is no part of the extras")
    interface, use = (b for b in SECTIONS["In a nipype workflow"] if b.kind == "python")
    assert len(interface.text.strip().splitlines()) <= 45
    assert interface.file == "enlarge.py"
    (workplace / interface.file).write_text(interface.text.replace('"mri_sr"', '"mri_sr:fast"'))
    monkeypatch.syspath_prepend(workplace)
    exec(compile(use.text, PAGE.name, "exec"), {})
    made = nib.load(capsys.readouterr().out.splitlines()[-1])
    assert made.shape == (48, 40, 3)
    assert np.allclose(made.header.get_zooms(), (0.5, 0.5, 4))
