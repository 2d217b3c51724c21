"""The audited table of DICOM attributes that count pixels or name the identity of an object.

Made by reading all 5,091 attributes of the data dictionary (DICOM PS3.6, as in pydicom 3.0) with
the modules of PS3.3 that define them. Each is scaled, renewed, dropped or kept, at any depth; a
test enlarges an object with each of them. What is not here depends neither on the pixel grid nor
on the identity of the object.

Nested items with pixels or sizes of their own (icons, pages) count their own pixels, and original
attributes (PS3.3 C.12.1) tell of the past: both stay as they are.
"""

from functools import cache

from pydicom.datadict import tag_for_keyword

from monai_sr.formats.dicom.identity import DROPPED, IDENTITY, KEPT, RENEWED, SCALED, Rule

GRID = (
    # --- distances and places of pixels -------------------------------------------------------
    Rule(
        SCALED,
        "PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing ImagePlanePixelSpacing "
        "ObjectPixelSpacingInCenterOfBeam PresentationPixelSpacing",
        "mm between pixels, rows first (10.7.1, C.8.8.2, C.10.4)",
        "spacing",
    ),
    Rule(SCALED, "ALinePixelSpacing", "mm between pixels of a line (C.8.27.4)", "column_spacing"),
    Rule(
        SCALED,
        "PixelAspectRatio PresentationPixelAspectRatio",
        "height to width of a pixel (C.7.6.3.1.7)",
        "aspect",
    ),
    Rule(
        SCALED,
        "ImagePositionPatient ImagePositionVolume ImagePosition RTImagePosition",
        "center of the first pixel (C.7.6.2.1.1, C.8.8.2), moved along rows and columns",
        "place",
    ),
    Rule(
        SCALED,
        "XOffsetInSlideCoordinateSystem YOffsetInSlideCoordinateSystem "
        "ZOffsetInSlideCoordinateSystem",
        "place of the first pixel (C.8.12.4, C.8.12.6); of the image's center it stays",
        "place",
    ),
    Rule(
        SCALED,
        "ImageOrientationPatient ImageOrientationVolume",
        "direction of rows and columns; set right where rounded to few decimals",
        "place",
    ),
    # --- sizes --------------------------------------------------------------------------------
    Rule(RENEWED, "Rows Columns", "size of the grid (C.7.6.3), also where an item repeats it"),
    Rule(SCALED, "TotalPixelMatrixRows", "size of the grid (C.8.12.4)", "row_count"),
    Rule(SCALED, "TotalPixelMatrixColumns", "size of the grid (C.8.12.4)", "column_count"),
    Rule(SCALED, "NumberOfPaddedALines", "rows of the image (C.8.27.4)", "row_count"),
    Rule(SCALED, "OCTZOffsetCorrection", "shift along a line in pixels", "column_count"),
    Rule(SCALED, "SeamLineIndex", "a row of the image (C.8.27.4)", "row"),
    Rule(
        SCALED,
        "PresentationPixelMagnificationRatio",
        "pixels of a screen for one of the image (C.10.4)",
        "magnification",
    ),
    # --- points in pixels ---------------------------------------------------------------------
    Rule(
        SCALED,
        "ShutterLeftVerticalEdge CollimatorLeftVerticalEdge "
        "ExposureControlSensingRegionLeftVerticalEdge",
        "first column within, from 1 (C.7.6.11, C.8.7.3, C.8.19.6.3)",
        "first_column",
    ),
    Rule(
        SCALED,
        "ShutterRightVerticalEdge CollimatorRightVerticalEdge "
        "ExposureControlSensingRegionRightVerticalEdge",
        "last column within, from 1",
        "last_column",
    ),
    Rule(
        SCALED,
        "ShutterUpperHorizontalEdge CollimatorUpperHorizontalEdge "
        "ExposureControlSensingRegionUpperHorizontalEdge",
        "first row within, from 1",
        "first_row",
    ),
    Rule(
        SCALED,
        "ShutterLowerHorizontalEdge CollimatorLowerHorizontalEdge "
        "ExposureControlSensingRegionLowerHorizontalEdge",
        "last row within, from 1",
        "last_row",
    ),
    Rule(
        SCALED,
        "CenterOfCircularShutter VerticesOfThePolygonalShutter CenterOfCircularCollimator "
        "VerticesOfThePolygonalCollimator CenterOfCircularExposureControlSensingRegion "
        "VerticesOfThePolygonalExposureControlSensingRegion VerticesOfTheRegion",
        "row, column of pixels, from 1 (C.7.6.11, C.8.7.3, C.8.19.6.3, C.8.19.7)",
        "row_column_points",
    ),
    Rule(
        SCALED,
        "RadiusOfCircularShutter RadiusOfCircularCollimator "
        "RadiusOfCircularExposureControlSensingRegion",
        "pixels along a row",
        "column_count",
    ),
    Rule(
        SCALED,
        "DisplayedAreaTopLeftHandCorner DisplayedAreaTopLeftHandCornerTrial "
        "TopLeftHandCornerOfLocalizerArea",
        "column, row of the first pixel within, from 1 (C.10.4)",
        "first_corner",
    ),
    Rule(
        SCALED,
        "DisplayedAreaBottomRightHandCorner DisplayedAreaBottomRightHandCornerTrial "
        "BottomRightHandCornerOfLocalizerArea",
        "column, row of the last pixel within, from 1 (C.10.4)",
        "last_corner",
    ),
    Rule(
        SCALED,
        "BoundingBoxTopLeftHandCorner BoundingBoxBottomRightHandCorner AnchorPoint GraphicData "
        "RotationPoint",
        "column, row from the outer corner (C.10.5.1.2); units DISPLAY stay",
        "graphic",
    ),
    Rule(
        SCALED,
        "ColumnPositionInTotalImagePixelMatrix",
        "first column of a tile, from 1",
        "first_column",
    ),
    Rule(SCALED, "RowPositionInTotalImagePixelMatrix", "first row of a tile, from 1", "first_row"),
    Rule(
        SCALED,
        "OphthalmicAnatomicReferencePointXCoordinate",
        "column of the map, from 1 (C.8.30.3)",
        "column_from_1",
    ),
    Rule(
        SCALED,
        "OphthalmicAnatomicReferencePointYCoordinate",
        "row of the map, from 1 (C.8.30.3)",
        "row_from_1",
    ),
    Rule(
        SCALED,
        "SubjectLocation",
        "column, row of a photo, from its outer corner (EXIF)",
        "corner_points",
    ),
    Rule(SCALED, "SubjectArea", "column, row and sizes in a photo (EXIF)", "subject_area"),
    Rule(SCALED, "MaskSubPixelShift", "shift in pixels, rows first (C.7.6.10)", "shift"),
    Rule(SCALED, "StereoHorizontalPixelOffset", "shift in pixels (C.8.17.14)", "column_count"),
    Rule(SCALED, "StereoVerticalPixelOffset", "shift in pixels (C.8.17.14)", "row_count"),
    # --- ultrasound regions -------------------------------------------------------------------
    Rule(
        SCALED,
        "RegionLocationMinX0 RegionLocationMinY0 RegionLocationMaxX1 RegionLocationMaxY1 "
        "ReferencePixelX0 ReferencePixelY0 ReferencePixelPhysicalValueX "
        "ReferencePixelPhysicalValueY PhysicalDeltaX PhysicalDeltaY",
        "pixels from 0, and units for each of them (C.8.5.5)",
        "region",
    ),
    Rule(
        SCALED,
        "DopplerSampleVolumeXPosition DopplerSampleVolumeXPositionRetired TMLinePositionX0 "
        "TMLinePositionX0Retired TMLinePositionX1 TMLinePositionX1Retired",
        "column from 0 (C.8.5.5)",
        "column",
    ),
    Rule(
        SCALED,
        "DopplerSampleVolumeYPosition DopplerSampleVolumeYPositionRetired TMLinePositionY0 "
        "TMLinePositionY0Retired TMLinePositionY1 TMLinePositionY1Retired",
        "row from 0 (C.8.5.5)",
        "row",
    ),
    # --- what does not fit the new pixels -----------------------------------------------------
    Rule(
        DROPPED,
        "IconImageSequence DataSetTrailingPadding ExtendedOffsetTable ExtendedOffsetTableLengths "
        "EncapsulatedPixelDataValueTotalLength PixelDataProviderURL",
        "a picture, place or length of the old pixels",
    ),
    Rule(
        DROPPED,
        "SmallestPixelValueInSeries LargestPixelValueInSeries SmallestImagePixelValueInPlane "
        "LargestImagePixelValueInPlane",
        "extremes of the old pixels",
    ),
    Rule(
        RENEWED,
        "SmallestImagePixelValue LargestImagePixelValue",
        "extremes of the pixels (C.7.6.3)",
    ),
    Rule(
        DROPPED,
        "DigitalSignaturesSequence MACParametersSequence",
        "a signature of the old object (C.12.1.1.3)",
    ),
    Rule(DROPPED, "HistogramSequence", "numbers of pixels (C.11.5)", note="histograms"),
    Rule(
        DROPPED,
        "ShutterOverlayGroup ActiveImageAreaOverlayGroup ReferencedOverlayPlaneGroups "
        "ReferencedOverlayPlaneSequence",
        "an overlay, which is dropped (C.7.6.15)",
        note="overlays",
    ),
    Rule(
        DROPPED,
        "ReferencedOverlaySequence ReferencedCurveSequence",
        "objects drawn on the old grid (retired)",
        note="referenced overlays and curves",
    ),
    Rule(
        DROPPED,
        "PixelCoordinatesSetTrial SurfaceMeshZPixelOffset ThreatROIBase ThreatROIExtents "
        "ThreatROIBitmap",
        "voxels, counted in a way that nobody says",
        note="coordinates of regions in voxels",
    ),
    Rule(
        DROPPED,
        "ImageTransformationMatrix ImageTranslationVector "
        "CoordinateSystemTransformRotationAndScaleMatrix CoordinateSystemAxisValues "
        "CoordinateSystemTransformTranslationMatrix",
        "pixels to space, in a way that nobody says (retired; DICONDE)",
        note="transforms of pixels",
    ),
    Rule(
        DROPPED,
        "BadPixelImage DarkCurrentCounts AirCounts",
        "images of the detector as large as the old one (DICONDE)",
        note="calibration images",
    ),
    Rule(
        DROPPED,
        "BlockedPixels BlockRows BlockColumns RowOverlap ColumnOverlap PredictorRows "
        "PredictorColumns ImageDimensions ImageLocation",
        "how the old pixels were stored (retired)",
    ),
    # --- near misses --------------------------------------------------------------------------
    Rule(
        KEPT,
        "DetectorElementSpacing DetectorElementPhysicalSize DetectorActiveOrigin FieldOfViewOrigin "
        "FieldOfViewDimensions FieldOfViewDimensionsInFloat PositionOfIsocenterProjection "
        "PixelDataAreaOriginRelativeToFOV DetectorActiveAreaTLHCPosition PhysicalDetectorSize "
        "DetectorElementSize ReferencedRangeShifterNumber",
        "elements of the detector, not pixels of the image (C.8.11.4, C.8.19.6)",
    ),
    Rule(
        KEPT,
        "AcquisitionMatrix ReconstructionDiameter ReconstructionFieldOfView "
        "ReconstructionPixelSpacing SpatialResolution DepthSpatialResolution "
        "AlongScanSpatialResolution AcrossScanSpatialResolution AxialResolution ALinesPerFrame "
        "ZoomFactor ZoomCenter DigitalZoomRatio EstimatedRadiographicMagnificationFactor "
        "SpacingBetweenSlices SliceThickness PixelBandwidth SpectroscopyAcquisitionDataColumns "
        "SpectroscopyAcquisitionPhaseRows SpectroscopyAcquisitionPhaseColumns DataPointRows "
        "DataPointColumns OECFRows OECFColumns SpatialFrequencyResponseRows "
        "SpatialFrequencyResponseColumns ColorFilterArrayPatternRows "
        "ColorFilterArrayPatternColumns",
        "how the image was acquired; enlarging adds no measurement",
    ),
    Rule(
        KEPT,
        "OutlineLeftVerticalEdge OutlineRightVerticalEdge OutlineUpperHorizontalEdge "
        "OutlineLowerHorizontalEdge CenterOfCircularOutline DiameterOfCircularOutline "
        "VerticesOfThePolygonalOutline PupilCentroidXCoordinate PupilCentroidYCoordinate "
        "CornealPointLocation BoundingBoxCrop LocalizingCursorPosition CalculatedTargetPosition "
        "GridFrameOffsetVector ImageToEquipmentMappingMatrix VolumeToTransducerMappingMatrix "
        "VolumeToTableMappingMatrix ApexPosition",
        "millimeters in space",
    ),
    Rule(
        KEPT,
        "ReferenceCoordinates RegisteredLocalizerTopLeftHandCorner "
        "RegisteredLocalizerBottomRightHandCorner",
        "pixels of the image that is referenced beside it (C.8.17.10)",
    ),
    Rule(
        KEPT,
        "ReferencedFrameNumber ReferencedFrameNumbers SimpleFrameList CalculatedFrameList "
        "RepresentativeFrameNumber FrameNumbersOfInterest NumberOfFrames MaskFrameNumbers "
        "InStackPositionNumber",
        "frames, whose number stays",
    ),
    Rule(
        KEPT,
        "ShadowOffsetX ShadowOffsetY LineThickness TickPosition NumberOfVerticalPixels "
        "NumberOfHorizontalPixels",
        "the display (C.10.5)",
    ),
    Rule(
        KEPT,
        "CompensatorRows CompensatorColumns CompensatorPixelSpacing PrinterPixelSpacing",
        "other grids: compensators, printers",
    ),
    Rule(KEPT, "MagnifyToNumberOfColumns RequestedImageSize ImageBoxPosition", "the film (C.13)"),
)

RULES = GRID + IDENTITY

OVERLAYS, CURVES = range(0x6000, 0x6020), range(0x5000, 0x5020)
"""Repeating groups: overlays are dropped, and curves that are drawn on the image; others stay."""

DRAWN_CURVES = frozenset({"ROI", "POLY", "PROF", "HIST"})
"""(50xx,0020) Type of Data of curves that count pixels; ECG, pressure, flow, ... do not."""

PRESENTED = ("GraphicAnnotationSequence", "DisplayedAreaSelectionSequence")
"""Sequences that may be of other images, which they name (C.10.4, C.10.5)."""

OF_THE_PAST = frozenset({"OriginalAttributesSequence", "SourcePixelPlanesCharacteristicsSequence"})
"""Sequences that describe other pixels, or the object as it was."""


@cache
def rules() -> dict[int, Rule]:
    """Return tag -> rule.

    Example:
        >>> rules()[0x00280030].how
        'spacing'
    """
    pairs = ((tag_for_keyword(word), rule) for rule in RULES for word in rule.keywords)
    return {tag: rule for tag, rule in pairs if tag is not None}
