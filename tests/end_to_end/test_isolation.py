"""One resolver in many threads and processes gives each image what it gives that image alone."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from monai_sr import SuperResolver
from monai_sr.core.private_folder import FOLDER_VARIABLE
from monai_sr.runtimes import RuntimeUnfitError, find_runtime
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import ROOT, tiny_bundle

RUNTIMES = ("torch", "openvino", "onnxruntime", "inductor")
THREADS = 8
# Python 3.12 says of every fork beside threads that it may hang: that is what is tested.
forking = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("isolation")


@pytest.fixture(scope="module")
def bundle(folder):
    return tiny_bundle(folder)


@pytest.fixture(scope="module", params=RUNTIMES)
def resolver(request, bundle, folder):
    """A resolver of two threads of torch: with one, no pool is lost in a fork."""
    found = find_runtime(request.param)
    if not found.is_installed():
        pytest.skip(f"needs monai-sr[{found.extra}]")
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder / "cache"))
        if request.param == "inductor":  # trace and split as ever, but run torch's own kernels
            patch.setattr(found, "backend", "aot_eager")
        torch.set_num_threads(2)
        yield SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime=request.param)
        torch.set_num_threads(before)


def images(count, largest=16, seed=0):
    random = np.random.default_rng(seed)
    shapes = random.integers((1, 1, 1), (4, largest, largest), (count, 3), endpoint=True)
    return [random.random(tuple(shape), np.float32) for shape in shapes]


def alone(resolver, given):
    """Enlarge with a copy that computes in one thread, as a fork does: sums round otherwise."""
    copied, before = pickle.loads(pickle.dumps(resolver)), torch.get_num_threads()
    torch.set_num_threads(1)
    results = [copied(image) for image in given]
    torch.set_num_threads(before)
    return results


def in_threads(work, items):
    """Do all at once; threads change places as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(work, items))
    finally:
        sys.setswitchinterval(interval)


def assert_same(found, expected):
    assert len(found) == len(expected)
    wrong = [i for i, pair in enumerate(zip(found, expected, strict=True)) if not same(*pair)]
    assert not wrong, f"{len(wrong)} of {len(expected)} differ"


def same(one, other):
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def test_every_thread_gets_its_own_result(resolver):
    given = images(60)
    assert_same(in_threads(resolver, given), [resolver(image) for image in given])


def test_tasks_of_an_event_loop_get_their_own_results(resolver):
    given = images(16, seed=1)

    async def gather():
        return await asyncio.gather(*(asyncio.to_thread(resolver, image) for image in given))

    assert_same(asyncio.run(gather()), [resolver(image) for image in given])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@forking
@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_fork_computes_after_its_parent_did(resolver, is_busy):
    given = images(3, largest=64, seed=2)
    resolver(given[0])
    expected = alone(resolver, given)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sending.send(results_or_error(resolver, given)))
    is_over = threading.Event()

    def work():
        while is_busy and not is_over.is_set():
            resolver(given[0])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        child.start()
        assert receiving.poll(100), "the child hangs"
        found = receiving.recv()
        if is_refused(resolver):
            assert "start processes by spawn" in found
        else:
            assert_same(found, expected)
    finally:
        is_over.set()
        child.kill()
        child.join()
        for thread in threads:
            thread.join()


def is_refused(resolver):
    """OpenVINO cannot be had in a fork of a process that has used it."""
    return getattr(resolver.network, "runtime", "torch") == "openvino"


def results_or_error(resolver, given):
    try:
        return [resolver(image) for image in given]
    except RuntimeUnfitError as error:
        return str(error)


class Enlarged(torch.utils.data.Dataset):
    """Images that are enlarged where they are loaded."""

    def __init__(self, resolver, given):
        self.resolver, self.given = resolver, given

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.resolver(self.given[index])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@forking
def test_workers_of_a_data_loader_compute(resolver):
    given = images(8, seed=3)
    resolver(given[0])
    expected = alone(resolver, given)
    loader = DataLoader(
        Enlarged(resolver, given),
        batch_size=None,
        num_workers=1,
        multiprocessing_context="fork",
        timeout=100,
    )
    if is_refused(resolver):
        with pytest.raises(RuntimeUnfitError, match="start processes by spawn"):
            next(iter(loader))
    else:
        assert_same([np.asarray(image) for image in loader], expected)


