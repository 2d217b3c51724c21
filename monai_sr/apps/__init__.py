"""What users call: the Python interface, the engine of the bundles, the command line."""

from monai_sr.apps.evaluator import FileResult, RunFailedError, UpscaleEvaluator
from monai_sr.apps.files import FileDataset
from monai_sr.apps.super_resolver import SuperResolver

__all__ = ["FileDataset", "FileResult", "RunFailedError", "SuperResolver", "UpscaleEvaluator"]
