"""What users call: the Python interface, the engine of the bundles, the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_sr.apps.choice import choose_bundle
    from monai_sr.apps.evaluation import BenchmarkEvaluator
    from monai_sr.apps.evaluator import UpscaleEvaluator
    from monai_sr.apps.files import FileDataset
    from monai_sr.apps.record import FileResult, RunFailedError
    from monai_sr.apps.scene import Scenes
    from monai_sr.apps.scene_job import SceneResult
    from monai_sr.apps.stages import first_stage
    from monai_sr.apps.super_resolver import SuperResolver

__all__ = [
    "BenchmarkEvaluator",
    "FileDataset",
    "FileResult",
    "RunFailedError",
    "SceneResult",
    "Scenes",
    "SuperResolver",
    "UpscaleEvaluator",
    "choose_bundle",
    "first_stage",
]

_HOMES = {
    "BenchmarkEvaluator": "evaluation",
    "FileDataset": "files",
    "FileResult": "record",
    "RunFailedError": "record",
    "SceneResult": "scene_job",
    "Scenes": "scene",
    "SuperResolver": "super_resolver",
    "UpscaleEvaluator": "evaluator",
    "choose_bundle": "choice",
    "first_stage": "stages",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: ``monai-sr --help`` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
