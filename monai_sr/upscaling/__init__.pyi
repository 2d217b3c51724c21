# What this package gives to others; each name is imported when it is first used.
from .choice import choose_bundle as choose_bundle
from .choice import only_bundle as only_bundle
from .evaluator import UpscaleEvaluator as UpscaleEvaluator
from .file_upscaler import FileUpscaler as FileUpscaler
from .file_upscaler import upscale_each as upscale_each
from .files import FileDataset as FileDataset
from .record import FileResult as FileResult
from .record import RunFailedError as RunFailedError
from .record import RunLog as RunLog
from .record import RunRecord as RunRecord
from .scene import Scenes as Scenes
from .scene_job import SceneResult as SceneResult
from .super_resolver import SuperResolver as SuperResolver
from .super_resolver import inference_config as inference_config
from .super_resolver import weights_in_use as weights_in_use
from .workflow import SRWorkflow as SRWorkflow
from .workflow import first_stage as first_stage
