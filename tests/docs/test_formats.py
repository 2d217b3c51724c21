"""docs/formats.md and the table of docs/how-to/pipeline.md are true of margins and of grids."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from monai.data import MetaTensor
from monai.transforms import Flip, Rotate90, Spacing, SpatialCrop

from monai_sr import formats
from monai_sr.core.errors import OutputError
from monai_sr.formats import find_reader
from tests.dicom_factory import located, write
from tests.formats.nrrd.test_reader import write_nrrd
from tests.image_factory import NORTH_UP, enlarged, pixels, write_nifti, write_raster

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHANGES = {
    "crop": SpatialCrop(roi_start=(1, 1), roi_end=(5, 4)),
    "spacing": Spacing(pixdim=(2.0, 3.0), dtype=np.float32),
    "flip": Flip(spatial_axis=0),
    "turn": Rotate90(spatial_axes=(0, 1)),
}
SUFFIXES = {"DICOM": ".dcm", "GeoTIFF": ".tif", "NIfTI": ".nii", "NRRD": ".nrrd"}


def test_the_margins_are_those_of_the_bundles():
    (said,) = re.findall(r"`--overshoot`: ([^;]*);", (DOCS / "formats.md").read_text("utf-8"))
    found = {
        name: float(value)
        for value, names in re.findall(
            r"([\d.]+) in((?:[ ,]|\band\b|`\w+`)+)", " ".join(said.split())
        )
        for name in re.findall(r"`(\w+)`", names)
    }
    bundles = DOCS.parent.glob("bundles/*/domain.yaml")
    assert found == {
        path.parent.name: yaml.safe_load(path.read_text("utf-8"))["overshoot"] for path in bundles
    }


def rows():
    page = (DOCS / "how-to" / "pipeline.md").read_text("utf-8")
    table = page.partition("| | crops, other spacings")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        names, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for name in names.split(", "):
            for change in CHANGES:
                yield name, change, cells[change in ("flip", "turn")]


def source(folder, name):
    array = pixels((7, 5), "uint16")
    if name == "DICOM":
        return write(folder / "a.dcm", array, bits=16, **located())
    if name == "GeoTIFF":
        return write_raster(folder / "a.tif", array[None], transform=NORTH_UP)
    if name == "NIfTI":
        return write_nifti(folder / "a.nii", array)
    if name == "NRRD":
        return write_nrrd(folder / "a.nrrd", array, spacings=[1.0, 2.0], axis_mins=[3.0, 4.0])
    write_zarr = pytest.importorskip("tests.formats.ome_zarr.test_reader").write_zarr
    return write_zarr(folder / "a.zarr", array, "yx")


@pytest.mark.parametrize(("name", "change", "expected"), list(rows()))
def test_other_grids_are_written_or_refused_as_the_table_says(tmp_path, name, change, expected):
    path = source(tmp_path, name)
    if name == "NRRD" and change in ("flip", "turn"):
        assert expected == "written, where the source has `space directions`, else refused"
        expected = "refused"
    reader = find_reader(path)
    stored, meta = reader.get_data(reader.read(path))
    image = CHANGES[change](MetaTensor(stored, meta=meta))
    result, updated = enlarged(np.rint(image.numpy()), dict(image.meta), 2)
    writer = getattr(formats, f"{type(reader).__name__.removesuffix('Reader')}Writer")()
    writer.set_data_array(result)
    writer.set_metadata(updated)
    target = tmp_path / f"b{SUFFIXES.get(name, '.zarr')}"
    if expected == "refused":
        with pytest.raises(OutputError, match=r"turns it|cropped, turned"):
            writer.write(target)
    else:
        writer.write(target)
        again = find_reader(target)
        affine = again.get_data(again.read(target))[1]["affine"]
        plane = np.ix_([0, 1, 3], [0, 1, 3])
        places = np.asarray(updated["affine"])
        places = places if len(places) == 3 else places[plane]
        np.testing.assert_allclose(affine[plane], places, atol=1e-5)


def test_the_table_has_every_format_that_is_written():
    written = {name.removesuffix("Writer") for name in dir(formats) if name.endswith("Writer")}
    named = {name.lower().replace("-", "").replace("geotiff", "raster") for name, *_ in rows()}
    assert named == {name.lower() for name in written}
