"""The manifest of an output folder: a row for each input, and what of it is done already."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from monai_sr.core import OutputError, PathLike, atomic_file, get_logger, safe_cell, true_cell
from monai_sr.formats import (
    class_file,
    classes_path,
    digest,
    open_product,
    split_part,
    uncertainty_path,
)

logger = get_logger(__name__)

FIELDS = (
    "output", "source", "kind", "size_in", "size_out", "seconds", "lr_psnr", "off_by_one_share",
    "lr_psnr_bands", "off_by_one_bands",
    "worst_off", "worst_at", "far_share", "weights", "found", "unusual", "hint", "error",
    "input_sha256", "output_sha256", "made_by",
)  # fmt: skip

# Names of files need not be UTF-8 on every system.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


class Manifest:
    """``monai_sr_manifest.csv`` of an output folder, one row for each input.

    Several runs may write results into one folder at once: each keeps the rows of the others. One
    that becomes unreadable meanwhile is put aside, and what this object knows of it written anew.

    Args:
        output_dir: folder of the results.
    """

    name = "monai_sr_manifest.csv"

    def __init__(self, output_dir: PathLike) -> None:
        self.folder = Path(output_dir)
        self.path = self.folder / self.name
        self._begun = self.folder / f".{self.name}.begun"
        self.rows: dict[tuple[str, str], dict[str, str]] = {}
        self._sources: dict[str, str] = {}
        self._new: list[dict[str, str]] = []
        self._seen: tuple[int, ...] | None = None
        self._own: set[str] = set()
        self._is_running = False
        self._take()
        self._is_running = True

    def _read(self) -> list[dict[str, str]]:
        try:
            if not self.path.is_file():
                raise OSError("a folder, a pipe, ...")
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

    def begin(self, source: str, output: PathLike) -> bool:
        """Note that a result is about to be made: a killed run leaves it without a row.

        Returns:
            False where another run has taken the name meanwhile for another input: choose another.

        Raises:
            OutputError: if the folder cannot be written.
        """
        path, name = os.path.abspath(output), self._name_of(output)
        if self._sources.get(name) == source and os.path.exists(path):
            return True
        try:
            with _alone(self.folder):
                self._take()
                owner = self.begun().get(Path(path))
                if owner is None and os.path.exists(path):
                    owner = self._sources.get(name)
                if owner is None:
                    with self._begun.open("a", encoding="utf-8") as stream:
                        stream.write(f"{json.dumps([source, path])}\n")
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise _unwritable(self.path) from error
        if owner not in (None, source):
            return False
        self._own.add(path)
        return True

    def _name_of(self, output: PathLike) -> str:
        """Return what rows call a result in the folder."""
        return os.path.relpath(output, self.folder)

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
        """Write the file, which now has a row of all that this run has made."""
        self.save(is_last=True)

    def add(self, **row: object) -> None:
        """Record one input.

        A result replaces the row of a result of that name and a failure of its input; a failure
        leaves the input's earlier results on record.
        """
        text = {field: "" if row.get(field) is None else str(row[field]) for field in FIELDS}
        self._new.append(text)
        self._enter(text)

    def _enter(self, text: dict[str, str]) -> None:
        source, output = text["source"], text["output"]
        if output:
            self.rows.pop((self._sources.get(output, source), output), None)
            self.rows.pop((source, ""), None)
            self._sources[output] = source
        self.rows[source, output] = text

    def _take(self) -> None:
        """Read what lies there, unless this object has read or written it; add its new rows."""
        now = _stamp(self.path)
        if now is None or now == self._seen:
            return
        try:
            written = self._read()
        except OutputError as error:
            if not self._is_running or isinstance(error.__cause__, OSError):  # it may be whole
                raise
            # A spreadsheet saved it in its own way, ...: no reason to end a run of hours.
            aside = self.path.with_suffix(".damaged")
            os.replace(self.path, aside)
            logger.warning(
                "%s: is no record any more, another program changed it during the run; it is kept "
                "as %s, and written anew", self.path, aside.name,
            )  # fmt: skip
            return
        self.rows.clear()
        self._sources.clear()
        for text in [*written, *self._new]:
            self._enter({field: text.get(field, "") for field in FIELDS})
        self._seen = now

    def save(self, *, is_last: bool = False) -> None:
        """Write the file, and forget what was begun and has a row now.

        Args:
            is_last: nothing that this object has begun is under way any more.

        Raises:
            OutputError: if the folder cannot be written.
        """
        try:
            with _alone(self.folder):
                self._take()
                self._write()
                self._seen = _stamp(self.path)
                self._new.clear()
                self._forget(self._own if is_last else set())
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise _unwritable(self.path) from error

    def _write(self) -> None:
        with (
            atomic_file(self.path) as partial,
            partial.open("w", newline="", **_TEXT) as stream,
        ):
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            for key in sorted(self.rows):
                row = self.rows[key]
                writer.writerow({field: safe_cell(cell) for field, cell in row.items()})

    def _forget(self, ended: set[str]) -> None:
        """Leave what others have begun, and this one is at: what has no row yet."""
        begun = self.begun()
        left = {
            path: source
            for path, source in begun.items()
            if (str(path) not in ended or path.exists())  # stopped between result and row
            and self._sources.get(self._name_of(path)) != source
        }
        if not left:
            self._begun.unlink(missing_ok=True)
        elif left != begun:
            lines = (json.dumps([source, str(path)]) for path, source in left.items())
            with atomic_file(self._begun) as partial:
                partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what tells one version of a file from the next; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other run is in here for a folder, where the system can tell."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            # In place of a folder there may be a pipe, which would wait for a writer.
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Closing is not enough where another thread has forked a process, which has it, too.
            stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
        yield


def _unwritable(path: Path) -> OutputError:
    return OutputError(f"{path}: cannot be written; free space or its rights")


def is_done(
    record: Mapping[str, str], output: Path, input_sha256: str, made_by: str, has_map: bool
) -> bool:
    """Tell whether a result is there, unchanged, and made of this input by these means.

    Args:
        record: row of the manifest.
        output: the result.
        input_sha256: checksum of the input as it is now.
        made_by: fingerprint of the weights and options of this run; empty where unknown.
        has_map: whether a map of uncertainty belongs beside it.
    """
    if not made_by or (record["input_sha256"], record["made_by"]) != (input_sha256, made_by):
        return False
    if has_map and not uncertainty_path(output).exists():
        return False
    part = split_part(record["source"])
    has_classes = part is not None and class_file(open_product(part[0]), part[1]) is not None
    if has_classes and not classes_path(output).exists():
        return False
    return output.exists() and digest([output]) == record["output_sha256"]
