"""Why a result can't be written, or a patient's history can't be shown."""

from __future__ import annotations

from scanside_runtime.errors import Refused


class PatientNotOnRecord(Refused):
    """There is no result of patient {patient_id} in {folder}."""

    code = "PATIENT_NOT_ON_RECORD"
    advice = "Check the patient ID, and the folder of results (--root or --results)."


class ResultNotFound(Refused):
    """There is no result of {wanted} in {folder}."""

    code = "PATIENT_NO_RESULT"
    advice = "Say a patient's ID or name as its page has it, a day as 2026-01-31, or last; check --root."


class PatientSeveralIssuers(Refused):
    """The ID {patient_id} was given by more than one issuer: {issuers}."""

    code = "PATIENT_SEVERAL_ISSUERS"
    advice = "Choose one with --issuer."
