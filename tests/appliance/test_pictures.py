"""Pictures: where disease is, the texture visible under the outlines, and readable each by itself."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from kit.analysis_samples import SHAPE, SPACING_MM, chest_hu, chest_masks, chest_series
from scanside_appliance.pictures import plane
from scanside_appliance.pictures.choice import KEY_SLICES, key_slices
from scanside_appliance.pictures.draw import COLUMNS, MOST_TILES, Pictures, draw_pictures, montage
from scanside_appliance.pictures.files import jpegs_within
from scanside_appliance.pictures.lettering import BAND_PX, SCALE_MM, Lettering, with_letters
from scanside_appliance.pictures.plane import (
    DENSE,
    FLUID,
    INFECTION,
    LEFT_LUNG,
    RIGHT_LUNG,
    SLAB_MM,
    Picture,
    Plane,
    grey,
    marked,
    native_width,
)
from scanside_appliance.pictures.slice_archive import open_slice_archive, slice_archive_bytes
from scanside_runtime.volume import Masks, Volume

INFECTED = range(3, 7)


def orange(picture: Picture) -> npt.NDArray[np.intp]:
    """(n, 2) row and column of what is drawn as infection: nothing else on a page is more red than blue."""
    return np.argwhere(picture[..., 2].astype(int) - picture[..., 0] > 40)


def near(picture: Picture, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - colour).max(axis=2) < 30, np.bool_)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return chest_series(tmp_path)[1]


@pytest.fixture
def pictures(volume: Volume) -> Pictures:
    return draw_pictures(volume, chest_masks(volume))


def test_the_patients_right_is_on_the_left_of_each_picture(pictures: Pictures) -> None:
    one = next(s for s in pictures.slices if orange(s.picture).size)
    infection = orange(one.picture)
    assert infection[:, 1].min() > one.picture.shape[1] / 2  # it is in the left lung
    assert infection[:, 0].min() > one.picture.shape[0] / 2  # and at the back


def test_slices_run_from_the_head_down_and_know_their_position(pictures: Pictures) -> None:
    positions = [one.position_mm for one in pictures.slices]
    assert positions == sorted(positions, reverse=True)
    expected = [-63.25 + SPACING_MM[0] * (SHAPE[0] - one.number) for one in pictures.slices]
    assert positions == pytest.approx(expected)
    assert len(pictures.slices) == KEY_SLICES


def test_key_slices_lie_where_disease_is_and_leave_no_part_of_the_lungs_out() -> None:
    infection = np.zeros((62, 4, 4), np.bool_)
    infection[13, :2], infection[14, :3], infection[50, 0] = True, True, True
    chosen = key_slices(np.count_nonzero(infection, axis=(1, 2)), slice(1, 61))
    assert chosen == [56, 50, 36, 26, 14, 6]


def test_two_key_slices_are_no_neighbours_and_the_sicker_one_stays() -> None:
    infected = np.zeros(60, np.int64)
    infected[6:13] = 3, 4, 5, 7, 9, 8, 6  # across the border of the lowest two sixths
    chosen = key_slices(infected, slice(0, 60))
    assert chosen[-2:] == [10, 7]
    assert min(-np.diff(chosen)) >= 3
    assert key_slices(infected, slice(8, 14)) == [13, 12, 11, 10, 9, 8], "so few slices are all shown"


@pytest.mark.parametrize("slices", range(18, 37))
def test_of_few_thick_slices_no_two_key_slices_are_neighbours(slices: int) -> None:
    sections = np.array_split(np.arange(slices), KEY_SLICES)
    infected = np.ones(slices, np.int64)
    for number, section in enumerate(sections):  # disease at the borders of sixths, the sickest one in the middle
        infected[section[[0, -1]]] = 100 - abs(number - 2)
    chosen = key_slices(infected, slice(0, slices))
    assert (len(chosen), min(-np.diff(chosen)) >= 2) == (KEY_SLICES, True)


def test_each_picture_has_a_plain_one_beside_it_that_no_mark_touches(pictures: Pictures) -> None:
    for one in pictures.slices:
        assert one.plain.shape == one.picture.shape
        assert np.ptp(one.plain.astype(int), axis=2).max() == 0, "it is grey"


def seen_without(cone: str, colour: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """The colour (BGR) in CIE Lab as an eye sees it that lacks a kind of cones (Machado et al. 2009, severity 1)."""
    channels = np.array(colour[::-1]) / 255.0
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(CONES[cone]) @ linear, 0.0, 1.0)
    shown = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return np.asarray(cv2.cvtColor(shown[None, None].astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0], np.float32)


CONES = {
    "long": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "middle": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "short": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("cone", CONES)
def test_the_left_lungs_outline_is_told_from_all_else_by_colour_blind_eyes(cone: str) -> None:
    others = (RIGHT_LUNG, INFECTION, DENSE, FLUID, (60, 60, 60), (235, 235, 235))  # the last two: lung, soft tissue
    left = seen_without(cone, LEFT_LUNG)
    assert min(float(np.linalg.norm(left - seen_without(cone, one))) for one in others) > 25.0


def test_the_texture_stays_visible_within_the_outline(pictures: Pictures) -> None:
    one = next(s for s in pictures.slices if orange(s.picture).size)
    rows, columns = orange(one.picture).T
    inside = (slice(int(rows.min()) + 4, int(rows.max()) - 4), slice(int(columns.min()) + 4, int(columns.max()) - 4))
    np.testing.assert_array_equal(one.picture[inside], one.plain[inside])


def dense_plane() -> Plane:
    hu = np.full((60, 80), -600, np.int16)
    hu[20:40, 20:40] = 0
    everywhere, nowhere = np.ones(hu.shape, np.bool_), np.zeros(hu.shape, np.bool_)
    return Plane(hu, everywhere, nowhere, everywhere, (1.0, 1.0))


def test_what_is_dense_is_hatched_and_ground_glass_is_not() -> None:
    plane = dense_plane()
    shown = near(marked(grey(plane, (320, 240)), plane), DENSE)
    assert 0.1 < shown[90:150, 90:150].mean() < 0.7, "lines, with the texture between them"
    assert not shown[:, 200:].any()


def test_a_speck_of_dense_voxels_is_counted_and_not_drawn() -> None:
    plane = dense_plane()
    plane.hu[20:40, 20:40] = -600
    plane.hu[30, 30] = 0
    assert not near(marked(grey(plane, (320, 240)), plane), DENSE).any()


def test_across_slices_an_outline_is_no_stair_stays_within_half_a_slab_and_loses_no_speck() -> None:
    hu, nowhere = np.full((12, 100), -600, np.int16), np.zeros((12, 100), np.bool_)
    infection = nowhere.copy()
    for row in range(1, 9):
        infection[row, 10 : 20 + 8 * row] = True
    infection[10, 50] = True
    stairs = Plane(hu, nowhere, nowhere, infection, (SLAB_MM, 1.0))
    size, pixel_mm = (400, 240), 0.25
    cuts = (stairs, replace(stairs, across_slices=True))
    exact, smooth = (near(marked(grey(one, size), one), INFECTION) for one in cuts)
    off_mm = pixel_mm * cv2.distanceTransform(np.asarray(~exact, np.uint8), cv2.DIST_L2, 5)
    assert 0.5 < off_mm[smooth].max() < SLAB_MM / 2 + 1.0
    level = [np.abs(np.diff(np.argmax(edge[30:170, ::-1], axis=1))).max() for edge in (exact, smooth)]
    assert level[1] < level[0] / 4, "a stair of 8 mm is a slope"
    assert smooth[200:220, 190:210].any(), "the speck is shown as it is"


@pytest.mark.parametrize("columns", [44, 180, 400, 512])
def test_no_picture_is_smaller_than_native_or_blown_up_by_a_broken_factor(columns: int) -> None:
    nothing = np.zeros((4, columns), np.bool_)
    width = native_width(Plane(np.zeros((4, columns), np.int16), nothing, nothing, nothing, (1.0, 1.0)), 360)
    assert width % columns == 0
    assert width >= 360 or width == columns


def test_every_picture_says_research_use_only_and_how_long_5_cm_are(pictures: Pictures) -> None:
    tiles = [cv2.imdecode(np.frombuffer(tile.jpeg, np.uint8), cv2.IMREAD_COLOR) for tile in pictures.tiles]
    shown = [p for one in pictures.slices for p in (one.picture, one.plain)] + [pictures.coronal, *tiles]
    blank = with_letters(np.zeros((5, shown[0].shape[1], 3), np.uint8), Lettering("", 1.0))
    assert blank[:BAND_PX].any()
    for picture in shown:
        assert picture[:BAND_PX].max() > 150, "letters above"
        assert picture[-BAND_PX:].max() > 150, "letters below"
    bar = with_letters(np.zeros((5, 400, 3), np.uint8), Lettering("", 0.5))[-BAND_PX:][BAND_PX // 2, :, 0]
    assert np.count_nonzero(bar[-int(SCALE_MM / 0.5) - 7 :] > 200) == pytest.approx(SCALE_MM / 0.5, abs=2)


def test_sides_that_are_not_certain_carry_a_question_mark() -> None:
    blank = np.zeros((5, 400, 3), np.uint8)
    sure, unsure = (with_letters(blank, Lettering("1/2", 1.0, sides)) for sides in (True, False))
    assert not np.array_equal(sure[:BAND_PX, :40], unsure[:BAND_PX, :40])
    assert not np.array_equal(sure[:BAND_PX, -40:], unsure[:BAND_PX, -40:])


def test_where_sides_are_not_certain_both_lungs_are_outlined_as_one(volume: Volume) -> None:
    masks = chest_masks(volume)
    sure, unsure = (draw_pictures(volume, masks, sides=sides) for sides in (True, False))
    for known, unknown in zip((*sure.slices, sure), (*unsure.slices, unsure), strict=True):
        shown, told = (one.coronal if isinstance(one, Pictures) else one.picture for one in (unknown, known))
        assert near(told, LEFT_LUNG).any()
        assert not near(shown, LEFT_LUNG).any()
        assert near(shown[:, shown.shape[1] // 2 :], RIGHT_LUNG).any(), "the one on this side is outlined, too"
    assert (sure.sides, unsure.sides) == (True, False)


def test_without_lungs_the_whole_volume_is_shown(volume: Volume) -> None:
    nothing = volume.with_mask(np.zeros(SHAPE, np.bool_))
    pictures = draw_pictures(volume, Masks(nothing, nothing, nothing))
    assert len(pictures.slices) == KEY_SLICES
    assert montage(pictures.slices).shape[0] == KEY_SLICES // COLUMNS * pictures.slices[0].picture.shape[0]
    assert pictures.slices[0].percent is None


def test_a_withheld_infection_is_not_drawn(volume: Volume, pictures: Pictures) -> None:
    withheld = draw_pictures(volume, chest_masks(volume), with_infection=False)
    assert not any(orange(one.picture).size for one in withheld.slices)
    assert any(orange(one.picture).size for one in pictures.slices)


def test_all_slices_are_there_small_and_know_how_high_in_the_lungs_they_lie(pictures: Pictures) -> None:
    assert [tile.number for tile in pictures.tiles] == list(range(1, SHAPE[0] + 1))
    heights = {tile.number: tile.height for tile in pictures.tiles}
    assert heights[SHAPE[0] - 2] == 0.0  # the lungs' lowest slice, index 2
    assert heights[SHAPE[0] - 11] == 1.0


def test_of_a_very_long_series_every_so_manieth_slice_is_shown() -> None:
    hu = np.repeat(chest_hu(), 50, axis=0)
    long = Volume(hu, np.diag([5.0, 4.0, 0.2, 1.0]), (0.2, 4.0, 5.0))
    lungs = long.with_mask(np.repeat(np.asarray(chest_hu() == -850), 50, axis=0))
    pictures = draw_pictures(long, Masks(lungs, lungs, long.with_mask(np.zeros(hu.shape, np.bool_))))
    assert pictures.every == 3
    assert len(pictures.tiles) == -(-hu.shape[0] // 3) <= MOST_TILES


@pytest.mark.parametrize(("most_bytes", "whole"), [(10**7, True), (60_000, True), (9_000, False)])
def test_pictures_are_packed_as_hard_as_the_room_asks(most_bytes: int, whole: bool) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    files = jpegs_within([noise] * 3, most_bytes)
    assert sum(map(len, files)) <= most_bytes
    decoded = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files]
    assert all((one.shape == noise.shape) is whole for one in decoded if one is not None)


# slices.zip


@pytest.fixture
def kept(pictures: Pictures, tmp_path: Path) -> Path:
    path = tmp_path / "slices.zip"
    path.write_bytes(slice_archive_bytes(pictures.tiles))
    return path


def test_a_later_scan_finds_the_slice_at_the_same_height(kept: Path, pictures: Pictures) -> None:
    archive = open_slice_archive(kept)
    assert archive is not None
    tile = pictures.tiles[5]
    assert archive.at(tile.height + 0.01) == (tile.number, tile.jpeg)
    assert archive.at(3.0) is None, "no slice is near"


def test_the_kept_slices_are_a_zip_of_pictures_that_anyone_can_open(kept: Path) -> None:
    with zipfile.ZipFile(kept) as archive:
        assert archive.testzip() is None
        index = json.loads(archive.read("index.json"))
        assert {one["file"] for one in index} == set(archive.namelist()) - {"index.json"}


def packed(**members: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_json", ".json"), content)
    return written.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 broken", packed(a=b"1"), packed(index_json=b"[]"), packed(index_json=b"\0" * 10**6)]
)
def test_a_file_that_is_no_such_archive_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "slices.zip").write_bytes(content)
    assert open_slice_archive(tmp_path / "slices.zip") is None
    assert open_slice_archive(tmp_path / "none.zip") is None


def test_what_is_no_picture_is_not_shown_as_one(tmp_path: Path) -> None:
    path = tmp_path / "slices.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.json", json.dumps([{"file": "a.jpg", "number": 1, "height": 0.5}]))
        archive.writestr("a.jpg", "<script>alert(1)</script>")
    archive_read = open_slice_archive(path)
    assert archive_read is not None
    assert archive_read.at(0.5) is None


def test_of_many_sizes_of_pictures_few_hatchings_are_kept() -> None:
    for width in range(100, 120):
        plane._hatching((width, 10))
    assert plane._hatching.cache_info().currsize <= 4
