"""What may become of a DICOM attribute when its image is enlarged: one row of the audited table."""

from dataclasses import dataclass

SCALED, RENEWED, DROPPED, KEPT = "scaled", "renewed", "dropped", "kept"


@dataclass(frozen=True)
class Rule:
    """Say what becomes of some attributes, and why.

    Args:
        action: SCALED, RENEWED, DROPPED or KEPT.
        words: keywords of the attributes, separated by spaces.
        why: what the values depend on, with the section of PS3.3.
        how: of SCALED, the arithmetic: a key of ``dicom_geometry.ARITHMETIC``, or "place" and
            "region", which take other attributes into account.
        note: of DROPPED, what the result says that it lacks; "" where nobody would miss it.
        is_on_top: whether it is dropped outside sequences alone, for it tells of others there.
    """

    action: str
    words: str
    why: str
    how: str = ""
    note: str = ""
    is_on_top: bool = False

    @property
    def keywords(self) -> tuple[str, ...]:
        """Return the keywords one by one."""
        return tuple(self.words.split())
