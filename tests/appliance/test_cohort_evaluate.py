"""Changes against reports, masks against masks, and printed figures, through the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest

from kit.analysis_samples import chest_masks, chest_series
from kit.turned_segmentation import WAYS, turned_segmentation
from scanside_appliance.results.dicom_seg import series_segmentation
from scanside_appliance.statistics.phrases.report_phrases import Statement, phrase_lists, statements
from scanside_runtime.metrics import dice
from scanside_runtime.phantom.dicom_writer import SeriesTags
from scanside_runtime.volume import Masks

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("Lesions expanded; density slightly decreased.", {("expanded", False), ("density_down", False)}),
        ("partially absorbed", {("contracted", True)}),
        ("Lesions not significantly enlarged, density increased", {("density_up", False)}),
        ("no new lesions", set()),
        ("No change, but the lesions are smaller", {("contracted", False)}),
        ("some lesions expanded and others contracted", {("expanded", True), ("contracted", False)}),
        ("expanded, and partially expanded elsewhere", {("expanded", False)}),
        ("双肺病灶较前部分吸收,密度减低", {("contracted", True), ("density_down", False)}),
        ("病灶范围较前扩大,密度稍增高。", {("expanded", False), ("density_up", False)}),
        ("未见明显扩大", set()),
        ("左肺病灶增多,右肺病灶缩小", {("expanded", False), ("contracted", False)}),
        ("Lesions absorbed in part; the rest expanded", {("contracted", True), ("expanded", False)}),
        ("lesions contracted partially", {("contracted", True)}),
        ("Enlargement was not observed. Density increased", {("density_up", False)}),
        ("smaller, not denser", {("contracted", False)}),
        ("absorbed, part of it denser", {("contracted", False), ("density_up", True)}),
        ("病灶吸收不明显", set()),
        ("病灶扩大不明显,密度减低", {("density_down", False)}),
        ("", set()),
    ],
)
def test_a_report_says_what_a_reader_would_say_it_says(report: str, said: set) -> None:
    assert statements(report, phrase_lists()) == {Statement(*one) for one in said}


def write_changes(path: Path, rows: list[tuple]) -> Path:
    columns = ["patient_id", "acquired_at", "poi_percent", "ihu_hu", "phrase"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def pairs(count: int, poi_by: float, ihu_by: float, phrase: str, first: int) -> list[tuple]:
    """Patients with two scans each, the second one first in the table."""
    rows = []
    for number in range(first, first + count):
        rows.append((f"P{number}", "2020-02-03T08:00:00", 10 + poi_by, -600 + ihu_by, phrase))
        rows.append((f"P{number}", "2020-02-01T08:00:00", 10, -600, ""))
    return rows


def changes(run: Run, table: Path, *options: object) -> dict:
    code, out, _ = run("cohort", "evaluate", "changes", table, "--json", *options)
    assert code == 0
    return json.loads(out)


def test_changes_by_sign_against_phrases_give_counts_kappa_and_both_errors(run: Run, tmp_path: Path) -> None:
    rows = [
        *pairs(81, 2, 0, "expanded", 0), *pairs(7, 2, 0, "contracted", 100), *pairs(5, -2, 0, "expanded", 200),
        *pairs(49, -2, 0, "contracted", 300), *pairs(10, -2, 0, "partially contracted", 400),
        *pairs(3, 1, 0, "expanded on the left, contracted on the right", 500), *pairs(2, 0, 0, "expanded", 600),
        *pairs(6, 1, 20, "density increased", 700), *pairs(4, 1, -20, "密度减低", 800),
    ]  # fmt: skip
    facts = changes(run, write_changes(tmp_path / "t.csv", rows))
    poi, with_partial, ihu, _ = facts["tables"]
    assert poi["counts"] == [[81, 7], [5, 49]]
    assert (poi["biomarker"], poi["phrases"], poi["partial"], poi["n"]) == (
        "poi_percent",
        ["expanded", "contracted"],
        False,
        142,
    )
    assert (round(poi["observed_agreement"], 4), round(poi["kappa"], 4), poi["strength"]) == (
        0.9155,
        0.822,
        "very good",
    )
    assert round(poi["standard_error"], 4) == 0.0492
    assert poi["ci95"] == pytest.approx([0.7256, 0.9184], abs=1e-4)
    assert poi["standard_error_asymptotic"] == pytest.approx(0.049107, abs=1e-6)
    assert (poi["opposite"], poi["unchanged"]) == (3, 2)
    assert (with_partial["partial"], with_partial["counts"]) == (True, [[81, 7], [5, 59]])
    assert (ihu["counts"], ihu["kappa"]) == ([[6, 0], [0, 4]], 1.0)
    assert facts["phrases_found"]["contracted"] == {"whole": 59, "partial": 10}


def test_small_changes_count_by_sign_and_are_stable_in_the_three_way_table(run: Run, tmp_path: Path) -> None:
    rows = [*pairs(3, 0.4, 0, "expanded", 0), *pairs(2, 4, 0, "expanded", 50), *pairs(1, -4, 0, "contracted", 90)]
    poi = changes(run, write_changes(tmp_path / "t.csv", rows), "--poi-limit", 1)["tables"][0]
    assert poi["counts"] == [[5, 0], [0, 1]]
    assert poi["three_way"] == {"rising": [2, 0], "stable": [3, 0], "falling": [0, 1]}


def test_only_consecutive_scans_of_one_patient_are_compared(run: Run, tmp_path: Path) -> None:
    rows = [
        ("A", "2020-02-01", 5, "", "expanded"),
        ("B", "2020-02-02", 9, "", "expanded"),
        ("A", "2020-02-03", "", "", "expanded"),
    ]
    facts = changes(run, write_changes(tmp_path / "t.csv", rows))
    assert (facts["pairs"], [table["n"] for table in facts["tables"]]) == (1, [0, 0, 0, 0])
    assert facts["tables"][0]["kappa"] is None


def test_rows_that_are_nobodys_are_left_out_counted_and_said(run: Run, tmp_path: Path) -> None:
    """Two persons called ANONYMOUS were one patient, whose POI rose from 2 to 40 %."""
    nobody = ("ANONYMOUS", "anonymous ", "UNKNOWN", "0", "000", "", "TEST")
    rows = [(one, f"2020-02-{n + 1:02d}", 2 + 5 * n, -600, "expanded") for n, one in enumerate(nobody * 2)]
    known = ("7", "11", "A", "TESTA")
    somebody = [(one, f"2020-02-0{day}", 5 * day, -600, "expanded") for one in known for day in (1, 2)]
    table = write_changes(tmp_path / "t.csv", [*rows, *somebody])
    code, out, err = run("cohort", "evaluate", "changes", table, "--json")
    facts = json.loads(out)
    assert (code, facts["pairs"], facts["left_out"]) == (0, 4, 14)
    assert facts["tables"][0]["counts"] == [[4, 0], [0, 0]]
    assert "14 row(s) without a patient's own ID were left out" in err


def test_the_settings_say_which_ids_are_nobodys(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[patient]\nplaceholder_ids = ["P0"]\n')
    table = write_changes(tmp_path / "t.csv", [*pairs(2, 1, 0, "expanded", 0), *pairs(1, 1, 0, "expanded", 5)])
    _, out, _ = run("--settings", tmp_path / "s.toml", "cohort", "evaluate", "changes", table, "--json")
    assert (json.loads(out)["pairs"], json.loads(out)["left_out"]) == (2, 2)


def test_further_phrases_can_be_handed_over(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "more.toml"
    kinds = "".join(f"{kind} = []\n" for kind in ("contracted", "density_up", "density_down", "partial", "negations"))
    words.write_text(
        f'language = "Deutsch"\nwhole_words = true\nreach = 10\nexpanded = ["größer"]\n{kinds}', encoding="utf-8"
    )
    table = write_changes(tmp_path / "t.csv", pairs(2, 3, 0, "Herde größer", 0))
    assert changes(run, table)["tables"][0]["n"] == 0
    assert changes(run, table, "--phrases", words)["tables"][0]["counts"] == [[2, 0], [0, 0]]


def test_scans_with_and_without_a_time_zone_are_in_the_order_of_their_local_times(run: Run, tmp_path: Path) -> None:
    """In UTC, 6 o'clock in Wuhan lies before half past eleven of the evening before, and the rise was a fall."""
    rows = [
        ("A", "2020-04-01T23:30:00", 5, -600, ""),
        ("A", "2020-04-02T06:00:00+08:00", 9, -600, "expanded"),
        ("B", "2020-04-02T06:00:00+08:00", 5, -600, ""),
        ("B", "2020-04-01T23:30:00Z", 9, -600, "expanded"),
    ]
    assert changes(run, write_changes(tmp_path / "t.csv", rows))["tables"][0]["counts"] == [[2, 0], [0, 0]]


