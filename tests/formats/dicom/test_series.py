"""Files of a folder become volumes with one slice for each position, whatever series they share."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage
from pydicom.uid import RLELossless

from monai_sr.core.errors import BadImageError
from monai_sr.formats import DicomReader
from monai_sr.formats.dicom.series import find_volumes, merge_copies
from tests import dicom_factory as factory

PLACES = factory.slice_positions(3)


def _write(folder, volumes, **common):
    """Write one volume for each dictionary of tags; numbers run through all of them."""
    number = itertools.count(1)
    for v, tags in enumerate(volumes):
        for z, place in enumerate(PLACES):
            own = {k: x[z] if isinstance(x, tuple) else x for k, x in tags.items()}
            place_tags = factory.located([round(float(p), 10) for p in place])
            factory.write(
                folder / f"v{v:02d}z{z}.dcm",
                factory.stored((6, 9), seed=10 * v + z),
                modality="MR",
                **{**place_tags, "InstanceNumber": next(number), **common, **own},
            )
    return folder


def test_patients_whose_uids_are_copies_are_not_mixed(tmp_path):
    """Times and numbers alike, in an order of files that changes from slice to slice."""
    names = iter("abcdef")
    for place, people in zip(PLACES, ("AB", "BA", "AB"), strict=True):
        for person in people:
            tags = factory.located(place.round(9)) | {"PatientID": person}
            factory.write(tmp_path / next(names), factory.stored((6, 9), seed=ord(person)), **tags)
    people = [{pydicom.dcmread(p).PatientID for p in v.paths} for v in find_volumes(tmp_path)]
    assert sorted(people, key=str) == [{"A"}, {"B"}]
    with pytest.raises(BadImageError, match=r"of one patient, got 2; give those of each"):
        DicomReader().read(sorted(tmp_path.iterdir()))


def test_files_of_several_series_are_taken_as_one_with_a_warning(tmp_path, caplog):
    for i, place in enumerate(PLACES):
        tags = factory.located(place.round(9)) | {"SeriesInstanceUID": f"1.2.{i}"}
        factory.write(tmp_path / f"{i}", **tags)
    assert len(DicomReader().read(sorted(tmp_path.iterdir())).paths) == 3
    assert "files of 3 series are taken as one" in caplog.text


def _found(folder):
    return {v.label: [p.stem for p in v.paths] for v in find_volumes(folder)}


SERIES = {
    "echoes": ([{"EchoTime": 10, "EchoNumbers": 1}, {"EchoTime": 20, "EchoNumbers": 2}],
               ["echo1", "echo2"]),
    "echo times": ([{"EchoTime": 20}, {"EchoTime": 10}], ["echo2", "echo1"]),
    "time points": ([{"TemporalPositionIdentifier": i} for i in (1, 2, 3)],
                    ["time1", "time2", "time3"]),
    "trigger times": ([{"TriggerTime": 100 * i} for i in range(10)],
                      [f"time{i:02d}" for i in range(1, 11)]),
    "diffusion": ([{"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}], ["b0", "b1000"]),
    "directions": (
        [{"DiffusionBValue": 0.0}]
        + [{"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": d}
           for d in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])],
        ["b0", "b1000_direction2", "b1000_direction1"],
    ),
    "kinds of image": ([{"ImageType": ["ORIGINAL", "PRIMARY", kind]} for kind in "MP"], ["m", "p"]),
    "echoes at times": (
        [{"EchoTime": e, "TemporalPositionIdentifier": t} for e in (5, 9) for t in (1, 2)],
        ["echo1_time1", "echo1_time2", "echo2_time1", "echo2_time2"],
    ),
    "kinds of image at echoes": (
        [{"ImageType": ["ORIGINAL", "PRIMARY", kind], "EchoTime": e} for kind in "MP"
         for e in (5, 9)],
        ["m_echo1", "m_echo2", "p_echo1", "p_echo2"],
    ),
    "acquisitions": ([{"AcquisitionNumber": i} for i in (1, 2)], ["acquisition1", "acquisition2"]),
    "times of volumes": ([{"AcquisitionTime": f"10100{i}"} for i in (1, 2)], ["time1", "time2"]),
    # Each slice has a time of its own: the first ones of all positions belong together.
    "times of slices": (
        [{"AcquisitionTime": tuple(f"10{i}0{z}" for z in range(3))} for i in (10, 11)],
        ["part1", "part2"],
    ),
    "nothing but numbers": ([{}, {}], ["part1", "part2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SERIES)
def test_repeated_positions_are_volumes_of_their_own(tmp_path, name):
    volumes, labels = SERIES[name]
    found = _found(_write(tmp_path, volumes))
    assert found == {label: [f"v{v:02d}z{z}" for z in range(3)] for v, label in enumerate(labels)}


def test_a_time_point_that_was_interrupted_is_kept(tmp_path):
    _write(tmp_path, [{"TemporalPositionIdentifier": i} for i in (1, 2, 3)])
    (tmp_path / "v02z2.dcm").unlink()
    assert [len(f) for f in _found(tmp_path).values()] == [3, 3, 2]


def test_one_position_over_time_stays_one_image(tmp_path):
    for i in range(4):
        factory.write(tmp_path / f"{i}.dcm", TriggerTime=10 * i, **factory.located())
    assert [len(v.paths) for v in find_volumes(tmp_path)] == [4]


def test_orientations_that_jitter_are_one_series(tmp_path):
    for i, place in enumerate(factory.slice_positions(8)):
        # On both sides of where two decimals are rounded.
        turn = 0.025 + (2e-7 if i % 2 else -2e-7)
        cosines = [np.sqrt(1 - turn**2), turn, 0, -turn, np.sqrt(1 - turn**2), 0]
        factory.write(tmp_path / f"{i}.dcm", **factory.located(place.round(9), cosines))
    assert [len(v.paths) for v in find_volumes(tmp_path)] == [8]


def test_slices_of_another_spacing_are_another_volume(tmp_path):
    for i, place in enumerate(factory.slice_positions(5)):
        spacing = [0.5, 0.5001] if i == 1 else [0.5, 0.5] if i < 3 else [0.8, 0.8]
        factory.write(tmp_path / f"{i}.dcm", **factory.located(place.round(9), spacing=spacing))
    assert [[p.stem for p in v.paths] for v in find_volumes(tmp_path)] == [
        ["0", "1", "2"],
        ["3", "4"],
    ]


@pytest.mark.parametrize("kind", ["color", "signed", "inverted"])
def test_slices_of_another_type_are_another_volume(tmp_path, kind):
    """One picture in color, sent as a slice of the series, does not cost the whole series."""
    folder = _write(tmp_path, [{}])
    pixels, how = {
        "color": (factory.stored((6, 9, 3), 8), {"photometric": "RGB", "bits": 8}),
        "signed": (factory.stored((6, 9), signed=True), {}),
        "inverted": (factory.stored((6, 9)), {"photometric": "MONOCHROME1"}),
    }[kind]
    place = factory.located(factory.slice_positions(4)[3].round(9))
    factory.write(folder / "z.dcm", pixels, modality="MR", **how, **place)
    volumes = find_volumes(folder)
    assert [len(volume.paths) for volume in volumes] == [3, 1]
    shapes = [tuple(LoadImage(reader=DicomReader)(list(v.paths)).shape) for v in volumes]
    assert shapes == [(1, 9, 6, 3), (3 if kind == "color" else 1, 9, 6)]


def test_colors_that_are_stored_in_two_ways_are_one_volume(tmp_path):
    for i, place in enumerate(factory.slice_positions(4)):
        how = {"photometric": ("RGB", "YBR_FULL")[i % 2], "bits": 8}
        pixels = factory.stored((6, 9, 3), 8)
        factory.write(tmp_path / f"{i}.dcm", pixels, **how, **factory.located(place.round(9)))
    (volume,) = find_volumes(tmp_path)
    assert LoadImage(reader=DicomReader)(list(volume.paths)).shape == (3, 9, 6, 4)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "PixelSpacing"])
def test_a_slice_whose_header_lacks_an_entry_stays_with_the_others(tmp_path, keyword):
    said = {"StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4"}
    for i, place in enumerate(factory.slice_positions(5)):
        tags = factory.located(place.round(9), spacing=[0.5, 0.5]) | said
        factory.write(tmp_path / f"{i}.dcm", **tags | ({keyword: None} if i == 2 else {}))
    (volume,) = find_volumes(tmp_path)
    assert len(volume.paths) == 5
    assert DicomReader().get_data(DicomReader().read(volume.paths))[0].shape[-1] == 5


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_series_uid_used_twice_makes_no_volume_of_two_patients(tmp_path, keyword):
    for i, place in enumerate(factory.slice_positions(6)):
        tags = factory.located(place.round(9)) | {keyword: f"1.2.{i // 3 + 1}"}
        factory.write(tmp_path / f"{i}.dcm", PatientID="AB"[i // 3], **tags)
    found = [{pydicom.dcmread(p).PatientID for p in v.paths} for v in find_volumes(tmp_path)]
    assert found == [{"A"}, {"B"}]


def test_a_frame_of_reference_drawn_anew_for_each_file_parts_no_series(tmp_path):
    for i, place in enumerate(factory.slice_positions(5)):
        tags = factory.located(place.round(9)) | {"FrameOfReferenceUID": f"1.2.{i + 1}"}
        factory.write(tmp_path / f"{i}.dcm", **tags | {"StudyInstanceUID": "1.2.3"})
    (volume,) = find_volumes(tmp_path)
    assert len(volume.paths) == 5


def test_copies_of_one_object_count_once(tmp_path):
    _write(tmp_path, [{}])
    shutil.copy(tmp_path / "v00z1.dcm", tmp_path / "v00z1 (1).dcm")
    (volume,) = find_volumes(tmp_path)
    assert [p.name for p in volume.paths] == ["v00z0.dcm", "v00z1.dcm", "v00z2.dcm"]
    assert [p.name for p in volume.copies] == ["v00z1 (1).dcm"]
    assert volume.label == ""


def test_a_copy_may_be_compressed_anew(tmp_path):
    """An archive that sends an object again may store it otherwise: the pixels are the same."""
    _write(tmp_path, [{}])
    again = pydicom.dcmread(tmp_path / "v00z1.dcm")
    again.compress(RLELossless, generate_instance_uid=False)
    again.save_as(tmp_path / "resent.dcm")
    (volume,) = find_volumes(tmp_path)
    assert len(volume.paths) == 3
    assert [p.name for p in volume.copies] == ["resent.dcm"]


def test_copies_of_an_object_that_stands_alone_count_once(tmp_path):
    for name in ("chest.dcm", "chest (1).dcm"):
        factory.write(tmp_path / name, modality="DX")
    factory.write(tmp_path / "other.dcm", factory.stored((6, 9), seed=1), modality="DX")
    chest, other = find_volumes(tmp_path)
    assert [p.name for p in (*chest.paths, *chest.copies)] == ["chest.dcm", "chest (1).dcm"]
    assert (other.paths[0].name, other.copies) == ("other.dcm", ())  # other pixels


def test_copies_in_another_folder_count_once_whatever_their_names(tmp_path):
    _write(tmp_path / "a", [{}])
    (tmp_path / "b").mkdir()
    for number, file in enumerate(sorted((tmp_path / "a").iterdir(), reverse=True)):
        shutil.copy(file, tmp_path / "b" / f"copied{number}.dcm")
    volumes = [*find_volumes(tmp_path / "a"), *find_volumes(tmp_path / "b")]
    (volume,) = merge_copies(volumes)
    assert {p.parent.name for p in volume.paths} == {"a"}
    assert {p.parent.name for p in volume.copies} == {"b"}


def test_one_uid_for_all_makes_no_copies(tmp_path):
    _write(tmp_path, [{"SOPInstanceUID": "1.2.3"}])
    (volume,) = find_volumes(tmp_path)
    assert len(volume.paths) == 3
    assert not volume.copies


def test_equal_objects_with_other_pixels_are_no_copies(tmp_path):
    _write(tmp_path, [{"SOPInstanceUID": "1.2.3"}, {"SOPInstanceUID": "1.2.3"}])
    assert sum(len(v.paths) for v in find_volumes(tmp_path)) == 6
