"""Why a file or a study is put aside, why an analysis ended without one, and what a person asked for in vain."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed, Held, Refused


class InputNotDicom(Refused):
    """This is no DICOM image."""

    code = "INPUT_NOT_DICOM"
    advice = "Nothing, if it came along by itself; if it was meant to be a scan, export the study as DICOM files."


class InputOwnResult(Refused):
    """This is a result of Scanside that came back: a Segmentation, a report or a key picture."""

    code = "INPUT_OWN_RESULT"
    advice = "Nothing: it is never measured. Have the archive leave Scanside's series out of what it sends to the box."


class InputArchive(Refused):
    """This is an archive (zip, tar, gzip); the watched folder takes DICOM files."""

    code = "INPUT_ARCHIVE"
    advice = "Unpack it and put the files into the inbox."


class InputBroken(Refused):
    """The file is cut off or can't be read as DICOM, and the rest of it did not come."""

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


class InputDuplicateUid(Held):
    """{count} different slices carry one SOP Instance UID, or none, so that nothing can refer to them."""

    code = "INPUT_DUPLICATE_UID"
    advice = (
        "A tool on the way has damaged the identifiers: export the study again from the scanner. Or have the slices "
        "told apart by their positions, without DICOM objects: scanside release STUDY."
    )


class InputBaseGone(Held):
    """To measure this study, {count} slice(s) are needed that were removed from the archive to make room."""

    code = "INPUT_BASE_GONE"
    advice = "Send the whole study again: it is measured as soon as every slice is there. The last result stays."


class InputFilesGone(Held):
    """This study lacks {count} slice(s) that the box had."""

    code = "INPUT_FILES_GONE"
    advice = (
        "Send the whole study again: it is measured as soon as every slice is there. A backup that was put back lacks "
        "them, or somebody removed files of the box. To go on without them: scanside release STUDY."
    )


class InputResultStays(Held):
    """This study has a result, and of what it had before, {count} slice(s) are gone."""

    code = "INPUT_RESULT_STAYS"
    advice = (
        "Send the whole study again; until then the result stays. To measure what is left, and have that count in its "
        "place: scanside release STUDY --anyway."
    )


class BoxSelfTest(BoxFailed):
    """The self-test of the networks came to no answer: {why}."""

    code = "BOX_SELFTEST"
    advice = "Start again; if it stays so, run scanside selftest and look at memory and disk."


class BoxAnalysisDied(BoxFailed):
    """The analysis of this study ended {how}, {attempts} time(s) in a row."""

    code = "BOX_ANALYSIS_DIED"
    advice = "Keep the study and report this as a defect of Scanside. To try once more: scanside retry STUDY."


class BoxWorkerStart(BoxFailed):
    """The process that analyses can't be started: it ended {how}."""

    code = "BOX_WORKER_START"
    advice = (
        "Run scanside selftest, it says more; look at memory and disk. If Scanside was just installed, start it again."
    )


class BoxSameDefect(BoxFailed):
    """The analyses of two studies in a row ended {where}: a defect of the box, not of the studies."""

    code = "BOX_SAME_DEFECT"
    advice = (
        "Report this as a defect of Scanside; if it was just installed, start it again. The studies wait and are tried "
        "again, others first; as soon as one is measured, each of the two is judged by itself."
    )


class BoxUnread(BoxFailed):
    """{count} of the box's files can't be read ({names}), so that the book is not made anew."""

    code = "BOX_UNREAD"
    advice = (
        "Nothing was changed: run it again. If it stays so, look at the disk, and at who may read there. What is lost for "
        "good is left out with --anyway."
    )


class BoxArchiveAltered(BoxFailed):
    """{count} file(s) in the archive are not what was put there."""

    code = "BOX_ARCHIVE_ALTERED"
    advice = "Send the study again, or put its files back from a copy; see whether the disk is sound and who may write there."


class BoxArchiveMissing(BoxFailed):
    """Of study {study}, {count} file(s) that the book has in the archive are not there."""

    code = "BOX_ARCHIVE_MISSING"
    advice = "Put them back from a copy, or send the study again; scanside verify names them."


class BoxNoSuchStudy(BoxFailed):
    """There is no study {study} for which this can be done."""

    code = "BOX_NO_SUCH_STUDY"
    advice = "See scanside queue: it lists the studies that are held or put aside, with the name to use."


class BoxNoSuchSeries(BoxFailed):
    """Study {study} has no series {series}."""

    code = "BOX_NO_SUCH_SERIES"
    advice = "See scanside release STUDY: it lists the series that were found, with a number to choose by."


class BoxNotHeld(BoxFailed):
    """Study {study} is not held: there is nothing to accept."""

    code = "BOX_NOT_HELD"
    advice = "To have another of its series measured: scanside release STUDY --series NUMBER (or its UID)."
