"""The story with real headers, pixels, pages, pictures and DICOM objects, and tiny networks.

A patient's second scan comes, is measured, compared with the first, drawn and written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.jobs.worker_client import WORKER
from scanside_appliance.service.plan import Plan
from scanside_runtime.phantom.dicom_writer import SeriesTags, write_series
from scanside_runtime.phantom.make import demo_spec, make_phantom
from scanside_runtime.settings.load import load_settings

from .box import write_settings
from .injected import Fault
from .stories import AT_ONCE, BoxStory, differing, newest

SLICE_MM = 10.0
SMALL = {"matrix": 64, "slice_thickness_mm": SLICE_MM, "increment_mm": SLICE_MM, "lung_height_mm": 100.0}
"""A short chest of few slices: each costs calls of the same kinds."""
SCAN_S = 0.2
"""Once the inbox is empty: a daemon that looks all the time costs more than what is swept."""


def _null_like(document: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The known document with null for the commit and the self-test where the other has it."""
    unread = {name: None for name in ("commit", "selftest") if document["provenance"][name] is None}
    return {**known, "provenance": {**known["provenance"], **unread}}


_SAID = ("BOX_EARLIER_RESULT", "MODEL_OTHER_WAY")


def _says_what_was_not_read(document: dict[str, Any], role: str) -> bool:
    if role == "reader":
        return document["verdict"] == "refused" and document["reason"]["code"] == "INPUT_UNREADABLE"
    return role == "worker" and any(flag["code"] in _SAID for flag in document["flags"])


class Measured(BoxStory):
    """A real analysis, with networks that take a blink."""

    def prepare(self) -> None:
        self.bundle = write_bundle_with_sample(self.folder / "bundle").folder
        inbox = self.base / "inbox"
        self.sums = self._sent(inbox, "1.2.3.1", "20260401")
        self.settings(self.base)
        self._undisturbed(self.base)
        self.sums |= self._sent(inbox, "1.2.3.2", "20260408")

    def _sent(self, inbox: Path, study_uid: str, date: str) -> set[str]:
        phantom = make_phantom(replace(demo_spec(), stomach_gas=False, layer_mm=5.0, **SMALL))
        tags = SeriesTags(patient_id="P1", patient_name="A^B", study_uid=study_uid, study_date=date)
        folder = inbox / study_uid
        write_series(
            phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm, slice_thickness_mm=SLICE_MM, tags=tags
        )
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.dcm")}

    def settings(self, root: Path) -> None:
        with suppress(FileExistsError):
            root.mkdir(parents=True)
        write_settings(root, **{**AT_ONCE, "scan_s": SCAN_S}, memory_limit_mb=8192)
        with root.with_suffix(".toml").open("a") as file:
            file.write("[inference]\nthreads = 1\n[reading]\nmemory_mb = 8192\n")  # a fork begins with all that we have

    def is_as_meant(self) -> None:
        artefacts = [set(document["artefacts"]) for document in self.expected["results"].values()]
        assert len(artefacts) == 2
        assert all({"report.html", "slices.zip", "seg.dcm", "sr.dcm", "sc_01.dcm"} <= one for one in artefacts)

    def unlike(self, role: str, fault: Fault, results: dict[str, Any]) -> Iterator[str]:
        """The newest result of each study counts: what could not be read at once came in a further revision.

        A slice that the disk does not give is rightly a refusal; an earlier result that it does not give is rightly
        left out, and of a network the next form is rightly taken, where each is said. What was computed how is null
        where it can't be read.
        """
        expected = newest(self.expected["results"])
        for study, document in newest(results).items():
            if fault.name == "EIO" and _says_what_was_not_read(document, role):
                continue
            known = expected.get(study)
            if known is not None and fault.name == "EIO":
                known = _null_like(document, known)
            yield from differing(known, document, study)

    def plan(self, root: Path) -> Plan:
        return Plan(
            root,
            lambda: load_settings(root.with_suffix(".toml")),
            once=True,
            bundle=self.bundle,
            worker=WORKER,
            worklist=(),
            hint=False,
        )
