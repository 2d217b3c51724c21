"""Measure the DICOM node: studies a minute, memory over many, and that a kill loses nothing.

A node is started as a process of its own; studies of one small radiograph are sent to it by
C-STORE, one association each, as a modality does: again and again until they are accepted. What it
sends on is received here and compared with what was sent. ``python benchmarks/node.py`` sends 1,000
studies for speed and memory; ``--kills 10`` ends the node by SIGKILL at ten random moments on the
way and starts it again. Each call adds a row to ``benchmarks/results/node.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import yaml
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from monai_sr import __version__

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "node.csv"
SAMPLE = ROOT / "samples" / "xray_sr" / "chest_xray_dx.dcm"
SIDE = 64
BROKEN_EVERY = 50  # one study in so many has too few pixels: it belongs into quarantine
SENDERS = 2
POLL_SECONDS = 0.05
MOST_DELAY = 0.5  # after a result has arrived, so that kills hit every state
SETTLE_SECONDS = 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def study(number: int, seed: int) -> pydicom.FileDataset:
    """Return a study of one image, the same for the same number and seed."""
    image = pydicom.dcmread(SAMPLE)
    pixels = image.pixel_array
    top, left = number % (pixels.shape[0] - SIDE), number * 7 % (pixels.shape[1] - SIDE)
    image.Rows = image.Columns = SIDE
    whole = pixels[top : top + SIDE, left : left + SIDE].tobytes()
    image.PixelData = whole[:100] if is_broken(number) else whole
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        uid = generate_uid(entropy_srcs=[str(seed), str(number), keyword])
        setattr(image, keyword, uid)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def is_broken(number: int) -> bool:
    """Tell whether the image of a study cannot be enlarged."""
    return number % BROKEN_EVERY == BROKEN_EVERY - 1


@dataclass
class Receiver:
    """Where results arrive: which derived instances of which source, and how often each.

    Args:
        port: to listen on.
    """

    port: int
    derived: dict[str, set[str]] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Listen."""
        entity = AE("PACS")
        syntaxes = [pydicom.dcmread(SAMPLE).file_meta.TransferSyntaxUID, ExplicitVRLittleEndian]
        entity.add_supported_context(pydicom.dcmread(SAMPLE).SOPClassUID, syntaxes)
        entity.add_supported_context("1.2.840.10008.1.1")
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: Any) -> int:
        source = str(event.dataset.SourceImageSequence[0].ReferencedSOPInstanceUID)
        instance = str(event.dataset.SOPInstanceUID)
        self.deliveries[instance] += 1
        self.derived.setdefault(source, set()).add(instance)
        return 0


class Node:
    """The node's process.

    Args:
        folder: of configuration, spool and log.
        destination: port of the receiver.
        model: name of a model.
    """

    def __init__(self, folder: Path, destination: int, model: str) -> None:
        self.folder, self.port, self.http = folder, free_port(), free_port()
        config = {
            "ae_title": "MONAI_SR", "port": self.port, "spool": "spool", "model": model,
            "peers": [{"ae_title": "MODALITY", "address": "127.0.0.1"}],
            "options": {"device": "cpu"}, "quiet_seconds": 1, "http": {"port": self.http},
            "limits": {"reserve_bytes": 0},
            "destinations": [
                {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": destination}
            ],
        }  # fmt: skip
        (folder / "node.yaml").write_text(yaml.safe_dump(config))
        self.cpu_before = 0.0
        self.start()

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monai_sr.cli.main", "serve-dicom", "node.yaml"],
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        while not self.is_healthy():
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text()[-2000:])
            time.sleep(POLL_SECONDS)

    def is_healthy(self) -> bool:
        """Ask it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/health", timeout=10):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a power cut does, and start it again."""
        self.cpu_before += self.cpu_seconds()
        self.process.kill()
        self.process.wait()
        self.start()

    def rss_mib(self) -> float:
        """Return how much memory it has."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return round(int(pages) * _PAGE / 2**20, 1)

    def cpu_seconds(self) -> float:
        """Return what it has computed since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def quarantined(self) -> int:
        """Return how many entries its quarantine has."""
        return sum(1 for e in (self.folder / "spool" / "quarantine").iterdir() if e.name[0] != ".")


