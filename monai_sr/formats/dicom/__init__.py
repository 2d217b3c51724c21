"""DICOM: images, series and volumes, and derived objects written from them."""
