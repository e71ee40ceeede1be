"""What leaves a full box: junk first, studies only where a person allowed it, nothing young, nothing unreported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.watch_box import Box, study
from scanside_appliance.jobs.book.store import HOURS_RUN, Store
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.box import DiskSettings
from sweeps.box import Slice

FULL = {"stop_percent": 0.001, "clean_to_percent": 0.0}
ROOMY = {"stop_percent": 99.9, "clean_to_percent": 99.0}


def junk(box: Box, name: str, size: int = 10) -> None:
    box.inbox.mkdir(parents=True, exist_ok=True)
    (box.inbox / name).write_bytes(name.encode() * size)


def on_a_full_disk(box: Box, **changes: object) -> None:
    with pytest.raises(ScansideError, match="full"):
        box.run(**FULL, **changes)


def counters(box: Box) -> dict[str, int]:
    found: dict[str, int] = json.loads((box.root / "status.json").read_text())["counters"]
    return found


@pytest.fixture
def full(box: Box) -> Box:
    """Junk, a study that is reported, one that was refused, one that died and one that is held."""
    box.put(*study(1), *study(2, text="REFUSED"), *study(3, text="CRASH"), *study(4))
    junk(box, "letter.doc")
    box.run()
    box.put(Slice(4, 2, "other"))
    box.run()
    box.inbox.mkdir(exist_ok=True)
    junk(box, "waits.doc")  # so that there is something that can't be taken in
    return box


def test_an_archive_is_the_only_copy_until_a_person_says_otherwise() -> None:
    assert DiskSettings().clean_archive is False


def test_junk_goes_first_and_studies_stay_where_nobody_allowed_it(full: Box) -> None:
    on_a_full_disk(full)
    assert full.places("quarantine/INPUT_NOT_DICOM") == []
    assert len(full.places("archive")) == 9
    assert len(full.places("quarantine")) == 4
    assert counters(full)["junk_removed"] == 1
    assert "INPUT_NOT_DICOM" not in full.scanside("status").output


def test_what_was_refused_died_or_is_held_stays_though_the_archive_may_be_cleaned(full: Box) -> None:
    on_a_full_disk(full, clean_archive="true")
    assert full.places("quarantine/INPUT_NOT_DICOM") == []
    kept = {Path(place).parts[-2] for place in full.places("archive")}
    assert len(kept) == 2
    assert len(full.places("archive")) == 6
    assert len(full.places("quarantine")) == 4
    assert len(full.of(1)) == 1


def test_nothing_goes_before_the_box_has_run_for_its_least_age(full: Box) -> None:
    on_a_full_disk(full, clean_archive="true", least_age_h=2)
    assert (len(full.places("quarantine")), len(full.places("archive"))) == (5, 9)
    with Store(full.root / "scanside.db") as store:
        store.count(HOURS_RUN, 2)
    on_a_full_disk(full, clean_archive="true", least_age_h=2)
    assert (len(full.places("quarantine")), len(full.places("archive"))) == (4, 6)


def test_a_wall_clock_that_jumps_makes_nothing_older(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 9e9)
    on_a_full_disk(full, clean_archive="true", least_age_h=1)
    assert len(full.places("archive")) == 9


def test_junk_beyond_its_quota_goes_oldest_first_however_empty_the_disk_is(box: Box) -> None:
    for name in ("first.doc", "second.doc"):
        junk(box, name, size=70_000)
        box.run(quarantine_quota_mb=1)
    box.run()
    (left,) = box.places("quarantine")
    assert (box.root / left).read_bytes().startswith(b"second")
    assert json.loads((box.root / "status.json").read_text())["over_quota"] == []


@pytest.mark.parametrize(
    ("fill", "changes", "area"),
    [
        (lambda box: junk(box, "x.doc", 400_000), {"quarantine_quota_mb": 1, "least_age_h": 9}, "quarantine"),
        (lambda box: junk(box, "x.part", 400_000), {"inbox_quota_mb": 1}, "inbox"),
    ],
)
def test_what_holds_more_than_its_quota_is_said(
    box: Box, monkeypatch: pytest.MonkeyPatch, fill: Callable[[Box], None], changes: dict[str, int], area: str
) -> None:
    monkeypatch.setattr("scanside_appliance.service.housekeeping.DISK_EVERY_S", 0.0)
    fill(box)
    box.run(**changes)
    shown = box.scanside("status")
    assert shown.exit_code == 5
    assert f"the {area} holds" in shown.output and "QUOTA" in shown.output


def test_a_start_finishes_the_removal_of_junk_that_was_cut_short(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", cut)
        with pytest.raises(KeyboardInterrupt):
            full.run(**FULL)
    full.run(**ROOMY)
    assert [place for place in full.places("quarantine/INPUT_NOT_DICOM") if "letter" in place] == []
    assert not list((full.root / "quarantine" / "INPUT_NOT_DICOM").glob("*/*letter*"))
    with Store(full.root / "scanside.db") as store:
        assert store.cleaned() == []
