from __future__ import annotations

import csv
import io
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_sr.core.text import print_safely, printable, safe_cell, true_cell
from monai_sr.upscaling.manifest import Manifest
from tests.image_factory import pixels, write_raster

BAD = "a\n\x1b]0;x\x07\x1b[2J\r\x9b31m‮gpj.\u2066⁩\u200b\u061c\x7fé.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("scan 4 (µ, é, 漢, 👩\u200d⚕).png", "scan 4 (µ, é, 漢, 👩\u200d⚕).png"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[2J\x07\x7f\x9b", "\\x1b[2J\\x07\\x7f\\x9b"),
        ("\u202egpj\u2066\u200f\u061c", "\\u202egpj\\u2066\\u200f\\u061c"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), "caf\\xe9.png"),
        ("\ud800", "\\ud800"),
        (3.5, "3.5"),
    ],
)
def test_what_is_not_seen_is_written_out(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_shown_text_is_one_line_that_every_utf8_terminal_takes(text):
    shown = printable(text)
    assert shown.splitlines() in ([], [shown])
    shown.encode()
    assert "\x1b" not in shown
    assert printable(shown) == shown


@given(st.text())
def test_cells_are_read_back_and_begin_no_formula(text):
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow([safe_cell(text), "end"])
    (row,) = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert true_cell(row[0]) == text


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x.png", "@SUM(A1)", "\t=1", "\r=1", "-1+2"])
def test_cells_that_a_spreadsheet_would_compute_are_quoted(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "+3", "1e-3", "-inf", "", "a=b", "'a"[1:]])
def test_numbers_and_plain_names_stay(text):
    assert safe_cell(text) == text


def test_manifest_reads_back_any_name(tmp_path):
    names = ["=cmd|calc_x2.png", "-x_x2.png", "'=a_x2.png", "a\nb_x2.png", "b\udcff_x2.png"]
    first = Manifest(tmp_path)
    for name in names:
        first.add(source=f"/in/{name}", output=name, lr_psnr="-1.5")
    first.save()
    text = (tmp_path / Manifest.name).read_bytes()
    assert b"\n=cmd" not in text
    assert b"\n'=cmd" in text
    assert b",-1.5," in text
    assert sorted(p.name for p in Manifest(tmp_path).results()) == sorted(names)


def test_log_lines_of_this_package_show_names(caplog, monkeypatch):
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    print_safely()
    print_safely()
    logging.getLogger("monai_sr.x").warning("%s: odd", BAD)
    logging.getLogger("other").warning("%s", "a\nb")
    shown, other = (record.getMessage() for record in caplog.records)
    assert shown == f"{printable(BAD)}: odd"
    assert other == "a\nb"


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_any_name_is_enlarged_under_any_locale(tmp_path, variables):
    folder = tmp_path / "in"
    folder.mkdir()
    write_raster(tmp_path / "a.png", pixels((3, 6, 5)))
    names = [b"caf\xe9.png", "ü‮gnp.png".encode(), b"=1\n\x1b[2J.png"]
    for name in names:
        os.link(tmp_path / "a.png", os.path.join(os.fsencode(folder), name))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    run = subprocess.run(
        [sys.executable, "-m", "monai_sr.cli.main", "upscale", str(folder), "-o",
         str(tmp_path / "out"), "--system", "nearest", "--scale", "2"],
        capture_output=True, check=False, env={**environment, **variables},
    )  # fmt: skip
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    for mark in (b"\x1b", "‮".encode(), b"Traceback", b"Logging error"):
        assert mark not in said
    assert said.count(b"LR-PSNR") == 3
    made = sorted(os.listdir(os.fsencode(tmp_path / "out")))
    assert len([name for name in made if name.endswith(b"_x2.png")]) == 3
    assert len(Manifest(tmp_path / "out").results()) == 3
