"""A series that gets more slices says of each where it lies and what it was made of."""

from __future__ import annotations

import json
import logging

import numpy as np
import pydicom
import pytest
from monai.data import PydicomReader
from pydicom.uid import UID

from monai_sr.core import BadImageError, OutputError
from monai_sr.formats import DicomReader, Facts, format_of_meta
from monai_sr.geometry import scaled_affine
from tests import dicom_factory as factory
from tests.dicom_factory import PROVENANCE, enlarge

SLICES = {
    "profile": {"kind": "slr", "thickness": 1.0},
    "restored_by": "network",
    "weights_sha256": "ef" * 32,
}


def read(folder):
    reader = DicomReader()
    return reader.get_data(reader.read(folder))


def thinner(source, target, factor=4, scale=1, **options):
    """Repeat slices and pixels of a series."""
    stored, meta = read(source)
    values = stored.repeat(scale, 1).repeat(scale, 2).repeat(factor, 3)
    affine = scaled_affine(meta["affine"], (scale, scale, values.shape[3] / stored.shape[3]))
    provenance = {**PROVENANCE, "slices": SLICES}
    enlarge(source, target, scale, provenance, values, affine=affine, **options)
    return [pydicom.dcmread(f) for f in sorted(target.iterdir())]


def number_files(folder, **tags):
    """Give each slice, by instance number, values of its own."""
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        for keyword, value in tags.items():
            header[keyword] = pydicom.DataElement(
                pydicom.datadict.tag_for_keyword(keyword),
                pydicom.datadict.dictionary_VR(keyword),
                value(int(header.InstanceNumber)),
            )
        header.save_as(path)
    return folder


@pytest.mark.parametrize("scale", [1, 2])
def test_slices_lie_where_an_independent_reader_expects_them(tmp_path, scale):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)), bits=12)
    stored, meta = read(source)
    files = thinner(source, tmp_path / "o", 4, scale)
    assert len(files) == 12
    reader = PydicomReader()
    values, found = reader.get_data(reader.read(str(tmp_path / "o")))
    # That reader sorts by instance number: here from the other end, as the source's.
    expected = scaled_affine(meta["affine"], (scale, scale, 4))
    expected[:3, 3] += 11 * expected[:3, 2]
    expected[:3, 2] *= -1
    np.testing.assert_allclose(found["affine"], expected, atol=1e-9)
    wanted = stored[0].repeat(scale, 0).repeat(scale, 1).repeat(4, 2)[..., ::-1]
    assert np.array_equal(np.squeeze(values), wanted)
    ours, our_meta = read(tmp_path / "o")
    np.testing.assert_allclose(our_meta["affine"], scaled_affine(meta["affine"], (scale, scale, 4)))
    assert np.array_equal(ours[0], wanted[..., ::-1])


def test_every_slice_has_a_name_and_a_number_of_its_own(tmp_path):
    source = factory.write_series(tmp_path / "s", np.zeros((3, 6, 9), np.uint16))
    files = thinner(source, tmp_path / "o")
    assert len({f.SOPInstanceUID for f in files}) == 12  # of equal pixels, too
    assert {f.file_meta.MediaStorageSOPInstanceUID for f in files} == {
        f.SOPInstanceUID for f in files
    }
    assert len({f.SeriesInstanceUID for f in files}) == 1
    old = [pydicom.dcmread(f) for f in source.iterdir()]
    assert files[0].SeriesInstanceUID not in {f.SeriesInstanceUID for f in old}
    assert {f.FrameOfReferenceUID for f in files} == {f.FrameOfReferenceUID for f in old}
    assert [f.InstanceNumber for f in files] == list(range(12, 0, -1))  # as the source's
    assert {float(f.SliceThickness) for f in files} == {0.625}
    assert {float(f.SpacingBetweenSlices) for f in files} == {0.625}