@pytest.mark.parametrize("moment", ["yesterday", ""])
def test_a_row_without_a_time_is_refused(run: Run, tmp_path: Path, moment: str) -> None:
    table = write_changes(tmp_path / "t.csv", [("A", "2020-02-01", 5, -600, ""), ("A", moment, 6, -600, "expanded")])
    code, _, err = run("cohort", "evaluate", "changes", table)
    assert (code, "acquired_at in row 2" in err) == (3, True)


def test_two_scans_of_a_patient_at_one_moment_are_refused(run: Run, tmp_path: Path) -> None:
    table = write_changes(
        tmp_path / "t.csv", [("A", "2020-02-01", 5, -600, ""), ("A", "2020-02-01", 6, -600, "expanded")]
    )
    assert run("cohort", "evaluate", "changes", table)[0] == 3


def test_a_person_reads_the_kappa_table(run: Run, tmp_path: Path) -> None:
    table = write_changes(tmp_path / "t.csv", [*pairs(3, 1, 1, "expanded", 0), *pairs(3, -1, 1, "contracted", 9)])
    _, out, _ = run("cohort", "evaluate", "changes", table, "--poi-limit", 1.5)
    assert "kappa 1.0000 (very good)" in out
    assert "without 'partially'" in out
    assert "beyond 1.5 points: rising: 0 expanded, 0 contracted; stable: 3 expanded, 3 contracted; falling: 0" in out


