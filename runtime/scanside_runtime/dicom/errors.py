"""Why a study can't be read: its files, its headers, the choice of a series, its grid, its pixels."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed, Refused


class InputNotFound(Refused):
    """There is nothing at {name}."""

    code = "INPUT_NOT_FOUND"
    advice = "Check the path."


class InputUnreadable(Refused):
    """{name} can't be read: {why}."""

    code = "INPUT_UNREADABLE"
    advice = "Export the study again; if it comes from a disc, copy the disc again."


class InputTooLarge(Refused):
    """The input is larger than Scanside accepts: {what}."""

    code = "INPUT_TOO_LARGE"
    advice = "Hand over one study at a time."


class InputFileTooLarge(InputTooLarge):
    """A file is larger than Scanside reads: {what}."""

    code = "INPUT_FILE_TOO_LARGE"
    advice = (
        "No CT slice is as large. Export the study as classic CT images, one file a slice; if it is right as it is, raise "
        "the limit in the table [reading] of the settings."
    )


class InputDecimalComma(Refused):
    """Numbers in {name} are written with decimal commas ({stated}); DICOM has points."""

    code = "INPUT_DECIMAL_COMMA"
    advice = (
        "Export the original from the scanner. Whoever runs the software that wrote these files must mend it: it writes "
        "numbers as the language of its computer does."
    )


class InputEmpty(Refused):
    """There is no DICOM file here ({files} file(s) looked at)."""

    code = "INPUT_EMPTY"
    advice = "Check the path; export the study as DICOM files. Of archives zip, tar and tar.gz are opened: unpack any other first."


class InputTruncated(Refused):
    """The pixels of {name} are cut off: {why}."""

    code = "INPUT_TRUNCATED"
    advice = "The transfer was broken off. Send or copy the study again."


class InputHeaderLacks(Refused):
    """The header of {name} does not state {keyword}, without which its pixels can't be read."""

    code = "INPUT_HEADER_LACKS"
    advice = (
        "Export the original from the scanner. Whoever runs the software that wrote these files (archive, converter, "
        "anonymiser) must mend it: sending them again changes nothing."
    )


class InputCodingContradicts(Refused):
    """The pixels of {name} are not coded as its header says: {why}."""

    code = "INPUT_CODING_CONTRADICTS"
    advice = (
        "Export the original from the scanner. Whoever runs the software that wrote these files (archive, converter) "
        "must mend it: sending them again changes nothing."
    )


class InputByteOrder(Refused):
    """{name} contradicts itself: {why}."""

    code = "INPUT_BYTE_ORDER"
    advice = (
        "Export the original from the scanner. Whoever runs the software that wrote these files (archive, converter, "
        "gateway) must mend it: it changed the transfer syntax and not the bytes, or the reverse; sending them again "
        "changes nothing."
    )


class InputTransferSyntax(Refused):
    """The pixels are stored in a way that Scanside can't decode ({transfer_syntax})."""

    code = "INPUT_TRANSFER_SYNTAX"
    advice = "Export the study uncompressed (Explicit VR Little Endian) or as JPEG Lossless."


class InputNotGreyscale(Refused):
    """The pixels are {photometric} with {samples} sample(s) each; HU are one sample of MONOCHROME2."""

    code = "INPUT_NOT_GREYSCALE"
    advice = "Export the original CT slices, not a rendering of them."


class InputNoRescale(Refused):
    """Rescale Slope and Rescale Intercept are missing or are no numbers in {name}; without them there are no HU."""

    code = "INPUT_NO_RESCALE"
    advice = "Export the original CT slices from the scanner."


class InputRescaleJumps(Refused):
    """The way to HU changes after slice {slice} of {slices}, and the picture changes with it by {jump_hu:.0f} HU."""

    code = "INPUT_RESCALE_CONTRADICTS"
    advice = "Export the original CT slices from the scanner; do not measure these."


class InputCrash(Refused):
    """Reading {name} ended the reader ({how}); the file is damaged or made to do harm."""

    code = "INPUT_CRASH"
    advice = "Export the study again; if it happens again, keep the file and report it."


