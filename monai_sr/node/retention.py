"""Removes what was kept for long enough: sent results, lists, old entries of quarantine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from monai_sr.core import get_logger
from monai_sr.node.config import NodeConfig
from monai_sr.node.disk import entries, remove_tree, tree_bytes
from monai_sr.node.quarantine import drop, list_quarantine
from monai_sr.node.spool import Spool

logger = get_logger(__name__)

_HOUR, _DAY = 3600.0, 86400.0


def sweep(spool: Spool, config: NodeConfig, clock: Callable[[], float] = time.time) -> int:
    """Remove what is too old, and what was sent first where the spool is full.

    Args:
        spool: of the node.
        config: of the node.
        clock: seconds since 1970.

    Returns:
        How many results, lists and entries went.
    """
    now = clock()
    kept_since = now - config.retention_hours * _HOUR
    working = {folder.name for folder in entries(spool["working"])}
    # While a study may be worked on again, what was made of it must not be made twice.
    sent = [f for f in entries(spool["sent"]) if "-".join(f.name.split("-")[:2]) not in working]
    old = [folder for folder in sent if folder.stat().st_mtime < kept_since]
    old += _in_excess(spool, config, [folder for folder in sent if folder not in old])
    for folder in old:
        remove_tree(folder, spool["tmp"])
    lists = [f for f in spool["done"].glob("*.json") if f.stat().st_mtime < kept_since]
    for file in lists:
        file.unlink(missing_ok=True)
    before = now - config.quarantine_days * _DAY
    entries_old = [entry.name for entry in list_quarantine(spool.folder) if entry.when < before]
    for name in entries_old:
        drop(spool.folder, name)
        logger.warning("quarantine %s: dropped, it was kept for long enough", name)
    return len(old) + len(lists) + len(entries_old)


def _in_excess(spool: Spool, config: NodeConfig, sent: list[Path]) -> list[Path]:
    """Choose what must go before its time, the oldest first."""
    excess = spool.used_bytes() - config.limits.spool_bytes
    chosen = []
    for folder in sorted(sent, key=lambda each: each.stat().st_mtime):
        if excess < 0:
            break
        excess -= tree_bytes(folder)
        chosen.append(folder)
    return chosen
