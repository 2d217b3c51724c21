"""Decoders of several threads at once leave the process as it was."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom.data import get_testdata_file

from monai_sr.formats.dicom import decoders
from monai_sr.formats.dicom.files import open_dicom


def test_standard_error_comes_back_after_decoders_that_overlap(monkeypatch):
    """Two that overlap, the first to come the first to go."""
    path = get_testdata_file("JPEG-lossy.dcm")
    inner = decoders.get_decoder
    together, first_left = threading.Barrier(2), threading.Event()

    def slow_decoder(syntax):
        if syntax != decoders.JPEGBaseline8Bit:
            return inner(syntax)
        together.wait(timeout=20)
        if threading.current_thread().name.endswith("_1"):
            first_left.wait(timeout=20)
        return inner(syntax)

    def decode(_):
        decoders.run_decoder(open_dicom(path), path)
        first_left.set()

    before = os.fstat(2)
    monkeypatch.setattr(decoders, "get_decoder", slow_decoder)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, range(2)))
    assert os.path.samestat(os.fstat(2), before)


@pytest.mark.parametrize("count", [1, 4])
def test_threads_decode_alike(count):
    path = get_testdata_file("JPEG-lossy.dcm")
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(lambda _: decoders.run_decoder(open_dicom(path), path)[0], range(4)))
    assert all((each == found[0]).all() for each in found)
