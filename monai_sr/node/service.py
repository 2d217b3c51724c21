"""A node as one process: associations in, enlargement, results out, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

from monai_sr.core import (
    OutputError,
    get_logger,
    ignored_warnings,
    silent_pydicom,
    silent_pynetdicom,
)
from monai_sr.node.config import DestinationConfig, HttpConfig, NodeConfig
from monai_sr.node.dimse import DimseDestination, server_context
from monai_sr.node.disk import entries
from monai_sr.node.http import Door, HttpServer
from monai_sr.node.metrics import Metrics
from monai_sr.node.names import Names
from monai_sr.node.retention import sweep
from monai_sr.node.scp import StoreScp
from monai_sr.node.sender import Destination, Outbox
from monai_sr.node.spool import Spool
from monai_sr.node.stow import StowStore
from monai_sr.node.watch import Watch
from monai_sr.node.worker import Upscaler, Worker
from monai_sr.upscaling import FileUpscaler

logger = get_logger(__name__)

_IDLE_SECONDS = 0.2
_SWEEP_SECONDS = 30.0
_GRACE_SECONDS = 30.0  # for open associations; systemd kills after 90
_IS_DOWN = 3  # attempts in a row after which a destination counts as down


class Node:
    """All parts of a node.

    Args:
        config: what it is.
        upscaler: what enlarges; None: as the configuration says.
        destinations: where results go; None: as the configuration says.

    Attributes:
        config, spool, metrics, worker, outbox, scp, http: the parts.

    Raises:
        OptionError, WeightsError: a model, an option or a certificate cannot be used.
        OutputError: the spool or the port cannot be had.
        MissingDependencyError: pynetdicom or dicomweb-client is not installed.
    """

    def __init__(
        self,
        config: NodeConfig,
        upscaler: Upscaler | None = None,
        destinations: Sequence[Destination] | None = None,
    ) -> None:
        self.config, self.metrics = config, Metrics()
        with ExitStack() as opened:  # closed again where a part cannot be had
            for context in (silent_pydicom(), silent_pynetdicom(), _without_remarks()):
                opened.enter_context(context)
            if destinations is None:
                destinations = [make_destination(each, config) for each in config.destinations]
            upscaler = upscaler or make_upscaler(config)
            self.spool = Spool(config)
            opened.callback(self.spool.close)
            self.outbox = Outbox(self.spool, destinations, self.metrics)
            self.worker = Worker(
                self.spool, upscaler, self.metrics,
                attempts=config.attempts, on_result=self.outbox.add,
            )  # fmt: skip
            self.http = None if config.http is None else make_http(self, config.http)
            if self.http is not None:
                opened.callback(self.http.server_close)
            self.scp = StoreScp(config, self.spool, self.metrics)
            self._opened = opened.pop_all()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work and to receive."""
        for number in range(self.config.workers):
            self._begin(f"worker{number}", self.worker.step)
        for lane in self.outbox.lanes:
            self._begin(f"to-{lane.name}", lane.step)
        self._begin("sweep", self._sweep, _SWEEP_SECONDS)
        self.scp.start()
        if self.http is not None:
            self.http.start()
        logger.info(
            "node %s: listens on %s:%d", self.config.ae_title, self.config.host, self.scp.port
        )

    def stop(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """Take nothing new, finish what is in hand, keep the rest for the next start.

        Args:
            grace_seconds: how long open associations may go on.
        """
        self.worker.stop()
        if self.http is not None:
            self.http.stop()
        self.scp.stop(grace_seconds)
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._opened.close()
        logger.info("node %s: stopped; what it has received is kept", self.config.ae_title)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT comes; for the main thread of a process of its own."""
        told = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            told.set()

        before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            with discreet_logs(self.spool.names):
                self.start()
                told.wait()
                self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def gauges(self) -> dict[tuple[str, str], float]:
        """Return (name, label) -> what is the case now."""
        waiting = {
            ("results_waiting", lane.name): float(lane.depth()) for lane in self.outbox.lanes
        }
        return {
            ("studies_incoming", ""): len(entries(self.spool["incoming"])),
            ("studies_working", ""): self.worker.waiting(),
            ("quarantine_entries", ""): len(entries(self.spool["quarantine"])),
            ("associations_open", ""): self.scp.open_associations(),
            ("spool_bytes", ""): self.spool.used_bytes(),
            ("studies_a_minute", ""): self.metrics.studies_a_minute(),
            **waiting,
        }

    def faults(self) -> list[str]:
        """Return what of the node does not work now, a line each, without identifiers."""
        found = [f"{t.name}: has ended" for t in self._threads if not t.is_alive()]
        if not self.spool.has_room():
            found.append("spool: is full; new associations are rejected")
        return found

    def warnings(self) -> list[str]:
        """Return which destinations do not answer; their results wait."""
        return [
            f"destination {lane.name}: {lane.failures()} attempts in a row failed"
            for lane in self.outbox.lanes
            if lane.failures() >= _IS_DOWN
        ]

    def _begin(self, name: str, step: Callable[[], bool], idle: float = _IDLE_SECONDS) -> None:
        thread = threading.Thread(target=self._loop, args=(step, idle), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _loop(self, step: Callable[[], bool], idle: float) -> None:
        while not self._stopping.is_set():
            try:
                is_done = not step()
            except Exception as error:  # disk or memory may be back in a moment
                logger.error("node: %s, tried again", type(error).__name__)
                is_done = True
            if is_done:
                self._stopping.wait(idle)

    def _sweep(self) -> bool:
        sweep(self.spool, self.config)
        return False


def make_upscaler(config: NodeConfig) -> FileUpscaler:
    """Return what enlarges, with its model loaded where one is named.

    Raises:
        OptionError, WeightsError: a model or an option cannot be used.
    """
    upscaler = FileUpscaler(config.model, **dict(config.options))
    if config.model is not None:
        upscaler.prepare()
    return upscaler


def make_destination(where: DestinationConfig, config: NodeConfig) -> Destination:
    """Return what sends to a destination.

    Raises:
        OptionError: a certificate or token cannot be used.
        MissingDependencyError: a package is not installed.
    """
    if where.url is None:
        return DimseDestination(where, config.ae_title)
    from monai_sr.node.dicomweb import DicomWebDestination

    return DicomWebDestination(where)


def make_http(node: Node, http: HttpConfig) -> HttpServer:
    """Return the HTTP side of a node.

    Raises:
        OptionError: a certificate or token cannot be used.
        OutputError: the port cannot be had.
    """
    limits = node.config.limits
    store = StowStore(node.spool, node.metrics, max_bytes=limits.spool_bytes)
    return HttpServer(Door.of(http, limits), store, Watch(node).pages)


def check(config: NodeConfig) -> Iterator[tuple[str, str]]:
    """Try model, options and certificates, then ask each destination whether it is there.

    Args:
        config: of the node.

    Yields:
        The name of a destination, and what is wrong or "".

    Raises:
        OptionError, WeightsError: a model, an option or a certificate cannot be used.
        MissingDependencyError: a package is not installed.
    """
    with silent_pydicom(), silent_pynetdicom(), _without_remarks():
        make_upscaler(config)
        if config.tls is not None:
            server_context(config.tls, "node")
        for where in config.destinations:
            destination = make_destination(where, config)
            try:
                destination.check()
            except OutputError as error:
                yield where.name, str(error)
            else:
                yield where.name, ""


@contextmanager
def discreet_logs(names: Names) -> Iterator[None]:
    """Write only what this package says, and of that no UID: others may quote what they read.

    Warnings and what ends a thread are part of it.

    Args:
        names: whose hashes stand in place of UIDs.
    """

    def is_ours(record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] != "monai_sr":
            return False
        record.msg, record.args = names.scrub(record.getMessage()), None
        record.exc_info = record.exc_text = None
        return True

    def ended(failure: threading.ExceptHookArgs) -> None:
        logger.error("thread: ended with %s", failure.exc_type.__name__)

    handlers = {h for name in ("monai_sr", None) for h in logging.getLogger(name).handlers}
    for handler in handlers:
        handler.addFilter(is_ours)
    before, threading.excepthook = threading.excepthook, ended
    try:
        with ignored_warnings():
            yield
    finally:
        threading.excepthook = before
        for handler in handlers:
            handler.removeFilter(is_ours)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Hide warnings of the DICOM libraries, which quote values."""
    with ignored_warnings(module=r"pydicom"), ignored_warnings(module=r"pynetdicom"):
        yield
