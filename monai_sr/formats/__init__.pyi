# What this package gives to others; each name is imported when it is first used.
from .dicom.files import is_dicom as is_dicom
from .dicom.reader import DicomReader as DicomReader
from .dicom.series import find_series as find_series
from .dicom.series import find_volumes as find_volumes
from .dicom.writer import DicomWriter as DicomWriter
from .naming import check_output_size as check_output_size
from .naming import output_suffix as output_suffix
from .naming import plan_outputs as plan_outputs
from .nifti.reader import NiftiReader as NiftiReader
from .nifti.writer import NiftiWriter as NiftiWriter
from .raster.reader import RasterReader as RasterReader
from .raster.writer import RasterWriter as RasterWriter
from .registry import find_reader as find_reader
from .report_name import report_path as report_path
from .sentinel2.product import is_product as is_product
