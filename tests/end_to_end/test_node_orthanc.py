"""A node between modalities and two PACS, killed once: each image arrives once, or is set aside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from tests.end_to_end.hospital import BROKEN, DICOMWEB, NAME, ROOT, STUDIES

_NAMESPACE = ["unshare", "--map-root-user", "--net"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    for module in ("pynetdicom", "dicomweb_client"):
        pytest.importorskip(module)
    for program, package in (("Orthanc", "orthanc"), ("storescu", "dcmtk"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {package}")
    if not DICOMWEB.exists():
        pytest.skip("needs DICOMweb of Orthanc: apt-get install orthanc-dicomweb")
    if subprocess.run([*_NAMESPACE, "ip", "link", "set", "lo", "up"], check=False).returncode:
        pytest.skip("needs a network namespace of its own: unshare -rn is not allowed here")
    folder = tmp_path_factory.mktemp("hospital")
    done = subprocess.run(
        [*_NAMESPACE, sys.executable, "-m", "tests.end_to_end.hospital", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    log = (folder / "node" / "log").read_text() if (folder / "node" / "log").exists() else ""
    assert done.returncode == 0, done.stderr[-3000:] + log[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"folder": str(folder), "log": log}


@pytest.fixture(scope="module")
def sent(seen):
    files = sorted(Path(seen["folder"], "sent").glob("*.dcm"), key=lambda file: int(file.stem))
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in files]


@pytest.mark.parametrize("pacs", ["archive", "web"])
def test_every_image_arrives_once_or_is_set_aside(seen, sent, pacs):
    received = seen["received"][pacs]
    whole = {s.SOPInstanceUID: s.StudyInstanceUID for i, s in enumerate(sent) if i != BROKEN}
    assert len(received) == len(whole) == STUDIES - 1
    assert {r["source"]: r["study"] for r in received} == whole
    assert seen["quarantined"] == 1
    assert {r["size"] for r in received} == {"80 x 64"}


def test_both_have_the_same_and_it_is_new(seen, sent):
    archive, web = ({r["instance"] for r in seen["received"][p]} for p in ("archive", "web"))
    assert archive == web
    assert not archive & {s.SOPInstanceUID for s in sent}
    series = [r["series"] for r in seen["received"]["archive"]]
    assert len(set(series)) == len(series)


def test_it_was_killed_in_the_middle(seen):
    assert 0 < seen["before_kill"][0] < STUDIES - 1


def test_it_ends_in_order_when_it_is_asked_to(seen):
    assert seen["exit"] == 0


def test_nothing_that_it_wrote_names_a_patient_or_an_object(seen, sent):
    names = "\n".join(str(p) for p in Path(seen["folder"], "node").rglob("*"))
    texts = [seen["log"], seen["metrics"], seen["health"], names]
    texts += [p.read_text() for p in Path(seen["folder"], "node", "spool").rglob("*.json")]
    texts += [p.read_text() for p in Path(seen["folder"], "node", "spool").rglob("*.txt")]
    secrets = [*NAME.split("^"), "SECRET-4711"]
    for image in sent:
        secrets += [image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID]
    secrets += [r["instance"] for r in seen["received"]["archive"]]
    found = [secret for secret in secrets for text in texts if secret in text]
    assert found == []


def test_metrics_count_what_came_and_went(seen):
    values = dict(
        line.rsplit(" ", 1) for line in seen["metrics"].splitlines() if not line.startswith("#")
    )
    assert values["monai_sr_node_studies_incoming"] == "0"
    assert values["monai_sr_node_quarantine_entries"] == "1"
    assert json.loads(seen["health"])["status"] == "ok"
