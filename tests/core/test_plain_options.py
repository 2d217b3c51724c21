"""What a configuration would execute is no option's value, however deep it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.core.plain_options import check_plain, check_types


@pytest.mark.parametrize("sign", "$@%")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: f"  {text}",
        lambda text: [1, text],
        lambda text: (1, [text]),
        lambda text: {"a": {"b": text}},
        lambda text: {text: 1},
    ],
)
def test_signs_are_refused(sign, wrap):
    text = f"{sign}__import__('os').abort()"
    with pytest.raises(OptionError, match=r"device: must not begin with.*abort.*write .* as \./"):
        check_plain({"device": wrap(text)})


@pytest.mark.parametrize(
    "value",
    ["cpu", "./$a.png", "a$b", "mail@host", "50 %", "", 4, 2.5, None, True, [1, 2], Path("$a")],
)
def test_data_pass(value):
    check_plain({"input": value}, may_build=False)


@pytest.mark.parametrize(
    "options",
    [
        {"device": {"_target_": "os.abort"}},
        {"device": [{"_target_": "os.abort"}]},
        {"device#_target_": "os.abort"},
        {"inferer::_target_": "os.abort"},
    ],
)
def test_what_is_called_is_no_value(options):
    check_plain(options)
    with pytest.raises(OptionError, match="names what is called"):
        check_plain(options, may_build=False)


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"robust": "false"}, "auto or True or False, got 'false'"),
        ({"--robust": "Auto"}, "--robust: must be auto or True or False"),
        ({"uncertainty": "no"}, "True or False, got 'no'"),
        ({"cog": "off"}, "True or False"),
        ({"resume": "false"}, "True or False"),
    ],
)
def test_text_is_no_truth(options, allowed):
    with pytest.raises(OptionError, match=f"{allowed}.*write True or False"):
        check_types(options, {"resume": True})


def test_truths_and_other_text_pass():
    given = {"robust": "auto", "uncertainty": False, "cog": None, "report": 1, "kind": "label"}
    check_types(given, {"kind": "auto", "report": False})


@pytest.mark.parametrize("text", ["true", "True", "yes", "on"])
def test_text_that_says_yes_passes(text):
    check_types({"robust": text, "--uncertainty": text, "resume": text}, {"resume": False})


@pytest.mark.parametrize("name", ["minutes", "--minutes"])
def test_text_is_no_number(name):
    with pytest.raises(OptionError, match=f"^{name}: must be a number, got 'long'; write one"):
        check_types({name: "long"}, {"minutes": 0})


def test_numbers_and_text_that_says_one_pass():
    check_types({"overshoot": "inf", "minutes": 1, "seed": None}, {"overshoot": 2.0, "minutes": 0})


@pytest.mark.parametrize("value", [3.5, "3.5", True, 1000.0])
@pytest.mark.parametrize(("name", "is_training"), [("steps", True), ("consistency", False)])
def test_a_whole_number_is_one(name, is_training, value):
    with pytest.raises(OptionError, match=f"--{name}: must be a whole number, got {value}; write"):
        check_types({f"--{name}": value}, {}, is_training=is_training)
    check_types({name: 3}, {}, is_training=is_training)
    check_types({name: "3"}, {}, is_training=is_training)


def test_not_a_number_is_none_but_where_it_may_be_stored():
    for value in (float("nan"), "nan"):
        for name in ("overshoot", "scale", "tune"):
            with pytest.raises(OptionError, match=f"{name}: must be a number, got nan; write one"):
                check_types({name: value}, {})
        with pytest.raises(OptionError, match="range: must be a number"):
            check_types({"range": [0, value]}, {})
        check_types({"nodata": value}, {"nodata": None})
