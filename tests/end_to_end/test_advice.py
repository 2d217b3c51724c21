"""What messages and help advise runs as it is written: options, commands and files exist."""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from monai_sr.cli import main as cli
from tests.network_factory import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

PACKAGE = ROOT / "monai_sr"
# Of MONAI's command, torchrun, `python -m monai_sr.evaluation.table`, rio and exported bundles; a
# style sheet's property.
FOREIGN = {
    "--config_file", "--bundle_root", "--args_file", "--workflow_name", "--nproc_per_node",
    "--accent", "--results", "--overwrite", "--pattern",
}  # fmt: skip


def texts():
    """Yield (place, text) of every string of the package; what is filled in later is "{}"."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        within = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
            if part is not node
        }
        for node in ast.walk(tree):
            place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
                yield place, "".join(map(str, parts))
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in within
            ):
                yield place, node.value


TEXTS = list(texts())


def found(pattern):
    return [
        (place, *match.groups()) for place, text in TEXTS for match in re.finditer(pattern, text)
    ]


@pytest.fixture(scope="module")
def commands():
    """Return what the command line takes: subcommand -> its options."""
    actions = cli._parser()._actions
    (chosen,) = (a for a in actions if isinstance(a, argparse._SubParsersAction))
    return {name: set(parser._option_string_actions) for name, parser in chosen.choices.items()}


@pytest.fixture(scope="module")
def entries():
    """Return the options that MONAI's command takes for our bundles."""
    files = [*(ROOT / "bundles").rglob("configs/*.yaml"), *(ROOT / "configs").rglob("*.yaml")]
    return {
        f"--{key.lstrip('+').split('#')[0]}"
        for file in files
        for key in (yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    }


def test_options_exist(commands, entries):
    known = set().union(*commands.values()) | entries | FOREIGN | {"--version"}
    named = found(r"(?<![\w-])(--[a-z][a-z0-9_]+(?:-[a-z0-9_]+)*)(?!\w|-\{)")
    assert len(named) > 100
    assert {option: place for place, option in named if option not in known} == {}


def test_commands_exist(commands):
    named = found(r"(?:`|use |with |or )monai-sr ([a-z]+(?:-[a-z]+)*)")
    assert len(named) > 2
    assert [(place, name) for place, name in named if name not in commands] == []


def test_options_belong_to_the_command_that_is_named(commands):
    """`monai-sr COMMAND --option`, as far as the line goes."""
    named = found(r"monai-sr (upscale|train|evaluate|report)((?: [^\s;,`]+)*)")
    wrong = [
        (place, name, option)
        for place, name, rest in named
        for option in re.findall(r"(--[a-z][a-z_0-9]+)", rest)
        if option not in commands[name]
    ]
    assert wrong == []


def test_modules_that_are_run_exist():
    named = found(r"python -m ((?:monai_sr|monai)[\w.]*\w)")
    assert [(p, name) for p, name in named if importlib.util.find_spec(name) is None] == []


def test_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = found(r"monai-sr\[([a-z]+)\]")
    assert [(p, n) for p, n in named if n not in extras["optional-dependencies"]] == []


def test_files_of_bundles_that_are_named_exist():
    configs = {file.name for file in (ROOT / "bundles").rglob("*.yaml")}
    named = found(r"(?<![\w/{}])((?:train|inference|evaluate|multi_gpu)[a-z0-9_]*\.yaml)")
    assert [(place, name) for place, name in named if name not in configs] == []


def test_scripts_that_are_named_exist():
    named = found(r"((?:benchmarks|samples)/[a-z_0-9]+\.py)")
    assert [(place, name) for place, name in named if not Path(ROOT / name).is_file()] == []


# What follows an option in a sentence and is no value of it.
PROSE = {"out", "or", "in", "for", "and", "to", "all", "of", "enlarges"}
# What stands for names and numbers that are filled in.
FILLED = {
    "DIR": "folder", "FILE": "file.png", "PATH": "file.png", "NAME": "nearest", "LOW": "0",
    "HIGH": "1", "%g": "0", "%s": "0", "N": "2", "{}": "2",
}  # fmt: skip
FILLED_FOR = {"--system": "nearest", "--device": "cpu", "--size": "fast", "--bundle": "mri_sr"}
NEEDED = {
    "upscale": ["in.png", "-o", "out"],
    "train": ["-o", "out", "--dataset_dir", "in"],
    "evaluate": ["-o", "out"],
}
_WORD = r"(?: (?:'[^']*'|[^\s,;:()`\"]+))"
ADVISED = sorted(
    {
        (option, rest.strip())
        for _, remedy in found(r";([^;]*--[a-z][^;]*)")
        for option, rest in re.findall(rf"(?<![\w-])(--[a-z][a-z_0-9]*)({_WORD}*)", remedy)
    }
)


def words_of(option, rest):
    """Return an option with the values that advice gives it, as a shell would split them."""
    words = [option]
    for word in shlex.split(rest.replace("\n", " ")):
        if word in PROSE or word.startswith("--"):
            break
        filled = FILLED_FOR.get(option, FILLED["{}"]) if word == "{}" else FILLED.get(word, word)
        words.append(filled.rstrip("."))
    return words


@pytest.mark.parametrize(
    "words", [w for w in itertools.starmap(words_of, ADVISED) if len(w) > 1], ids=" ".join
)
def test_options_that_are_advised_are_parsed_with_their_values(words, commands, entries):
    """As a user would type them, after any command that has the option."""
    takers = [name for name in NEEDED if words[0] in commands[name]]
    if not takers:
        assert words[0] in entries | FOREIGN
        return
    parsed = []
    for name in takers:
        with contextlib.suppress(SystemExit):
            parsed.append(cli._parser().parse_known_args([name, *NEEDED[name], *words])[1])
    assert [] in parsed


def test_commands_that_are_advised_are_parsed_whole():
    lines = found(r"(?:`|use |with )monai-sr ((?:upscale|train|evaluate)(?: --[a-z_]+ \{\})*)")
    assert len(lines) > 2
    for _, line in lines:
        name, *rest = line.split()
        filled = [
            FILLED_FOR.get(before, FILLED["{}"]) if word == "{}" else word
            for before, word in zip(["", *rest], rest, strict=False)
        ]
        cli._parser().parse_args([name, *NEEDED[name], *filled])


def test_packages_that_are_advised_can_be_asked_for():
    named = found(r"pip install ('[^']+'|[\w.\[\]{}-]+)")
    assert len(named) > 4
    for _, name in named:
        assert Requirement(name.strip("'").replace("{}", "onnx")).name
