"""Writers: stored values and metadata -> a file of the same kind as the source."""

from monai_sr.writers.dicom import DicomWriter
from monai_sr.writers.naming import check_output_size, output_suffix, plan_outputs
from monai_sr.writers.nifti import NiftiWriter
from monai_sr.writers.raster import RasterWriter
from monai_sr.writers.save import SaveImageSRd

__all__ = [
    "DicomWriter",
    "NiftiWriter",
    "RasterWriter",
    "SaveImageSRd",
    "check_output_size",
    "output_suffix",
    "plan_outputs",
]
