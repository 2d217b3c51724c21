"""Writes small real DICOM files for tests, and takes them through reader and writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.dicom.writer import DicomWriter
from monai_sr.geometry.target_grid import scaled_affine

SECRETS = ("Doe^Jane", "ID-4711", "1.2.826.0.1.3680043.8.498.")

OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

PROVENANCE = {
    "software": "monai-sr",
    "version": "0.1.0",
    "bundle": "xray_sr",
    "weights_sha256": "ab" * 32,
    "scale": 4,
    "consistency": 2,
    "range": [0, 4095],
}

_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "MR enhanced": "1.2.840.10008.5.1.4.1.1.4.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "XA": "1.2.840.10008.5.1.4.1.1.12.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}


def stored(shape: tuple[int, ...], bits: int = 12, signed: bool = False, seed: int = 0) -> Any:
    """Draw stored values over the whole range of the bits."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    width = 8 if bits <= 8 else 16 if bits <= 16 else 32
    dtype = np.dtype(f"{'i' if signed else 'u'}{width // 8}")
    return np.random.default_rng(seed).integers(low, high, shape, dtype, endpoint=True)


def dataset(
    pixels: Any = None,
    *,
    modality: str = "CT",
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    **tags: Any,
) -> FileDataset:
    """Build an image object; (H, W), or (H, W, 3) for colors; ``tags`` by keyword."""
    pixels = stored((6, 9), bits) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.PatientName, made.PatientID = SECRETS[0], SECRETS[1]
    made.SOPClassUID = _CLASSES[modality]
    made.Modality = modality.split()[0].replace("SC", "OT")
    made.SOPInstanceUID = generate_uid(entropy_srcs=[modality, repr(sorted(tags.items(), key=str))])
    made.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SamplesPerPixel = 3 if photometric in {"RGB", "YBR_FULL"} else 1
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    plane = pixels.shape[:-1] if made.SamplesPerPixel == 3 else pixels.shape
    made.Rows, made.Columns = plane[-2:]
    if len(plane) == 3:
        made.NumberOfFrames = plane[0]
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def write(path: Path, pixels: Any = None, **options: Any) -> Path:
    """Write one object, see ``dataset``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(pixels, **options).save_as(path, enforce_file_format=True)
    return path


def located(
    position: Any = (-30.5, 12.25, 7.0),
    orientation: Any = OBLIQUE,
    spacing: Any = (0.7, 0.4),
) -> dict[str, Any]:
    """Give the tags of a plane in the patient; spacing is (between rows, between columns)."""
    return {
        "ImagePositionPatient": list(position),
        "ImageOrientationPatient": list(orientation),
        "PixelSpacing": list(spacing),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=["frame"]),
    }


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Build a coded term."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def radiograph(modality: str) -> dict[str, Any]:
    """Give all tags that a DX or MG object needs: dciodvfy finds no error in it."""
    dates = dict.fromkeys(("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate"), "20240102")
    times = dict.fromkeys(("StudyTime", "SeriesTime", "ContentTime", "AcquisitionTime"), "123456")
    empty = ("AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "Manufacturer")
    made: dict[str, Any] = {
        **dates,
        **times,
        **dict.fromkeys(empty, ""),
        "StudyID": "7",
        "PatientSex": "F",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PatientOrientation": ["A", "F"],
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageType": ["ORIGINAL", "PRIMARY", ""],
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1,
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "RescaleType": "US",
        "PresentationLUTShape": "IDENTITY",
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "DetectorType": "DIRECT",
        "DetectorConfiguration": "AREA",
        "DetectorID": "DET-1",
        "DetectorElementSpacing": [0.07, 0.07],
        "ImagerPixelSpacing": [0.07, 0.07],
        "AcquisitionContextSequence": [],
    }
    if modality == "DX":
        return made | {
            "PositionerType": "NONE",
            "ViewPosition": "PA",
            "ImageLaterality": "U",
            "BodyPartExamined": "CHEST",
            "AnatomicRegionSequence": [code("51185008", "SCT", "Chest")],
        }
    view = code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = []
    return made | {
        "PositionerType": "MAMMOGRAPHIC",
        "ViewPosition": "CC",
        "ImageLaterality": "L",
        "BodyPartExamined": "BREAST",
        "OrganExposed": "BREAST",
        "BodyPartThickness": 50,
        "CompressionForce": 100,
        "PositionerPrimaryAngle": 0,
        "AnatomicRegionSequence": [code("76752008", "SCT", "Breast")],
        "ViewCodeSequence": [view],
    }


def slice_positions(count: int, step_mm: float = 2.5, orientation: Any = OBLIQUE) -> Any:
    """Place planes along the normal of the orientation."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array([-30.5, 12.25, 7.0]) + step_mm * np.arange(count)[:, None] * normal


def write_series(
    folder: Path, volume: Any = None, positions: Any = None, orientation: Any = OBLIQUE, **tags: Any
) -> Path:
    """Write (Z, H, W) values as one file per slice; file names and numbers run backwards."""
    volume = stored((4, 6, 9)) if volume is None else volume
    positions = (
        slice_positions(len(volume), orientation=orientation) if positions is None else positions
    )
    for i, (pixels, position) in enumerate(zip(volume, positions, strict=True)):
        number = len(volume) - i
        place = located([round(float(v), 10) for v in position], orientation)
        write(folder / f"im{number:02d}", pixels, InstanceNumber=number, **{**place, **tags})
    return folder


def write_enhanced(path: Path, volume: Any, positions: Any, spacing: Any = (0.7, 0.4)) -> Path:
    """Write an enhanced MR object: measures and orientation shared, position per frame."""
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = list(spacing)
    shared.PixelMeasuresSequence[0].SliceThickness = 2.5
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(OBLIQUE)
    shared.MRImageFrameTypeSequence = [Dataset()]
    shared.MRImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
    for position in positions:
        frame = Dataset()
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = [
            round(float(v), 10) for v in position
        ]
        frames.append(frame)
    return write(
        path,
        volume,
        modality="MR enhanced",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )


def enlarge(
    source, target, scale=4, provenance=PROVENANCE, values=None, options=None, **meta_changes
):
    """Read, repeat every pixel, write; return what was written as (C, X, Y[, Z]).

    ``options`` go to the writer, ``meta_changes`` into the metadata.
    """
    reader = DicomReader()
    array, meta = reader.get_data(reader.read(source))
    large = array.repeat(scale, 1).repeat(scale, 2) if values is None else values
    meta["affine"] = scaled_affine(meta["affine"], (scale, scale))
    meta["sr_provenance"] = json.dumps(provenance)
    writer = DicomWriter(**(options or {}))
    writer.set_data_array(large)
    writer.set_metadata({**meta, **meta_changes})
    writer.write(target)
    return large
