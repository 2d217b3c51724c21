"""What engines call at events. Averaging, statistics and validation are ignite's and MONAI's."""

from monai_sr.handlers.discriminator_balance import DiscriminatorBalance
from monai_sr.handlers.failure_guard import FailureGuard
from monai_sr.handlers.gradient_averaging import GradientAveraging
from monai_sr.handlers.gradient_clipping import GradientClipping
from monai_sr.handlers.image_grid import ImageGrid
from monai_sr.handlers.schedule import BudgetSchedule
from monai_sr.handlers.training_log import TrainingLog
from monai_sr.handlers.training_state import TrainingState
from monai_sr.handlers.weight_average import WeightAverage
from monai_sr.handlers.weights_export import WeightsExport

__all__ = [
    "BudgetSchedule",
    "DiscriminatorBalance",
    "FailureGuard",
    "GradientAveraging",
    "GradientClipping",
    "ImageGrid",
    "TrainingLog",
    "TrainingState",
    "WeightAverage",
    "WeightsExport",
]
