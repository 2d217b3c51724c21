"""Makes git clones of made files, and tables that name them."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path


def commit(folder: Path) -> str:
    """Make a folder a git repository that holds its files; return the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "images"], check=True)
    return subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def write_table(file: Path, columns: tuple[str, ...], *rows: dict[str, str]) -> Path:
    """Write rows as CSV; a column that a row lacks stays empty. Return the file."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file
