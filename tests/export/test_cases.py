"""The adapters of the data folders: on small folders of the published form, and on the real ones where they lie."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scanside_export.data import cases
from scanside_export.data.cases import CHECK_CASES, ELSEWHERE, HELD_OUT, LEFT, RIGHT, UNKNOWN
from scanside_export.data.prepare import BACKGROUNDS
from scanside_export.data.volumes import PARITY_VOLUMES, check_cases, labelled_case
from scanside_export.errors import LabelsUnusable


def write(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), grey.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])


def labels() -> np.ndarray:
    """Two lungs (bit 4), infection by reader A (1) in the right one, by reader B (2) in the left one."""
    bits = np.zeros((64, 96), np.uint8)
    bits[16:48, 8:40] = 4
    bits[16:48, 56:88] = 4
    bits[20:30, 10:20] |= 1
    bits[20:26, 60:66] |= 2
    return bits


def volumes_folder(folder: Path, names: tuple[str, ...], slices: int = 3, reader_b_px: int = 256) -> Path:
    rows = ["case,slice,lungs_known,reader_a_px,reader_b_px"]
    for name in names:
        for number in range(slices):
            write(folder / name / f"{number:03d}.jpg", np.full((64, 96), 100))
            write(folder / name / f"{number:03d}.png", labels())
            rows.append(f"{name},{number},{int(number > 0)},630,{reader_b_px}")
    (folder / "slices.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "cases.csv").write_text("case\n" + "\n".join(names) + "\n", encoding="utf-8")
    return folder


def test_a_volume_has_the_densities_and_spacing_of_its_description(tmp_path: Path) -> None:
    (case,) = cases.infection_volumes(volumes_folder(tmp_path, ("radiopaedia_1",)))
    assert (case.name, case.source, case.hu.shape) == ("radiopaedia_1", "infection-3d", (3, 64, 96))
    assert case.hu.dtype == np.int16
    assert np.abs(case.hu - (6 * 100 - 1100)).max() <= 6
    assert case.spacing_mm == (6.0, cases.ASSUMED_PIXEL_MM, cases.ASSUMED_PIXEL_MM)


def test_many_slices_are_taken_as_thin(tmp_path: Path) -> None:
    (case,) = cases.infection_volumes(volumes_folder(tmp_path, ("coronacases_1",), slices=80))
    assert case.spacing_mm[0] == 2.5


def test_lungs_are_told_apart_and_not_known_where_the_table_says_so(tmp_path: Path) -> None:
    (case,) = cases.infection_volumes(volumes_folder(tmp_path, ("radiopaedia_1",)))
    assert (case.lungs[0] == UNKNOWN).all()
    expected = np.zeros((64, 96), np.uint8)
    expected[16:48, 8:40], expected[16:48, 56:88] = RIGHT, LEFT
    np.testing.assert_array_equal(case.lungs[1], expected)


def test_of_a_slice_that_nobody_drew_on_only_what_is_far_from_lungs_is_called_no_lung(tmp_path: Path) -> None:
    folder = volumes_folder(tmp_path, ("radiopaedia_1",), slices=8)
    rows = (folder / "slices.csv").read_text().splitlines()
    undrawn = [row.replace(",1,630", ",0,630") if row.split(",")[1] in "0123" else row for row in rows]
    (folder / "slices.csv").write_text("\n".join(undrawn) + "\n")
    for number in range(4):  # an abdomen, the last slice of it 6 mm below the lungs
        write(folder / "radiopaedia_1" / f"{number:03d}.png", np.zeros((64, 96)))
        write(folder / "radiopaedia_1" / f"{number:03d}.jpg", np.full((64, 96), 190))
    (case,) = cases.infection_volumes(folder)
    assert (case.lungs[0] == ELSEWHERE).all()
    near = case.lungs[3] == UNKNOWN
    assert near[12:52, 4:92].all()
    assert (case.lungs[4:] < ELSEWHERE).all()
    assert labelled_case(case, None).lungs_known.tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize(("reader_b_px", "readers"), [(256, 2), (0, 1)])
def test_each_reader_who_marked_a_series_has_a_mask(tmp_path: Path, reader_b_px: int, readers: int) -> None:
    (case,) = cases.infection_volumes(volumes_folder(tmp_path, ("radiopaedia_1",), reader_b_px=reader_b_px))
    assert [int(mask[1].sum()) for mask in case.infection] == [100, 36][:readers]


def test_all_series_come_out_or_those_named(tmp_path: Path) -> None:
    names = ("coronacases_001", *CHECK_CASES)
    folder = volumes_folder(tmp_path / "infection-3d", names)
    assert [case.name for case in cases.infection_volumes(folder)] == list(names)
    assert [case.name for case in check_cases(tmp_path)] == list(CHECK_CASES)
    with pytest.raises(LabelsUnusable, match="no series 'coronacases_099'"):
        list(cases.infection_volumes(folder, only=("coronacases_099",)))


def test_lesions_go_into_no_patient_who_is_held_out() -> None:
    paths = [background.path.lower() for background in BACKGROUNDS]
    assert not [path for path in paths for name in HELD_OUT if name in path]
    assert all(any(name in path for name in HELD_OUT) for path in PARITY_VOLUMES)


def test_single_slices_come_with_infection_and_without_lungs(tmp_path: Path) -> None:
    mask = np.zeros((40, 58), np.uint8)
    mask[5:15, 10:20] = 255
    write(tmp_path / "labelled" / "images" / "007.png", np.full((40, 58), 50))
    write(tmp_path / "labelled" / "masks" / "007.png", mask)
    write(tmp_path / "radiopaedia_14" / "images" / "case_12.jpg", np.full((40, 58), 50))
    write(tmp_path / "radiopaedia_14" / "masks" / "case_12.png", mask)
    first, second = cases.infection_slices(tmp_path)
    assert (first.name, second.name) == ("labelled_007", "case_12")
    assert (first.hu == -835).all()
    assert np.abs(second.hu - (50 * 5.88 - 1250)).max() <= 7
    for case in (first, second):
        assert case.hu.shape == (1, 40, 58)
        assert (case.lungs == UNKNOWN).all()
        assert case.spacing_mm[2] == 5.0
        np.testing.assert_array_equal(case.infection[0][0], mask > 127)


def test_lung_slices_leave_out_scans_used_for_checking(tmp_path: Path) -> None:
    names = ["ID_0001_Z_0100", *(f"{name}_Z_0067" for name in cases.LUNG_SLICES_OF_CHECKED_SCANS)]
    hu = np.full((3, 64, 96), -850, np.int16)
    np.savez(tmp_path / "finding-lungs_256.npz", hu=hu, id=np.array(names))
    for name in names:
        write(tmp_path / "masks" / f"{name}.png", (labels() > 0) * 255)
    (case,) = cases.lung_slices(tmp_path)
    assert (case.name, case.hu.shape, case.infection) == ("ID_0001_Z_0100", (1, 64, 96), ())
    assert set(np.unique(case.lungs).tolist()) == {0, RIGHT, LEFT}


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = volumes_folder(tmp_path, ("radiopaedia_1",))
    (folder / "radiopaedia_1" / "001.jpg").unlink()
    with pytest.raises(LabelsUnusable, match=r"001\.jpg"):
        list(cases.infection_volumes(folder))


def test_the_real_folders_give_as_many_cases_as_their_descriptions_say(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(cases.infection_slices(shared_data / "infection-2d"))) == 50 + 33
    assert len(list(cases.lung_slices(shared_data / "lung-2d"))) == 261
    monkeypatch.setattr(cases, "infection_volume", lambda folder, case, rows: case)  # reading them takes too long here
    assert len(list(cases.infection_volumes(shared_data / "infection-3d"))) == 15


def test_a_real_series_has_dense_infection_in_aerated_lungs(shared_data: Path) -> None:
    folder = shared_data / "infection-3d"
    (case,) = cases.infection_volumes(folder, only=("radiopaedia_4_85506_1",))
    lungs = (case.lungs == RIGHT) | (case.lungs == LEFT)
    assert len(case.infection) == 2
    for reader in case.infection:
        assert np.median(case.hu[lungs & ~reader]) < -700 < np.median(case.hu[reader])
    right, left = (np.nonzero(case.lungs == side)[2].mean() for side in (RIGHT, LEFT))
    assert right < case.hu.shape[2] / 2 < left
