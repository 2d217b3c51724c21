"""Enlarges many inputs on a Dask cluster: each worker keeps one model and takes input after input.

The client plans names, keeps the record and writes the manifest; workers need the same package, the
same bundle and the same paths (a shared file system). Needs the extra ``dask``.
"""

import asyncio
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from monai_sr.core import (
    OptionError,
    PathLike,
    get_logger,
    import_extra,
    printable,
    user_message,
)
from monai_sr.core.shared import silent_distributed
from monai_sr.upscaling import FileResult, FileUpscaler, RunRecord

logger = get_logger(__name__)

LOCAL = "local"
_CORES_PER_WORKER = 4  # where the user does not say: networks use more than one
_SECONDS_TO_ANSWER = 30
_ATTEMPTS = 2
_LOCK = threading.Lock()  # a worker may have several threads; the model is one


@dataclass(frozen=True)
class Setup:
    """What a worker builds its model from.

    Attributes:
        bundle, system, options: as for :class:`monai_sr.FileUpscaler`.
        made_by: fingerprint that the worker's own must equal.
        threads: of torch; None leaves them as the worker has them.
    """

    bundle: str
    system: str | None
    options: tuple[tuple[str, Any], ...]
    made_by: str
    threads: int | None = None


def upscale_on_cluster(
    bundle: PathLike,
    cluster: str,
    workers: int | None = None,
    *,
    system: PathLike | None = None,
    **options: Any,
) -> list[FileResult]:
    """Enlarge everything that an input names; what is done already is skipped.

    Args:
        bundle: folder or name.
        cluster: "local", or the address of a scheduler, ``tcp://host:8786``.
        workers: processes of a local cluster; one for each GPU, or for four cores, where None.
        system: a system in place of the bundle's own model.
        **options: entries of the bundle's ``inference.yaml``, ``input`` and ``output_dir`` among
            them.

    Returns:
        One result for each input, in the order in which they came.

    Raises:
        MissingDependencyError: if Dask is not installed.
        OptionError: if the cluster does not answer, or workers have another model.
        RunFailedError: after the run, if some inputs failed.
    """
    _distributed()
    if options.get("deidentify"):
        raise OptionError(
            "cluster: must not be given with deidentify, whose names stay on one machine, got "
            f"{cluster!r}; leave --cluster out"
        )
    calls = {name: options.get(name) for name in ("input", "output_dir")}
    entries = {k: v for k, v in options.items() if k not in calls}
    upscaler = FileUpscaler(bundle, system=system, **entries, **{"dataset#skip_done": True})
    dataset = upscaler.plan(calls["input"], calls["output_dir"] or "")
    if cluster != LOCAL and dataset.has_archives:
        raise OptionError(
            "input: must be no zip and no address where workers are on other machines, got one; "
            "unpack or copy it to a disk that all share"
        )
    given = tuple((k, _plain(k, v)) for k, v in sorted(options.items()) if k != "input")
    model = _place_or_name(bundle), None if system is None else _place_or_name(system)
    setup = Setup(*model, given, upscaler.made_by())
    record = RunRecord(
        Path(os.path.abspath(dataset.output_dir)), len(dataset.data), dataset.no_images
    )
    number = workers or _fitting_workers(str(options.get("device", "")))
    with _connected(cluster, number, is_given=workers is not None) as (client, threads):
        try:
            setup = replace(setup, threads=threads)
            for result in _enlarge_all(client, setup, [_absolute(i) for i in dataset.data]):
                _say_what_was_found(result)
                record.add(result)
        finally:
            record.save()
    record.finish()
    return record.results


def _say_what_was_found(result: FileResult) -> None:
    """Say what its worker measured, whose log is elsewhere."""
    if result.weights:
        found = " ".join(f"{name}={value:g}" for name, value in result.found.items())
        logger.info("%s: %s: %s weights", printable(result.source), found, result.weights)
    if result.hint:
        logger.warning("%s: %s", printable(result.source), result.hint)


def _distributed() -> Any:
    return import_extra("distributed", extra="dask")


def _place_or_name(path: PathLike) -> str:
    return os.path.abspath(path) if os.path.exists(path) else str(path)


def _plain(name: str, value: Any) -> Any:
    """Return an option as text that means the same in another folder."""
    if name in ("output_dir", "ckpt_path") and value is not None:
        return os.path.abspath(value)
    return tuple(value) if isinstance(value, list) else value


def _absolute(item: Mapping[str, Any]) -> dict[str, Any]:
    image = item["image"]
    paths = os.path.abspath(image) if isinstance(image, str) else [*map(os.path.abspath, image)]
    return {**item, "image": paths, "output": os.path.abspath(item["output"])}


