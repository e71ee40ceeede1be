"""The one error tree: class = stable code and exit code, docstring = message, `advice` = what to do next.

The place that raises passes only the values: `raise GeometryMissingSlices(count=2, position_mm=-41.5)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import ClassVar


class ScansideError(Exception):
    """Scanside could not go on."""

    code: ClassVar[str] = "BOX_DEFECT"
    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = "Keep the study and report this as a defect of Scanside."

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The docstring of the class with the values filled in."""
        return inspect.cleandoc(type(self).__doc__ or "").format(**self.values)

    def __reduce__(self) -> tuple[Callable[[], ScansideError], tuple[()]]:
        """Made anew from its values, so that what another process raises arrives here as what it is."""
        return partial(type(self), **self.values), ()


class Refused(ScansideError):
    """The study can't be measured."""

    code = "INPUT_REFUSED"
    exit_code = 3
    advice = "Check the study on the scanner's console and export it again."


class ModelUnusable(ScansideError):
    """The model bundle can't be used."""

    code = "MODEL_UNUSABLE"
    exit_code = 4
    advice = "Install the model bundle again."


class BoxFailed(ScansideError):
    """The box itself can't go on."""

    code = "BOX_FAILED"
    exit_code = 5
    advice = "Check disk space and folder permissions, then try again."


class Held(ScansideError):
    """A person must decide."""

    code = "INPUT_HELD"
    exit_code = 6
    advice = "Look at the study and release it by hand."


class SettingsUnusable(BoxFailed):
    """The setting {key} can't be used: {why}."""

    code = "BOX_SETTINGS"
    advice = "Correct the settings file, or take the line out: every setting has a default that works."


class SeverityModelUnusable(BoxFailed):
    """The severity model {name} can't be used: {why}."""

    code = "BOX_SEVERITY_MODEL"
    advice = "Correct the file, or go back to the model before it with `scanside severity rollback`."


class NoEarlierSeverityModel(BoxFailed):
    """This box has no severity model of its own that could be taken back."""

    code = "BOX_NO_SEVERITY_MODEL"
    advice = "Nothing: the bundle's model or the extent grade is in force."


# The reader: files, headers, the choice of a series, its grid, its pixels.


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


class InputEmpty(Refused):
    """There is no DICOM file here ({files} files looked at)."""

    code = "INPUT_EMPTY"
    advice = "Check the path; export the study as DICOM files."


class InputTruncated(Refused):
    """The pixels of {name} are cut off: {why}."""

    code = "INPUT_TRUNCATED"
    advice = "The transfer was broken off. Send or copy the study again."


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


class InputDuplicateUid(Refused):
    """Different slices carry the same SOP Instance UID or none ({name}), so that nothing can refer to them."""

    code = "INPUT_DUPLICATE_UID"
    advice = "Export the study again from the scanner; a tool on the way has damaged its identifiers."


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
    """The rescaled values are {rescale_type}, not HU."""

    code = "INPUT_NOT_HU"
    advice = "Choose a plain CT reconstruction, not a material or iodine map."


class LabelsUnusable(Refused):
    """The labels or pictures in {folder} can't be used: {why}."""

    code = "INPUT_LABELS"
    advice = "Bring folder and file names into the form that the command's help and docs/training.md describe."


class TrainingUnusable(Refused):
    """The training in {folder} can't be used here: {why}."""

    code = "INPUT_TRAINING"
    advice = "Name another folder or checkpoint, or train again with the options that fit."


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
    """The series is a projection ({kind}) of many slices, none of them itself."""

    code = "SERIES_PROJECTION"
    advice = "Export the axial slices that the projection was made from."


class SeriesReformatted(Refused):
    """The series was calculated from other slices ({kind}), not scanned."""

    code = "SERIES_REFORMATTED"
    advice = "Export the original axial slices; where there are none, name this series by its UID."


class SeriesNotChest(Refused):
    """The series is of another part of the body: {field} says "{text}"."""

    code = "SERIES_NOT_CHEST"
    advice = "Send a chest CT; if it is one, name the series by its UID."


class SeriesTooFewSlices(Refused):
    """The series has {slices} slice(s) over {coverage_mm:.0f} mm; a chest needs {min_slices} over {min_coverage_mm:.0f} mm."""

    code = "SERIES_TOO_FEW_SLICES"
    advice = "Export the whole series."


class SeriesSingleSlice(Refused):
    """There is one slice only; volumes can't be measured on it."""

    code = "SERIES_SINGLE_SLICE"
    advice = "Hand over the whole series: its folder or a zip, not one file."


