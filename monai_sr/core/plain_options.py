"""Options are data: MONAI's configurations execute "$...", and replace "@..." and "%...".

A bundle's own files are code, and so is a file that is named as one (``--config_file``). What comes
as an option's value, from a command line or a server's request, must never be.
"""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

from monai_sr.core.errors import OptionError
from monai_sr.core.options import TRAIN, UPSCALE
from monai_sr.core.text import printable

SIGNS = ("$", "@", "%")
"""What begins an expression, a reference and a macro of MONAI's configurations."""
_TARGET = "_target_"
_MAY_BE_NAN = ("nodata",)
_YES = ("true", "yes", "on")
_KINDS = [
    {o.name: o.kind for o in command if o.name not in _MAY_BE_NAN} for command in (UPSCALE, TRAIN)
]
_TRUTHS = {o.name: o.choices or () for o in UPSCALE if o.kind in ("flag", "switch", "choice")}


def check_plain(options: Mapping[str, Any], *, may_build: bool = True) -> None:
    """Refuse values that a configuration would execute or replace, also within lists and mappings.

    Paths are data whatever they are called; only strings are read by MONAI.

    Args:
        options: name -> value.
        may_build: whether a mapping may name what is called with it (``_target_``).

    Raises:
        OptionError: naming the option and the value.
    """
    for name, value in options.items():
        for text in _texts(value):
            if text.lstrip().startswith(SIGNS):
                raise OptionError(
                    f"{printable(name)}: must not begin with {' or '.join(SIGNS)}, which "
                    f"configurations obey, got {printable(text)!r}; write a file of that name as "
                    f"./{printable(text.lstrip())}"
                )
        if not may_build and _TARGET in [name.split("#")[-1].split("::")[-1], *_keys(value)]:
            raise OptionError(
                f"{printable(name)}: must be a value, got one with {_TARGET}, which names what is "
                "called; write that into the bundle's configuration"
            )


def check_types(
    options: Mapping[str, Any], content: Mapping[str, Any], *, is_training: bool = False
) -> None:
    """Refuse text where a number is meant, or true or false: all counts as true, also "no".

    Text that says yes is what it counts as, and passes; so does that of a number, such as "inf".
    NaN passes where it may be stored, and what is declared as a whole number must be one.

    Args:
        options: name -> value.
        content: the configuration whose entries they replace.
        is_training: whether the options are those of training.

    Raises:
        OptionError: naming the option and the value.
    """
    for given, value in options.items():
        name = given.lstrip("-+")
        choices = _TRUTHS.get(name, ())
        is_truth = name in _TRUTHS or isinstance(content.get(name), bool)
        is_text = isinstance(value, str) and value.lower() not in _YES
        if is_truth and is_text and value not in choices:
            allowed = " or ".join(map(str, choices or (True, False)))
            raise OptionError(
                f"{given}: must be {allowed}, got {printable(value)!r}, and any text would count "
                "as true; write True or False"
            )
        is_number = isinstance(content.get(name), int | float) and not is_truth
        if is_number and isinstance(value, str) and not _says_number(value):
            raise OptionError(f"{given}: must be a number, got {printable(value)!r}; write one")
        kind = _KINDS[is_training].get(name)
        for each in value if isinstance(value, list | tuple) else (value,):
            _check_kind(given, each, kind)


def _check_kind(name: str, value: object, kind: str | None) -> None:
    number = float(value) if isinstance(value, str) and _says_number(value) else value
    if kind == "int" and isinstance(number, float | bool) and not _is_int(value):
        wanted = "a whole number"
    elif kind in ("float", "number", "spacing") and isinstance(number, float) and isnan(number):
        wanted = "a number"
    else:
        return
    raise OptionError(f"{name}: must be {wanted}, got {printable(str(value))}; write one")


def _is_int(value: object) -> bool:
    return isinstance(value, str) and value.strip().lstrip("+-").isdigit()


def _says_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _texts(part)


def _keys(value: Any) -> Iterator[object]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield key
            yield from _keys(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _keys(part)