def test_numbers_go_up_where_they_did(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    number_files(source, InstanceNumber=lambda n: 40 - n)
    assert [f.InstanceNumber for f in thinner(source, tmp_path / "o")] == list(range(1, 13))


def test_a_slice_names_those_around_it(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((5, 6, 9)))
    ordered = sorted(map(pydicom.dcmread, source.iterdir()), key=lambda f: -f.InstanceNumber)
    uids = [f.SOPInstanceUID for f in ordered]
    files = thinner(source, tmp_path / "o", 3)
    for index, which, same in (
        (0, [0, 1], []),  # a third before the first slice
        (7, [1, 2, 3], [2]),  # in its plane
        (8, [1, 2, 3, 4], []),
        (14, [3, 4], []),
    ):
        items = files[index].SourceImageSequence
        assert [i.ReferencedSOPInstanceUID for i in items] == [uids[i] for i in which]
        preserved = [i.ReferencedSOPInstanceUID for i in items if _is_preserved(i)]
        assert preserved == [uids[i] for i in same]
        assert {i.PurposeOfReferenceCodeSequence[0].CodeValue for i in items} == {"121322"}
        assert {UID(i.ReferencedSOPClassUID).name for i in items} == {"CT Image Storage"}


def _is_preserved(item):
    return item.SpatialLocationsPreserved == "YES"


def test_the_derivation_says_how_slices_came(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)), SeriesDescription="T1")
    (file, *_) = thinner(source, tmp_path / "o")
    assert file.SeriesDescription == "T1, super-resolution, slices x4"
    for part in (
        "Super-resolution, slices x4 by monai-sr",
        "profile slr of thickness 1",
        "ef" * 32,
    ):
        assert part in file.DerivationDescription
    (file, *_) = thinner(source, tmp_path / "p", 4, 2)
    assert file.SeriesDescription == "T1, super-resolution x2, slices x4"
    stored, meta = read(source)
    affine = scaled_affine(meta["affine"], (1, 1, 2))
    for slices, words in (
        ({}, "slices by bicubic interpolation"),
        ({**SLICES, "tuned_minutes": 2.0}, f"{'ef' * 32}, tuned on the series for 2 minutes"),
    ):
        facts = {**PROVENANCE, "slices": slices}
        enlarge(source, tmp_path / "q", 1, facts, stored.repeat(2, 3), affine=affine)
        file = pydicom.dcmread(tmp_path / "q" / "slice_0001.dcm")
        assert words in file.DerivationDescription


def test_what_was_measured_of_a_slice_is_that_of_the_nearest(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    number_files(
        source,
        WindowCenter=lambda n: 100 * n,
        AcquisitionTime=lambda n: f"12000{n}",
        TriggerTime=lambda n: 10 * n,
        SliceLocation=lambda n: 50 - 2.5 * n,
        TablePosition=lambda n: 7.5 * n,
        ImagesInAcquisition=lambda n: 3,
        TableHeight=lambda n: 120,
    )
    files = thinner(source, tmp_path / "o")
    nearest = [3] * 4 + [2] * 4 + [1] * 4  # instance numbers of the source run backwards
    assert [f.WindowCenter for f in files] == [100 * n for n in nearest]
    assert [f.AcquisitionTime for f in files] == [f"12000{n}" for n in nearest]
    assert [f.TriggerTime for f in files] == [10 * n for n in nearest]
    assert {f.TableHeight for f in files} == {120}
    wanted = 42.5 + 2.5 * ((np.arange(12) + 0.5) / 4 - 0.5)
    np.testing.assert_allclose([float(f.SliceLocation) for f in files], wanted)
    assert not any("TablePosition" in f or "ImagesInAcquisition" in f for f in files)


def test_a_slice_location_that_is_no_place_goes(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    number_files(source, SliceLocation=lambda n: n**2)
    assert not any("SliceLocation" in f for f in thinner(source, tmp_path / "o"))


def test_private_elements_stay_where_they_are_alike(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    for path in source.iterdir():
        header = pydicom.dcmread(path)
        block = header.private_block(0x0019, "MAKER 1", create=True)
        block.add_new(0x01, "LO", "protocol")
        block.add_new(0x02, "DS", str(header.InstanceNumber))
        header.save_as(path)
    for file in thinner(source, tmp_path / "o"):
        block = file.private_block(0x0019, "MAKER 1")
        assert block[0x01].value == "protocol"
        assert 0x02 not in block


def test_references_of_deidentified_slices_follow_their_sources(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    files = thinner(source, tmp_path / "o", options={"deidentify": True})
    same = tmp_path / "same"
    enlarge(source, same, 2, options={"deidentify": True})
    # A slice that stays names its source alone, by the hash that every run gives it.
    one_by_one = [pydicom.dcmread(f) for f in sorted(same.iterdir())]
    hashes = [f.SourceImageSequence[0].ReferencedSOPInstanceUID for f in one_by_one]
    assert [i.ReferencedSOPInstanceUID for i in files[5].SourceImageSequence] == hashes
    texts = [json.dumps(f.to_json_dict()) for f in files]
    assert not any(secret in text for text in texts for secret in factory.SECRETS[:2])


def test_equal_inputs_give_equal_files(tmp_path):
    source = factory.write_series(tmp_path / "s")
    thinner(source, tmp_path / "1")
    thinner(source, tmp_path / "2")
    for one in (tmp_path / "1").iterdir():
        assert one.read_bytes() == (tmp_path / "2" / one.name).read_bytes()


def test_padding_goes_on_to_the_slices_that_it_covers(tmp_path):
    volume = factory.stored((3, 6, 9))
    volume[:, :, :2] = 0
    volume[1] = np.where(volume[1] == 0, 1, volume[1])
    source = factory.write_series(tmp_path / "s", volume, PixelPaddingValue=0)
    files = thinner(source, tmp_path / "o")
    # The first of the files is the last by number: slices run from volume[0].
    assert (files[0].pixel_array[:, :2] == 0).all()
    assert (files[5].pixel_array != 0).all()


def refused(folder):
    files = sorted(map(str, folder.iterdir()))
    _, meta = read(files)
    with pytest.raises(BadImageError) as caught:
        format_of_meta(meta).check_more_slices("scan", meta)
    assert str(caught.value).startswith("scan: ")
    assert "\n" not in str(caught.value)
    values = np.zeros((1, 9, 6, 9))
    with pytest.raises((BadImageError, OutputError)):
        enlarge(files, folder.with_name("o"), 1, values=values)
    assert not folder.with_name("o").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (np.delete(factory.slice_positions(5), 1, 0), "lie evenly, got distances of 2.5 to 5 mm"),
        (factory.slice_positions(4)[[0, 1, 1, 2]], "have a position each"),
        (factory.slice_positions(4) + np.arange(4)[:, None] * [0.3, 0, 0], "got a tilt of"),
    ],
)
def test_what_lies_unevenly_is_refused(tmp_path, positions, words):
    source = factory.write_series(tmp_path / "s", factory.stored((4, 6, 9)), positions)
    message = refused(source)
    assert words in message
    assert "write None for the slice axis, or convert it to NIfTI" in message


def test_a_gantry_tilt_is_refused_where_the_orientation_says_it(tmp_path):
    # Of a tilted gantry the table moves along z, the slices lean: PS3.3 C.8.2.1, (0018,1120).
    lean = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.3)), float(np.sin(0.3)))
    positions = np.array([0.0, 0.0, 1.0]) * 2.5 * np.arange(4)[:, None]
    source = factory.write_series(tmp_path / "s", None, positions, lean, GantryDetectorTilt=17.2)
    assert "got a tilt of 17 degrees" in refused(source)


