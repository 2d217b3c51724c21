"""What an image in memory has to be and to keep: other tools come before and after."""

from monai.data import MetaTensor
from torch import Tensor

from monai_sr.core import BadImageError
from monai_sr.formats import Facts


def check_result(image: object, key: str) -> None:
    """Refuse what lacks the metadata by which a result becomes a file.

    Args:
        image: a result.
        key: its key in the sample.

    Raises:
        BadImageError: it lacks them, is a batch, or was restored already.
    """
    if not isinstance(image, MetaTensor):
        raise BadImageError(
            f"{key}: must be a MetaTensor, got a {type(image).__name__}, from which metadata were "
            "taken; keep them (set_track_meta(True), EnsureTyped(track_meta=True), "
            "PersistentDataset(track_meta=True, weights_only=False))"
        )
    if image.is_batch:
        raise BadImageError(
            f"{key}: must be one image, got a batch; take it apart first "
            "(monai.data.decollate_batch)"
        )
    facts = Facts(image.meta)
    if facts.knows("provenance"):
        raise BadImageError(
            f"{key}: must be a result in [0, 1], got one of stored values; restore it once"
        )
    if not facts.knows("range"):
        raise BadImageError(
            f"{key}: must come from an image that was mapped to [0, 1], got one of unknown stored "
            "values; use ScaleToUnitd before the resolver"
        )


def with_history(result: MetaTensor, image: Tensor) -> MetaTensor:
    """Return a result of the image's grid, from which MONAI's inverse goes on to what was before.

    Args:
        result: gains the transforms that were applied to the image.
        image: what it was made of.
    """
    if isinstance(image, MetaTensor):
        result.applied_operations = list(image.applied_operations)
    return result
