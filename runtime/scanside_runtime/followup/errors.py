"""Why a study is not compared with a patient's earlier scans."""

from __future__ import annotations

from scanside_runtime.errors import Held


class PatientConflict(Held):
    """The patient's ID is on record with something else: {conflict}."""

    code = "PATIENT_CONFLICT"
    advice = (
        "Find out whose pictures these are; correct the entry on the console, or analyse the study without earlier "
        "results (on a watched box: scanside release STUDY)."
    )
