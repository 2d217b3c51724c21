"""Gives elements of unknown representation (UN) back what the data dictionary knows of them.

DICOM PS3.5 6.2.2: who passes an element on without knowing it writes UN; its value is Implicit VR
Little Endian, whatever the file is. A sequence of more than 64 KiB must be UN where its length is
given, so the functional groups of large enhanced objects often are.
"""

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset


def resolve_unknown(dataset: Dataset) -> None:
    """Replace UN by the dictionary's representation in place, at every depth.

    Args:
        dataset: as read; private elements, and those with a choice of representations, stay.
    """
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR == "UN" and dictionary_has_tag(tag):
            known = dictionary_VR(tag)
            if " or " not in known and element.length:
                dataset[tag] = element._replace(
                    VR=known, is_implicit_VR=True, is_little_endian=True
                )
        if getattr(dataset.get_item(tag), "VR", None) == "SQ":
            for item in dataset[tag].value or []:
                resolve_unknown(item)
