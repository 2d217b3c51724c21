# What this package gives to others; each name is imported when it is first used.
from .choice import choose_bundle as choose_bundle
from .evaluator import UpscaleEvaluator as UpscaleEvaluator
from .files import FileDataset as FileDataset
from .record import FileResult as FileResult
from .record import RunFailedError as RunFailedError
from .scene import Scenes as Scenes
from .scene_job import SceneResult as SceneResult
from .super_resolver import SuperResolver as SuperResolver
