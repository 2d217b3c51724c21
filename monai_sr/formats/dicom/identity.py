"""What may become of an attribute, and the rows for those that name an object or belong to it.

DICOM PS3.3 C.12.1 (the object), C.7.6.16.2.2.4 (concatenations), C.12.3 (extracted frames).
"""

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


IDENTITY = (
    Rule(
        RENEWED,
        "SOPInstanceUID SeriesInstanceUID MediaStorageSOPInstanceUID",
        "the object and its series; a hash of source, options and pixels",
    ),
    Rule(
        DROPPED,
        "ConcatenationUID SOPInstanceUIDOfConcatenationSource InConcatenationNumber "
        "InConcatenationTotalNumber ConcatenationFrameOffsetNumber",
        "parts of one object (C.7.6.16.2.2.4): a result is none of them",
    ),
    Rule(
        DROPPED,
        "FrameExtractionSequence MultiFrameSourceSOPInstanceUID",
        "the object that frames were taken from (C.12.3): a result was computed",
    ),
    Rule(DROPPED, "PyramidUID", "levels of one resolution pyramid (C.8.12.14)"),
    Rule(
        DROPPED,
        "SOPInstanceStatus SOPAuthorizationDateTime SOPAuthorizationComment "
        "AuthorizationEquipmentCertificationNumber InstanceOriginStatus",
        "authority of the original (C.12.1)",
    ),
    Rule(
        DROPPED,
        "InstanceCreatorUID CreatorVersionUID",
        "who made the old object (C.12.1)",
        is_on_top=True,
    ),
    Rule(
        DROPPED,
        "RetrieveURL RetrieveURI RetrieveLocationUID RetrieveAETitle InstanceAvailability "
        "StorageMediaFileSetUID StorageMediaFileSetID TransactionUID "
        "StoredInstanceTransferSyntaxUID AvailableTransferSyntaxUID",
        "where the old object lies; in references to others they stay",
        is_on_top=True,
    ),
    Rule(
        KEPT,
        "StudyInstanceUID FrameOfReferenceUID SynchronizationFrameOfReferenceUID "
        "VolumeFrameOfReferenceUID TableFrameOfReferenceUID EquipmentFrameOfReferenceUID "
        "TargetFrameOfReferenceUID SourceFrameOfReferenceUID ReferencedFrameOfReferenceUID "
        "RelatedFrameOfReferenceUID TableTopPositionAlignmentUID TreatmentPositionGroupUID "
        "ReferencedTreatmentPositionGroupUID PatientSetupUID",
        "study, space and time are those of the source",
    ),
    Rule(
        KEPT,
        "AcquisitionUID IrradiationEventUID RadiopharmaceuticalAdministrationEventUID DeviceUID "
        "TargetUID ManufacturerDeviceClassUID SpecimenUID MultiplexGroupUID TreatmentSessionUID "
        "RTTreatmentPhaseUID DoseReferenceUID ReferencedDoseReferenceUID",
        "what was done, with what, to whom: the source's facts",
    ),
    Rule(
        KEPT,
        "TrackingUID FindingsGroupUIDTrial ReferencedFindingsGroupUIDTrial UID ObservationUID "
        "ReferencedObservationUIDTrial ObservationSubjectUIDTrial AnnotationGroupUID FiducialUID "
        "ReferencedFiducialUID ReferencedFiducialsUID ModelGroupUID ConceptualVolumeUID "
        "ReferencedConceptualVolumeUID ConstituentConceptualVolumeUID SourceConceptualVolumeUID "
        "SegmentationTemplateUID AssertionUID ReferencedAssertionUID DosimetricObjectiveUID "
        "ReferencedDosimetricObjectiveUID",
        "findings and volumes in the patient, the same in both images",
    ),
    Rule(
        KEPT,
        "DimensionOrganizationUID PaletteColorLookupTableUID LargePaletteColorLookupTableUID "
        "ReferencedColorPaletteInstanceUID",
        "the meaning of indices and colors, which stays; a palette that is resolved goes whole",
    ),
    Rule(
        KEPT,
        "ReferencedSOPClassUID ReferencedSOPInstanceUID FailedSOPInstanceUIDList "
        "ReferencedGeneralPurposeScheduledProcedureStepTransactionUID ReferencedContentItem "
        "ReferencedSOPClassUIDInFile ReferencedSOPInstanceUIDInFile "
        "ReferencedTransferSyntaxUIDInFile ReferencedRelatedGeneralSOPClassUIDInFile "
        "PresentationDisplayCollectionUID PresentationSequenceCollectionUID "
        "VolumetricPresentationInputSetUID SelectorUIValue RepositoryUniqueID HomeCommunityID",
        "other objects; annotations that name the source itself follow to the result",
    ),
    Rule(
        KEPT,
        "SOPClassUID RelatedGeneralSOPClassUID OriginalSpecializedSOPClassUID SOPClassesInStudy "
        "SOPClassesSupported PertinentSOPClassesInStudy PertinentSOPClassesInSeries "
        "CodingSchemeUID ContextGroupExtensionCreatorUID ContextUID MappingResourceUID "
        "TemplateExtensionOrganizationUID TemplateExtensionCreatorUID FlowTransferSyntaxUID "
        "MACCalculationTransferSyntaxUID EncryptedContentTransferSyntaxUID DigitalSignatureUID",
        "classes, codes and encodings, no identity; signatures go whole",
    ),
)
