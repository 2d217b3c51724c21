"""Complete studies become results: each image one result or one entry of quarantine."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

from monai_sr import FileUpscaler
from monai_sr.core import BadImageError, OutputError
from monai_sr.node.config import NodeConfig
from monai_sr.node.metrics import Metrics
from monai_sr.node.quarantine import list_quarantine, retry
from monai_sr.node.sender import Outbox
from monai_sr.node.spool import Spool
from monai_sr.node.worker import Worker
from tests.dicom_factory import located
from tests.node_factory import Enlarger, file_bytes, image, node_config


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A spool and a worker without threads."""

    def __init__(self, folder: Path, enlarger: Any, **changes: Any) -> None:
        config = node_config(folder, **changes)
        self.clock = Clock()
        self.spool, self.metrics = Spool(config, self.clock), Metrics()
        self.worker = Worker(self.spool, enlarger, self.metrics, clock=self.clock)

    def put(self, *objects: pydicom.Dataset) -> None:
        with self.spool.open_sender() as sender:
            for made in objects:
                with sender.part() as part:
                    part.write(file_bytes(made))
                    sender.store(part)

    def work(self) -> None:
        while self.worker.step():
            pass

    def results(self) -> list[Path]:
        return sorted(self.spool["results"].glob("*/files/**/*.dcm"))

    def left(self) -> list[Path]:
        states = ("incoming", "working", "tmp")
        return [path for state in states for path in self.spool[state].iterdir()]


@pytest.fixture
def desk(tmp_path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(enlarger: Any, **changes: Any) -> Desk:
        made.append(Desk(tmp_path, enlarger, **changes))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


def series(count: int, **tags: Any) -> list[pydicom.FileDataset]:
    """Return slices of one CT series."""
    made = []
    for i in range(count):
        place = located(position=(0.0, 0.0, 2.0 * i), orientation=(1, 0, 0, 0, 1, 0))
        uid = f"1.2.826.0.1.3680043.8.498.7.{i}"
        made.append(image(7, SOPInstanceUID=uid, Modality="CT", **place, **tags))
    return made


def test_a_series_is_enlarged_as_one(desk) -> None:
    enlarger = Enlarger()
    made = desk(enlarger)
    made.put(*series(3))
    made.work()
    assert [len(call) for call in enlarger.calls] == [3]
    assert len(made.results()) == 3
    assert made.left() == []


def test_each_radiograph_of_a_series_is_enlarged_alone(desk) -> None:
    enlarger = Enlarger()
    made = desk(enlarger)
    made.put(image(1), image(1, SOPInstanceUID="1.2.3"))
    made.work()
    assert [len(call) for call in enlarger.calls] == [1, 1]
    assert made.metrics.snapshot()["studies", ""] == 1


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", "report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "key objects"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation"),
        ("1.2.840.10008.5.1.4.1.1.30", "parametric map"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "dose"),
    ],
)
def test_other_objects_are_passed_by_and_counted(desk, sop_class, kind) -> None:
    enlarger = Enlarger()
    made = desk(enlarger)
    made.put(image(1), image(1, SOPInstanceUID="1.2.3", SOPClassUID=sop_class))
    made.work()
    assert len(enlarger.calls) == 1
    assert made.metrics.snapshot()["passed_by", kind] == 1
    assert made.left() == []


def test_late_images_are_a_study_of_their_own(desk) -> None:
    enlarger = Enlarger()
    made = desk(enlarger)
    slices = series(4)
    made.put(*slices[:3])
    made.work()
    made.put(*slices)  # the first three once more
    made.work()
    assert [len(call) for call in enlarger.calls] == [3, 1]
    assert len({pydicom.dcmread(file).SOPInstanceUID for file in made.results()}) == 4


def test_what_cannot_be_enlarged_is_kept_with_the_reason(desk) -> None:
    made = desk(Enlarger({1: BadImageError("image: must be whole, got half")}))
    objects = [image(1), image(1, SOPInstanceUID="1.2.3")]
    made.put(*objects)
    made.work()
    (entry,) = list_quarantine(made.spool.folder)
    assert entry.reason == "image: must be whole, got half"
    assert len(made.results()) == 1
    (kept,) = made.spool["quarantine"].glob("*/*/*.dcm")
    assert kept.read_bytes() in [file_bytes(each) for each in objects]
    made.put(*objects)  # both are known
    assert made.left() == []

    retry(made.spool.folder, entry.name)
    made.work()
    assert len(made.results()) == 2
    assert list_quarantine(made.spool.folder) == []


def test_what_may_pass_is_tried_again_and_not_for_ever(desk) -> None:
    full = OutputError("result: cannot be written, got 'No space left on device'; free some")
    enlarger = Enlarger({1: full, 2: full, 4: full, 5: MemoryError(), 6: OSError(5, "Doe^Jane")})
    made = desk(enlarger)
    made.put(image(1))
    for _ in range(2):
        made.work()
        assert made.results() == []
        made.clock.now += 31
    made.work()
    assert len(made.results()) == 1  # at the third attempt

    made.put(image(2))
    for _ in range(3):
        made.work()
        made.clock.now += 31
    assert len(enlarger.calls) == 6
    (entry,) = list_quarantine(made.spool.folder)
    assert entry.reason == "OSError while it was enlarged"


def test_an_unforeseen_failure_of_one_study_does_not_end_the_node(desk) -> None:
    made = desk(Enlarger({1: ZeroDivisionError()}))
    made.put(image(1))
    made.put(image(2))
    made.work()
    assert len(made.results()) == 1
    made.clock.now += 31
    made.work()
    assert len(made.results()) == 2


