"""Cases and checkpoints in parts: what comes back is what went in, within rounding, and a damaged part is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.export_samples import command, lungs_by_hand, phantom_case, store_cases, tiny_recipe, write_checkpoint
from scanside_export.data.cases import Case, known_lungs
from scanside_export.data.packing import HU_STEP, load_packed, pack
from scanside_export.data.prepare import load, read_digest
from scanside_export.data.samples import Sampler
from scanside_export.errors import LabelsUnusable, TrainingUnusable
from scanside_export.networks.checkpoint import read_checkpoint
from scanside_export.networks.checkpoint_parts import read_parts, write_parts

CASE = phantom_case(slab_mm=5.0)
SHADE = 0.5 * HU_STEP / 1200.0
"""Half a step of the packed HU in the narrower of both windows."""


def packed(folder: Path, cases: list[Case], pixel_mm: float = 1.1, part_mb: float = 60.0) -> list[Case]:
    pack(cases, "d" * 64, folder, pixel_mm, part_mb)
    return load_packed(folder)


def checkpoint(folder: Path) -> Path:
    write_checkpoint(folder / "runs" / "lungs", lungs_by_hand(), tiny_recipe("lungs"))
    return folder / "runs" / "lungs" / "checkpoint.pt"


@pytest.mark.parametrize("network", ["lungs", "infection"])
def test_samples_of_packed_cases_are_those_of_the_prepared_ones_within_rounding(tmp_path: Path, network: str) -> None:
    recipe, case = tiny_recipe(network), replace(CASE, hu=CASE.hu.clip(-1024, 506))
    before, after = (Sampler(cases, recipe) for cases in ([case], packed(tmp_path / "packed", [case])))
    for number in range(12):
        one, other = before.draw(number), after.draw(number)
        assert np.abs(one.stack - other.stack).max() <= SHADE + 1e-6
        np.testing.assert_array_equal(one.target, other.target)
        np.testing.assert_array_equal(one.known, other.known)


def test_finer_pixels_are_averaged_and_lungs_keep_their_volume(tmp_path: Path) -> None:
    fine = phantom_case(slab_mm=5.0)
    (coarse,) = packed(tmp_path / "packed", [fine], pixel_mm=2 * fine.spacing_mm[1])
    assert coarse.hu.shape[1] == round(fine.hu.shape[1] / 2)
    assert np.prod(coarse.hu.shape) * np.prod(coarse.spacing_mm) == pytest.approx(
        np.prod(fine.hu.shape) * np.prod(fine.spacing_mm)
    )
    ml = [known_lungs(one.lungs).sum() * np.prod(one.spacing_mm) for one in (fine, coarse)]
    assert ml[1] == pytest.approx(ml[0], rel=0.02)
    assert (coarse.hu.mean(), coarse.infection[0].any()) == (
        pytest.approx(fine.hu.clip(-1024, 506).mean(), abs=4),
        True,
    )


def test_facts_of_a_case_come_back(tmp_path: Path) -> None:
    odd = replace(
        CASE, slice_thickness_mm=4.5, infection=(CASE.infection[0], ~CASE.infection[0]), source="infection-3d"
    )
    none = replace(CASE, name="none", infection=())
    first, second = packed(tmp_path / "packed", [odd, none])
    assert (first.name, first.source, first.slice_thickness_mm, second.infection) == (odd.name, odd.source, 4.5, ())
    for mine, theirs in zip(first.infection, odd.infection, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(first.lungs, odd.lungs)
    assert first.spacing_mm == pytest.approx(odd.spacing_mm)


def test_no_part_is_larger_than_was_asked_and_a_case_may_lie_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanside_export.data.packing.CHUNK_BYTES", 20_000)
    (case,) = packed(tmp_path / "packed", [CASE], part_mb=0.1)
    parts = sorted((tmp_path / "packed").glob("*.zip"))
    assert len(parts) > 2
    assert max(part.stat().st_size for part in parts) <= 100_000
    assert np.abs(case.hu - CASE.hu.clip(-1024, 506)).max() <= HU_STEP / 2


def test_a_part_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "packed", [CASE])
    (part,) = (tmp_path / "packed").glob("*.zip")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(LabelsUnusable, match="not as it was written"):
        load_packed(tmp_path / "packed")
    part.unlink()
    with pytest.raises(LabelsUnusable, match="missing"):
        load_packed(tmp_path / "packed")
    with pytest.raises(LabelsUnusable, match="not empty"):
        pack([CASE], "d" * 64, tmp_path / "packed", 1.1)


def test_packed_cases_train_under_a_digest_of_their_own(tmp_path: Path) -> None:
    store_cases(tmp_path / "cases", [CASE])
    command("pack", str(tmp_path / "cases"), "--out", str(tmp_path / "packed"))
    assert [case.name for case in load(tmp_path / "packed")] == [CASE.name]
    assert read_digest(tmp_path / "packed") != read_digest(tmp_path / "cases")


def test_a_checkpoint_goes_and_comes_back_in_small_parts(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path)
    parts = write_parts(whole, tmp_path / "parts", part_mb=2.0)
    assert max(part.stat().st_size for part in parts) <= 2_000_000
    assert sum(part.stat().st_size for part in parts) < 0.6 * whole.stat().st_size
    back = tmp_path / "back" / "checkpoint.pt"
    command("unpack", str(tmp_path / "parts"), "--out", str(back))
    before, after = read_checkpoint(whole), read_checkpoint(back)
    assert (before.recipe, before.contract, before.stages) == (after.recipe, after.contract, after.stages)
    image = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(before.model(image), after.model(image), atol=0.02)


def test_parts_of_a_checkpoint_that_are_missing_or_damaged_are_refused(tmp_path: Path) -> None:
    write_parts(checkpoint(tmp_path), tmp_path / "parts")
    part = tmp_path / "parts" / "part_00"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(TrainingUnusable, match="not as they were"):
        read_parts(tmp_path / "parts", tmp_path / "back.pt")
    part.unlink()
    with pytest.raises(TrainingUnusable, match="part_00 is missing"):
        read_parts(tmp_path / "parts", tmp_path / "back.pt")
    with pytest.raises(TrainingUnusable, match="there is no"):
        read_parts(tmp_path, tmp_path / "back.pt")
