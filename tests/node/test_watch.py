"""Health and metrics tell what is wrong, in the formats of those who ask, without identifiers."""

from __future__ import annotations

import json
import re

import pytest

from monai_sr.node.metrics import Metrics
from monai_sr.node.watch import Watch

SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z_]+)="((?:[^"\\]|\\.)*)"\})? (-?[0-9.e+]+)')


class Told:
    """A node that says what it is told to say."""

    def __init__(self):
        self.metrics, self.found, self.wrong, self.elsewhere = Metrics(), {}, [], []

    def gauges(self):
        return self.found

    def faults(self):
        return self.wrong

    def warnings(self):
        return self.elsewhere


@pytest.fixture
def node():
    return Told()


@pytest.fixture
def watch(node):
    return Watch(node)


def values(watch):
    """Parse as the format's description says; each family has its help and type once, before."""
    answer = watch.metrics()
    assert answer.kind == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    assert text.endswith("\n")
    found, kinds, family = {}, {}, ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in kinds
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            kinds[family] = line.split()[3]
        else:
            name, _, label, value = SAMPLE.fullmatch(line).groups()
            assert name == family
            assert (kinds[name] == "counter") == name.endswith("_total")
            found[name.removeprefix("monai_sr_node_"), label or ""] = float(value)
    return found


def test_figures_are_told(node, watch):
    node.metrics.add("sent", 3, label='p"a\\c')
    node.metrics.add("enlarging_seconds", 1.5)
    node.metrics.add("received_bytes", 12_345_678_901)
    node.found = {
        ("results_waiting", "a"): 2, ("results_waiting", "b"): 0, ("spool_bytes", ""): 1e10,
    }  # fmt: skip
    found = values(watch)
    assert found["sent_total", 'p\\"a\\\\c'] == 3
    assert found["enlarging_seconds_total", ""] == 1.5
    assert found["received_bytes_total", ""] == 12_345_678_901
    assert found["received_total", ""] == 0
    assert found["results_waiting", "a"] == 2
    assert found["results_waiting", "b"] == 0
    assert found["spool_bytes", ""] == 1e10


def test_labels_have_the_names_of_what_they_are(node, watch):
    node.metrics.add("refused", label="A700")
    node.metrics.add("passed_by", label="SR")
    text = watch.metrics().body.decode()
    assert 'monai_sr_node_refused_total{status="A700"} 1\n' in text
    assert 'monai_sr_node_passed_by_total{kind="SR"} 1\n' in text


def test_a_whole_node_is_healthy(watch):
    answer = watch.health()
    assert (answer.status, answer.kind) == (200, "application/json")
    assert json.loads(answer.body)["status"] == "ok"


def test_a_fault_is_told_with_503(node, watch):
    node.wrong = ["worker: has ended"]
    answer = watch.health()
    assert answer.status == 503
    assert json.loads(answer.body)["faults"] == ["worker: has ended"]


def test_what_is_wrong_elsewhere_is_a_warning(node, watch):
    node.elsewhere = ["destination pacs: 3 attempts in a row failed"]
    answer = watch.health()
    assert answer.status == 200
    assert json.loads(answer.body)["warnings"] == node.elsewhere