def masks(seed: int, shape: tuple[int, ...] = (4, 10, 11)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) > 0.6


def compared(run: Run, tmp_path: Path, *options: object) -> dict:
    code, out, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b", "--json", *options)
    assert (code, err) == (0, "")
    return json.loads(out)


def test_nifti_masks_are_paired_by_name_and_summed_up(run: Run, tmp_path: Path) -> None:
    for side, first in (("a", 0), ("b", 10)):
        (tmp_path / side).mkdir()
        for number in range(3):
            nib.save(
                nib.Nifti1Image(masks(first + number).astype(np.uint8), np.eye(4)),
                tmp_path / side / f"c{number}.nii.gz",
            )
    nib.save(nib.Nifti1Image(masks(5).astype(np.uint8), np.eye(4)), tmp_path / "a" / "alone.nii")
    facts = compared(run, tmp_path)
    expected = [dice(masks(number), masks(10 + number)) for number in range(3)]
    assert [case["dice"] for case in facts["cases"]] == pytest.approx(expected)
    assert (facts["n"], facts["only_in_a"]) == (3, ["alone"])
    assert facts["dice_mean"] == pytest.approx(np.mean(expected))
    assert facts["dice_sd"] == pytest.approx(np.std(expected, ddof=1))
    assert facts["dice_median"] == pytest.approx(np.median(expected))


def test_pictures_of_a_sub_folder_are_one_case_and_others_stand_alone(run: Run, tmp_path: Path) -> None:
    for side, seed in (("a", 0), ("b", 1)):
        (tmp_path / side / "case").mkdir(parents=True)
        for number, one_slice in enumerate(masks(seed)):
            cv2.imwrite(str(tmp_path / side / "case" / f"{number:03d}.png"), one_slice.astype(np.uint8) * 255)
        cv2.imwrite(str(tmp_path / side / "single.png"), masks(7)[0].astype(np.uint8))
    facts = compared(run, tmp_path)
    assert [case["name"] for case in facts["cases"]] == ["case", "single"]
    assert [case["dice"] for case in facts["cases"]] == pytest.approx([dice(masks(0), masks(1)), 1.0])


