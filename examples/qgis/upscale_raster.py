"""Super-resolution of a raster layer: a script for the Processing toolbox of QGIS 3.22 and later.

It calls the command ``monai-sr``, which is installed elsewhere, in a Python of its own: what QGIS
tells its Python and GDAL is not passed on to it.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProviderRegistry,
    QgsRasterLayer,
)

# Of QGIS; another PROJ or GDAL would find data of the wrong version by them.
_OF_QGIS = (
    "PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip
_ERROR = "monai-sr: error: "
_POLL_SECONDS = 0.2
_MANIFEST = "monai_sr_manifest.csv"
_HELP = """Enlarges a raster by super-resolution: the outer edges stay, pixels become smaller.

Empty <i>Model</i>: by the header of the file (satellite images, radiographs, photos); else a name
that the command <i>monai-sr models</i> lists, such as satellite_sr:fast.

The log shows how well the result, shrunk again, agrees with the input. Detail beyond the measured
resolution is estimated, not measured."""


class UpscaleRaster(QgsProcessingAlgorithm):
    """Enlarge a raster layer, or a part of it, and load the result."""

    INPUT, OUTPUT = "INPUT", "OUTPUT"
    SCALE, MODEL, EXTENT = "SCALE", "MODEL", "EXTENT"
    COG, DEVICE, COMMAND = "COG", "DEVICE", "COMMAND"

    def createInstance(self) -> UpscaleRaster:
        """Return a new one."""
        return UpscaleRaster()

    def name(self) -> str:
        """Return the id: ``script:upscaleraster``."""
        return "upscaleraster"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return "Upscale raster (super-resolution)"

    def group(self) -> str:
        """Return the group in the toolbox."""
        return "MONAI SR"

    def groupId(self) -> str:
        """Return the id of the group."""
        return "monai_sr"

    def shortHelpString(self) -> str:
        """Return what the dialog says."""
        return _HELP

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        """Add the parameters."""
        number = QgsProcessingParameterNumber
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, "Input layer"))
        self.addParameter(
            number(self.SCALE, "Scale", number.Double, 4.0, minValue=1.0, maxValue=4.0)
        )
        self.addParameter(
            QgsProcessingParameterString(self.MODEL, "Model", "", multiLine=False, optional=True)
        )
        self.addParameter(QgsProcessingParameterExtent(self.EXTENT, "Part of it", optional=True))
        self.addParameter(
            QgsProcessingParameterBoolean(self.COG, "Cloud-optimized, with overviews", False)
        )
        for parameter in (
            QgsProcessingParameterString(
                self.DEVICE, "Device (cpu, cuda, ...)", "", multiLine=False, optional=True
            ),
            QgsProcessingParameterString(
                self.COMMAND, "Command", os.environ.get("MONAI_SR_COMMAND", "monai-sr")
            ),
        ):
            advanced = QgsProcessingParameterDefinition.FlagAdvanced
            parameter.setFlags(parameter.flags() | advanced)
            self.addParameter(parameter)
        self.addParameter(QgsProcessingParameterRasterDestination(self.OUTPUT, "Upscaled"))

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Run the command, and return where the result is."""
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        output = self.parameterAsOutputLayer(parameters, self.OUTPUT, context)
        # Beside the result: on the same disk, and large enough for it.
        folder = Path(output).absolute().parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".monai_sr_", dir=folder) as temporary:
            command = self._command(parameters, context, layer, temporary)
            feedback.pushCommandInfo(subprocess.list2cmdline(command))
            _run(command, feedback)
            if feedback.isCanceled():
                return {}
            _deliver(_result_in(Path(temporary)), Path(output))
        return {self.OUTPUT: output}

    def _command(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        layer: QgsRasterLayer,
        folder: str,
    ) -> list[str]:
        command = self.parameterAsString(parameters, self.COMMAND, context)
        scale = self.parameterAsDouble(parameters, self.SCALE, context)
        words = [command, "upscale", _file_of(layer), "--output_dir", folder]
        words += ["--scale", f"{scale:g}"]
        for option, key in (("--model", self.MODEL), ("--device", self.DEVICE)):
            value = self.parameterAsString(parameters, key, context).strip()
            words += [option, value] if value else []
        if parameters.get(self.EXTENT):
            part = self.parameterAsExtent(parameters, self.EXTENT, context, layer.crs())
            part = part.intersect(layer.extent())
            if part.isEmpty():
                raise QgsProcessingException(
                    f"{self.EXTENT}: must meet the layer, got a place beside it; choose another"
                )
            edges = (part.xMinimum(), part.yMinimum(), part.xMaximum(), part.yMaximum())
            words += ["--bbox", *map(repr, edges)]
        if self.parameterAsBoolean(parameters, self.COG, context):
            words.append("--cog")
        return words


def _file_of(layer: QgsRasterLayer) -> str:
    provider = layer.dataProvider().name()
    parts = QgsProviderRegistry.instance().decodeUri(provider, layer.source())
    path = str(parts.get("path") or "")
    if provider != "gdal" or parts.get("layerName") or not Path(path).is_file():
        raise QgsProcessingException(
            f"INPUT: must be a raster in a file, got a layer of {provider}; export it first "
            "(Export, Save As, raw data)"
        )
    return str(Path(path).absolute())


def _run(command: list[str], feedback: QgsProcessingFeedback) -> None:
    """Run a command; its lines go to the log, and Cancel ends it."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={key: value for key, value in os.environ.items() if key not in _OF_QGIS},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise QgsProcessingException(
            f"COMMAND: must be the command monai-sr, got {command[0]}; give its full path, such "
            "as /home/me/venv/bin/monai-sr"
        ) from error
    said = ""
    try:
        for line in _lines(process, feedback):
            feedback.pushConsoleInfo(line)
            said = line if line.startswith(_ERROR) else said
    finally:  # also where QGIS itself is interrupted
        process.terminate()
        code = process.wait()
    if code and not feedback.isCanceled():
        raise QgsProcessingException(
            said.removeprefix(_ERROR) or f"{command[0]}: ended with {code}"
        )


def _lines(process: subprocess.Popen[str], feedback: QgsProcessingFeedback) -> Iterator[str]:
    """Yield what a command says until it ends, or its user cancels."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    while not feedback.isCanceled():
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            process.wait()
            return
        yield line


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stdout or ():
        lines.put(line.rstrip())
    lines.put(None)


def _result_in(folder: Path) -> Path:
    """Return the result: the command chooses its format by the input."""
    (result,) = (
        path for path in folder.iterdir() if path.name != _MANIFEST and path.name[0] != "."
    )
    return result


def _deliver(result: Path, output: Path) -> None:
    """Give the result the name that was asked for, in the format that this name says."""
    if result.suffix.lower() in (output.suffix.lower(), output.suffix.lower().replace("ff", "f")):
        shutil.move(result, output)
        return
    gdal.UseExceptions()
    try:
        gdal.Translate(str(output), str(result))
    except RuntimeError as error:
        raise QgsProcessingException(
            f"OUTPUT: must be a format that GDAL writes, such as .tif, got {output.name}"
        ) from error
