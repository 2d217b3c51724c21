"""A node's HTTP side: what comes in by STOW-RS goes out by STOW-RS; its figures say so."""

from __future__ import annotations

import io
import json
import urllib.request
from dataclasses import replace

import pydicom
import pytest
from dicomweb_client.web import DICOMwebClient

from monai_sr.core import OutputError
from monai_sr.node.config import DestinationConfig, HttpConfig
from monai_sr.node.service import Node
from tests.node.test_dicomweb import Pacs
from tests.node.test_http import serving
from tests.node_factory import Enlarger, free_port, image, node_config, wait_for


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_images_come_in_and_go_out_over_http(tmp_path):
    pacs = Pacs()
    with serving(store=pacs) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.server_port}/dicom-web"
        config = replace(
            node_config(tmp_path), http=HttpConfig(free_port()), peers=(),
            destinations=(DestinationConfig("web", url=url),),
        )  # fmt: skip
        node = Node(config, Enlarger())
        node.start()
        try:
            here = f"http://127.0.0.1:{config.http.port}"
            sent = [image(seed) for seed in range(2)]
            DICOMwebClient(f"{here}/dicom-web").store_instances(sent)
            wait_for(
                lambda: len(pacs.received) == 2 and len(list(node.spool["sent"].iterdir())) == 2
            )
            health = json.load(urllib.request.urlopen(f"{here}/health", timeout=5))
            text = urllib.request.urlopen(f"{here}/metrics", timeout=5).read().decode()
        finally:
            node.stop()
    results = [pydicom.dcmread(io.BytesIO(part)) for part in pacs.received]
    assert {r.StudyInstanceUID for r in results} == {s.StudyInstanceUID for s in sent}
    assert not {r.SOPInstanceUID for r in results} & {s.SOPInstanceUID for s in sent}
    assert health["status"] == "ok"
    assert health["faults"] == health["warnings"] == []
    lines = text.splitlines()
    for line in (
        "monai_sr_node_received_total 2", 'monai_sr_node_sent_total{destination="web"} 2',
        "monai_sr_node_enlarged_total 2", "monai_sr_node_studies_incoming 0",
        'monai_sr_node_results_waiting{destination="web"} 0',
    ):  # fmt: skip
        assert line in lines
    assert not [s.StudyInstanceUID for s in sent if s.StudyInstanceUID in text]


def test_a_destination_that_is_down_is_told_and_the_node_is_well(tmp_path):
    config = replace(
        node_config(tmp_path), http=HttpConfig(free_port()),
        destinations=(DestinationConfig("web", url=f"http://127.0.0.1:{free_port()}"),),
    )  # fmt: skip
    node = Node(config, Enlarger())
    node.outbox.lanes[0]._failures = 3
    node.start()
    try:
        health = json.loads(get(f"http://127.0.0.1:{config.http.port}/health"))
    finally:
        node.stop()
    assert health["status"] == "ok"
    assert health["warnings"] == ["destination web: 3 attempts in a row failed"]


def test_a_port_that_is_taken_lets_the_spool_go(tmp_path):
    with serving() as other:
        config = replace(node_config(tmp_path), http=HttpConfig(other.server_port))
        for _ in range(2):  # the second try is not told that the spool is in use
            with pytest.raises(OutputError, match="choose another host or port"):
                Node(config, Enlarger())