def test_dicom_segmentations_are_compared_on_their_source_images(run: Run, tmp_path: Path) -> None:
    series, volume = chest_series(tmp_path / "scan")
    whole = chest_masks(volume)
    smaller = whole.infection.array.copy()
    smaller[3] = False
    partial = Masks(whole.right_lung, whole.left_lung, volume.with_mask(smaller))
    for side, kept in (("a", whole), ("b", partial)):
        (tmp_path / side).mkdir()
        content = series_segmentation(series, kept, algorithm_version="1", software_version="1")
        (tmp_path / side / "seg.dcm").write_bytes(content)
    assert compared(run, tmp_path)["cases"] == [
        {"name": "seg", "dice": pytest.approx(dice(whole.infection.array, smaller))}
    ]
    assert compared(run, tmp_path, "--segment", "Left lung")["dice_mean"] == 1.0
    assert run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b", "--segment", "Tumour")[0] == 3


@pytest.fixture(scope="module")
def two_readers(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, float]:
    """Segmentations of two who agree about the lungs, and Dice of their infections."""
    series, volume = chest_series(tmp_path_factory.mktemp("scan") / "scan", orientation="FFS")
    whole = chest_masks(volume)
    smaller = whole.infection.array.copy()
    smaller[3] = smaller[:, 24] = smaller[:, :, 28:30] = False
    one, other = (
        series_segmentation(
            series,
            Masks(whole.right_lung, whole.left_lung, infection),
            algorithm_version="1",
            software_version="1",
        )
        for infection in (whole.infection, volume.with_mask(smaller))
    )
    return one, other, dice(whole.infection.array, smaller)


@pytest.mark.parametrize("way", WAYS)
def test_segmentations_are_compared_voxel_by_voxel_however_their_frames_are_turned(
    run: Run, tmp_path: Path, two_readers: tuple[bytes, bytes, float], way: tuple[bool, bool, bool]
) -> None:
    one, other, expected = two_readers
    for side, content in (("a", one), ("b", turned_segmentation(other, *way))):
        (tmp_path / side).mkdir()
        (tmp_path / side / "seg.dcm").write_bytes(content)
    assert compared(run, tmp_path)["dice_mean"] == pytest.approx(expected)
    assert compared(run, tmp_path, "--segment", "Left lung")["dice_mean"] == 1.0


def test_segmentations_whose_frames_lie_apart_get_no_dice(run: Run, tmp_path: Path) -> None:
    series, volume = chest_series(tmp_path / "scan")
    content = series_segmentation(series, chest_masks(volume), algorithm_version="1", software_version="1")
    for side, away_mm in (("a", 0.0), ("b", 80.0)):
        (tmp_path / side).mkdir()
        ds = pydicom.dcmread(io.BytesIO(content))
        for item in ds.PerFrameFunctionalGroupsSequence:
            item.PlanePositionSequence[0].ImagePositionPatient[0] += away_mm
        ds.save_as(tmp_path / side / "seg.dcm")
    code, _, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert (code, "their frames lie in different places" in err) == (3, True)


def test_segmentations_of_other_images_and_pictures_that_are_no_masks_get_no_dice(run: Run, tmp_path: Path) -> None:
    for side, number in (("a", 1), ("b", 2)):
        (tmp_path / side).mkdir()
        series, volume = chest_series(tmp_path / "scans" / side, tags=SeriesTags(study_uid=f"1.2.{number}"))
        content = series_segmentation(series, chest_masks(volume), algorithm_version="1", software_version="1")
        (tmp_path / side / "seg.dcm").write_bytes(content)
    code, _, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert (code, "they speak of other images" in err) == (3, True)
    for side in "ab":
        (tmp_path / side / "seg.dcm").unlink()
        cv2.imwrite(str(tmp_path / side / "page.png"), np.arange(64, dtype=np.uint8).reshape(8, 8))
    code, _, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert (code, "is no mask" in err) == (3, True)