class SeriesSeveralStudies(Refused):
    """There are {count} studies here: {studies}."""

    code = "SERIES_SEVERAL_STUDIES"
    advice = "Choose one with --study UID, or analyse each with --all."


class SeriesStudyNotFound(Refused):
    """There is no CT study {study_uid} here."""

    code = "SERIES_STUDY_NOT_FOUND"
    advice = "Check the StudyInstanceUID."


class SeriesNotFound(Refused):
    """There is no CT series {series_uid} here."""

    code = "SERIES_NOT_FOUND"
    advice = "Check the SeriesInstanceUID."


class PatientMixed(Refused):
    """The series carries more than one patient: {patients}."""

    code = "PATIENT_MIXED"
    advice = "Find out whose pictures these are before anything is measured."


class PatientConflict(Held):
    """The patient's ID is on record with something else: {conflict}."""

    code = "PATIENT_CONFLICT"
    advice = "Find out whose pictures these are; correct the entry on the console, or analyse the study without earlier results (on a watched box: scanside release STUDY)."


class PatientNotOnRecord(Refused):
    """There is no result of patient {patient_id} in {folder}."""

    code = "PATIENT_NOT_ON_RECORD"
    advice = "Check the patient ID, and the folder of results (--root or --results)."


class PatientSeveralIssuers(Refused):
    """The ID {patient_id} was given by more than one issuer: {issuers}."""

    code = "PATIENT_SEVERAL_ISSUERS"
    advice = "Choose one with --issuer."


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
    """The slices lie in {count} different frames of reference, so their positions can't be compared."""

    code = "GEOMETRY_MIXED_FRAME_OF_REFERENCE"
    advice = "Export one reconstruction as one series."


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


# The appliance: what it writes.


class BoxOutput(BoxFailed):
    """The results can't be written to {folder}: {why}."""

    code = "BOX_OUTPUT"
    advice = "Choose a folder that can be written and has space, then analyse the study again."


# The watched folder: what is put aside, what is held, what the box says of itself.


class InputNotDicom(Refused):
    """This is no DICOM image."""

    code = "INPUT_NOT_DICOM"
    advice = "Nothing, if it came along by itself; if it was meant to be a scan, export the study as DICOM files."


class InputArchive(Refused):
    """This is a zip; the watched folder takes DICOM files."""

    code = "INPUT_ARCHIVE"
    advice = "Unpack it and put the files into the inbox."


class InputBroken(Refused):
    """The file breaks off or can't be read as DICOM, and stayed so."""

    code = "INPUT_BROKEN"
    advice = "Send the study again."


class InputSuperseded(Refused):
    """Another content of the same slice was accepted in place of this one."""

    code = "INPUT_SUPERSEDED"
    advice = "Nothing; it is kept for the record."


class InputConflict(Held):
    """{count} slice(s) carry a UID that is known with another content."""

    code = "INPUT_CONFLICT"
    advice = "Find out which content is right. To accept what came last: scanside release STUDY."


class InputBaseGone(Held):
    """To measure this study, {count} slice(s) are needed that were removed from the archive to make room."""

    code = "INPUT_BASE_GONE"
    advice = "Send the whole study again: it is measured as soon as every slice is there. The last result stays."


class BoxSelfTest(BoxFailed):
    """The self-test of the networks came to no answer: {why}."""

    code = "BOX_SELFTEST"
    advice = "Start again; if it stays so, run scanside selftest and look at memory and disk."


class BoxAnalysisDied(BoxFailed):
    """The analysis of this study ended {how}, {attempts} time(s) in a row."""

    code = "BOX_ANALYSIS_DIED"
    advice = "Keep the study and report this as a defect of Scanside. To try once more: scanside retry STUDY."


class BoxRunning(BoxFailed):
    """Another scanside watch works in {root}."""

    code = "BOX_RUNNING"
    advice = "One is enough: end the other one first, or give this one another --root."


class BoxDatabase(BoxFailed):
    """The database {name} can't be used: {why}."""

    code = "BOX_DATABASE"
    advice = "Move it away and start again: what lies in work goes back to the inbox, and results stay where they are."


class BoxStuck(BoxFailed):
    """What lies in the inbox could not be worked off: {why}."""

    code = "BOX_STUCK"
    advice = "Nothing is lost. Put right what it says (disk space, permissions) and start again."