def test_an_object_that_ends_the_process_is_not_tried_for_ever(tmp_path) -> None:
    config = node_config(tmp_path)
    for _ in range(3):
        assert child(lambda: life(config, [image(1)], KilledBy())) == 9
    assert child(lambda: life(config, [], KilledBy())) == 0
    (entry,) = list_quarantine(config.spool)
    assert entry.reason == "the node ended or failed 3 times on it"


class KilledBy(Enlarger):
    """Ends the process, as a decoder that crashes does."""

    def __call__(self, source: Any, output_dir: Path) -> Any:
        os._exit(9)


def test_a_stopped_worker_begins_nothing(desk) -> None:
    made = desk(Enlarger())
    made.put(image(1))
    made.worker.stop()
    assert not made.worker.step()
    assert len(made.left()) == 1


def test_the_real_network_makes_a_derived_series(desk, samples_dir) -> None:
    made = desk(FileUpscaler("xray_sr:fast", scale=2, device="cpu"))
    source = pydicom.dcmread(samples_dir / "xray_sr" / "chest_xray_dx.dcm")
    small = source.pixel_array[:32, :48].copy()
    source.Rows, source.Columns = small.shape
    source.PixelData = small.tobytes()
    made.put(source)
    made.work()
    (file,) = made.results()
    result = pydicom.dcmread(file)
    assert (result.Rows, result.Columns) == (64, 96)
    assert result.StudyInstanceUID == source.StudyInstanceUID
    assert result.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.left() == []
    made.put(result)  # comes back from the archive
    made.work()
    assert made.metrics.snapshot()["passed_by", "own result"] == 1


# --- a process that ends anywhere -----------------------------------------------------------------


def child(run: Callable[[], None]) -> int:
    """Run in a fork; return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, from Python 3.12
        process = os.fork()
    if process == 0:
        try:
            run()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


class Ledger:
    """A destination, and what the sender of objects knows: both survive the node."""

    name = "pacs"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, files: Sequence[Path]) -> None:
        for file in files:
            self.note("received", pydicom.dcmread(file).SOPInstanceUID)

    def check(self) -> None:
        """Be there."""

    def note(self, what: str, uid: str) -> None:
        with (self._folder / what).open("a") as stream:
            stream.write(f"{uid}\n")

    def noted(self, what: str) -> list[str]:
        file = self._folder / what
        return file.read_text().split() if file.exists() else []


def life(config: NodeConfig, objects: Sequence[pydicom.Dataset], enlarger: Any) -> None:
    """Receive what was not acknowledged, work, send: without threads."""
    ledger = Ledger(config.spool.parent)
    spool, metrics = Spool(config), Metrics()
    outbox = Outbox(spool, [ledger], metrics)
    worker = Worker(spool, enlarger, metrics, on_result=outbox.add)
    known = ledger.noted("acknowledged")
    with spool.open_sender() as sender:
        for made in objects:
            if made.SOPInstanceUID not in known:
                with sender.part() as part:
                    part.write(file_bytes(made))
                    sender.store(part)
                ledger.note("acknowledged", made.SOPInstanceUID)
    while worker.step():
        pass
    while outbox.lanes[0].step():
        pass
    spool.close()


def dies_before(number: int) -> None:
    """End the process before a change of the disk, counted from 1."""
    count = 0

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                os._exit(9)
            return change(*args, **options)

        return call

    for module, name in (
        (os, "rename"), (os, "replace"), (os, "link"), (os, "fsync"), (os, "mkdir"),
        (os, "unlink"), (shutil, "rmtree"),
    ):  # fmt: skip
        setattr(module, name, counted(getattr(module, name)))


class Picky(Enlarger):
    """Fails for one of the images, always the same."""

    def __call__(self, source: Any, output_dir: Path) -> Any:
        if pydicom.dcmread(source[0]).SOPInstanceUID == "1.2.826.0.1.3680043.8.498.4":
            raise BadImageError("image: must be another one, got this")
        return super().__call__(source, output_dir)


def study() -> list[pydicom.FileDataset]:
    """Return two radiographs, one that fails, and a report."""
    report = "1.2.840.10008.5.1.4.1.1.88.22"
    uid = "1.2.826.0.1.3680043.8.498."
    return [
        image(1, SOPInstanceUID=f"{uid}1"),
        image(1, SOPInstanceUID=f"{uid}2"),
        image(1, SOPInstanceUID=f"{uid}3", SeriesInstanceUID="1.2.3", SOPClassUID=report),
        image(1, SOPInstanceUID=f"{uid}4"),
    ]


def outcome_of_death(folder: Path, number: int) -> int:
    """Let a node die at a change of the disk, and live again; return how the first one ended."""
    config = node_config(folder, quiet_seconds=0.0)

    def first() -> None:
        dies_before(number)
        life(config, study(), Picky())

    ended = child(first)
    assert ended in (0, 9)
    assert child(lambda: life(config, study(), Picky())) == 0
    received = Counter(Ledger(folder).noted("received"))
    assert len(received) == 2, f"after {number} changes: {received}"
    # What was sent and not noted as sent is sent again, with the same UID.
    assert sum(received.values()) <= 3
    assert len(list((config.spool / "sent").iterdir())) == 2
    assert [entry.objects for entry in list_quarantine(config.spool)] == [1]
    for state in ("incoming", "working", "results", "tmp"):
        assert list((config.spool / state).iterdir()) == []
    return ended


@pytest.mark.parametrize("number", [5, 23, 40, 57, 74, 91])
def test_a_node_that_dies_loses_and_doubles_nothing(tmp_path, number) -> None:
    assert outcome_of_death(tmp_path, number) == 9


@pytest.mark.slow
def test_a_node_may_die_at_any_change_of_the_disk(tmp_path) -> None:
    number, ended = 0, 9
    while ended == 9:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = outcome_of_death(folder, number)
    assert number > 91
