"""A DICOM node: images in by network, derived series out."""
