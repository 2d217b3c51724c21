"""What messages and help advise runs as it is written: options, commands and files exist."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from monai_sr.apps import cli
from tests.network_factory import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

PACKAGE = ROOT / "monai_sr"
# Of MONAI's command, torchrun, `python -m monai_sr.evaluators.table`; a style sheet's property.
FOREIGN = {
    "--config_file", "--bundle_root", "--args_file", "--workflow_name", "--nproc_per_node",
    "--accent", "--results",
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
    named = found(r"(?<![\w-])(--[a-z][a-z0-9_]+(?:-[a-z0-9_]+)*)")
    assert len(named) > 100
    assert [(place, option) for place, option in named if option not in known] == []


def test_commands_exist(commands):
    named = found(r"(?:`|use |with |or )monai-sr ([a-z]+)")
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
