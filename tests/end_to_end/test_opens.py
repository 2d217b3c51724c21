"""How often a run opens what it enlarges: audit events of Python, and GDAL's opens."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import contextmanager

import nibabel as nib
import numpy as np
import pytest

from monai_sr.core import contents
from monai_sr.formats.raster import open as raster_open
from monai_sr.upscaling import upscale_each
from tests import dicom_factory
from tests.image_factory import pixels, write_raster

_watched: list = []


def _note(event, args):
    if event == "open" and _watched and isinstance(args[0], str | bytes | os.PathLike):
        folder, opened = _watched[-1]
        name = os.path.realpath(os.fsdecode(args[0]))
        if name.startswith(folder + os.sep):
            opened[os.path.relpath(name, folder)] += 1


sys.addaudithook(_note)  # there is no way to remove one


@contextmanager
def watched(folder):
    opened = Counter()
    _watched.append((os.path.realpath(folder), opened))
    try:
        yield opened
    finally:
        _watched.pop()


def tiff(folder):
    write_raster(folder / "a.tif", pixels((3, 24, 30)))


def png(folder):
    write_raster(folder / "a.png", pixels((3, 24, 30)))


def nifti(folder):
    values = np.arange(10 * 12 * 3, dtype=np.int16).reshape(10, 12, 3)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 4.0, 1.0])), folder / "a.nii.gz")


def dicom(folder):
    dicom_factory.write(folder / "a.dcm", **dicom_factory.radiograph("DX"))


def series(folder):
    dicom_factory.write_series(folder)


# Of Python: to tell its kind, to read it with its checksum, to compare that at the end.
@pytest.mark.parametrize(
    ("write", "options", "by_python", "by_gdal"),
    [
        (dicom, {}, 4, 0),
        (series, {}, 4, 0),
        (nifti, {}, 4, 0),
        (png, {}, 4, 5),
        (tiff, {}, 4, 4),
        (tiff, {"scene_limit": 0}, 4, 4),
    ],
    ids=["dicom", "series", "nifti", "png", "tiff", "streamed"],
)
def test_an_input_is_opened_four_times_at_most(
    tmp_path, monkeypatch, write, options, by_python, by_gdal
):
    folder, opened_by_gdal = tmp_path / "in", Counter()
    folder.mkdir()
    write(folder)
    monkeypatch.setattr(contents, "_CALM_NS", 0)  # as if it had not changed a moment ago
    opens = raster_open._dataset

    def counting(path, *args):
        opened_by_gdal[os.path.basename(path)] += 1
        return opens(path, *args)

    monkeypatch.setattr(raster_open, "_dataset", counting)
    files = list(folder.iterdir())
    with watched(folder) as opened:
        upscale_each(
            input=str(folder if len(files) > 1 else files[0]), output_dir=str(tmp_path / "out"),
            system="bicubic", scale=2, device="cpu", **options,
        )  # fmt: skip
    assert set(opened) >= {file.name for file in files}  # others may be asked for in vain
    assert max(opened.values()) <= by_python, opened
    assert max(opened_by_gdal.values(), default=0) <= by_gdal
