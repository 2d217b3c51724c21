"""What engines call at events. Averaging, statistics and validation are ignite's and MONAI's."""

from monai_sr.handlers.gradient_clipping import GradientClipping
from monai_sr.handlers.schedule import BudgetSchedule
from monai_sr.handlers.training_log import TrainingLog
from monai_sr.handlers.training_state import TrainingState
from monai_sr.handlers.weights_export import WeightsExport

__all__ = ["BudgetSchedule", "GradientClipping", "TrainingLog", "TrainingState", "WeightsExport"]
