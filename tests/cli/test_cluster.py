"""A cluster gives the results of a plain run, each once, whatever happens to its workers."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import signal
import threading
import time
from contextlib import suppress

import pytest
import yaml

from monai_sr.cli.cluster import _say_what_was_found, upscale_on_cluster
from monai_sr.cli.main import main
from monai_sr.core import optional
from monai_sr.core.errors import MissingDependencyError, OptionError
from monai_sr.upscaling import FileResult, RunFailedError
from monai_sr.upscaling.manifest import Manifest
from tests.image_factory import NORTH_UP, pixels, write_raster
from tests.network_factory import tiny_bundle
from tests.robust_factory import with_robust
from tests.sentinel2_factory import write_product

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return a tiny bundle whose inputs may meet faults."""
    folder = tiny_bundle(tmp_path_factory.mktemp("bundles"))
    file = folder / "configs" / "inference.yaml"
    content = yaml.safe_load(file.read_text())
    fault = {"_target_": "tests.cli.cluster_faults.Fault"}
    content["preprocessing"]["transforms"].insert(0, fault)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def address():
    """Start a cluster as a user would, and return its address."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def scenes(folder, *names):
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        write_raster(
            folder / name, pixels((3, 9 + seed, 12), seed=seed), crs="EPSG:32633",
            transform=NORTH_UP,
        )  # fmt: skip
    return folder


def options(source, out):
    return {"input": str(source), "output_dir": str(out), "scale": 2, "device": "cpu"}


def plain(source, out, bundle, *words):
    return main(
        ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--scale", "2",
         "--device", "cpu", *words]
    )  # fmt: skip


def results(out):
    """Return the bytes of every result by its name; names that begin with a dot are none."""
    return {f.name: f.read_bytes() for f in out.rglob("[!.]*.tif")}


def rows(out):
    with (out / Manifest.name).open(newline="") as stream:
        return {os.path.basename(row["source"]): row for row in csv.DictReader(stream)}


def test_results_are_those_of_a_plain_run_and_are_made_once(address, bundle, tmp_path):
    source = scenes(tmp_path / "in", "a.tif", "b.tif", "flaky.tif")
    (source / "bad.tif").write_bytes(b"nothing")
    write_product(source)
    with pytest.raises(RunFailedError, match="1 of 7 inputs could not be enlarged, 6 done"):
        upscale_on_cluster(bundle, address, **options(source, tmp_path / "out"))
    assert plain(source, tmp_path / "plain", bundle) == 2
    made = results(tmp_path / "out")
    assert made == results(tmp_path / "plain")
    assert len(made) == 7  # and the classes of the product

    record = rows(tmp_path / "out")
    assert len(record) == 7
    for row in record.values():
        if not row["output"]:
            assert "must be an image that GDAL opens" in row["error"]
            continue
        written = hashlib.sha256((tmp_path / "out" / row["output"]).read_bytes()).hexdigest()
        assert row["output_sha256"] == written
        assert float(row["lr_psnr"]) > 10
    assert (
        record["a.tif"]["input_sha256"]
        == hashlib.sha256((source / "a.tif").read_bytes()).hexdigest()
    )

    # What is missing or changed is made again, and nothing else.
    (tmp_path / "out" / "a_x2.tif").write_bytes(b"damaged")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "out").glob("*.tif")}
    (source / "bad.tif").unlink()
    again = upscale_on_cluster(bundle, address, **options(source, tmp_path / "out"))
    assert sorted(r.is_skipped for r in again) == [False, True, True, True, True, True]
    assert results(tmp_path / "out") == made
    changed = {f.name for f, t in before.items() if f.stat().st_mtime_ns != t}
    assert changed == {"a_x2.tif"}


def test_other_weights_on_the_workers_are_refused(address, bundle, tmp_path, monkeypatch):
    source = scenes(tmp_path / "in", "a.tif")
    monkeypatch.setattr("monai_sr.upscaling.workflow.code_digest", lambda: "another")
    with pytest.raises(
        OptionError, match="workers must have the version, code, bundle and weights"
    ):
        upscale_on_cluster(bundle, address, **options(source, tmp_path / "out"))
    assert results(tmp_path / "out") == {}


def test_each_input_gets_the_weights_that_it_needs(address, tmp_path, caplog):
    both = with_robust(tmp_path / "bundles", {"2": 0, "4": 0})
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_raster(source / "a.tif", pixels((3, 30, 22)), crs="EPSG:32633", transform=NORTH_UP)
    scenes(source, "small.tif")  # too small to be measured
    auto = {**options(source, out), "robust": "auto"}
    with caplog.at_level(logging.INFO, "monai_sr"):
        upscale_on_cluster(both, address, **auto)
    assert plain(source, tmp_path / "plain", both, "--robust", "auto") == 0
    assert results(out) == results(tmp_path / "plain")
    record = rows(out)
    assert {name: row["weights"] for name, row in record.items()} == {
        "a.tif": "robust", "small.tif": "",
    }  # fmt: skip
    assert f"a.tif: {record['a.tif']['found']}: robust weights" in caplog.text
    assert all(r.is_skipped for r in upscale_on_cluster(both, address, **auto))


def test_the_client_says_what_workers_noticed(caplog):
    hint = "looks degraded (noise 6.13%); try --robust auto"
    with caplog.at_level(logging.WARNING, "monai_sr"):
        _say_what_was_found(FileResult("a.tif", "/in/a.tif", hint=hint))
    assert caplog.messages == [f"a.tif: {hint}"]


def test_an_unexpected_failure_is_tried_twice_and_named(address, bundle, tmp_path):
    source = scenes(tmp_path / "in", "broken.tif", "a.tif")
    with pytest.raises(RunFailedError, match="1 of 2 inputs"):
        upscale_on_cluster(bundle, address, **options(source, tmp_path / "out"))
    assert "a cable came loose" in rows(tmp_path / "out")["broken.tif"]["error"]
    assert set(results(tmp_path / "out")) == {"a_x2.tif"}


def test_a_plain_run_skips_what_is_done_only_by_the_same_means(bundle, tmp_path, capfd):
    source = scenes(tmp_path / "in", "a.tif", "b.tif")
    out = tmp_path / "out"
    assert plain(source, out, bundle) == 0
    assert plain(source, out, bundle, "--skip_done") == 0
    assert "2 of 2 results were there already" in capfd.readouterr().out
    assert plain(source, out, bundle, "--skip_done", "--consistency", "1") == 0
    assert "there already" not in capfd.readouterr().out
    write_raster(source / "a.tif", pixels((3, 9, 12), seed=9))
    assert plain(source, out, bundle, "--skip_done", "--consistency", "1") == 0
    assert "1 of 2 results were there already" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "workers: belong to a cluster; add --cluster local"),
        (["--workers", "0", "--cluster", "local"], "must be a whole number above 0, got '0'"),
        (["--workers", "2", "--cluster", "tcp://127.0.0.1:9"], "has its own; leave --workers out"),
        (["--cluster", "nowhere"], "cluster: must be 'local' or the address of a Dask scheduler"),
        (["--cluster", "local", "--deidentify"], "leave --deidentify or --cluster out"),
    ],
)
def test_wrong_calls_are_answered_in_one_line(
    bundle, tmp_path, capsys, monkeypatch, words, message
):
    monkeypatch.setattr("monai_sr.cli.cluster._SECONDS_TO_ANSWER", 1)
    source = scenes(tmp_path / "in", "a.tif")
    with suppress(SystemExit):  # argparse's way
        assert plain(source, tmp_path / "out", bundle, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_missing_package_is_answered_with_the_pip_line(bundle, tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"pip install 'monai-sr\[dask\]'"):
        upscale_on_cluster(bundle, "local", **options(tmp_path, tmp_path / "out"))


@pytest.mark.slow
def test_killed_workers_lose_and_double_nothing(bundle, tmp_path):
    psutil = pytest.importorskip("psutil")
    names = [f"slow_{i}.tif" for i in range(8)]
    source, out = scenes(tmp_path / "in", *names), tmp_path / "out"
    assert plain(source, tmp_path / "plain", bundle) == 0
    scenes(source, "poison.tif")
    killed = []

    def kill_one():
        deadline = time.monotonic() + 300
        while not results(out) and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = [
            p for p in psutil.Process().children(recursive=True) if "spawn_main" in str(p.cmdline())
        ]
        killed.append(workers[0].pid)
        os.kill(workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(RunFailedError, match="1 of 9 inputs could not be enlarged, 8 done"):
        upscale_on_cluster(bundle, "local", 2, **options(source, out))
    killer.join()
    assert len(killed) == 1
    assert results(out) == results(tmp_path / "plain")
    record = rows(out)
    assert set(record) == {*names, "poison.tif"}
    assert "its worker died" in record["poison.tif"]["error"]
    assert [name for name, row in record.items() if row["error"]] == ["poison.tif"]
    assert (tmp_path / "deaths.log").read_text() == "xx"
