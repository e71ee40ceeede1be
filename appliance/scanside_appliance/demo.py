"""The demonstration: a phantom of known truth goes the way of any study, and the result is held against the truth."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.files.atomic import replace_json, writing
from scanside_appliance.files.layout import PAGE
from scanside_appliance.languages.columns import padded
from scanside_appliance.languages.words import Words, said
from scanside_appliance.page.report import ComparisonRow
from scanside_appliance.results.output import write_output
from scanside_appliance.results.page_options import PageOptions
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import Phantom, Truth, demo_spec, make_phantom
from scanside_runtime.progress import Progress
from scanside_runtime.settings.tables import Settings

TRUTH = "truth.json"
POI_TOLERANCE_POINTS = 1.0
IHU_TOLERANCE_HU = 15.0


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demo found: its document, the rows against the truth, and where the page is."""

    document: dict[str, Any]
    rows: tuple[ComparisonRow, ...]
    page: Path
    analysis_exit_code: int

    @property
    def exit_code(self) -> int:
        """That of the analysis, or 1 where a number missed the truth by more than is allowed."""
        return self.analysis_exit_code or int(not all(row.within for row in self.rows))

    def facts(self) -> dict[str, Any]:
        """The rows, the page and whether all is within tolerance, for programs."""
        rows = [{**asdict(row), "off_by": row.off_by, "within": row.within} for row in self.rows]
        return {"within": self.exit_code == 0, "rows": rows, "report": str(self.page)}


def run_demo(folder: Path, settings: Settings, progress: Progress | None = None) -> Demonstration:
    """Scan the phantom, analyse the series, write result, truth and page into `folder`.

    Raises BoxOutput when the folder can't be written.
    """
    phantom = make_phantom(demo_spec())
    with tempfile.TemporaryDirectory(prefix="scanside-demo-") as scratch:
        analysis = _analysed(phantom, Path(scratch), settings, progress)
        rows = compare(analysis.document().get("biomarkers") or {}, phantom.truth)
        document = write_output(analysis, folder, page=PageOptions(settings.site, comparison=rows))
    with writing(folder):
        replace_json(folder / TRUTH, asdict(phantom.truth))
    return Demonstration(document, rows, folder / PAGE, analysis.exit_code)


def _analysed(phantom: Phantom, scratch: Path, settings: Settings, progress: Progress | None) -> Analysis:
    """The phantom as a folder of DICOM files, analysed like any other."""
    write_series(
        phantom.hu,
        phantom.spacing_mm,
        scratch,
        origin_mm=phantom.origin_mm,
        slice_thickness_mm=phantom.spec.slice_thickness_mm,
    )
    return analyze(scratch, Options(settings), progress=progress)


def compare(found: dict[str, Any], truth: Truth) -> tuple[ComparisonRow, ...]:
    """Found against true; the two biomarkers have a tolerance, the volumes are shown."""
    return (
        ComparisonRow("POI, %", 2, found.get("poi_percent"), truth.poi_percent, POI_TOLERANCE_POINTS),
        ComparisonRow("iHU, HU", 1, found.get("ihu_hu"), truth.ihu_hu, IHU_TOLERANCE_HU),
        ComparisonRow("Lungs, ml", 0, found.get("lung_volume_ml"), truth.lung_volume_ml, None),
        ComparisonRow("Infection, ml", 0, found.get("infection_volume_ml"), truth.infection_volume_ml, None),
    )


def comparison_lines(rows: tuple[ComparisonRow, ...], _: Words) -> list[str]:
    """The rows for a terminal: found, true, and by how much it missed."""
    return [_line(row, _) for row in rows]


def _line(row: ComparisonRow, _: Words) -> str:
    if row.found is None or row.truth is None or row.off_by is None:
        return f"{padded(_(row.name), 16)}{_('not measured')}"
    missed = said("MISSED: only {allowed:g} is allowed", allowed=row.allowed)
    verdict = "" if row.allowed is None else f" {_(said('ok') if row.within else missed)}"
    found, truth, off = f"{row.found:.{row.digits}f}", f"{row.truth:.{row.digits}f}", f"{row.off_by:+.{row.digits}f}"
    told = _("found {found}, truth {truth}, off by {off}", found=found, truth=truth, off=off)
    return f"{padded(_(row.name), 16)}{told}{verdict}"
