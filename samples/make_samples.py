"""Make the sample files of this folder from the development data, the same bytes every time.

``python samples/make_samples.py --shared DIR``, where DIR holds the folder ``data`` described in
``samples/README.md``. The X-ray and the photo are MATLAB-bicubic reductions by four of the crops
kept in ``hr/``, rounded to 8 bits; the brain, the chest and the aerial image are cuts at native
resolution.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import rasterio
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from monai_sr.functional.resize import downsample_uint8

SCALE = 4
XRAY = "xray/test/normal/00003275_005.png"
XRAY_BOX = (40, 192, 984, 1016)  # left, upper, right, lower; leaves out the film marker "L"
PHOTO = "validation/photos/buddies_taipei-city.jpg"
PHOTO_BOX = (32, 176, 800, 688)
BRAIN = "mr/ds002748_sub-10_T1w_brain.nii.gz"
BRAIN_SLICES = slice(32, 42)
CHEST = "ct/qin_ct_7slices_0.78mm.nii.gz"
CHEST_SLICE = 3
CHEST_PART = (slice(232, 440), slice(160, 352))  # left lung, heart and spine
AERIAL = "satellite/naip/m_4709963_se_14_1_20180716.tif"
AERIAL_WINDOW = Window(col_off=640, row_off=432, width=256, height=208)
FIELD_MM, FRAME_PX = 360.0, 1024
"""Assumed width of the X-ray's field and pixels of its frame: the source PNG has no spacing."""


def reduce(hr: np.ndarray) -> np.ndarray:
    """Reduce an 8-bit image (H, W) or (H, W, 3) by SCALE as benchmark LR images are made."""
    planes = torch.from_numpy(np.atleast_3d(hr).transpose(2, 0, 1).copy())
    return downsample_uint8(planes, SCALE).numpy().transpose(1, 2, 0).squeeze()


def crop(source: Path, mode: str, box: tuple[int, int, int, int], keep: Path) -> np.ndarray:
    """Cut ``box`` out of an image file, keep it as PNG and return its pixels."""
    with Image.open(source) as image:
        part = image.convert(mode).crop(box)
    part.save(keep, optimize=True)
    return np.asarray(part)


