"""Whatever a file holds: it is enlarged correctly or refused in one clear line, and nothing worse.

Real files, damaged copies of them with fixed seeds, and bombs go through reader, network and
writer in processes under limits of time and memory (see ``runner.py``). The tally is printed;
``pytest -m slow tests/robustness`` runs all of them.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.upscaling.manifest import Manifest
from tests.robustness import runner
from tests.robustness.bombs import bombs
from tests.robustness.mutants import mutants
from tests.robustness.raster_mutants import raster_mutants
from tests.robustness.real_files import dicomdirs, real_files
from tests.robustness.references import mismatch
from tests.robustness.runner import Case, run_cases
from tests.robustness.worker import Pipeline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")

_QUICK_STEP = 16  # one in so many damaged copies


def _report(tally, capsys, title):
    with capsys.disabled():
        sys.stdout.write(f"\n\n{title}\n{tally}\n")
    assert tally.bad() == []


def test_real_files_and_some_damaged_ones(tmp_path, capsys):
    some = mutants(tmp_path, _QUICK_STEP), bombs(tmp_path, quick=True)
    tally = run_cases(itertools.chain(real_files(), *some), tmp_path)
    _report(tally, capsys, "real files, and a few damaged ones")
    total = sum(tally.counts.values(), start=type(tally.counts["pydicom"])())
    # Were all refused, nothing would be wrong either.
    assert total["upscaled"] > 110
    assert total.total() - len(real_files()) > 60


@pytest.mark.slow
def test_real_dicomdirs_stand_for_what_they_list_or_are_refused(tmp_path, capsys):
    pipeline, counts = Pipeline(), Counter()
    for number, file in enumerate(dicomdirs()):
        output_dir = tmp_path / str(number)
        try:
            results = pipeline.results(str(file), str(output_dir))
        except BadImageError as error:
            counts["refused DICOMDIRs"] += str(error).startswith(f"{file}: ")
            continue
        counts["DICOMDIRs"] += 1
        counts["refused images"] += sum(bool(r.error) for r in results)
        outputs = {Path(r.output) for r in results if not r.error}
        written = {p for p in output_dir.rglob("*") if p.is_file() and p.name != Manifest.name}
        assert all({p, p.parent} & outputs for p in written)
        for result in results:
            if result.error:
                assert result.error.startswith(f"{result.source}: ")
                assert not result.is_unexpected
            elif Path(result.source).is_file():
                assert mismatch(result.source, result.output, 2) == "", result.source
                counts["compared images"] += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(counts)}\n")
    assert counts["refused DICOMDIRs"] + counts["DICOMDIRs"] == len(dicomdirs()) == 8
    assert counts["compared images"]


@pytest.mark.slow
def test_every_damaged_file_and_bomb(tmp_path, capsys):
    tally = run_cases(itertools.chain(mutants(tmp_path), bombs(tmp_path)), tmp_path)
    _report(tally, capsys, "damaged files and bombs")
    assert len(tally.details) >= 700


def _is_raster(case):
    return case.group == "shared GeoTIFF"


def test_real_rasters_and_some_damaged_ones(tmp_path, capsys):
    real = filter(_is_raster, real_files())
    some = raster_mutants(tmp_path, _QUICK_STEP)
    tally = run_cases(itertools.chain(real, some), tmp_path)
    _report(tally, capsys, "real rasters, and a few damaged ones")


@pytest.mark.slow
def test_every_damaged_raster(tmp_path, capsys):
    cases = itertools.chain(filter(_is_raster, real_files()), raster_mutants(tmp_path))
    tally = run_cases(cases, tmp_path)
    _report(tally, capsys, "real and damaged rasters")
    assert len(tally.details) >= 500
    whole = [kind for group, _, kind, _ in tally.details if group == "whole"]
    assert set(whole) == {"upscaled"}


@pytest.mark.parametrize(
    ("answer", "left", "kind"),
    [
        ({"error": "a.dcm: must be whole; copy it again."}, [], "refused"),
        ({"error": "a.dcm: must be whole; copy it again."}, [".1.part.dcm"], "half-written"),
        ({"error": "a.dcm: could not be enlarged (KeyError: 5); see"}, [], "unclear"),
        ({"error": "something is wrong"}, [], "unclear"),
        ({"error": "a.dcm: two\nlines"}, [], "unclear"),
        ({"error": None, "output": "a_x2.dcm", "mismatch": ""}, ["a_x2.dcm"], "upscaled"),
        ({"error": None, "output": "a_x2.dcm", "mismatch": "size"}, ["a_x2.dcm"], "wrong"),
        ({"error": None, "output": "a_x2.dcm", "mismatch": "unread: x"}, ["a_x2.dcm"], "wrong"),
        ({"error": None, "output": "a_x2.dcm", "mismatch": ""}, [], "half-written"),
        ({"error": "a.dcm: x", "peak": 9 * 2**30}, [], "memory"),
        ({"error": "a.dcm: x", "said": "Traceback (most"}, [], "unclear"),
        ({"died": "hang", "detail": "over 20 s"}, [], "hang"),
    ],
)
def test_judge_sees_what_is_not_right(tmp_path, answer, left, kind):
    for name in left:
        (tmp_path / name).touch()
    answer = {"seconds": 1.0, "peak": 0, "said": "", "mismatch": "", **answer}
    case = Case("group", Path("a.dcm"))
    assert runner._judge(case, answer, tmp_path, 0)[0] == kind


@pytest.mark.parametrize(
    ("behavior", "kind"),
    [
        ("import os; os.abort()", "crash"),
        ("import time; time.sleep(60)", "hang"),
        ("x = bytearray(b'x') * 2**28; import time; time.sleep(60)", "memory"),
    ],
)
def test_worker_that_dies_hangs_or_fills_the_memory_is_noticed(behavior, kind, monkeypatch):
    monkeypatch.setattr(runner, "MEMORY", 2**27)
    begin = 'print(\'{"ready": 10000000, "virtual": 1}\', flush=True); input(); '
    monkeypatch.setattr(runner, "_PROGRAM", ["-c", begin + behavior])
    worker = runner._Worker()
    try:
        assert worker.ask(2.0, source="a", as_limit=1)["died"] == kind
    finally:
        worker.stop()


def test_comparison_notices_a_wrong_result(samples_dir, tmp_path):
    """The reference sees a size, a spacing, a type and a value that are not right."""
    source = samples_dir / "mri_sr" / "brain_mr.nii.gz"
    image = nib.load(source)
    values = np.asarray(image.dataobj.get_unscaled())
    large = values.repeat(2, 0).repeat(2, 1)

    def said(data, zoom=2.0, dtype=values.dtype):
        header = image.header.copy()
        header.set_data_dtype(dtype)
        header.set_zooms([z / (zoom if i < 2 else 1) for i, z in enumerate(header.get_zooms())])
        made = nib.Nifti1Image(data.astype(dtype), None, header)
        made.header["scl_slope"], made.header["scl_inter"] = 1, 0
        made.to_filename(tmp_path / "r.nii")
        return mismatch(str(source), str(tmp_path / "r.nii"), 2)

    assert said(large) == ""
    assert said(values).startswith("size")
    assert said(large, zoom=4.0).startswith("spacing")
    assert said(large, dtype=np.float64).startswith("dtype")
    assert said(np.roll(large, 1, 0)).startswith("values differ")
