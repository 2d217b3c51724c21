"""docs/how-to/qgis.md is true: the Processing script runs in QGIS itself, without a window."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.docs.pages import sections
from tests.image_factory import NORTH_UP, pixels, write_raster

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "qgis.md"
SCRIPT = ROOT / "examples" / "qgis" / "upscale_raster.py"
# Debian 12 wraps the command in a script that gives it an option it does not know.
QGIS = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(QGIS is None, reason="needs qgis_process of QGIS (apt install qgis)"),
]
LIMIT = 300  # seconds, where many share a core


@pytest.fixture(scope="module")
def qgis(tmp_path_factory):
    """Return the environment of a QGIS that has the script in its toolbox."""
    home = tmp_path_factory.mktemp("qgis")
    scripts = home / "profiles" / "default" / "processing" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(SCRIPT, scripts)
    home.chmod(0o700)
    command = Path(sys.executable).with_name("monai-sr")
    # Not the PATH of a virtual environment: QGIS would take its Python for its own.
    return {
        "PATH": os.defpath, "HOME": str(home), "QGIS_CUSTOM_CONFIG_PATH": str(home),
        "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8",
        "MONAI_SR_COMMAND": str(command), "MONAI_SR_CACHE": os.environ["MONAI_SR_CACHE"],
        "OMP_NUM_THREADS": "1", "GDAL_DATA": "/usr/share/gdal",
    }  # fmt: skip


def words(**parameters):
    given = [f"--{name}={value}" for name, value in parameters.items()]
    return [QGIS, "--json", "run", "script:upscaleraster", *given]


def answer(command, environment, folder):
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=LIMIT
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "a scene.tif"
    write_raster(path, pixels((3, 24, 32), "uint16"), crs="EPSG:32633", transform=NORTH_UP)
    return path


def test_result_is_that_of_the_command_with_place_and_type(qgis, scene, tmp_path):
    output = tmp_path / "new" / "result.tif"
    said = answer(
        words(INPUT=scene, SCALE=2, MODEL="satellite_sr:fast", DEVICE="cpu", OUTPUT=output),
        qgis, tmp_path,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert told["results"]["OUTPUT"] == str(output)
    command = [qgis["MONAI_SR_COMMAND"], "upscale", scene, "-o", tmp_path / "alone", "--scale", "2",
               "--model", "satellite_sr:fast", "--device", "cpu"]  # fmt: skip
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(command, env=clean, check=True, capture_output=True, timeout=LIMIT)
    alone = tmp_path / "alone" / "a scene_x2.tif"
    with (
        rasterio.open(output) as made,
        rasterio.open(scene) as source,
        rasterio.open(alone) as same,
    ):
        assert np.array_equal(made.read(), same.read())
        assert made.shape == (48, 64)
        assert made.bounds == source.bounds
        assert (made.crs, made.dtypes, made.count) == (source.crs, source.dtypes, 3)
    assert [path.name for path in output.parent.iterdir()] == ["result.tif"]


def test_extent_is_taken_in_the_reference_system_of_the_layer(qgis, scene, tmp_path):
    with rasterio.open(scene) as source:
        left, top = source.transform * (8, 4)
        right, bottom = source.transform * (24, 20)
    extent = f"{left},{right},{bottom},{top} [EPSG:32633]"
    said = answer(
        words(INPUT=scene, SCALE=2, MODEL="bicubic", EXTENT=extent, COG=1, OUTPUT="part.tif"),
        qgis, tmp_path,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    with rasterio.open(tmp_path / "part.tif") as made:
        assert made.bounds == pytest.approx((left, bottom, right, top))
        assert made.shape == (32, 32)
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_picture_becomes_the_format_that_was_asked_for(qgis, tmp_path):
    Image.fromarray(pixels((12, 16), "uint8")).save(tmp_path / "a.png")
    said = answer(
        words(INPUT="a.png", SCALE=2, MODEL="bicubic", OUTPUT="b.tif"), qgis, tmp_path
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "b.tif").read_bytes()[:2] in (b"II", b"MM")
    with Image.open(tmp_path / "b.tif") as made:
        assert made.size == (32, 24)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"MODEL": "satelite_sr"}, "model 'satelite_sr' is unknown; did you mean"),
        ({"COMMAND": "/nowhere/monai-sr"}, "COMMAND: must be the command monai-sr, got /nowhere"),
        ({"EXTENT": "0,1,0,1 [EPSG:32633]"}, "EXTENT: must meet the layer"),
    ],
)
def test_failure_is_one_line_and_leaves_nothing(qgis, scene, tmp_path, given, message):
    said = answer(words(INPUT=scene, SCALE=2, OUTPUT="x.tif", **given), qgis, tmp_path)
    assert said.returncode != 0
    assert message in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    assert list(tmp_path.iterdir()) == []


_CANCELED = """
import os, runpy, sys, threading, time
from qgis.core import (QgsApplication, QgsProcessingContext, QgsProcessingFeedback, QgsProject,
                       QgsRasterLayer)
application = QgsApplication([], False)
application.initQgis()
script, scene, output, command, pid = sys.argv[1:]
algorithm = runpy.run_path(script)["UpscaleRaster"]().create()
layer = QgsRasterLayer(scene, "scene")
context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
project = QgsProject.instance()
project.addMapLayer(layer)
context.setProject(project)

def cancel():
    while not (os.path.exists(pid) and open(pid).read()):
        time.sleep(0.1)
    feedback.cancel()

threading.Thread(target=cancel, daemon=True).start()
given = {"INPUT": layer, "SCALE": 2, "OUTPUT": output, "COMMAND": command}
print(algorithm.run(given, context, feedback))
"""


def test_cancel_ends_the_command(qgis, scene, tmp_path):
    patient, pid = tmp_path / "monai-sr", tmp_path / "pid"
    patient.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/env\necho $$ > {pid}\nexec sleep {10 * LIMIT}\n"
    )
    patient.chmod(0o755)
    command = ["/usr/bin/python3", "-c", _CANCELED, SCRIPT, scene, tmp_path / "out" / "x.tif",
               patient, pid]  # fmt: skip
    said = answer(command, qgis, tmp_path)
    assert said.stdout.strip() == "({}, True)", said.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert list((tmp_path / "out").iterdir()) == []
    # What QGIS is told of its GDAL is not for another.
    assert "QT_QPA_PLATFORM" in (tmp_path / "env").read_text()
    assert "GDAL_DATA" not in (tmp_path / "env").read_text()


def test_command_of_the_page_runs(qgis, tmp_path, samples_dir):
    (block,) = sections(PAGE)["Without a window"]
    (command,) = block.commands
    shutil.copy(samples_dir / "satellite_sr" / "naip.tif", tmp_path)
    first, *rest = shlex.split(command)
    assert first == "qgis_process"
    said = answer([QGIS, *rest], qgis, tmp_path)
    assert said.returncode == 0, said.stderr
    with (
        rasterio.open(tmp_path / "naip_x2.tif") as made,
        rasterio.open(tmp_path / "naip.tif") as source,
    ):
        assert made.crs == source.crs
        assert made.shape == (80, 80)