def code(value: str, scheme: str, meaning: str) -> Sequence:
    """Return a code sequence of one item (PS3.3 section 8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def dx_dataset(pixels: np.ndarray, name: str) -> Dataset:
    """Wrap 8-bit pixels (H, W) as a Digital X-Ray Image for presentation, PS3.3 A.26.

    The patient is anonymous; dates and places are empty where the standard allows it.
    """
    uid = {part: generate_uid(entropy_srcs=[name, part]) for part in ("study", "series", "image")}
    data = Dataset()
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = uid["image"]
    data.StudyInstanceUID = uid["study"]
    data.SeriesInstanceUID = uid["series"]
    data.PatientName, data.PatientID = "Sample^Anonymous", "SAMPLE"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Published by NIH without identifiers"
    for keyword in (  # type 2: required, may be empty
        "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "Manufacturer", "DetectorType",
        "PositionerType",
    ):  # fmt: skip
        setattr(data, keyword, "")
    data.AcquisitionContextSequence = Sequence()
    data.Modality = "DX"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.SeriesNumber, data.InstanceNumber = 1, 1
    data.ImageType = ["DERIVED", "PRIMARY", ""]
    data.DerivationDescription = f"NIH ChestX-ray8 crop, 8 bits, reduced by {SCALE} (bicubic)"
    data.BodyPartExamined = "CHEST"
    data.AnatomicRegionSequence = code("51185008", "SCT", "Chest")
    data.ViewCodeSequence = code("399033003", "SCT", "frontal")
    data.ImageLaterality = "U"
    data.PatientOrientation = ["L", "F"]
    data.ImagerPixelSpacing = [SCALE * FIELD_MM / FRAME_PX] * 2
    add_pixels(data, pixels)
    return data


def add_pixels(data: Dataset, pixels: np.ndarray) -> None:
    """Set the pixel attributes of the DX Image module (PS3.3 C.8.11.3): bright bone, 8 bits."""
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = -1  # higher values: less X-ray intensity
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    data.PresentationLUTShape = "IDENTITY"
    data.LossyImageCompression = "00"
    data.BurnedInAnnotation = "NO"
    data.WindowCenter, data.WindowWidth = 128, 256
    data.PixelData = pixels.tobytes()


def make_xray(data: Path, out: Path) -> None:
    """Write the chest X-ray as DICOM, and its original crop as PNG."""
    lr = reduce(crop(data / XRAY, "L", XRAY_BOX, out / "hr" / "chest_xray_dx.png"))
    dataset = dx_dataset(np.ascontiguousarray(lr), "monai-sr sample chest_xray_dx")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(out / "xray_sr" / "chest_xray_dx.dcm", enforce_file_format=True)


def make_photo(data: Path, out: Path) -> None:
    """Write the reduced photo and its original crop as PNG."""
    lr = reduce(crop(data / PHOTO, "RGB", PHOTO_BOX, out / "hr" / "photo.png"))
    Image.fromarray(lr).save(out / "natural_sr" / "photo.png", optimize=True)


def make_brain(data: Path, out: Path) -> None:
    """Write some axial slices; stored integers, their scaling and the affine stay as they are."""
    source = nib.load(data / BRAIN)
    part = source.slicer[:, :, BRAIN_SLICES]
    stored = np.asarray(source.dataobj.get_unscaled()[:, :, BRAIN_SLICES])
    result = nib.Nifti1Image(stored, part.affine, part.header)
    result.header.set_slope_inter(source.dataobj.slope, source.dataobj.inter)
    # A name inside the gzip stream or its time would differ between runs; nibabel writes neither.
    nib.save(result, out / "mri_sr" / "brain_mr.nii.gz")


def make_chest(data: Path, out: Path) -> None:
    """Write a part of an axial CT slice in Hounsfield units."""
    source = nib.load(data / CHEST)
    part = source.slicer[(*CHEST_PART, slice(CHEST_SLICE, CHEST_SLICE + 1))]
    result = nib.Nifti1Image(np.asarray(part.dataobj), part.affine)
    result.header.set_xyzt_units("mm")
    nib.save(result, out / "ct_sr" / "chest_ct.nii.gz")


def make_aerial(data: Path, out: Path) -> None:
    """Write a window of the aerial image with its coordinate system and transform."""
    with rasterio.open(data / AERIAL) as source:
        profile = source.profile | {
            "driver": "GTiff", "width": AERIAL_WINDOW.width, "height": AERIAL_WINDOW.height,
            "transform": source.window_transform(AERIAL_WINDOW), "compress": "deflate",
            "predictor": 2, "blockxsize": 128, "blockysize": 128, "photometric": "RGB",
            "alpha": "NO",
        }  # fmt: skip
        pixels = source.read(window=AERIAL_WINDOW)
    with rasterio.open(out / "satellite_sr" / "naip.tif", "w", **profile) as target:
        target.write(pixels)
        target.descriptions = ("red", "green", "blue", "near infrared")
        target.colorinterp = (
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined,
        )  # fmt: skip


def main() -> None:
    """Parse the command line and write every sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds `data`")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to write")
    options = parser.parse_args()
    for folder in ("hr", "ct_sr", "mri_sr", "natural_sr", "satellite_sr", "xray_sr"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    for make in (make_xray, make_photo, make_brain, make_chest, make_aerial):
        make(options.shared / "data", options.out)
    for path in sorted(p for p in options.out.rglob("*") if p.suffix not in {".py", ".md", ".pyc"}):
        if path.is_file():
            print(f"{path.relative_to(options.out)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