def test_slices_of_other_slopes_are_refused(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((4, 6, 9)), RescaleIntercept=0)
    number_files(source, RescaleSlope=lambda n: 1 + n / 10)
    assert "share their RescaleSlope to get others between them, got several" in refused(source)


def test_one_file_is_refused(tmp_path):
    made = factory.stored((3, 6, 9))
    source = factory.write_enhanced(tmp_path / "a.dcm", made, factory.slice_positions(3))
    _, meta = read(source)
    with pytest.raises(BadImageError, match=r"must be a series of single-frame files .* one file"):
        format_of_meta(meta).check_more_slices("scan", meta)


def test_slices_without_a_position_are_refused(tmp_path):
    source = factory.write_series(tmp_path / "s")
    for path in source.iterdir():
        header = pydicom.dcmread(path)
        del header.ImagePositionPatient
        header.save_as(path)
    _, meta = read(sorted(map(str, source.iterdir())))
    with pytest.raises(BadImageError, match=r"must have a position .* got 4 without"):
        format_of_meta(meta).check_more_slices("scan", meta)


def test_a_thickness_that_is_no_distance_is_told(tmp_path, caplog):
    source = factory.write_series(tmp_path / "s", SliceThickness=2.0)
    _, meta = read(source)
    with caplog.at_level(logging.WARNING):
        format_of_meta(meta).check_more_slices("scan", meta)
    assert "scan: slices are 2 mm thick and lie 2.5 mm apart" in caplog.text
    caplog.clear()
    Facts(meta).files = [*map(str, number_files(source, SliceThickness=lambda n: 2.5).iterdir())]
    Facts(meta).files = sorted(Facts(meta).files, reverse=True)
    format_of_meta(meta).check_more_slices("scan", meta)
    assert not caplog.text


def test_a_part_of_the_extent_is_refused(tmp_path):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    stored, meta = read(source)
    affine = scaled_affine(meta["affine"], (1, 1, 4))  # of 12 slices, not of 8
    with pytest.raises(OutputError, match="must cover all of its source"):
        enlarge(source, tmp_path / "o", 1, values=stored.repeat(3, 3)[..., :8], affine=affine)
    assert not (tmp_path / "o").exists()
