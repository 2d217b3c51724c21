# What this package gives to others; each name is imported when it is first used.
from .blind import read_choices as read_choices
from .blind import write_blind_comparison as write_blind_comparison
from .case import CaseReportd as CaseReportd
from .display import Display as Display
from .display import display_of as display_of
from .display import uncertainty_levels as uncertainty_levels
from .evaluation import write_evaluation_report as write_evaluation_report
from .pages import render as render
from .planes import pixel_aspect as pixel_aspect
from .planes import slice_axis_of as slice_axis_of
