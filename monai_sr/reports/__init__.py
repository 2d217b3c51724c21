"""Pages that open anywhere: of one result, of an evaluation, and for blind comparisons."""

from __future__ import annotations

from monai_sr.reports.case import CaseReportd
from monai_sr.reports.naming import report_path

__all__ = ["CaseReportd", "report_path"]
