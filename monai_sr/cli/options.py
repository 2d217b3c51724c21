"""Options of :mod:`monai_sr.core.options` as those of a parser of the command line."""

import argparse
from collections.abc import Callable, Container, Sequence
from typing import Any

from monai_sr.core import Command, Option


def add_command(commands: Any, command: Command) -> None:
    """Add a command with all its options."""
    parser = commands.add_parser(command.name, help=command.help, allow_abbrev=False)
    for title, options in command.groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.of != "configuration":
                _add(group, option)


def _add(group: Any, option: Option) -> None:
    words: dict[str, Any] = {"help": option.help.replace("%", "%%") or None}
    if option.nargs in ("positional", "positionals"):
        several = {"nargs": "+", "action": _OneOrMore} if option.nargs == "positionals" else {}
        group.add_argument(option.name, **words, **several)
        return
    words |= {"required": option.required, "default": option.default}
    if option.kind == "flag":
        words["action"] = "store_true"
    elif option.kind == "switch":
        words["action"] = argparse.BooleanOptionalAction
    elif option.kind == "choice":
        # Alone it is true; plain_flags joins a value to it, and no file that comes next.
        words |= {"nargs": "?", "const": True, "type": _chosen, "choices": option.choices}
    else:
        words |= {"type": _READERS.get(option.kind), "choices": option.choices}
        words |= {"nargs": option.nargs, "metavar": option.metavar}
    short = [flag for flag in option.flags if not flag.startswith("--")]
    long = [flag for flag in option.flags if flag.startswith("--")]
    group.add_argument(*short, f"--{option.name}", *long, **words)


class _OneOrMore(argparse.Action):
    """Keeps several values as a list, and one as it is."""

    def __call__(
        self, _: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """Keep them."""
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def _chosen(text: str) -> str | bool:
    """Read true, false or auto."""
    found = _CHOSEN.get(text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"must be auto, true or false, got {text!r}")
    return found


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    """Read a whole or other number; 4 and 4.0 are one."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    return int(value) if value.is_integer() else value


def _spacing(text: str) -> float | list[float | None]:
    """Read one length or several, maybe in MONAI's brackets; None keeps an axis."""
    parts = [part.strip() for part in text.strip("[]()").split(",")]
    try:
        values = [None if part == "None" else float(part) for part in parts]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, such as 0.5, got {text!r}") from None
    return values if len(values) > 1 or values[0] is None else values[0]


_CHOSEN: dict[str, str | bool] = {"auto": "auto", "true": True, "false": False}
_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "axis": lambda text: int(text) if text.isdigit() else text,
    "count": _count,
    "number": _number,
    "spacing": _spacing,
}


def plain_flags(
    words: Sequence[str], flags: Container[str], choices: Container[str] = ()
) -> list[str]:
    """Return a command line in which flags have no values: True goes, False takes its flag along.

    Where a flag has one that denies it, False makes that of it. Options of kind "choice" are joined
    to their value, so that none takes a file for it.

    Args:
        words: of the command line.
        flags: those that stand alone.
        choices: those that stand alone or have a value.

    Example:
        >>> plain_flags(["--cog", "True", "a.tif", "--report=False"], {"--cog", "--report"})
        ['--cog', 'a.tif']
        >>> plain_flags(["--robust", "a.tif"], (), {"--robust"})
        ['--robust=true', 'a.tif']
    """
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, is_joined, value = word.partition("=")
        if word in choices:
            has_value = bool(rest) and rest[0].lower() in _CHOSEN
            kept.append(f"{word}={rest.pop(0) if has_value else 'true'}")
            continue
        if name not in flags:
            kept.append(word)
            continue
        if not is_joined and rest and rest[0].lower() in ("true", "false"):
            value = rest.pop(0)
        if value.lower() in ("", "true"):
            kept.append(name)
        elif value.lower() == "false":
            kept += [no] if (no := f"--no-{name[2:]}") in flags else []
        else:
            kept.append(word)  # it is refused as it stands
    return kept