def test_a_copy_for_another_process_gives_the_same(resolver):
    given = images(3, seed=4)
    copied = pickle.loads(pickle.dumps(resolver))
    assert_same([copied(image) for image in given], [resolver(image) for image in given])


@pytest.fixture(scope="module")
def files(folder):
    written = [
        write_raster(folder / "photo.png", pixels((3, 9, 7))),
        write_raster(folder / "bands.tif", pixels((4, 8, 11), "uint16")),
        dicom_factory.write(folder / "image.dcm"),
        write_nifti(folder / "volume.nii.gz", pixels((6, 5, 4), "int16")),
    ]
    return [Path(file) for file in written]


def test_files_of_all_formats_are_read_side_by_side(bundle, files, folder, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder / "cache"))
    resolver = SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime="torch")
    given, filters = files * 6, list(warnings.filters)
    level = logging.getLogger("pydicom").level
    expected = [resolver(file).numpy() for file in files] * 6
    assert_same([each.numpy() for each in in_threads(resolver, given)], expected)
    assert warnings.filters == filters
    assert logging.getLogger("pydicom").level == level


def test_scenes_are_written_side_by_side(bundle, files, folder, tmp_path):
    resolver = SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime="torch")
    targets = [tmp_path / f"{number}" / "scene_x2.tif" for number in range(THREADS)]
    for target in targets:
        target.parent.mkdir()
    filters = list(warnings.filters)
    in_threads(lambda target: resolver.upscale_scene(files[1], target), targets)
    assert len({hashlib.sha256(target.read_bytes()).hexdigest() for target in targets}) == 1
    assert warnings.filters == filters
    assert not torch.is_inference_mode_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_thousand_images_in_eight_threads(runtime):
    if not find_runtime(runtime).is_installed():
        pytest.skip("is not installed")
    resolver = SuperResolver.from_bundle(
        ROOT / "bundles" / "natural_sr", scale=2, size="fast", device="cpu", runtime=runtime
    )
    given = images(2000, largest=40, seed=5)
    assert_same(in_threads(resolver, given), [resolver(image) for image in given])


_PROCESSES = """
import multiprocessing, pickle, sys
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from monai_sr import SuperResolver

class Enlarged(Dataset):
    def __init__(self, resolver, given):
        self.resolver, self.given = resolver, given
    def __len__(self):
        return len(self.given)
    def __getitem__(self, index):
        return self.resolver(self.given[index])

def same(found, expected):
    pairs = zip(map(np.asarray, found), expected, strict=True)
    return all(np.array_equal(*pair) for pair in pairs)

if __name__ == "__main__":
    how, method, runtime, bundle = sys.argv[1:]
    resolver = SuperResolver.from_bundle(bundle, scale=2, device="cpu", runtime=runtime)
    given = [np.random.default_rng(i).random((3, 9 + i, 20 - i), np.float32) for i in range(8)]
    resolver(given[0])
    if how == "pool":
        with multiprocessing.get_context(method).Pool(2) as pool:
            found = pool.map(resolver, given)
    else:
        found = list(DataLoader(
            Enlarged(resolver, given), batch_size=None, num_workers=2,
            multiprocessing_context=method, timeout=300,
        ))
    if method == "fork" or how == "loader":  # computes in one thread
        torch.set_num_threads(1)
        resolver = pickle.loads(pickle.dumps(resolver))
    assert same(found, [resolver(image) for image in given])
"""


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("how", ["pool", "loader"])
def test_pools_and_loaders_compute_in_processes(how, method, runtime, bundle, tmp_path):
    if not find_runtime(runtime).is_installed():
        pytest.skip("is not installed")
    if (method, runtime) == ("fork", "openvino"):
        pytest.skip("is refused in a fork")
    script = tmp_path / "script.py"
    script.write_text(_PROCESSES)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), FOLDER_VARIABLE: str(tmp_path / "cache")}
    environment["OMP_NUM_THREADS"] = "2"
    subprocess.run(
        [sys.executable, str(script), how, method, runtime, str(bundle)],
        env=environment,
        check=True,
        timeout=600,
    )
