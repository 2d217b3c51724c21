"""A hospital in a network namespace: two Orthancs, modalities, a node that is killed once.

Run as ``unshare -rn python -m tests.end_to_end.hospital FOLDER``: Orthanc 1.10 binds every
address, so that it must see none but a loopback of its own. Prints what was seen as JSON.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pydicom
import yaml
from dicomweb_client.web import DICOMwebClient
from pydicom.uid import generate_uid

ROOT = Path(__file__).resolve().parents[2]
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
NAME = "Secret^Patient"
STUDIES = 40
BROKEN = 7  # the number of the study whose pixels are truncated
KILLED_AFTER = 8  # results that have arrived
SECONDS = 600.0  # of a machine that does much else
NODE, NODE_HTTP = 11112, 8104
PACS = {"archive": (14242, 18042), "web": (14243, 18043)}


def make_studies(folder: Path, count: int = STUDIES) -> list[Path]:
    """Write studies of one small image, one of them with too few pixels."""
    image = pydicom.dcmread(ROOT / "samples" / "xray_sr" / "chest_xray_dx.dcm")
    pixels = image.pixel_array
    image.PatientName, image.PatientID = NAME, "SECRET-4711"
    files = []
    for number in range(count):
        crop = pixels[number : number + 32, number : number + 40]
        image.Rows, image.Columns = crop.shape
        image.PixelData = crop.tobytes() if number != BROKEN else b"\0" * 100
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(image, keyword, generate_uid())
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        files.append(folder / f"{number}.dcm")
        image.save_as(files[-1])
    return files


@contextmanager
def orthanc(folder: Path, name: str) -> Iterator[Callable[[str], Any]]:
    """Run an Orthanc; yield what asks its REST API."""
    dicom, http = PACS[name]
    folder.mkdir()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "Name": name, "DicomAet": name.upper(), "DicomPort": dicom, "HttpPort": http,
                "StorageDirectory": str(folder), "IndexDirectory": str(folder),
                "Plugins": [str(DICOMWEB)], "AuthenticationEnabled": False,
                "RemoteAccessAllowed": False,
            }
        )
    )  # fmt: skip

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=20) as answer:
            return json.load(answer)

    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(config)], stdout=log, stderr=log)
    try:
        wait_for(lambda: ask("/system"), SECONDS)
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def wait_for(ask: Callable[[], Any], seconds: float) -> Any:
    """Ask until the answer is true; return the last one when the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = ask()
        except (OSError, ValueError):
            answer = None
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.1)


class Node:
    """The process under test.

    Args:
        folder: of its configuration, spool and log.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        config = {
            "ae_title": "MONAI_SR", "host": "127.0.0.1", "port": NODE, "spool": "spool",
            "peers": [{"ae_title": "MODALITY", "address": "127.0.0.1"}],
            "model": "xray_sr:fast", "options": {"scale": 2, "device": "cpu"},
            "quiet_seconds": 1, "http": {"port": NODE_HTTP},
            "destinations": [
                {
                    "name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1",
                    "port": PACS["archive"][0],
                },
                {"name": "web", "url": f"http://127.0.0.1:{PACS['web'][1]}/dicom-web"},
            ],
        }  # fmt: skip
        (folder / "node.yaml").write_text(yaml.safe_dump(config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; wait until it is healthy."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monai_sr.cli.main", "serve-dicom", "node.yaml"],
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        if wait_for(lambda: self.get("/health"), SECONDS) is None:
            raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def end(self, number: int) -> int:
        """End it by a signal; return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(120)

    def get(self, path: str) -> str:
        """Return a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{NODE_HTTP}{path}", timeout=5) as answer:
            return str(answer.read().decode())


def send_by_dimse(file: Path) -> None:
    """Send as a modality: again and again, until it is accepted."""
    words = ["storescu", "-aet", "MODALITY", "-aec", "MONAI_SR", "127.0.0.1", str(NODE), str(file)]

    def accepted() -> bool:
        return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0

    if not wait_for(accepted, SECONDS):
        raise RuntimeError("C-STORE was never accepted")


def send_by_stow(file: Path) -> None:
    """Send by DICOMweb, again and again, until the node names the instance as stored."""
    client = DICOMwebClient(f"http://127.0.0.1:{NODE_HTTP}/dicom-web")
    client.set_http_retry_params(retry=False)
    image = pydicom.dcmread(file)

    def accepted() -> bool:
        answer = client.store_instances([image], image.StudyInstanceUID)
        stored = answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        return bool(stored == image.SOPInstanceUID)

    if not wait_for(accepted, SECONDS):
        raise RuntimeError("STOW was never accepted")


def results(ask: Callable[[str], Any]) -> list[dict[str, str]]:
    """Return what an Orthanc has: each instance, its study, and what it was made of."""
    found = []
    for instance in ask("/instances"):
        tags = ask(f"/instances/{instance}/simplified-tags")
        found.append(
            {
                "instance": tags["SOPInstanceUID"],
                "study": tags["StudyInstanceUID"],
                "series": tags["SeriesInstanceUID"],
                "source": tags["SourceImageSequence"][0]["ReferencedSOPInstanceUID"],
                "size": f"{tags['Columns']} x {tags['Rows']}",
            }
        )
    return found


def run(folder: Path) -> dict[str, Any]:
    """Send all studies with one kill between; return what was seen."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "sent").mkdir()
    files = make_studies(folder / "sent")
    node = Node(folder / "node")
    began = time.monotonic()
    with ExitStack() as stack:
        pacs = {name: stack.enter_context(orthanc(folder / name, name)) for name in PACS}
        node.start()
        stack.callback(lambda: node.end(signal.SIGKILL))
        counts = [lambda ask=ask: ask("/statistics")["CountInstances"] for ask in pacs.values()]
        senders = stack.enter_context(ThreadPoolExecutor(2))
        ways = (send_by_dimse, send_by_stow)
        sending = [senders.submit(ways[i % 2], file) for i, file in enumerate(files)]
        wait_for(lambda: counts[0]() >= KILLED_AFTER, SECONDS)
        node.end(signal.SIGKILL)
        before = [count() for count in counts]
        node.start()
        for each in sending:
            each.result()
        quarantine = folder / "node" / "spool" / "quarantine"
        wait_for(
            lambda: all(c() >= STUDIES - 1 for c in counts) and any(quarantine.iterdir()), SECONDS
        )
        time.sleep(2)  # what would come twice comes now
        seen = {
            "seconds": round(time.monotonic() - began, 1),
            "before_kill": before,
            "received": {name: results(ask) for name, ask in pacs.items()},
            "quarantined": len([e for e in quarantine.iterdir() if not e.name.startswith(".")]),
            "metrics": node.get("/metrics"),
            "health": node.get("/health"),
            "exit": node.end(signal.SIGTERM),
        }
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]))))
