"""Examples of pages without a test of their own are understood, and run where that is quick."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import runpy
import shlex
from pathlib import Path

import pytest

from monai_sr.cli import main as cli
from monai_sr.core.options import EVALUATE, TRAIN, UPSCALE
from tests.docs.pages import run, sections

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "samples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("bundles/*/docs/README.md")),
]


_TESTS = "".join(test.read_text(encoding="utf-8") for test in (ROOT / "tests").rglob("test_*.py"))


def _has_a_test(page: Path) -> bool:
    return page.parent.name == "how-to" and f'"{page.name}"' in _TESTS


BLOCKS = {
    page.relative_to(ROOT).as_posix(): [b for blocks in sections(page).values() for b in blocks]
    for page in PAGES
    if not _has_a_test(page)
}
COMMANDS = [
    (page, command)
    for page, blocks in BLOCKS.items()
    for block in blocks
    if block.kind == "bash"
    for command in block.commands
]
PYTHON = [
    (page, block.text)
    for page, blocks in BLOCKS.items()
    for block in blocks
    if block.kind == "python"
]
_OPTIONS = {option.name for table in (EVALUATE, TRAIN, UPSCALE) for option in table}
_OF_MONAI = {"bundle_root", "config_file", "input", "dataset_dir", "output_dir"}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_understood(page, command):
    words = shlex.split(command, comments=True)
    program = Path(words[0]).name  # env/bin/pip
    if program == "monai-sr":
        if words[1:] != ["--help"]:
            assert cli._parser().parse_known_args(words[1:])[1] == []
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = [word for word in words[1:] if "=" not in word]
        assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in targets)
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]) is not None
        if words[2] == "monai.bundle":
            _understood_by_monai(words, ROOT / page)
    elif program == "python":
        assert (ROOT / words[1]).is_file()
    else:  # all else wants a test of the page
        assert program in {"pip", "source"}


def _understood_by_monai(words: list[str], page: Path) -> None:
    options = dict(re.findall(r"--([\w#]+) (\S+)", " ".join(words[4:])))
    # Pages of a bundle are read in its folder.
    root = page.parents[1] if page.is_relative_to(ROOT / "bundles") else ROOT
    config = root / options["config_file"].strip("\"'[]").split(",")[0].strip("'")
    assert config.is_file()
    if words[3] != "run":
        return  # a command of MONAI's with options of its own
    named = {name for name in options if "#" not in name} - _OF_MONAI
    heads = set(re.findall(r"^(\w+):", config.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= heads | _OPTIONS


@pytest.mark.parametrize(("page", "text"), PYTHON)
def test_python_finds_what_it_imports(page, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "monai_sr":
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.fixture
def beside_samples(tmp_path, monkeypatch):
    """Go to a folder that has samples and bundles as a checkout has them, and room for results."""
    for name in ("samples", "bundles", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "photo.png").symlink_to(ROOT / "samples/natural_sr/photo.png")
    (tmp_path / "chest.dcm").symlink_to(ROOT / "samples/xray_sr/chest_xray_dx.dcm")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _without_comment(command: str) -> str:
    return re.sub(r"\s+# .*", "", command).replace("source .venv/bin/activate", "true")


def _run_all(page: str, kind: str, section: str | None = None) -> None:
    found = sections(ROOT / page)
    blocks = found[section] if section is not None else [b for s in found.values() for b in s]
    chosen = [block for block in blocks if block.kind == kind]
    assert chosen
    for number, block in enumerate(chosen):
        if kind == "bash":
            run(block, _without_comment)
        else:
            path = Path(f"block_{number}.py")
            path.write_text(block.text, encoding="utf-8")
            runpy.run_path(str(path), run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "kind", "section", "written"),
    [
        ("docs/tutorial.md", "bash", "2. One file", ["out/mine/chest_xray_dx_x4.dcm"]),
        ("docs/tutorial.md", "bash", "3. A folder", ["out/folder/photo_x2.png"]),
        ("docs/tutorial.md", "python", "4. In your own program", []),
        ("docs/how-to/models.md", "bash", "", ["out/photo_x4.png", "out/chest_x4.dcm"]),
        ("docs/how-to/models.md", "python", "", []),
        ("README.md", "python", "From Python", []),
    ],
)
def test_pages_without_a_test_of_their_own_run(beside_samples, page, kind, section, written):
    _run_all(page, kind, section)
    assert [name for name in written if not (beside_samples / name).is_file()] == []


def test_examples_are_found():
    assert len(COMMANDS) > 40
    assert len(PYTHON) >= 4
    assert os.path.commonpath([str(page) for page in PAGES]) == str(ROOT)