class BoxRoot(BoxFailed):
    """The box's folder {root} can't be used: {why}."""

    code = "BOX_ROOT"
    advice = "Check that it exists and may be written, or name another one with --root."


class BoxNoSuchStudy(BoxFailed):
    """There is no study {study} that this could be done to."""

    code = "BOX_NO_SUCH_STUDY"
    advice = "See scanside queue: it lists the studies that are held or put aside, with the name to use."


# Model bundles and engines.


class ModelBundleMissing(ModelUnusable):
    """There is no model bundle at {folder}: {why}."""

    code = "MODEL_BUNDLE_MISSING"
    advice = "Install a model bundle, or name its folder with --bundle."


class ModelBundleDamaged(ModelUnusable):
    """The file {name} of the model bundle is not what the manifest says: {why}."""

    code = "MODEL_BUNDLE_DAMAGED"
    advice = "Install the model bundle again from its source; do not use this copy."


class ModelFileUnsafe(ModelUnusable):
    """The network {name} is not accepted: {why}."""

    code = "MODEL_FILE_UNSAFE"
    advice = "Use a bundle that was made by scanside-export."


class ModelWithoutContract(ModelUnusable):
    """The network {name} does not say what it was trained on: {why}."""

    code = "MODEL_WITHOUT_CONTRACT"
    advice = "Export the network again with scanside-export."


class ModelPrecision(ModelUnusable):
    """Precision {precision} is not to be had with {engine} on this processor: {why}."""

    code = "MODEL_PRECISION"
    advice = "Leave --precision out, or choose int8 or fp32."


class ModelEngine(ModelUnusable):
    """The engine {engine} can't run the network: {why}."""

    code = "MODEL_ENGINE"
    advice = "Try the other engine with --engine; if both fail, install Scanside again."


# The gate after the masks.


class SeriesNoLungs(Refused):
    """No lungs were found in the series ({volume_ml:.0f} ml; a chest has {least_ml:.0f} ml and more)."""

    code = "SERIES_NOT_CHEST"
    advice = "Send the chest CT; if this is one, look at the pictures: the box can't measure it."


class SeriesNotLungs(Refused):
    """What was taken for lungs is no pair of lungs: {why}."""

    code = "SERIES_NOT_CHEST"
    advice = "Send the chest CT; if this is one, look at the pictures: the box can't measure it."


class ModelSelfTest(ModelUnusable):
    """The network {network} does not compute here what it computed when it was exported (Dice {dice:.3f}, at least {least})."""

    code = "MODEL_SELFTEST"
    advice = "Try --engine onnxruntime or --precision fp32; if it fails too, do not use this box."


# Many studies: tables, masks, worker processes and clusters.


class CohortTable(Refused):
    """The table {name} can't be used: {why}."""

    code = "INPUT_TABLE"
    advice = "Correct the table; docs/cohort.md says what each column must hold."


class CohortTooFewEvents(Refused):
    """Too few exams to fit {features} to {label}: {with_label} with it and {without} without, at least {needed} of either are needed."""

    code = "INPUT_TOO_FEW_EVENTS"
    advice = "Collect more exams; a model of fewer would not hold on the next patients."


class CohortMasks(Refused):
    """The masks {name} can't be compared: {why}."""

    code = "INPUT_MASKS"
    advice = "Hand over two folders whose files have the same names, kinds and grids."


class BoxExtraMissing(BoxFailed):
    """This needs {package}, which is not installed here."""

    code = "BOX_EXTRA_MISSING"
    advice = 'Install it with `pip install "scanside[cohort]"`.'


class BoxWorkerDied(BoxFailed):
    """The process that analysed the study ended without an answer ({why})."""

    code = "BOX_WORKER_DIED"
    advice = "Analyse the study by itself with scanside analyze; if that ends as well, report it and keep the study."


class BoxWorkerDiffers(BoxFailed):
    """The worker that analysed the study has another model bundle ({bundle}) than the box that hands out the studies."""

    code = "BOX_WORKER_DIFFERS"
    advice = "Install the same Scanside and the same bundle on every worker, then run the same command again."


class BoxCluster(BoxFailed):
    """The Dask cluster at {address} can't be used: {why}."""

    code = "BOX_CLUSTER"
    advice = "Check the address, and that every worker has the same Scanside and sees the same folders."


class ModelSelfTestFailed(ModelUnusable):
    """The self-test of the networks did not come to its end: {why}."""

    code = "MODEL_SELFTEST"
    advice = "Run scanside selftest, and scanside bundle verify."
