# What this package gives to others; each name is imported when it is first used.
from .blind import read_choices as read_choices
from .blind import write_blind_comparison as write_blind_comparison
from .case import CaseReportd as CaseReportd
from .evaluation import write_evaluation_report as write_evaluation_report
from .training_range import QUANTILES as QUANTILES
