"""An input that is written to while it is enlarged gives no result, and what was there stays."""

from __future__ import annotations

import pytest
from monai.transforms import Compose

from monai_sr.core.errors import BadImageError
from monai_sr.formats.identity import input_digest, input_record
from monai_sr.inferers import TiledInferer
from monai_sr.transforms import LoadImageSRd, Provenance, RestoreStoredd, SaveImageSRd, ScaleToUnitd
from monai_sr.upscaling import FileDataset
from tests import dicom_factory
from tests.image_factory import pixels, write_nifti, write_raster
from tests.scene_factory import network, scenes, write_scene


def write_dicom(path):
    return dicom_factory.write(path, dicom_factory.stored((1, 6, 9)))


MADE = {
    "a.tif": lambda p: write_raster(p, pixels((1, 12, 14))),
    "a.png": lambda p: write_raster(p, pixels((1, 12, 14))),
    "a.nii.gz": write_nifti,
    "a.dcm": write_dicom,
    "series": dicom_factory.write_series,
}


def append(path):
    """Change what nobody reads: the check is by content, not by what decoders see of it."""
    file = sorted(path.iterdir())[0] if path.is_dir() else path
    file.write_bytes(file.read_bytes() + b"\0\0")


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("is_changed", [False, True])
def test_no_result_of_what_changed_meanwhile(tmp_path, name, is_changed):
    source = tmp_path / "in" / name
    (source if name == "series" else source.parent).mkdir(parents=True)
    source = MADE[name](source)
    out = tmp_path / "out"
    load = Compose([LoadImageSRd("image"), ScaleToUnitd("image")])
    (item,) = FileDataset(source, load, out, 2)
    item["pred"] = TiledInferer(2)(item["image"][None], _doubling())[0]
    item = RestoreStoredd("pred", Provenance("natural_sr", None, 2, 2))(item)
    if is_changed:
        append(source)
        with pytest.raises(BadImageError, match=rf"{name}: must stay as it is .* run again"):
            SaveImageSRd("pred", out)(item)
        assert not out.exists() or not list(out.rglob("*"))
    else:
        SaveImageSRd("pred", out)(item)
        assert list(out.iterdir())


def _doubling():
    from tests.network_factory import tiny

    return tiny(scale=2)


@pytest.mark.parametrize("record", ["none", "before"])
def test_a_scene_whose_source_is_overwritten_in_place_is_refused(tmp_path, record):
    source = write_scene(tmp_path / "a.tif", (1, 41, 57))
    output = tmp_path / "out" / "a_x4.tif"
    output.parent.mkdir()
    output.write_bytes(b"of an earlier run")
    known = input_record(str(source), input_digest(str(source)), "a.tif")
    model = network()
    model.register_forward_hook(lambda *_: append(source))
    with pytest.raises(BadImageError, match=r"a\.tif: must stay as it is"):
        scenes(value_range=(0, 255)).upscale(
            source, output, model, TiledInferer(4, tile_size=20), "cpu",
            "" if record == "none" else known,
        )  # fmt: skip
    assert output.read_bytes() == b"of an earlier run"
    assert [p.name for p in output.parent.iterdir()] == ["a_x4.tif"]
