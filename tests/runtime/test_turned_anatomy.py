"""Pictures that are mirrored, upside down or wrongly turned: the whole stands, sides and zones are not given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.analysis_samples import SPACING_MM
from kit.turned_chest import hearted_hu, lungs_of, turned
from scanside_export.data.cases import hu_volume
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.measures.biomarkers import measure, without_sides
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.quality.orientation import check_orientation, contradictions
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.volume import Hu, Masks, Volume

pytestmark = pytest.mark.usefixtures("warm_readers")

REAL = "extra/ct-md-p002_6mm.npz"


def chest(hu: Hu) -> tuple[Volume, Masks]:
    dz, dy, dx = SPACING_MM
    volume = Volume(hu, np.diag([dx, dy, dz, 1.0]), SPACING_MM)
    right, left = lungs_of(hu)
    infection = (right | left) & (hu > -600)
    return volume, Masks(volume.with_mask(right), volume.with_mask(left), volume.with_mask(infection))


@pytest.mark.parametrize("axes", ["", "x", "y", "z", "xz", "xy", "xyz"])
def test_heart_trachea_and_spine_say_how_a_chest_was_turned(axes: str) -> None:
    case = chest(turned(hearted_hu(), axes))
    found = contradictions(make_overview(*case), case[1])
    assert found == ("z" in axes, "x" in axes, "y" in axes)


def test_a_chest_that_tells_nothing_is_believed() -> None:
    hu = hearted_hu()
    hu[2:9, 8:24, 25:31] = hu[2:9, 8:24, 15:20].mean()
    case = chest(turned(hu, "x"))
    assert check_orientation(make_overview(*case), case[1], cut=False) == ()


def test_the_word_is_look_and_situs_inversus_is_named() -> None:
    case = chest(turned(hearted_hu(), "x"))
    (finding,) = check_orientation(make_overview(*case), case[1], cut=True)
    assert (finding.code, finding.level) == ("QUALITY_ORIENTATION", "caution")
    assert "look at the pictures" in finding.message
    assert "situs inversus" in finding.message
    assert "no DICOM objects" in finding.message


def test_what_no_exchange_of_sides_changes_stays() -> None:
    known = measure(*chest(hearted_hu()))
    blind = without_sides(known).to_document()
    places = [blind["left"], blind["right"], *blind["zones"].values()]
    assert {value for place in places for value in place.values()} == {None}
    kept = {name: value for name, value in known.to_document().items() if name not in ("left", "right", "zones")}
    assert {name: blind[name] for name in kept} == kept
    mirrored = measure(*chest(turned(hearted_hu(), "xz"))).to_document()
    assert {name: mirrored[name] for name in kept} == pytest.approx(kept)


@pytest.fixture(scope="module")
def upright(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return _analysed(shared_data, tmp_path_factory.mktemp("upright"), "")


def _analysed(shared_data: Path, folder: Path, axes: str) -> Analysis:
    if not (shared_data / "ct" / REAL).is_file():
        pytest.skip(f"{REAL} is not laid out here")
    hu, spacing_mm = hu_volume(shared_data / "ct" / REAL)
    write_series(turned(hu, axes), spacing_mm, folder)
    return analyze(folder)


def test_a_real_chest_that_lies_right_raises_no_alarm(upright: Analysis) -> None:
    assert "QUALITY_ORIENTATION" not in {flag.code for flag in upright.flags}
    assert upright.biomarkers is not None
    assert upright.biomarkers.left.lung_volume_ml is not None


@pytest.mark.parametrize("axes", ["x", "z"])
def test_a_real_chest_that_was_turned_keeps_its_whole_and_gives_no_sides(
    axes: str, upright: Analysis, shared_data: Path, tmp_path: Path
) -> None:
    analysis = _analysed(shared_data, tmp_path, axes)
    assert "QUALITY_ORIENTATION" in {flag.code for flag in analysis.flags}
    assert upright.biomarkers is not None
    found = analysis.document()["biomarkers"]
    assert found["lung_volume_ml"] == pytest.approx(upright.biomarkers.whole.lung_volume_ml, rel=0.05)
    assert found["left"]["poi_percent"] is None
    assert found["zones"]["right_lower"]["lung_volume_ml"] is None