def test_a_picture_of_two_labels_and_no_background_is_no_mask(run: Run, tmp_path: Path) -> None:
    """All of it was infection then, on both sides: a Dice of 1."""
    for side in "ab":
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / "page.png"), np.where(masks(ord(side), (8, 8)), 170, 85).astype(np.uint8))
    code, out, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert (code, out, "is no mask" in err) == (3, "", True)


def test_masks_on_other_grids_or_without_partner_are_refused(run: Run, tmp_path: Path) -> None:
    for side, shape in (("a", (4, 10, 11)), ("b", (4, 10, 12))):
        (tmp_path / side).mkdir()
        nib.save(nib.Nifti1Image(masks(0, shape).astype(np.uint8), np.eye(4)), tmp_path / side / "c.nii.gz")
    code, _, err = run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")
    assert (code, "INPUT_MASKS" in err) == (3, True)
    nib.save(nib.Nifti1Image(masks(0).astype(np.uint8), np.diag([1, 1, 5, 1])), tmp_path / "b" / "c.nii.gz")
    assert "different places" in run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")[2]
    (tmp_path / "b" / "c.nii.gz").write_bytes(b"no NIfTI")
    assert run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")[0] == 3
    (tmp_path / "b" / "c.nii.gz").unlink()
    assert "no file of one has the name" in run("cohort", "evaluate", "masks", tmp_path / "a", tmp_path / "b")[2]


def test_two_real_readers_agree_as_much_as_their_table_says(run: Run, tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "infection-3d"
    with (source / "slices.csv").open() as lines:
        known = [row for row in csv.DictReader(lines) if row["reader_a_px"] != "0" and row["reader_b_px"] != "0"]
    for row in known:
        bits = cv2.imread(str(source / row["case"] / f"{int(row['slice']):03d}.png"), cv2.IMREAD_GRAYSCALE)
        for side, bit in (("a", 1), ("b", 2)):
            (tmp_path / side / row["case"]).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / side / row["case"] / f"{int(row['slice']):03d}.png"), bits & bit)
    with (source / "cases.csv").open() as lines:
        stated = {row["case"]: row["dice_between_readers"] for row in csv.DictReader(lines)}
    facts = compared(run, tmp_path)
    assert facts["n"] == 7
    for case in facts["cases"]:
        assert case["dice"] == pytest.approx(float(stated[case["name"]]), abs=0.005)


def test_printed_figures_are_searched_on_the_command_line(run: Run) -> None:
    code, out, _ = run(
        "cohort", "evaluate", "printed", "--n", 142, "--kappa", "0.8220", "--agreement", "91.55%", "--json"
    )
    assert (code, json.loads(out)["tables"]) == (0, [[[81, 7], [5, 49]]])
    code, out, _ = run("cohort", "evaluate", "printed", "--n", 54, "--kappa", "0.8220", "--other", 70)
    assert (code, out) == (3, "no table with n = 54\nn for which there is one: 62, 67, 70\n")


@pytest.mark.parametrize("command", ["run", "calibrate", "simulate", "evaluate", "evaluate masks", "evaluate changes"])
def test_every_command_of_the_cohort_has_help(run: Run, command: str) -> None:
    code, out, _ = run("cohort", *command.split(), "--help")
    assert code == 0
    assert len(out.splitlines()) > 5


def test_intervals_are_measured_on_the_command_line(run: Run) -> None:
    code, out, _ = run("cohort", "simulate", "--simulations", 3, "--json")
    assert (code, json.loads(out)["simulations"]) == (0, 3)
    assert "auc delong" in run("cohort", "simulate", "--simulations", 2, "--clustered", "--resamples", 5)[1]
    code, out, _ = run("cohort", "simulate", "--simulations", 2, "--auc", 0.8, "--shape", 1, "--json")
    assert (json.loads(out)["true_auc"], json.loads(out)["shape"]) == (0.8, 1.0)
