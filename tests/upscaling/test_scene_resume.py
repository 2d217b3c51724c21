"""A run that was killed goes on with its finished tiles and ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from monai_sr.cli.main import main
from monai_sr.core.errors import OutputError
from monai_sr.core.journal import Journal
from monai_sr.networks.generators.hybrid_cascade import HybridCascade
from tests.network_factory import tiny_bundle
from tests.scene_factory import assert_alike, contents, in_windows, network, write_scene
from tests.sentinel2_factory import write_product, write_zip

ROOT = Path(__file__).resolve().parents[2]
SLOW_RUN = """
import sys, time
from pathlib import Path
from tests.scene_factory import in_windows, network
model = network()
model.register_forward_hook(lambda *_: time.sleep(0.3))
source, output, kind = sys.argv[1:]
in_windows(Path(source), Path(output), model, value_range=(0, 255), cog=kind == "cog")
"""

SLOW_COMMAND = """
import sys, time
from monai_sr.cli.main import main
from monai_sr.networks.generators.hybrid_cascade import HybridCascade
forward = HybridCascade.forward
def slow(*arguments):
    time.sleep(0.3)
    return forward(*arguments)
HybridCascade.forward = slow
main(sys.argv[1:])
"""


def interrupted(output, *command, blocks=3):
    """Run in a process of its own and kill it when it has finished some tiles."""
    process = subprocess.Popen([sys.executable, "-c", *map(str, command)], cwd=ROOT, env=os.environ)
    folder = output.with_name(f".{output.name}.parts")
    deadline = time.monotonic() + 400
    while len(list(folder.glob("*.block"))) < blocks and time.monotonic() < deadline:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(folder.glob("*.block"))) >= blocks
    assert not output.exists()
    return folder


def counted(source, output, **options):
    """Run to the end; return how many tiles went through the network."""
    model, calls = network(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    in_windows(source, output, model, **options)
    return len(calls)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tif", "cog"])
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(kind, tmp_path):
    source = write_scene(tmp_path / "scene.tif", (1, 90, 70), nodata=3)
    options = {"value_range": (0, 255), "cog": kind == "cog"}
    plain = tmp_path / "plain.tif"
    every = counted(source, plain, **options)
    output = tmp_path / "scene_x4.tif"
    folder = interrupted(output, SLOW_RUN, source, output, kind)
    kept = sorted(folder.glob("*.block"))
    # A block that the disk has lost is found out and made again.
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"?")
    assert every - len(kept) + 1 == counted(source, output, **options)
    assert output.read_bytes() == plain.read_bytes()
    assert_alike(output, plain)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "plain.tif", "scene.tif", "scene_x4.tif",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_killed_run_over_a_product_goes_on(is_packed, tmp_path, monkeypatch):
    """Its raster lies in a temporary folder, another one in each run."""
    product = write_product(tmp_path)
    stem, source = product.stem, write_zip(product) if is_packed else product
    bundle = tiny_bundle(tmp_path)
    config = bundle / "configs" / "inference.yaml"
    content = {**yaml.safe_load(config.read_text()), "tile_size": 16}
    config.write_text(yaml.safe_dump(content, sort_keys=False))

    def command(out):
        options = ("--bundle", bundle, "--device", "cpu", "--scene_limit", "0")
        return list(map(str, ("upscale", source, "-o", tmp_path / out, *options)))

    calls, forward = [], HybridCascade.forward
    monkeypatch.setattr(HybridCascade, "forward", lambda *a: calls.append(1) or forward(*a))
    assert main(command("plain")) == 0
    every = len(calls)
    output = tmp_path / "out" / f"{stem}_10m_x4.tif"
    folder = interrupted(output, SLOW_COMMAND, *command("out"))
    kept = len(list(folder.glob("*.block")))
    calls.clear()
    assert main(command("out")) == 0
    assert len(calls) <= every - kept
    for resolution in (10, 20, 60):
        name = f"{stem}_{resolution}m_x4.tif"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_an_interrupted_run_says_how_to_go_on(tmp_path, caplog):
    source, output = write_scene(tmp_path / "scene.tif"), tmp_path / "w.tif"
    model, calls = network(), []

    def stop(*_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    hook = model.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        in_windows(source, output, model)
    assert "stopped; finished tiles are kept in .w.tif.parts, the same command goes on" in (
        caplog.text
    )
    assert not output.exists()
    hook.remove()
    every = counted(source, tmp_path / "plain.tif")
    assert counted(source, output) < every
    assert output.read_bytes() == (tmp_path / "plain.tif").read_bytes()


def leave_blocks(source, output):
    """Leave the blocks of a run that fails at the end."""
    model, calls = network(), []

    def fail(*_):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("the cable was pulled")

    model.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="cable"):
        in_windows(source, output, model)


@pytest.mark.parametrize("change", ["source", "range", "window", "weights"])
def test_blocks_of_another_run_are_not_used(change, tmp_path):
    source, output = write_scene(tmp_path / "scene.tif"), tmp_path / "w.tif"
    leave_blocks(source, output)
    options = {}
    if change == "source":
        write_scene(source, dtype="uint8", compress="deflate")
    if change == "range":
        options = {"value_range": (0, 100)}
    if change == "window":
        options = {"window": (0, 0, 57, 40)}
    model, calls = network(), []
    if change == "weights":
        next(model.parameters()).data *= 1.5
    model.register_forward_hook(lambda *_: calls.append(1))
    result = in_windows(source, output, model, **options)
    fresh = in_windows(source, tmp_path / "fresh.tif", model, **options)
    assert len(calls) == 2 * 9
    assert (contents(result.output)["pixels"] == contents(fresh.output)["pixels"]).all()


def test_two_runs_for_one_result_are_refused(tmp_path):
    first = Journal(tmp_path / "a.tif", {})
    with pytest.raises(OutputError, match=r"a.tif: must be written by one process at a time"):
        Journal(tmp_path / "a.tif", {})
    first.close()
    Journal(tmp_path / "a.tif", {}).remove()
    assert not list(tmp_path.iterdir())
