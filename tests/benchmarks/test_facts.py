"""The CSV file of costs and training, and which line belongs to measured rows."""

from __future__ import annotations

import dataclasses
import math

import pytest
from facts import Facts, find_facts, read_facts, write_facts

from monai_sr.core.errors import BadImageError

_KNOWN = Facts(
    system="ours", domain="natural", scale=4, parameters=43_089_923, output_mp_per_s=0.01234,
    threads=2, device="2 x CPU, fast", steps_stage_1=1000, minutes_stage_1=4.05,
    loss_features="squeezenet1_1", weights_sha256="ab", note='said "so", twice',
)  # fmt: skip


def test_lines_come_back_from_the_file(tmp_path):
    write_facts(tmp_path / "systems.csv", [_KNOWN])
    (back,) = read_facts(tmp_path / "systems.csv")
    assert dataclasses.asdict(back) == pytest.approx(dataclasses.asdict(_KNOWN), nan_ok=True)
    assert (back.parameters, back.note) == (_KNOWN.parameters, _KNOWN.note)
    assert math.isnan(back.minutes_stage_2)


def test_a_line_replaces_the_one_of_its_system_domain_and_scale(tmp_path):
    file = tmp_path / "systems.csv"
    other = dataclasses.replace(_KNOWN, scale=2)
    write_facts(file, [_KNOWN, other])
    write_facts(file, [dataclasses.replace(_KNOWN, weights_sha256="cd")])
    assert [(f.scale, f.weights_sha256) for f in read_facts(file)] == [(2, "ab"), (4, "cd")]


def test_measuring_again_without_a_clock_keeps_the_speed_of_the_same_weights(tmp_path):
    file = tmp_path / "systems.csv"
    write_facts(file, [_KNOWN])
    untimed = dataclasses.replace(_KNOWN, output_mp_per_s=math.nan)
    write_facts(file, [untimed])
    assert read_facts(file)[0].output_mp_per_s == pytest.approx(_KNOWN.output_mp_per_s)
    write_facts(file, [dataclasses.replace(untimed, weights_sha256="cd")])
    assert math.isnan(read_facts(file)[0].output_mp_per_s)


def test_an_absent_file_has_no_lines(tmp_path):
    assert read_facts(tmp_path / "systems.csv") == []


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "systems.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match="move it away"):
        write_facts(tmp_path / "systems.csv", [_KNOWN])


def test_minutes_of_the_stages_add_up_where_known():
    assert _KNOWN.minutes == 4.05
    assert dataclasses.replace(_KNOWN, minutes_stage_2=2.0).minutes == pytest.approx(6.05)
    assert math.isnan(Facts(system="bicubic", domain="natural", scale=4).minutes)


def test_what_is_not_known_to_be_little_is_not_undertrained():
    assert not _KNOWN.is_undertrained
    assert dataclasses.replace(_KNOWN, hr_megapixels_seen=19.9).is_undertrained
    assert not dataclasses.replace(_KNOWN, hr_megapixels_seen=20.0).is_undertrained


def test_facts_of_other_weights_are_not_shown():
    assert find_facts([_KNOWN], "ours", 4, "ab", "set5") is _KNOWN
    for system, scale, weights in (("ours", 4, "cd"), ("ours", 2, "ab"), ("other", 4, "ab")):
        assert math.isnan(find_facts([_KNOWN], system, scale, weights, "set5").parameters)


def test_where_weights_serve_two_domains_the_one_of_the_set_is_shown():
    grey = dataclasses.replace(_KNOWN, domain="xray", parameters=1)
    assert find_facts([_KNOWN, grey], "ours", 4, "ab", "xray") is grey
    assert find_facts([grey, _KNOWN], "ours", 4, "ab", "set5") is _KNOWN