class Modality:
    """Sends studies; each until it is accepted.

    Args:
        node: who gets them.
        seed: of the studies' UIDs.
    """

    def __init__(self, node: Node, seed: int) -> None:
        self._node, self._seed = node, seed
        self.accepted: set[str] = set()

    def send(self, number: int) -> None:
        """Send one study."""
        image = study(number, self._seed)
        while not self._is_accepted(image):
            time.sleep(POLL_SECONDS)
        self.accepted.add(str(image.SOPInstanceUID))

    def _is_accepted(self, image: pydicom.FileDataset) -> bool:
        entity = AE("MODALITY")
        entity.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", self._node.port, ae_title="MONAI_SR")
        if not association.is_established:
            return False
        try:
            status = association.send_c_store(image)
            return "Status" in status and status.Status == 0
        except (RuntimeError, ValueError):  # the node ended in between
            return False
        finally:
            association.release()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send all studies; return the row."""
    receiver = Receiver(free_port())
    node = Node(folder, receiver.port, options.model)
    modality = Modality(node, options.seed)
    cpu, began = node.cpu_seconds(), time.monotonic()
    memory: dict[int, float] = {}
    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(modality.send, n) for n in range(options.studies)]
        killer = threading.Thread(target=kill_at_random, args=(node, receiver, options))
        killer.start()
        finished = wait_for_all(node, receiver, options, memory)
        for each in sending:
            each.result()
        killer.join()
    seconds = finished - began
    used = node.cpu_before + node.cpu_seconds() - cpu
    time.sleep(SETTLE_SECONDS)  # what would come twice comes now
    row = counts(node, receiver, modality)
    node.process.send_signal(signal.SIGTERM)
    node.process.wait(120)
    receiver.server.shutdown()
    marks = ", ".join(f"{count}: {size}" for count, size in memory.items())
    return {
        "studies": options.studies, "kills": options.kills, **row,
        "seconds": round(seconds, 1),
        "studies_per_minute": round(60 * options.studies / seconds, 1),
        "cpu_s_per_study": round(used / options.studies, 3),
        "rss_mib_after_studies": marks, "model": options.model, **machine(),
    }  # fmt: skip


def kill_at_random(node: Node, receiver: Receiver, options: argparse.Namespace) -> None:
    """Kill the node when so many results have arrived, and a moment later."""
    draw = random.Random(options.seed)
    for count in sorted(draw.sample(range(1, options.studies * 9 // 10), options.kills)):
        while len(receiver.derived) < count:
            time.sleep(POLL_SECONDS)
        time.sleep(draw.uniform(0, MOST_DELAY))
        node.kill()
        print(f"killed after {len(receiver.derived)} results", flush=True)


def wait_for_all(
    node: Node, receiver: Receiver, options: argparse.Namespace, memory: dict[int, float]
) -> float:
    """Wait until every study is a result or in quarantine; note memory on the way."""
    marks = [n for n in (100, 200, 300, 500, 700, 1000, 2000) if n <= options.studies]
    end = time.monotonic() + options.limit_s
    while True:
        done = len(receiver.derived) + node.quarantined()
        if marks and done >= marks[0] and node.process.poll() is None:
            memory[marks.pop(0)] = node.rss_mib()
            print(f"{done} done, {list(memory.values())[-1]} MiB", flush=True)
        if done >= options.studies or time.monotonic() > end:
            return time.monotonic()
        time.sleep(POLL_SECONDS)


def counts(node: Node, receiver: Receiver, modality: Modality) -> dict[str, int]:
    """Compare what was accepted with what arrived and what was set aside."""
    arrived = set(receiver.derived)
    return {
        "accepted": len(modality.accepted),
        "sent": len(arrived),
        "quarantined": node.quarantined(),
        "lost": len(modality.accepted) - len(arrived) - node.quarantined(),
        "doubled": sum(len(instances) - 1 for instances in receiver.derived.values()),
        "strangers": len(arrived - modality.accepted),
        "sent_again": sum(n - 1 for n in receiver.deliveries.values()),
    }


def machine() -> dict[str, object]:
    """Return what the figures belong to."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "hardware": models[0] if models else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[1], 1),
        "versions": f"monai-sr {__version__}, torch {torch.__version__}, "
        f"Python {sys.version.split()[0]}",
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--model", default="xray_sr")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit_s", type=float, default=3600, help="when to give up")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(options, Path(folder))
    is_new = not options.results.exists()
    with options.results.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    for name, value in row.items():
        print(f"{name:22} {value}")
    if row["lost"] or row["doubled"] or row["strangers"]:
        sys.exit("a study was lost or doubled")


if __name__ == "__main__":
    main()
