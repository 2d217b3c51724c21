"""What failed, with the reason, until somebody retries or drops it.

An entry is a folder ``quarantine/<id>`` with ``reason.json`` and the objects, in folders of their
series: put into ``working``, it is a study like any other. All of it may be done while the node
runs, for each change is one rename.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core import OptionError, unknown_name
from monai_sr.node.disk import entries, make_folder, move, read_record, remove_tree, write_record
from monai_sr.node.objects import SUFFIX

REASON = "reason.json"


@dataclass(frozen=True)
class Entry:
    """Something that failed.

    Args:
        name: its id, of hashes.
        reason: one line without identifiers.
        when: seconds since 1970.
        objects: how many it has.
    """

    name: str
    reason: str
    when: float
    objects: int


def write_reason(folder: Path, reason: str) -> None:
    """Write why a folder is in quarantine.

    Args:
        folder: of the entry.
        reason: one line without identifiers.
    """
    write_record(folder / REASON, {"reason": reason, "when": time.time()})


def add_conflict(spool: Path, study: str, instance: str, digest: str) -> Path:
    """Make the entry of an object whose UID another one has; return its folder."""
    folder = spool / "quarantine" / f"{study}-{instance[:8]}{digest[:8]}"
    make_folder(folder)
    write_reason(folder, "another object of the same UID was received before")
    return folder


def list_quarantine(spool: Path) -> list[Entry]:
    """Return the entries of a spool, the oldest first."""
    found = []
    for folder in entries(spool / "quarantine"):
        record = read_record(folder / REASON) or {}
        objects = sum(1 for _ in folder.glob(f"*/*{SUFFIX}"))
        reason = str(record.get("reason", "no reason was written"))
        found.append(Entry(folder.name, reason, float(record.get("when", 0)), objects))
    return sorted(found, key=lambda entry: (entry.when, entry.name))


def retry(spool: Path, name: str) -> list[str]:
    """Let the node work on an entry again.

    Args:
        spool: folder of the node.
        name: id of an entry, or "all".

    Returns:
        The ids.

    Raises:
        OptionError: there is no such entry, or the rest of its study is still being worked on.
    """
    chosen = _chosen(spool, name)
    for each in chosen:
        study = each.split("-")[0]
        target = spool / "working" / f"{study}-{secrets.token_hex(4)}"
        move(spool / "quarantine" / each, target)
    return chosen


def drop(spool: Path, name: str) -> list[str]:
    """Delete an entry, or a result that is not sent; its objects are new ones if they come again.

    Args:
        spool: folder of the node.
        name: id of an entry or of a result; "all": all entries, and no result.

    Returns:
        The ids.

    Raises:
        OptionError: there is no such entry, or the rest of its study is still being worked on.
    """
    if name in {folder.name for folder in entries(spool / "results")}:
        if _busy(spool, [name]):
            raise _still_busy(name)
        remove_tree(spool / "results" / name, spool / "tmp")
        return [name]
    chosen = _chosen(spool, name)
    for each in chosen:
        remove_tree(spool / "quarantine" / each, spool / "tmp")
    return chosen


def _chosen(spool: Path, name: str) -> list[str]:
    known = [folder.name for folder in entries(spool / "quarantine")]
    if name != "all" and name not in known:
        raise unknown_name("quarantine entry", name, known or ["none"])
    chosen = known if name == "all" else [name]
    busy = _busy(spool, chosen)
    if name == "all":
        return [each for each in chosen if each not in busy]
    if busy:
        raise _still_busy(name)
    return chosen


def _still_busy(name: str) -> OptionError:
    return OptionError(f"{name}: its study is still being worked on; try again in a minute")


def _busy(spool: Path, names: Iterable[str]) -> set[str]:
    """Return the entries whose study would be worked on again if it were interrupted now."""
    working = {folder.name for folder in entries(spool / "working")}
    return {name for name in names if "-".join(name.split("-")[:2]) in working}
