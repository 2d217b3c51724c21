"""The record that a run leaves beside its results: what came from what, and how well it agrees."""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import OutputError
from monai_sr.core.text import safe_cell, true_cell
from monai_sr.core.types import PathLike

FIELDS = (
    "output", "source", "kind", "size_in", "size_out", "seconds", "lr_psnr", "off_by_one_share",
    "lr_psnr_bands", "off_by_one_bands",
    "worst_off", "worst_at", "far_share", "error", "input_sha256", "output_sha256", "made_by",
)  # fmt: skip

# Names of files need not be UTF-8 on every system.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


class Manifest:
    """``monai_sr_manifest.csv`` of an output folder, one row for each input.

    Args:
        output_dir: folder of the results.
    """

    name = "monai_sr_manifest.csv"

    def __init__(self, output_dir: PathLike) -> None:
        self.folder = Path(output_dir)
        self.path = self.folder / self.name
        self._begun = self.folder / f".{self.name}.begun"
        self.rows: dict[tuple[str, str], dict[str, str]] = {}
        if self.path.is_file():
            for row in self._read():
                self.add(**row)

    def _read(self) -> list[dict[str, str]]:
        try:
            with self.path.open(newline="", **_TEXT) as stream:
                reader = csv.DictReader(stream)
                if not {"source", "output"} <= set(reader.fieldnames or ()):
                    raise csv.Error("no such columns")
                return [
                    {k: true_cell(v or "") for k, v in row.items() if k in FIELDS} for row in reader
                ]
        except (csv.Error, OSError) as error:
            raise OutputError(
                f"{self.path}: must be the record of an earlier run, got another or a damaged "
                "file; remove it or choose another output folder"
            ) from error

    def results(self) -> dict[Path, dict[str, str]]:
        """Return the row of every recorded result by its path."""
        rows = (row for row in self.rows.values() if row["output"])
        return {self.folder / row["output"]: row for row in rows}

    def sources(self) -> dict[Path, str]:
        """Return the absolute path of the input of every recorded result."""
        return {path: row["source"] for path, row in self.results().items()}

    def begin(self, source: str, output: PathLike) -> None:
        """Note that a result is about to be made: a killed run leaves it without a row.

        Raises:
            OutputError: if the folder cannot be written.
        """
        line = json.dumps([source, os.path.abspath(output)])
        try:
            with self._begun.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")
        except OSError as error:
            raise _unwritable(self.path) from error

    def begun(self) -> dict[Path, str]:
        """Return result -> input of those that a killed run began; they may not be there."""
        try:
            lines = self._begun.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            with suppress(ValueError, TypeError):  # a kill may have cut the last one
                source, output = json.loads(line)
                found[Path(output)] = str(source)
        return found

    def end(self) -> None:
        """Write the file, which now has a row of all that was begun."""
        self.save()
        self._begun.unlink(missing_ok=True)

    def add(self, **row: object) -> None:
        """Record one input.

        A result replaces the row of a result of that name and a failure of its input; a failure
        leaves the input's earlier results on record.
        """
        text = {field: "" if row.get(field) is None else str(row[field]) for field in FIELDS}
        source, output = text["source"], text["output"]
        if output:
            gone = [key for key in self.rows if key[1] == output or key == (source, "")]
            for key in gone:
                del self.rows[key]
        self.rows[source, output] = text

    def save(self) -> None:
        """Write the file.

        Raises:
            OutputError: if the folder cannot be written.
        """
        try:
            with (
                atomic_file(self.path) as partial,
                partial.open("w", newline="", **_TEXT) as stream,
            ):
                writer = csv.DictWriter(stream, FIELDS)
                writer.writeheader()
                for key in sorted(self.rows):
                    row = self.rows[key]
                    writer.writerow({field: safe_cell(cell) for field, cell in row.items()})
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise _unwritable(self.path) from error


def _unwritable(path: Path) -> OutputError:
    return OutputError(f"{path}: cannot be written; free space or its rights")
