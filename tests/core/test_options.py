"""Options are declared once: command line, configurations and documents say the same of them."""

from __future__ import annotations

import argparse
import json

import pytest

from monai_sr.cli import main as cli
from monai_sr.core.bundles import filled_tables
from monai_sr.core.errors import OptionError
from monai_sr.core.options import EVALUATE, TRAIN, UPSCALE, Option
from monai_sr.core.registry import list_bundles

COMMANDS = {command.name: command for command in (UPSCALE, TRAIN, EVALUATE)}


def _flags(name):
    (chosen,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {
        action.dest: action for action in chosen.choices[name]._actions if action.dest != "help"
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_command_line_has_what_is_declared(name):
    actions = _flags(name)
    declared = {o.name: o for o in COMMANDS[name] if o.of != "configuration"}
    assert set(actions) == set(declared)
    for key, action in actions.items():
        option = declared[key]
        assert (action.help or "") % {} == option.help
        assert (action.choices, action.required) == (
            option.choices,
            option.required or "positional" in str(option.nargs),
        )


@pytest.mark.parametrize(("name", "config"), [("upscale", "inference"), ("evaluate", "evaluate")])
def test_configurations_have_the_entries_that_commands_set(name, config):
    for folder in list_bundles().values():
        content = json.loads((folder / "configs" / f"{config}.json").read_text())
        assert {o.name for o in COMMANDS[name] if o.of == "both"} <= set(content)


def test_each_option_says_what_it_means_once():
    for command in COMMANDS.values():
        names = [option.name for option in command]
        assert len(names) == len(set(names))
        assert {o for option in command for o in option.excludes} <= set(names)
        assert [o.name for o in command if not (o.help or o.more)] == []


def test_documents_show_the_options_of_today(repo_root):
    text = (repo_root / "docs" / "options.md").read_text()
    assert text.count("<!-- options of ") == len(COMMANDS)
    assert filled_tables(text) == text, "run `python -m monai_sr.core.bundles`"


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        ({"scale": 2, "spacing": 0.5}, "--scale or --spacing"),
        ({"window": [0, 0, 1, 1], "bbox": [0, 0, 1, 1]}, "--window or --bbox"),
        ({"size": "fast", "robust": True}, "--size or --robust"),
        ({"perception": 1.0, "robust": "auto"}, "--perception or --robust"),
        ({"size": "fast", "spatial_dims": "3"}, "--size or --spatial_dims"),
    ],
)
def test_two_options_that_contradict_each_other_are_refused(given, pair):
    with pytest.raises(OptionError, match=f"must be left out beside .*; leave {pair} out"):
        UPSCALE.check(given)


@pytest.mark.parametrize(
    "given",
    [{"scale": 2, "spacing": None}, {"size": "best", "robust": True}, {"scale": "2.5"},
     {"size": "fast", "robust": "False", "perception": "0", "spatial_dims": 2, "system": None}],
)  # fmt: skip
def test_what_equals_the_default_contradicts_nothing(given):
    UPSCALE.check(given)


def test_an_entry_of_the_recipe_says_what_it_means():
    short = Option("cog", "rasters as tiles", kind="flag", entry="false")
    assert short.yaml() == "cog: false  # rasters as tiles"
    mapping = Option("scale", "up to 4", entry="\n  _target_: a.b\n  _same_: size")
    assert mapping.yaml() == "scale:  # up to 4\n  _target_: a.b\n  _same_: size"
    numbers = Option("range", "black and white", nargs=2, entry="null", example='"[0,1]"')
    assert numbers.yaml() == 'range: null  # black and white, "[0,1]"'
    lines = Option("long", "word " * 40, entry="1").yaml().splitlines()
    assert lines[-1] == "long: 1"
    assert all(line.startswith("# word") and len(line) <= 100 for line in lines[:-1])
