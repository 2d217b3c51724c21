"""The record that a run leaves beside its results: what came from what, and how well it agrees."""

from __future__ import annotations

import csv
from pathlib import Path

from monai_sr.core.atomic import atomic_file
from monai_sr.core.errors import OutputError
from monai_sr.core.types import PathLike

FIELDS = ("output", "source", "size_in", "size_out", "seconds", "lr_psnr", "error")


class Manifest:
    """``monai_sr_manifest.csv`` of an output folder, one row for each input.

    Args:
        output_dir: folder of the results.
    """

    name = "monai_sr_manifest.csv"

    def __init__(self, output_dir: PathLike) -> None:
        self.folder = Path(output_dir)
        self.path = self.folder / self.name
        self.rows: dict[str, dict[str, str]] = {}
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as stream:
                self.rows = {row["source"]: row for row in csv.DictReader(stream)}

    def source_of(self, output: PathLike) -> str | None:
        """Return the absolute path of the input that a result was made from, if known."""
        for row in self.rows.values():
            if row["output"] and self.folder / row["output"] == Path(output):
                return row["source"]
        return None

    def add(self, **row: object) -> None:
        """Record one input; a later run on the same input replaces its row."""
        text = {field: "" if row.get(field) is None else str(row[field]) for field in FIELDS}
        self.rows[text["source"]] = text

    def save(self) -> None:
        """Write the file.

        Raises:
            OutputError: if the folder cannot be written.
        """
        try:
            with (
                atomic_file(self.path) as partial,
                partial.open("w", newline="", encoding="utf-8") as stream,
            ):
                writer = csv.DictWriter(stream, FIELDS)
                writer.writeheader()
                writer.writerows(self.rows[source] for source in sorted(self.rows))
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{self.path}: cannot be written; free space or its rights"
            ) from error
