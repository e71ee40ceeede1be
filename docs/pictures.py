"""Makes docs/worklist.png and docs/report.png anew: `PYTHONPATH=tests python docs/pictures.py`, after `make demo`.

Needs Chromium. The list is of a box with phantom patients, the page that of the demo. Levels of four shades keep both
small.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2

from kit.browser import browser
from kit.listed_box import Listed, listed_box, phantom_results
from scanside_appliance.clock import Clock
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.settings.tables import SiteSettings

FOLDER = Path(__file__).parent
DEMO_PAGE = FOLDER.parent / "demo-out" / "report.html"
STUDIES = 40
BELOW = 400
"""More of the page than is kept, in pixels: the lowest part of a screenshot is not always drawn to its end."""


def main() -> None:
    """Make both."""
    with tempfile.TemporaryDirectory() as scratch:
        picture(_worklist(Path(scratch)), FOLDER / "worklist.png", (1180, 760), Path(scratch))
        picture(DEMO_PAGE, FOLDER / "report.png", (1120, 1585), Path(scratch))


def picture(page: Path, file: Path, size: tuple[int, int], scratch: Path) -> None:
    """The upper part of a page as a browser shows it. size: (width, height) in pixels."""
    whole = scratch / file.name
    window = f"--window-size={size[0]},{size[1] + BELOW}"
    command = [*browser(scratch), "--hide-scrollbars", window, f"--screenshot={whole}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    shown = cv2.imread(str(whole))
    assert shown is not None
    cv2.imwrite(str(file), shown[: size[1]] | 3, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _worklist(scratch: Path) -> Path:
    """The list of a box that has measured some studies, the last ones within a day."""
    results = phantom_results(STUDIES)
    newest = max(datetime.fromisoformat(one.measured) for one in results)
    later = timedelta(days=(datetime.now(UTC) - newest).days)  # whole days: no scan is later than its result
    with listed_box(scratch / "box") as box:
        box.put(*(_moved(one, later) for one in results))
        write_worklist(box.layout, box.store, SiteSettings(name="District Hospital"), Clock())
    return box.layout.worklist


def _moved(one: Listed, later: timedelta) -> Listed:
    measured = datetime.fromisoformat(one.measured) + later
    return replace(one, measured=measured.isoformat(timespec="seconds"), day=measured.date().isoformat())


if __name__ == "__main__":
    main()