class InputMemory(Refused):
    """Reading {name} takes more than the {limit_mb} MB that the reader may use."""

    code = "INPUT_MEMORY"
    advice = "Export the study again, uncompressed; the file is damaged or made to do harm."


class InputTimeout(Refused):
    """Reading was broken off at {name} after {seconds:.0f} s."""

    code = "INPUT_TIMEOUT"
    advice = "Copy the study to a local disk and analyse it there; if it happens again, export it again."


class InputNotHu(Refused):
    """The values are not HU: {why}."""

    code = "INPUT_NOT_HU"
    advice = (
        "Export the slices as the scanner made them: no material or iodine map, and no copy in which other software has "
        "changed the values, PixelRepresentation, or Rescale Slope and Intercept."
    )


class SeriesNoCt(Refused):
    """There is DICOM here, but no CT images."""

    code = "SERIES_NO_CT"
    advice = "Export the CT series of the study."


class SeriesEnhancedCt(Refused):
    """The CT is stored as a multi-frame object (Enhanced CT), which Scanside does not read."""

    code = "SERIES_ENHANCED_CT"
    advice = "Export the series as classic CT images, one file a slice."


class SeriesSecondaryCapture(Refused):
    """The CT pictures here are secondary captures or dose pages, not slices."""

    code = "SERIES_SECONDARY_CAPTURE"
    advice = "Export the original CT slices."


class SeriesLocalizerOnly(Refused):
    """There are only localizers (scouts) here, no slices."""

    code = "SERIES_LOCALIZER_ONLY"
    advice = "Export the axial chest series."


class SeriesProjection(Refused):
    """The series is a projection ({kind}) made of many slices, not the slices themselves."""

    code = "SERIES_PROJECTION"
    advice = "Export the axial slices that the projection was made from."


class SeriesReformatted(Refused):
    """The series was calculated from other slices ({kind}), not scanned."""

    code = "SERIES_REFORMATTED"
    advice = (
        "Export the original axial slices; where there are none, choose this series: --series UID, on a watched box "
        "scanside release STUDY --series UID."
    )


class SeriesNotChest(Refused):
    """This is no chest: {why}."""

    code = "SERIES_NOT_CHEST"
    advice = (
        "Send a chest CT. If the study holds one, choose its series: --series UID, on a watched box scanside release "
        "STUDY --series UID. The picture decides, not its texts."
    )


class SeriesTooFewSlices(Refused):
    """The series has {slices} slice(s) over {coverage_mm:.0f} mm; a chest needs {min_slices} over {min_coverage_mm:.0f} mm."""

    code = "SERIES_TOO_FEW_SLICES"
    advice = "Export the whole series."


class SeriesSingleSlice(Refused):
    """There is one slice only; volumes can't be measured on it."""

    code = "SERIES_SINGLE_SLICE"
    advice = "Hand over the whole series: its folder or a zip, not one file."


class SeriesOnePosition(SeriesSingleSlice):
    """All {slices} slices state one and the same position, so their order and distance are not known."""

    code = "SERIES_ONE_POSITION"
    advice = (
        "A bolus test looks like this, and is no chest: export the chest series. If this is a chest, software on "
        "the way has overwritten Image Position (Patient): export it again from the scanner."
    )


class SeriesUidPerSlice(Refused):
    """Each of {slices} slices has a Series Instance UID of its own, so that none is a series."""

    code = "SERIES_UID_PER_SLICE"
    advice = (
        "Export the study again from the scanner. Whoever runs the software that wrote these UIDs (anonymiser, converter) "
        "must mend it: one series, one UID."
    )


class SeriesTooLarge(Refused):
    """The series has {voxels_m:.0f} million voxels ({slices} slices), at most {limit_m} million are measured."""

    code = "SERIES_TOO_LARGE"
    advice = (
        "Send a reconstruction with thicker slices (2 to 5 mm) or of the chest alone. On a box with more memory raise "
        "reading.max_voxels_m, and jobs.memory_limit_mb with it."
    )


