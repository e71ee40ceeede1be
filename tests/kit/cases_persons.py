"""Made cases: whose pictures these are, and slices that no UID of their own tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from kit.analysis_samples import SPACING_MM
from kit.case_kit import case, chest, edit, move, put, scan, second_series
from scanside_runtime.phantom.dicom_writer import SeriesTags

# Two patients in one study


for who, other in {
    "of_another_id": {"PatientID": "SOMEONE ELSE"},
    "of_another_issuer": {"IssuerOfPatientID": "ELSEWHERE"},
    "of_another_birth_date": {"PatientBirthDate": "19541231"},
    "of_another_sex": {"PatientSex": "F"},
    "of_another_name": {"PatientName": "SCANSIDE^ANNA"},
}.items():

    def a_second_series(folder: Path, other: dict[str, str] = other) -> None:
        scan(folder / "first")
        put([*(folder / "first").iterdir()], IssuerOfPatientID="HERE")
        put(second_series(folder / "second", convolution_kernel="LUNG"), **{"IssuerOfPatientID": "HERE", **other})

    a_second_series.__name__ = f"a_second_series_{who}"
    case("PATIENT_MIXED")(a_second_series)


@case("PATIENT_MIXED")
def a_localizer_of_another_id(folder: Path) -> None:
    scan(folder / "first")
    put(second_series(folder / "second")[:1], PatientID="P2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


@case("PATIENT_MIXED")
def a_report_of_another_id_under_the_same_study(folder: Path) -> None:
    scan(folder / "first")
    report = put_report(second_series(folder / "second"), folder)
    put([report], PatientID="P2")


@case("PATIENT_MIXED", series_uid="1.2.3")
def a_series_that_a_person_named_in_a_study_of_two_patients(folder: Path) -> None:
    put(scan(folder / "first"), SeriesInstanceUID="1.2.3")
    put(second_series(folder / "second"), PatientID="P2")


@case("PATIENT_MIXED")
def a_slice_without_patient_id(folder: Path) -> None:
    put(scan(folder), only=4, PatientID="")


@case("PATIENT_MIXED")
def a_slice_of_another_birth_date(folder: Path) -> None:
    put(scan(folder), only=4, PatientBirthDate="19610101")


# One patient, spelled otherwise


for number, spelling in enumerate(
    ("SCANSIDE^PHANTOM^^", "SCANSIDE^PHANTOM^^^^=", "Scanside^Phantom ", "SCANSIDE ^PHANTOM==", "SCANSIDE^PHANTOM=N=N")
):

    def spelled(folder: Path, spelling: str = spelling) -> None:
        put(scan(folder), only=4, PatientName=spelling)

    spelled.__name__ = f"a_name_that_is_filled_up_{number}"
    case(None, written=number == 4)(spelled)


@case("PATIENT_MIXED")
def names_that_differ_in_their_second_component_group(folder: Path) -> None:
    paths = scan(folder)
    put(paths[:7], PatientName="SCANSIDE^PHANTOM=A^B")
    put(paths[7:], PatientName="SCANSIDE^PHANTOM=A^C")


@case(None)
def a_report_that_spells_the_name_otherwise(folder: Path) -> None:
    scan(folder / "first")
    put([put_report(second_series(folder / "second"), folder)], PatientName="Phantom, Scanside", PatientSex="")


@case(None)
def a_second_series_that_states_nothing_of_the_patient(folder: Path) -> None:
    scan(folder / "first")
    put(
        second_series(folder / "second", convolution_kernel="LUNG"),
        PatientID="", PatientName="", PatientSex="", PatientBirthDate="",
    )  # fmt: skip


def put_report(paths: list[Path], folder: Path) -> Path:
    """One object of a series as a structured report, the others away."""
    for path in paths[1:]:
        path.unlink()
    put(paths[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", Modality="SR")
    return paths[0]


# Slices that no UID of their own tells apart


@case(None, "INPUT_SHARED_UID")
def one_uid_for_all_slices(folder: Path) -> None:
    put(scan(folder), SOPInstanceUID="1.2.3")


@case(None, "INPUT_SHARED_UID")
def two_slices_of_one_uid(folder: Path) -> None:
    put(scan(folder)[4:6], SOPInstanceUID="1.2.3")


@case(None, "INPUT_SHARED_UID")
def a_slice_without_uid(folder: Path) -> None:
    put(scan(folder), only=4, SOPInstanceUID=None)


@case(None, "INPUT_SHARED_UID")
def uids_with_letters_that_are_one(folder: Path) -> None:
    put(scan(folder), SOPInstanceUID="7f9c24e8-3b12-4fef-91e0-5d2a6c1b8e44", SeriesInstanceUID="b1c2-d3e4")


@case(None, "INPUT_SHARED_UID")
def two_series_that_share_their_uids(folder: Path) -> None:
    first = scan(folder / "first")
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in first]

    def shared(ds: Dataset, number: int) -> None:
        ds.SOPInstanceUID = uids[number]

    tags = SeriesTags(study_uid=pydicom.dcmread(first[0]).StudyInstanceUID, convolution_kernel="LUNG")
    edit(scan(folder / "second", chest() + np.int16(1), tags=tags), shared)


@case("GEOMETRY_DUPLICATE_POSITIONS")
def one_uid_and_two_pictures_at_one_place(folder: Path) -> None:
    paths = scan(folder)
    put(paths, SOPInstanceUID="1.2.3")
    move(paths, lambda number, at: [at[0], at[1], at[2] - (SPACING_MM[0] if number == 6 else 0.0)])


@case("SERIES_ONE_POSITION")
def one_uid_and_one_place_for_all_slices(folder: Path) -> None:
    paths = scan(folder)
    put(paths, SOPInstanceUID="1.2.3")
    move(paths, lambda number, at: [at[0], at[1], 0.0])
