"""Import paths of release 0.1."""

import importlib
import subprocess
import sys

import pytest
from monai.bundle import ConfigParser

import monai_sr

PUBLIC = {
    "apps": "BenchmarkEvaluator FileDataset FileResult RunFailedError SceneResult Scenes "
    "SuperResolver UpscaleEvaluator choose_bundle first_stage",
    "engines": "BicubicDegradation Degradation FitTrainer OpenCVCubicDegradation PatchLoader "
    "RandomDegradation ReadTrainingImage ReadTrainingVolume SRAdversarialTrainer TaughtBatch "
    "ValidationImages VolumePatchLoader default_scale_weights default_scales default_steps "
    "join_processes list_images prepare_sr_batch run_folder shared_handler split_images "
    "step_scalars training_batch training_budget training_split",
    "handlers": "BudgetSchedule DiscriminatorBalance FailureGuard GradientAveraging "
    "GradientClipping ImageGrid TrainingLog TrainingState WeightAverage WeightsExport",
    "readers": "DicomReader NiftiReader RasterReader find_reader find_series find_volumes "
    "is_dicom is_product",
    "writers": "DicomWriter NiftiWriter RasterWriter SaveImageSRd check_output_size "
    "output_suffix plan_outputs",
}
"""What the packages of 0.1 listed in ``__all__``."""


@pytest.mark.parametrize(
    ("package", "name"), [(p, name) for p, names in PUBLIC.items() for name in names.split()]
)
def test_public_names_of_0_1_are_still_found(package, name):
    module = importlib.import_module(f"monai_sr.{package}")
    with pytest.warns(DeprecationWarning, match=f"monai_sr.{package}.{name}: is monai_sr"):
        found = getattr(module, name)
    assert found.__name__ == name
    assert not found.__module__.startswith(f"monai_sr.{package}")


def test_modules_of_0_1_are_still_found():
    with pytest.warns(DeprecationWarning, match="is monai_sr.upscaling.SuperResolver since 0.2"):
        from monai_sr.apps.super_resolver import SuperResolver
    assert SuperResolver is monai_sr.SuperResolver


def test_configs_of_0_1_still_resolve():
    config = {"reader": {"_target_": "monai_sr.readers.DicomReader"}}
    with pytest.warns(DeprecationWarning, match="is monai_sr.formats.DicomReader"):
        reader = ConfigParser(config).get_parsed_content("reader")
    assert type(reader).__module__.startswith("monai_sr.formats.dicom")


def test_what_was_never_public_says_where_to_look():
    module = importlib.import_module("monai_sr.readers.dicom")
    with pytest.raises(AttributeError, match="no public name"):
        _ = module.some_helper


def test_the_package_is_imported_without_torch():
    code = "import sys, monai_sr; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