class SeriesSeveralStudies(Refused):
    """There are {count} studies here."""

    code = "SERIES_SEVERAL_STUDIES"
    advice = "Choose one by its number in the list, for example --study 1, or by its UID; or analyse each with --all."


class SeriesStudyNotFound(Refused):
    """There is no CT study {study_uid} here."""

    code = "SERIES_STUDY_NOT_FOUND"
    advice = "Check the StudyInstanceUID or the number: --list shows what is here."


class SeriesNotFound(Refused):
    """There is no CT series {series_uid} here."""

    code = "SERIES_NOT_FOUND"
    advice = "Check the SeriesInstanceUID or the number: --list shows what is here."


class PatientMixed(Refused):
    """The study carries more than one patient: {patients}."""

    code = "PATIENT_MIXED"
    advice = "Find out whose pictures these are; correct the entry on the console and send the study again."


class GeometryNoPosition(Refused):
    """Image Position (Patient) is missing or is no position in {name}."""

    code = "GEOMETRY_NO_POSITION"


class GeometryNoOrientation(Refused):
    """Image Orientation (Patient) is missing or is no orientation in {name}."""

    code = "GEOMETRY_NO_ORIENTATION"


class GeometryNoPixelSpacing(Refused):
    """Pixel Spacing is missing or is no pixel size in {name}."""

    code = "GEOMETRY_NO_PIXEL_SPACING"


class GeometryNotAxial(Refused):
    """The slices are not axial: {angle_deg:.0f} degrees off, at most {limit_deg:.0f} are accepted."""

    code = "GEOMETRY_NOT_AXIAL"
    advice = "Export the axial series."


class GeometryMixedMatrix(Refused):
    """The slices differ in rows and columns: {sizes}."""

    code = "GEOMETRY_MIXED_MATRIX"
    advice = "Export one reconstruction as one series."


class GeometryMixedPixelSpacing(Refused):
    """The slices differ in Pixel Spacing: {spacings}."""

    code = "GEOMETRY_MIXED_PIXEL_SPACING"
    advice = "Export one reconstruction as one series."


class GeometryMixedReconstruction(Refused):
    """The slices are not of one reconstruction: {differs}."""

    code = "GEOMETRY_MIXED_RECONSTRUCTION"
    advice = "Export one reconstruction as one series."


class GeometryMixedOrientation(Refused):
    """The slices differ in Image Orientation (Patient) by up to {difference:.4f}."""

    code = "GEOMETRY_MIXED_ORIENTATION"
    advice = "Export one reconstruction as one series."


class GeometryMixedFrame(Refused):
    """The {slices} slices lie in {count} different frames of reference, so their positions can't be compared."""

    code = "GEOMETRY_MIXED_FRAME_OF_REFERENCE"
    advice = (
        "A few frames: the patient lay down anew between them; send each scan as a series of its own. As many frames as "
        "slices: a tool on the way has made up the UIDs; export the study again from the scanner."
    )


class GeometryDuplicatePositions(Refused):
    """{count} place(s) hold more than one slice, the first at {position_mm:.1f} mm, and they differ."""

    code = "GEOMETRY_DUPLICATE_POSITIONS"
    advice = "Export one phase and one reconstruction as one series."


class GeometryMissingSlices(Refused):
    """{count} slice(s) are missing, after {where}; the others lie {spacing_mm:.2f} mm apart."""

    code = "GEOMETRY_MISSING_SLICES"
    advice = "Send the series again: the transfer is incomplete."


class GeometryUnevenSpacing(Refused):
    """The slices lie unevenly: from {smallest_mm:.2f} to {largest_mm:.2f} mm apart."""

    code = "GEOMETRY_UNEVEN_SPACING"
    advice = "Reconstruct the series with one spacing."


class GeometryTilt(Refused):
    """The slices shift sideways by {drift_mm:.1f} mm along the stack (tilted by {tilt_deg:.1f} degrees)."""

    code = "GEOMETRY_TILT"
    advice = "Reconstruct the series without gantry tilt."


class BoxReader(BoxFailed):
    """The reader can't do its work: {why}."""

    code = "BOX_READER"
    advice = "Free memory on the box, then try again."
