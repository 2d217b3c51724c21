"""The line meant for the user is found wherever MONAI hides it."""

from __future__ import annotations

import errno
import re

import pytest
from monai.bundle import ConfigParser

from monai_sr.core.errors import (
    BadImageError,
    MissingDependencyError,
    OptionError,
    OutputError,
    SRError,
    WeightsError,
    unwrapped,
    user_message,
)


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def wrap(own):
    try:
        raise own
    except SRError as error:
        raise RuntimeError("Failed to instantiate component") from error


def test_our_own_error_is_its_own_line():
    assert user_message(OptionError("scale: got 3")) == "scale: got 3"


def test_the_line_is_found_below_what_monai_wraps_around_it():
    assert user_message(raised(lambda: wrap(OptionError("scale: got 3")))) == "scale: got 3"


def test_the_line_is_found_in_the_text_of_a_worker_process():
    text = "Caught ... Traceback ...\nmonai_sr.core.errors.BadImageError: a.png: is empty\n"
    assert user_message(RuntimeError(text)) == "a.png: is empty"


def test_a_message_stays_one_line_even_where_a_name_holds_line_breaks():
    assert user_message(BadImageError("a\nb.png: is  empty")) == "a b.png: is  empty"


def test_a_class_of_ones_own_that_python_does_not_find_is_one_line():
    parser = ConfigParser({"network_def": {"_target_": "my_networks.Absent"}})
    line = user_message(raised(lambda: parser.get_parsed_content("network_def")))
    assert line is not None
    assert line.startswith("_target_ my_networks.Absent: must be something that Python can import")
    assert "PYTHONPATH" in line


def test_other_errors_have_no_line():
    assert user_message(RuntimeError("boom")) is None
    assert user_message(None) is None


def test_a_chain_that_bites_its_tail_ends():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__context__, second.__context__ = second, first
    assert user_message(first) is None


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (BadImageError, ValueError),
        (OptionError, ValueError),
        (OutputError, OSError),
        (WeightsError, ValueError),
        (MissingDependencyError, ImportError),
    ],
)
def test_errors_are_caught_as_the_builtin_that_fits(kind, builtin):
    assert issubclass(kind, (SRError, builtin))
    assert str(kind("one line")) == "one line"


def test_unwrapped_raises_our_error_in_place_of_monais():
    with pytest.raises(OptionError, match="got 3"), unwrapped():
        wrap(OptionError("scale: got 3"))


def test_unwrapped_leaves_other_errors_alone():
    with pytest.raises(RuntimeError, match="boom"), unwrapped():
        raise RuntimeError("boom")
    with pytest.raises(KeyError), unwrapped():
        raise KeyError("a")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory: must hold this run.*choose a part"),
        (RuntimeError("can't start new thread"), "memory: must hold"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory: must"),
        (OSError(errno.EROFS, "Read-only file system", "/x/out"), "^/x/out: .*Read-only.*rights"),
        (OSError(errno.ENOSPC, "No space left", "/x/out"), "No space left.*another output folder"),
    ],
)
def test_what_the_system_refuses_is_one_line(error, words):
    def fail():
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("Failed to instantiate component") from cause

    assert re.search(words, user_message(raised(fail)))


def test_other_errors_of_the_system_are_not_explained_away():
    assert user_message(OSError(errno.ENOENT, "No such file", "/x")) is None
    assert user_message(OSError(errno.EACCES, "without a name")) is None
