"""What `scanside pack` does: a result that a person means, its slices, and the pack made of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.files.atomic import writing
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.referral.pack import write_pack
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_appliance.referral.source import read_source, source_folder
from scanside_appliance.results.archive import latest_revisions, results_on_record
from scanside_appliance.results.errors import ResultNotFound
from scanside_appliance.results.finder import results_meant
from scanside_runtime.settings.tables import Settings


@dataclass(frozen=True, slots=True)
class Packing:
    """A box that packs."""

    root: Path
    settings: Settings

    def pack(self, meant: str, folder: Path, source: Path | None, limit_mb: float) -> Iterator[dict[str, Any]]:
        """A pack of each result that is meant. source: where its slices lie; None: the box's archive.

        Raises ResultNotFound, BoxPackNoSource, what reading and packing raise, BoxOutput.
        """
        layout = BoxLayout(self.root.resolve())
        for one in results_meant(layout.results, meant):
            result = one.path.parent.resolve()
            slices = source or source_folder(layout, result)
            read = read_source(slices, result, one.document, self.settings.reading)
            pseudonyms, language = Pseudonyms.of_box(layout), self.settings.site.language
            with writing(folder):
                done = write_pack(read, one.document, pseudonyms, folder, limit_mb=limit_mb, language=language)
            yield asdict(done)

    def whose(self, pseudonym: str) -> list[dict[str, Any]]:
        """The patient whom a colleague asks about, among the results of the box. Raises ResultNotFound, BoxPackKey."""
        layout = BoxLayout(self.root.resolve())
        pseudonyms = Pseudonyms.of_box(layout)
        found = {}
        for one in latest_revisions(results_on_record(layout.results)[0]):
            study = one.document.get("study") or {}
            who = (study.get("patient_id"), study.get("issuer"))
            if study and pseudonyms.patient(*who, study.get("study_uid", "")) == pseudonym.strip().upper():
                found[who] = {"patient_id": who[0], "issuer": who[1], "patient_name": study.get("patient_name")}
        if not found:
            raise ResultNotFound(wanted=pseudonym, folder=layout.results)
        return list(found.values())
