"""The child that analyses. It stays warm between studies; a crash is its own.

`python -m scanside_appliance.jobs.worker`.

{"do": "selftest"} is answered by {"engine": ...}; {"do": "analyze", ...} by {"progress": ...} as often as there is
progress, then by {"exit_code": ...}. Either may end in {"exit_code": ..., "code": ..., "reason": ...}.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanside_appliance.defects import raised_at
from scanside_appliance.files.layout import BoxLayout
from scanside_runtime.errors import BoxFailed, ScansideError
from scanside_runtime.findings import Finding
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.process.child_side import Answers, end_with_the_daemon, limit_memory, questions
from scanside_runtime.settings import Settings, settings_of

if TYPE_CHECKING:
    from scanside_runtime.analysis import Analysis

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """One study to analyse.

    root: the box's folder, for its severity model. earlier: the folders of results of this patient's other studies, the
    newest revision of each. alone: a person released it, it is measured without them.
    """

    root: Path
    files: Path
    output: Path
    revision: int
    supersedes: str | None
    incomplete: str | None
    clock_trouble: str | None
    today: str
    alone: bool
    earlier: tuple[Path, ...]
    settings: Settings
    bundle: Path | None


def main() -> None:
    """Answer until the daemon closes the pipe."""
    limit_mb = int(sys.argv[1])
    answers = Answers()
    os.umask(0o027)
    end_with_the_daemon()
    limit_memory(limit_mb)
    networks = KeptNetworks()
    for question in questions():
        answers.send(**_answered(question, answers, networks))


def _answered(question: dict[str, Any], answers: Answers, networks: KeptNetworks) -> dict[str, Any]:
    """The answer, whatever happens. A defect is raised_at by type and place: its message may quote a header."""
    try:
        if question["do"] == "selftest":
            return _selftest(settings_of(question["settings"]), _path(question["bundle"]), networks)
        return analyze_study(_order(question), networks, lambda *stage: answers.send(progress=stage))
    except ScansideError as error:
        return {"exit_code": error.exit_code, "code": error.code, "reason": f"{error.message} {error.advice}"}
    except Exception as error:  # noqa: BLE001  # the worker's outermost: the study is to blame or we are, not the daemon
        where = f"in a defect ({raised_at(error)})"
        return {"exit_code": ScansideError.exit_code, "code": ScansideError.code, "reason": where}


def _order(question: dict[str, Any]) -> Order:
    fields = {key: value for key, value in question.items() if key != "do"}
    typed = {
        "root": Path(fields["root"]),
        "files": Path(fields["files"]),
        "output": Path(fields["output"]),
        "earlier": tuple(Path(folder) for folder in fields["earlier"]),
        "settings": settings_of(fields["settings"]),
        "bundle": _path(fields["bundle"]),
    }
    return Order(**{**fields, **typed})


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _selftest(settings: Settings, bundle: Path | None, networks: KeptNetworks) -> dict[str, Any]:
    """The box computes what the exporter computed. All that an analysis needs is imported and loaded on the way."""
    from scanside_appliance.results import output
    from scanside_runtime import analysis
    from scanside_runtime.model.selftest import run_selftest

    loaded = networks.load(bundle, "auto", "auto", settings.inference.threads)
    found = run_selftest(loaded)
    return {"engine": f"{loaded.choice.name} {found.precision}", "schema": analysis.SCHEMA, "artefacts": output.OURS}


def analyze_study(order: Order, networks: KeptNetworks, progress: Progress) -> dict[str, Any]:
    """Measure a study and write its result. Refused and held are answers too; the box's and the model's troubles raise.

    Raises BoxFailed, ModelUnusable, SeverityModelUnusable.
    """
    from scanside_appliance.results.archive import results_in
    from scanside_appliance.results.output import write_output
    from scanside_appliance.site_model import model_in_force
    from scanside_runtime.analysis import analyze
    from scanside_runtime.options import Options

    everyone = None if order.alone else BoxLayout(order.root).results
    past, model = results_in(order.earlier, everyone), model_in_force(order.root)
    options = Options(order.settings, bundle=order.bundle, earlier=past, site_model=model)
    analysis = analyze(order.files, options, networks=networks, progress=progress)
    if analysis.exit_code in (4, 5):
        return _trouble(analysis.exit_code, analysis.document()["reason"])
    progress("write", 0, 1)
    document = write_output(_as_ordered(analysis, order), order.output)
    return {
        "exit_code": analysis.exit_code,
        "verdict": document["verdict"],
        "severity": document["severity"]["flag"],
        "trend": (document["progression"] or {}).get("trend"),
        "code": (document["reason"] or {}).get("code"),
    }


def _as_ordered(analysis: Analysis, order: Order) -> Analysis:
    """With the box's own count of results, and what it knows of the study beside its pictures."""
    provenance = replace(analysis.provenance, revision=order.revision, supersedes=order.supersedes)
    flags = _flags(order, analysis.series.study.study_date if analysis.series else None)
    return replace(analysis, provenance=provenance, flags=(*analysis.flags, *flags))


def _trouble(exit_code: int, reason: dict[str, str] | None) -> dict[str, Any]:
    known = reason or {"code": BoxFailed.code, "message": str(BoxFailed()), "advice": BoxFailed.advice}
    return {"exit_code": exit_code, "code": known["code"], "reason": f"{known['message']} {known['advice']}"}


def _flags(order: Order, study_date: str | None) -> list[Finding]:
    """What the box knows of a study beside its pictures."""
    flags = []
    if order.incomplete:
        flags.append(Finding("INPUT_INCOMPLETE", "caution", f"The study was not complete: {order.incomplete}."))
    if order.alone:
        message = "The study was held and released by a person: it stands by itself, without this ID's other results."
        flags.append(Finding("PATIENT_RELEASED", "caution", message))
    if study_date is not None and study_date > order.today:
        message = f"The study is dated {study_date}, the box's clock says {order.today}."
        flags.append(Finding("INPUT_DATE_FUTURE", "caution", message))
    if order.clock_trouble:
        flags.append(Finding("BOX_CLOCK", "note", f"{order.clock_trouble[0].upper()}{order.clock_trouble[1:]}."))
    return flags


if __name__ == "__main__":
    main()
