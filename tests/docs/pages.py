"""Runs the blocks of a documentation page: files are written, Python and commands executed."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import monai.bundle
import numpy as np
from PIL import Image

from monai_sr.cli import main as cli
from monai_sr.core.errors import OptionError
from monai_sr.training import split_images
from tests.image_factory import write_nifti

_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./]+\.\w+)`:\n\n\Z")
_BUNDLE_COMMAND = str(Path(monai.bundle.__file__).with_name("__main__.py"))


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, what it says, the file that the text names it."""

    kind: str
    text: str
    file: str | None = None

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, continued ones joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def sections(page: Path) -> dict[str, list[Block]]:
    """Return the blocks of each section of second level; those before the first are under ''."""
    parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: _blocks(text) for name, text in zip(["", *parts[1::2]], parts[::2], strict=True)}


def _blocks(text: str) -> list[Block]:
    found = []
    for match in _BLOCK.finditer(text):
        file = _FILE.search(text[: match.start()])
        found.append(Block(match["kind"], match["text"], file[1] if file else None))
    return found


def write_photos(folder: Path, size: tuple[int, int] = (112, 104)) -> None:
    """Write a.png and others, among them one that is held out for validation by its name."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png", _held_out("photo", ".png")):
        smooth = Image.fromarray(rng.integers(0, 256, (13, 14, 3), dtype=np.uint8))
        smooth.resize(size, Image.Resampling.BICUBIC).save(folder / name)


def write_volumes(folder: Path) -> None:
    """Write a.nii.gz and another, which is held out for validation by its name."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.nii.gz", _held_out("volume", ".nii.gz")):
        coarse = rng.integers(0, 1000, (18, 17, 7), dtype=np.int16)
        write_nifti(folder / name, coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def _held_out(stem: str, suffix: str) -> str:
    return next(name for i in count() if _is_held_out(name := f"{stem}{i}{suffix}"))


def _is_held_out(name: str) -> bool:
    try:
        return len(split_images([Path(f"a.{name.partition('.')[2]}"), Path(name)], 0.03)[1]) == 1
    except OptionError:  # neither is
        return False


def run(block: Block, change: Callable[[str], str]) -> None:
    """Run a shell block in this process and the current folder.

    Args:
        block: what a page tells its reader to type.
        change: makes one command small.
    """
    for command in block.commands:
        words = shlex.split(change(command))
        if words[0] == "export":
            continue  # the test has set the path
        if words[0] == "monai-sr":
            assert cli.main(words[1:]) == 0, command
        elif words[:3] == ["python", "-m", "monai.bundle"]:
            assert not _run_module(words[2], [_BUNDLE_COMMAND, *words[3:]]), command
        elif words[:2] == ["python", "-m"]:
            assert not _run_module(words[2], words[2:]), command
        else:
            subprocess.run(["bash", "-ec", change(command)], check=True)


def _run_module(name: str, argv: list[str]) -> object:
    """Run ``python -m name``; return its exit code."""
    before, hook = sys.argv, sys.excepthook
    sys.argv = argv
    try:
        with warnings.catch_warnings():
            # A module of ours that runs as a command has been imported before.
            warnings.filterwarnings("ignore", message=".*found in sys.modules")
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code
    finally:
        sys.argv, sys.excepthook = before, hook
    return 0
