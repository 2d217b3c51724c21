"""Names: hashes that need the key to test a guess with, and messages that name nobody."""

from __future__ import annotations

import pytest

from monai_sr.core import OptionError
from monai_sr.node.names import Names, is_uid, read_or_make_key


def test_names_depend_on_the_key_and_on_what_is_named() -> None:
    names = Names(b"a" * 32)
    found = {names.study("1.2"), names.series("1.2"), names.instance("1.2"), names.study("1.3")}
    assert len(found) == 4
    assert names.study("1.2") == Names(b"a" * 32).study("1.2")
    assert names.study("1.2") != Names(b"b" * 32).study("1.2")


def test_content_is_hashed_in_pieces_as_in_one() -> None:
    names = Names(b"a" * 32)
    one, two = names.content(), names.content()
    one.add(b"whole")
    two.add(b"who")
    two.add(memoryview(b"le"))
    assert str(one) == str(two)
    two.add(b"!")
    assert str(one) != str(two)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1.2.840.10008.1.2", True),
        ("2.25.0", True),
        ("1." * 31 + "12", True),
        ("1." * 31 + "123", False),  # 65 characters
        ("1", False),
        ("1..2", False),
        ("1.2.", False),
        ("1.02", False),
        ("1.2\n", False),
        ("1.٣", False),  # a digit, but not of ASCII
        ("", False),
    ],
)
def test_uids_are_what_the_standard_says(text, is_one) -> None:
    assert is_uid(text) == is_one


def test_a_message_loses_uids_and_what_identifies() -> None:
    names = Names(b"a" * 32)
    told = names.scrub("1.2.840.5.77: Doe^Jane (Jane, ID-4711) in 3.1 s", ["Doe^Jane", "ID-4711"])
    assert "1.2.840" not in told
    assert not any(word in told for word in ("Doe", "Jane", "4711"))
    assert told.endswith("in 3.1 s")


def test_the_key_is_made_once_and_for_the_owner_alone(tmp_path) -> None:
    file = tmp_path / "hash.key"
    key = read_or_make_key(file)
    assert len(key) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make_key(file) == key
    assert [f.name for f in tmp_path.iterdir()] == ["hash.key"]
    file.chmod(0o640)
    with pytest.raises(OptionError, match="chmod 600"):
        read_or_make_key(file)
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(OptionError, match="must have 32 bytes, got 5"):
        read_or_make_key(file)
