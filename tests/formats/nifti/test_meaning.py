"""Intents say what values can be, or that there is no image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from monai_sr.core.errors import BadImageError
from monai_sr.formats import kind_of
from monai_sr.transforms import load_image
from tests.formats.test_meaning import patches
from tests.image_factory import write_nifti
from tests.network_factory import wildest


@pytest.mark.parametrize(
    ("intent", "least", "most"), [(22, 0, 1), (7, 0, 1), (2, -1, 1), (4, 0, np.inf)]
)
@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [("float32", 1.0, 0.0), ("int16", 0.001, 0.0), ("uint8", 0.01, -1.0), ("int16", -0.001, 0.5)],
)
def test_results_stay_within_what_an_intent_allows(
    tmp_path, intent, least, most, dtype, slope, inter
):
    """A slope of 0.001 is stored as float32, so that its 1000 is 1.00000005."""
    real = np.linspace(max(least, 0), 1, 30).reshape(5, 3, 2)
    given = (real - inter) / slope
    stored = (given if dtype == "float32" else np.rint(given)).astype(dtype)
    path = write_nifti(tmp_path / "a.nii", stored, slope=slope, inter=inter, intent_code=intent)
    found = sorted(end * slope + inter for end in wildest(load_image(path)))
    assert found[0] == pytest.approx(least, abs=1e-6)
    assert found[1] > 1 if np.isinf(most) else found[1] == pytest.approx(most, abs=1e-6)


def test_results_leave_what_an_intent_allows_no_farther_than_the_input(tmp_path):
    real = np.linspace(-0.1, 1, 30, dtype=np.float32).reshape(5, 3, 2)
    image = load_image(write_nifti(tmp_path / "a.nii", real, intent_code=22))
    assert wildest(image) == pytest.approx([-0.1, 1])


@pytest.mark.parametrize("intent", [1008, 1009, 2002, 2007, 2008, 2009, 2016, 2017])
def test_coefficients_and_meshes_are_refused_unless_asked_for(tmp_path, intent):
    path = write_nifti(tmp_path / "a.nii", np.eye(6, dtype=np.float32), intent_code=intent)
    with pytest.raises(BadImageError, match=r"points or indices of a mesh \(intent .*--kind inten"):
        load_image(path, "auto")
    assert kind_of(load_image(path, "intensity").meta) == "gray"


SMOOTH = np.linspace(0, 1, 11 * 12 * 5, dtype=np.float32).reshape(11, 12, 5)


@pytest.mark.parametrize(
    ("name", "stored", "slope", "why"),
    [
        ("T1_pve_1.nii", SMOOTH, 1.0, "shares of a class"),
        ("gm_prob.nii", SMOOTH, 1.0, "shares of a class"),
        ("c1T1.nii", np.rint(SMOOTH * 255).astype(np.uint8), 1 / 255, "shares of a class"),
        ("mwp2sub.nii", SMOOTH, 1.0, "shares of a class"),
        ("rtdose.nii", SMOOTH * 70, 1.0, "a radiation dose"),
        ("sub_plan_dose.nii", SMOOTH * 70, 1.0, "a radiation dose"),
        ("gre_e1_imaginary.nii", SMOOTH - 0.5, 1.0, "complex image"),
        ("gre_e1_real.nii", SMOOTH - 0.5, 1.0, "complex image"),
    ],
)
def test_names_of_usual_programs_are_refused(tmp_path, name, stored, slope, why):
    path = write_nifti(tmp_path / name, stored, slope=slope)
    with pytest.raises(BadImageError, match=f"{why}.*--kind intensity"):
        load_image(path, "auto")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("low_dose_ct.nii", SMOOTH),
        ("c1T1.nii", SMOOTH * 255),
        ("pve.nii", SMOOTH * 900),
        ("real_data.nii", SMOOTH - 0.5),
        ("t1_real.nii", SMOOTH),
        ("probe.nii", SMOOTH),
    ],
)
def test_names_whose_values_are_others_are_not(tmp_path, name, stored):
    assert kind_of(load_image(write_nifti(tmp_path / name, stored), "auto").meta) == "gray"


def test_unit_vectors_and_rotations_are_refused(tmp_path):
    angle = SMOOTH * 9
    fibers = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)[..., None, :]
    fibers[:4] = 0
    for name, array, intent in (("v", fibers, 0), ("v5", fibers, 1007), ("q", fibers, 1010)):
        path = write_nifti(tmp_path / f"{name}.nii", array, intent_code=intent)
        with pytest.raises(BadImageError, match="unit vectors or rotations"):
            load_image(path, "auto")
    long = write_nifti(tmp_path / "warp.nii", fibers * (1 + angle[..., None, None]))
    assert kind_of(load_image(long, "auto").meta) == "gray"


def test_labels_that_are_no_whole_numbers_are_labels(tmp_path):
    codes = np.kron(np.random.default_rng(0).integers(0, 4, (8, 8, 1)), np.ones((8, 8, 3)))
    for name in ("halves.nii", "dseg.nii"):
        path = write_nifti(tmp_path / name, (codes / 2).astype(np.float32))
        assert kind_of(load_image(path, "auto").meta) == "label"


@pytest.mark.parametrize("names", ["RGB", "RGBA"])
@pytest.mark.parametrize("shape", [(48, 48, 3), (48, 48, 3, 2)])
def test_few_colors_in_patches_are_labels(tmp_path, names, shape):
    colors = np.random.default_rng(0).integers(0, 256, (5, 4), dtype=np.uint8)
    codes = np.zeros(shape, int) + patches(*range(5)).reshape(48, 48, *(1,) * (len(shape) - 2))
    voxels = np.zeros(shape, [(name, "u1") for name in names])
    for name, values in zip(names, colors.T, strict=False):
        voxels[name] = values[codes]
    path = write_nifti(tmp_path / "a.nii", voxels)
    assert kind_of(load_image(path, "auto").meta) == "label"
    assert kind_of(load_image(path, "intensity").meta) == "color"
    for name in "RGB":
        voxels[name] += np.random.default_rng(1).integers(0, 9, shape, dtype=np.uint8)
    path = write_nifti(tmp_path / "b.nii", voxels)
    assert kind_of(load_image(path, "auto").meta) == "color"


@pytest.mark.parametrize("name", ["real_part.nii", "echo1_imag-part.nii", "a_real.nii"])
def test_parts_of_complex_images_are_known_by_their_names(tmp_path, name):
    path = write_nifti(tmp_path / name, SMOOTH - np.float32(0.5))
    with pytest.raises(BadImageError, match="a part of a complex image"):
        load_image(path, "auto")


def test_directions_of_several_fibers_are_refused(tmp_path):
    angle = np.add.outer(np.linspace(0, 3, 40), np.linspace(0, 2, 30))[..., None]
    one = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    peaks = np.concatenate([one, one[::-1], 0.9 * one], axis=-1).astype(np.float32)
    path = write_nifti(tmp_path / "a.nii", peaks[..., :6])
    with pytest.raises(BadImageError, match="unit vectors or rotations"):
        load_image(path, "auto")
    assert kind_of(load_image(write_nifti(tmp_path / "b.nii", peaks), "auto").meta) == "gray"


def _axes(shape=(24, 20, 6), seed=0):
    """Draw main axes of smooth tensors, as long as these are unequal: signs are those of LAPACK."""
    rng = np.random.default_rng(seed)
    parts = [gaussian_filter(rng.normal(size=shape), 4) * 12 for _ in range(9)]
    root = np.moveaxis(np.reshape(parts, (3, 3, *shape)), (0, 1), (-2, -1)) + 2 * np.eye(3)
    values, vectors = np.linalg.eigh(root @ np.swapaxes(root, -1, -2))
    return vectors[..., 2] * ((values[..., 2] - values[..., 0]) / values.sum(-1))[..., None]


def test_axes_of_fibers_of_any_length_are_refused(tmp_path):
    axes = _axes()
    random = axes * np.random.default_rng(0).choice([-1, 1], axes.shape[:3])[..., None]
    for name, array in (("eigen", axes), ("peaks", np.concatenate([random, axes], -1))):
        array[:3] = np.nan
        path = write_nifti(tmp_path / f"{name}.nii", array.astype(np.float32))
        with pytest.raises(BadImageError, match="point opposite ways"):
            load_image(path, "auto")
        assert kind_of(load_image(path, "intensity").meta) == "gray"


@pytest.mark.parametrize("sigma", [0, 1, 4])
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0.5, 0)])
def test_fields_of_vectors_are_enlarged(tmp_path, sigma, weights):
    rng = np.random.default_rng(1)
    parts = [gaussian_filter(rng.normal(size=(24, 20, 6)), sigma) for _ in range(3)]
    own = parts if all(w == 1 for w in weights) else [parts[0]] * 3
    field = np.stack([w * part for w, part in zip(weights, own, strict=True)], -1)
    path = write_nifti(tmp_path / "warp.nii", field.astype(np.float32))
    assert kind_of(load_image(path, "auto").meta) == "gray"
