"""Runs the blocks of a documentation page: files are written, Python and commands executed."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import monai.bundle
import numpy as np
from PIL import Image

from monai_sr.apps import cli
from monai_sr.core.errors import OptionError
from monai_sr.engines import split_images

_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./]+\.\w+)`:\n\n\Z")
BUNDLE_COMMAND = str(Path(monai.bundle.__file__).with_name("__main__.py"))


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, what it says, the file that the text names it."""

    kind: str
    text: str
    file: str | None

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


def write_photos(folder: Path, number: int = 4) -> None:
    """Write a.png and others; a run without --validation_dir holds one of them out."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    held = (f"h{i}" for i in count() if _is_held_out(f"h{i}"))
    for name in [*islice("abcdefgh", number), next(held)]:
        smooth = Image.fromarray(rng.integers(0, 256, (13, 14, 3), dtype=np.uint8))
        smooth.resize((112, 104), Image.Resampling.BICUBIC).save(folder / f"{name}.png")


def _is_held_out(name: str) -> bool:
    try:
        return len(split_images([Path("a.png"), Path(f"{name}.png")], 0.03)[1]) == 1
    except OptionError:  # neither is
        return False


class Shell:
    """Runs the commands of a page in this process, as a shell in the current folder would.

    Args:
        changes: text -> text, what makes a command small.
        ours: options added to every command that trains or enlarges.
    """

    def __init__(self, changes: Mapping[str, str], ours: str = "--device cpu") -> None:
        self.changes = changes
        self.ours = shlex.split(ours)

    def run(self, block: Block) -> None:
        """Run one block."""
        for command in block.commands:
            for old, new in self.changes.items():
                command = command.replace(old, new)
            words = shlex.split(command)
            if words[0] == "export":
                continue  # the test has set the path
            if words[0] == "monai-sr":
                assert cli.main([*words[1:], *self.ours]) == 0, command
            elif words[:3] == ["python", "-m", "monai.bundle"]:
                self._module("monai.bundle", [*words[3:], *self.ours], BUNDLE_COMMAND)
            elif words[:2] == ["python", "-m"]:
                self._module(words[2], words[3:], words[2])
            else:
                subprocess.run(["bash", "-ec", command], check=True)

    def _module(self, name: str, arguments: list[str], program: str) -> None:
        before, sys.argv = sys.argv, [program, *arguments]
        hook = sys.excepthook
        try:
            with warnings.catch_warnings():
                # A module of ours that runs as a command has been imported before.
                warnings.filterwarnings("ignore", message=".*found in sys.modules")
                runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert not end.code, arguments
        finally:
            sys.argv, sys.excepthook = before, hook