def _fitting_workers(device: str) -> int:
    gpus = 0 if device.startswith("cpu") else torch.cuda.device_count()
    return gpus or max(1, (os.cpu_count() or 1) // _CORES_PER_WORKER)


@contextmanager
def _connected(cluster: str, workers: int, *, is_given: bool) -> Iterator[tuple[Any, int | None]]:
    """Yield a client, and the threads of each worker; a local cluster ends with the block."""
    distributed = _distributed()
    if cluster != LOCAL:
        if is_given:
            raise OptionError(f"workers: {cluster} has its own; leave --workers out")
        with _client(cluster) as client:
            yield client, None
        return
    # A worker that dies gives its inputs back at once, to be tried again by rules of our own, and
    # none waits at a worker where another's death would count against it.
    rules = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        silent_distributed(),
        import_extra("dask", extra="dask").config.set(rules),
        distributed.LocalCluster(
            # Scenes differ: each input is checked against the memory of the machine.
            n_workers=workers, threads_per_worker=1, memory_limit=0,
            dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
        ) as local,
        distributed.Client(local) as client,
    ):  # fmt: skip
        yield client, max(1, (os.cpu_count() or 1) // workers)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            client = stack.enter_context(_distributed().Client(address, timeout=_SECONDS_TO_ANSWER))
            client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
        except (OSError, ValueError, TypeError, TimeoutError, asyncio.TimeoutError) as error:
            raise OptionError(
                f"cluster: must be 'local' or the address of a Dask scheduler with workers, got "
                f"{address!r}, which does not answer; start them (dask scheduler, dask worker)"
            ) from error
        yield client


@dataclass
class _Queue:
    """What is left to do, each input at most twice.

    Inputs whose worker died are tried again one by one, after the others: so none dies of another's
    fault.
    """

    todo: deque[dict[str, Any]]
    alone: deque[dict[str, Any]] = field(default_factory=deque)
    attempts: Counter[str] = field(default_factory=Counter)

    def next(self, running: int, limit: int) -> dict[str, Any] | None:
        queue = self.todo if self.todo else None if running else self.alone
        if not queue or running >= limit:
            return None
        item = queue.popleft()
        self.attempts[item["origin"]] += 1
        return item

    def try_again(self, item: dict[str, Any], *, is_alone: bool) -> bool:
        if self.attempts[item["origin"]] >= _ATTEMPTS:
            return False
        (self.alone if is_alone else self.todo).append(item)
        return True


def _enlarge_all(
    client: Any, setup: Setup, items: Sequence[dict[str, Any]]
) -> Iterator[FileResult]:
    """Yield the result of every item; no more tasks are under way than the workers have threads."""
    queue = _Queue(deque(items))
    running: dict[str, dict[str, Any]] = {}
    finished = _distributed().as_completed()
    run_id = os.urandom(6).hex()
    while True:
        limit = max(1, sum(client.nthreads().values()))
        while (item := queue.next(len(running), limit)) is not None:
            key = f"monai-sr-{run_id}-{item['origin']}-{queue.attempts[item['origin']]}"
            future = client.submit(enlarge_item, setup, item, key=key, pure=False, retries=0)
            running[future.key] = item
            finished.add(future)
        if not running:
            return
        future = next(finished)
        item = running.pop(future.key)
        result, is_alone = _outcome(future, item)
        if not (result.is_unexpected and queue.try_again(item, is_alone=is_alone)):
            yield result


def _outcome(future: Any, item: Mapping[str, Any]) -> tuple[FileResult, bool]:
    """Return the result of a task, and whether its worker died; errors of the setup are raised."""
    if future.status not in ("finished", "error"):
        raise OptionError(
            "cluster: must last as long as the run, got a lost connection; start the run again, "
            "finished results are kept"
        )
    error = future.exception()
    if error is None:
        return future.result(), False
    is_dead = isinstance(error, _distributed().KilledWorker)
    if not is_dead and user_message(error) is not None:
        raise error
    reason = "its worker died" if is_dead else f"{type(error).__name__}: {error}".splitlines()[0]
    message = f"{item['source']}: could not be enlarged ({reason}), tried twice; try it alone"
    known = {key: item[key] for key in ("source", "origin")}
    return FileResult(**known, error=message, is_unexpected=True), is_dead


def enlarge_item(setup: Setup, item: dict[str, Any]) -> FileResult:
    """Enlarge one input on a worker.

    Args:
        setup: what to build the model from, once in each process.
        item: from :class:`monai_sr.upscaling.FileDataset`.

    Raises:
        OptionError: if the worker has another version, bundle or weights than the client.
    """
    with _LOCK:
        upscaler = _upscaler(setup)
    return upscaler.enlarge(item)


@lru_cache(maxsize=1)
def _upscaler(setup: Setup) -> FileUpscaler:
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    options = {k: v for k, v in setup.options if k != "output_dir"}
    if "device" not in options and torch.cuda.is_available():
        options["device"] = f"cuda:{_place() % torch.cuda.device_count()}"
    upscaler = FileUpscaler(
        setup.bundle, system=setup.system, **options, **{"dataset#skip_done": True}
    )
    if upscaler.made_by() != setup.made_by:
        raise OptionError(
            "cluster: workers must have the version, code, bundle and weights of the client, got "
            "others; install the same there"
        )
    upscaler.prepare()
    return upscaler


def _place() -> int:
    """Return the number of this worker in a local cluster; 0 elsewhere."""
    name = str(_distributed().get_worker().name)
    return int(name) if name.isdigit() else 0
