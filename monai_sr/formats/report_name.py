"""Names the page that belongs to a result."""

from pathlib import Path

from monai_sr.core import PathLike
from monai_sr.formats.uncertainty_map import stem_and_suffix


def report_path(result: PathLike) -> Path:
    """Return ``<name>_report.html`` beside a result.

    Example:
        >>> report_path("out/a_x4.nii.gz").name
        'a_x4_report.html'
    """
    path = Path(result)
    return path.with_name(f"{stem_and_suffix(path)[0]}_report.html")
