"""What a person decides about a study of the box: to accept what is held, or which of its series is measured.

One transaction in the book, and nothing else: the daemon moves what the book says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import RESULT, BoxLayout
from scanside_appliance.jobs.book.audit import note
from scanside_appliance.jobs.book.rows import ACTIVE, CLEANED, FileRow, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import (
    BoxAnalysisDied,
    BoxNoSuchSeries,
    BoxNoSuchStudy,
    BoxNotHeld,
    InputFilesGone,
    InputResultStays,
)
from scanside_appliance.jobs.found_again import put_back_what_is_found
from scanside_appliance.jobs.intake import WAITS_FOR_FILES, Intake

SCANSIDES_CHOICE = "auto"


@dataclass(frozen=True, slots=True)
class Decisions:
    """Writes decisions into the book of a box."""

    layout: BoxLayout
    store: Store

    def release(self, study: str, series: str | None = None, *, anyway: bool = False) -> bool:
        """Accept what is held of a study, or have it measured by another series, by number or UID; "auto": by none.

        What is gone of a study that waits for it is given up, and the result says so; False where nothing else is held.
        anyway: though numbers that were measured with more of the study count no longer then.

        Raises InputResultStays (not with `anyway`), BoxNoSuchStudy (while it is under way, too), BoxNotHeld,
        BoxNoSuchSeries (of a study of which nothing is left, too), InputBaseGone, InputFilesGone where slices go on
        being gone, OSError, sqlite3.Error.
        """
        intake = Intake(self.layout, self.store, Clock())
        with self.store.transaction():
            jobs = self._at_rest(study)
            series_uid = None if series is None else self._series_uid(study, series)
            note(self.store, "released", study, series_uid=series_uid)
            held = [job for job in jobs if job.state == State.held and job.study_uid]
            result_held = [job for job in self.store.held_results() if job.study == study]
            given_up = self._give_up(held)
            left = [job for job in held if self.store.files(job.id)]
            if held and not left:
                if series is not None:
                    raise BoxNoSuchSeries(study=study, series=series)
                return False
            if left:
                if not anyway:
                    self._keep_what_was_measured_with_more(study, given_up)
                self._say_what_lacks(intake.release(left[-1], series_uid), given_up, left)
            elif result_held:
                intake.measure_again(result_held[-1], alone=True, series_uid=series_uid)
            elif series_uid is None:
                raise BoxNotHeld(study=study) if self._measured(study) else BoxNoSuchStudy(study=study)
            else:
                intake.measure_again(self._last(study), series_uid=series_uid)
        return True

    def _give_up(self, held: list[Job]) -> list[FileRow]:
        """What is gone of a study that waits for it; a job that has no other files goes, too."""
        put_back_what_is_found(self.layout, self.store, held)
        waiting = [job for job in held if job.code == InputFilesGone.code]
        gone = [row for job in waiting for row in self.store.files(job.id) if row.place == CLEANED]
        self.store.forget([row.id for row in gone])
        for job in waiting:
            if not self.store.files(job.id):
                self.store.remove_job(job.id)
        return gone

    def _keep_what_was_measured_with_more(self, study: str, given_up: list[FileRow]) -> None:
        """The newest revision counts, and one of a part would hide that of the whole. Raises InputResultStays."""
        gone, last = [row for row in given_up if row.is_in_a_result], self._measured(study)
        if gone and last is not None and last.verdict == "analysed":
            raise InputResultStays(count=len(gone))

    def _say_what_lacks(self, job: Job, given_up: list[FileRow], held: list[Job]) -> None:
        """Beside what was said of it, and of what went along with it, before."""
        said_before = [one.incomplete for one in held if one.id == job.id or one.code in WAITS_FOR_FILES]
        lacks = {row.sop_uid for row in given_up} - {row.sop_uid for row in self.store.files(job.id)}
        why = [*filter(None, said_before), *([f"{len(lacks)} file(s) were taken away"] if lacks else [])]
        self.store.change(job.id, incomplete="; ".join(dict.fromkeys(why)) or None)

    def series_of(self, study: str) -> list[dict[str, Any]]:
        """The series that a person may choose from, as the last result lists them; none where there is no result."""
        last = self._measured(study)
        if last is None:
            return []
        try:
            folder = last.published_in(self.layout)
            studies = json.loads((folder / RESULT).read_bytes())["contents"]
            return [series for one in studies for series in one["series"]]
        except (OSError, ValueError, KeyError, TypeError):  # an older version's document, or somebody took it away
            return []

    def _at_rest(self, study: str) -> list[Job]:
        jobs = self.store.jobs_of_study(study) if study else []
        if not jobs or any(job.state in ACTIVE for job in jobs):
            raise BoxNoSuchStudy(study=study)
        return jobs

    def _measured(self, study: str) -> Job | None:
        return self.store.last_result(study)

    def _last(self, study: str) -> Job:
        """The result, or the analysis that failed: another series may do better."""
        died = [job for job in self.store.jobs_of_study(study) if job.code == BoxAnalysisDied.code and job.revision]
        last = self._measured(study) or (died[-1] if died else None)
        if last is None:
            raise BoxNoSuchStudy(study=study)
        return last

    def _series_uid(self, study: str, series: str) -> str:
        """The UID for a number of the list, or for itself. Raises BoxNoSuchSeries."""
        if series == SCANSIDES_CHOICE:
            return ""
        listed = self.series_of(study)
        for one in listed:
            if series in (one["uid"], str(one["number"])):
                return str(one["uid"])
        if listed or not series or series.isdecimal():
            raise BoxNoSuchSeries(study=study, series=series)
        return series
