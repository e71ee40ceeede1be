"""The list in a real browser: nothing sticks out, every text can be read, and its script finds and sorts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kit.browser import browser, found_by, layouts
from kit.listed_box import Listed, listed_box, phantom_results
from scanside_appliance.clock import Clock
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.settings.tables import LANGUAGES, SiteSettings

WIDTHS_PX = (1280, 800, 390)
LONG = Listed(900, "Wolfeschlegelsteinhausenbergerdorff^Hubert Blaine" * 3, patient_id="X" * 64, severity="severe")
HARNESS = """<!doctype html><meta charset="utf-8"><body><script>
const frame = document.createElement("iframe");
frame.style.cssText = "width:1280px;height:900px";
frame.src = "index.html";
document.body.append(frame);
frame.onload = () => {
  const page = frame.contentDocument, found = {};
  const shown = () => [...page.querySelectorAll("tr.one")].filter(row => row.checkVisibility())
    .map(row => row.querySelector("bdi").textContent);
  const groups = () => [...page.querySelectorAll("tr.group")].filter(row => row.checkVisibility()).length;
  const press = n => page.querySelectorAll("thead button")[n].click();
  const search = page.querySelector("input");
  const find = text => { search.value = text; search.dispatchEvent(new Event("input")); return shown(); };
  found.all = shown();
  found.groups = groups();
  found.accents = find("simic");
  found.script = find("山田");
  found.both = find("mwangi p2");
  found.nothing = [...find("nobody"), page.querySelector(".none-found").checkVisibility()];
  find("");
  press(1);
  found.byName = shown();
  found.sortedGroups = groups();
  press(4);
  found.byPoi = shown();
  press(4);
  found.byPoiTurned = shown();
  press(0);
  found.again = shown();
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script>"""


def written(root: Path, results: list[Listed], language: str = "en") -> dict[str, str]:
    with listed_box(root) as box:
        box.put_known(results)
        site = SiteSettings("District Hospital", language=language)
        write_worklist(box.layout, box.store, site, Clock(), arriving=2, trouble="BOX_INBOX: the inbox is gone.")
        paths = [box.layout.worklist, *box.layout.worklist_pages.glob("*.html")]
        return {f"{root.name}-{path.name}": path.read_text("utf-8") for path in paths}


def test_no_list_needs_a_horizontal_scrollbar_and_every_text_has_the_contrast_of_wcag_aa(tmp_path: Path) -> None:
    made = {}
    for language in LANGUAGES:
        made |= written(tmp_path / f"box-{language}", [LONG, *phantom_results(60)], language)
    made |= written(tmp_path / "empty", [])
    found = layouts(tmp_path, made, WIDTHS_PX)
    assert len(found) == len(made) * len(WIDTHS_PX)
    assert [one for one in found if one["overflow"] > 0 or one["wide"] or one["faint"] or one["overlapping"]] == []


def test_printed_the_list_begins_on_the_first_side_and_wastes_none(tmp_path: Path) -> None:
    assert shutil.which("pdftotext") or pytest.skip("pdftotext (poppler-utils) is not installed")
    page = written(tmp_path / "box", phantom_results(50))["box-index.html"]
    (tmp_path / "index.html").write_text(page, "utf-8")
    command = [*browser(tmp_path), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'list.pdf'}"]
    subprocess.run([*command, str(tmp_path / "index.html")], capture_output=True, check=True, timeout=120)
    said = subprocess.run(["pdftotext", tmp_path / "list.pdf", "-"], capture_output=True, text=True, check=True).stdout
    sides = said.rstrip("\f").split("\f")
    assert len(sides) == 2
    assert "SEVERE" in sides[0]
    assert all("Patient ID" in side for side in sides)


def test_the_script_finds_without_accents_sorts_and_gives_the_order_back(tmp_path: Path) -> None:
    people = [
        Listed(1, "Šimić^Ivo", poi=3.0),
        Listed(2, "Mwangi^Baraka", poi=40.0, severity="severe", cautions=("QUALITY_MOTION",)),
        Listed(3, "Yamada^Hana=山田^花", poi=11.5, severity="watch"),
        Listed(4, "Mwangi^Ada", poi=None),
    ]
    page = written(tmp_path / "box", people)["box-index.html"]
    (tmp_path / "index.html").write_text(page, "utf-8")
    found = found_by(tmp_path, HARNESS)
    ada, baraka, ivo, hana = "Mwangi Ada", "Mwangi Baraka", "Šimić Ivo", "Yamada Hana (山田 花)"
    assert found["all"] == found["again"] == [baraka, hana, ada, ivo]
    assert (found["groups"], found["sortedGroups"]) == (3, 0)
    assert (found["accents"], found["script"], found["both"]) == ([ivo], [hana], [baraka])
    assert found["nothing"] == [True]
    assert found["byName"] == [ada, baraka, ivo, hana]
    assert found["byPoi"] == [baraka, hana, ivo, ada]
    assert found["byPoiTurned"] == [ada, ivo, hana, baraka]
