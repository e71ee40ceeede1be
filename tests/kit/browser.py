"""Pages as a browser lays them out: one start of headless Chromium measures many pages at several widths."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

HARNESS = """<!doctype html><meta charset="utf-8"><body><script>
const PAGES = %s, WIDTHS = %s, found = [];
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * x + .7152 * y + .0722 * z;
}
const rgb = text => text.match(/[0-9.]+/g).map(Number);
function background(element) {
  for (; element; element = element.parentElement) {
    const colour = rgb(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
}
function faint(page) {
  const texts = [...page.querySelectorAll("body *:not(svg *)")].filter(e => e.checkVisibility() &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  return texts.filter(e => {
    const [a, b] = [rgb(getComputedStyle(e).color), background(e)].map(luminance);
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
  }).map(e => e.textContent.trim().slice(0, 40));
}
function wide(page, width) {
  const out = box => box.right > width + 1 || box.left < -1;
  return [...page.querySelectorAll("body *:not(svg *)")].filter(e => e.checkVisibility() &&
    out(e.getBoundingClientRect())).map(e => e.outerHTML.slice(0, 80));
}
function overlapping(page) {
  const texts = [], found = [], range = page.createRange();
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("defs") || !parent.checkVisibility()) continue;
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1) texts.push([box, node]);
  }
  texts.sort(([a], [b]) => a.top - b.top);
  texts.forEach(([a, one], n) => {
    for (let m = n + 1; m < texts.length && texts[m][0].top < a.bottom; m++) {
      const [b, other] = texts[m], across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - b.top;
      if (one !== other && across > 2 && down > .4 * Math.min(a.height, b.height))
        found.push([one, other].map(node => node.textContent.trim().slice(0, 30)).join(" | "));
    }
  });
  return found;
}
async function measured(name, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.src = name;
  document.body.append(frame);
  await new Promise(done => frame.onload = done);
  const page = frame.contentDocument, root = page.documentElement;
  const seen = {wide: wide(page, width), faint: faint(page), overlapping: overlapping(page)};
  found.push({name, width, overflow: root.scrollWidth - width, ...seen});
  frame.remove();
}
(async () => {
  for (const name of PAGES) for (const width of WIDTHS) await measured(name, width);
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
})();
</script>"""


def browser(folder: Path) -> list[str]:
    """How headless Chromium is started, with a profile of its own; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None) or pytest.skip("Chromium is not installed")
    return [str(program), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]


def layouts(folder: Path, pages: Mapping[str, str], widths: Sequence[int]) -> list[dict[str, Any]]:
    """Of each page at each width: overflow in px, what sticks out, texts below WCAG AA's contrast (4.5) or over others.

    Skips where there is no Chromium.
    """
    for name, page in pages.items():
        (folder / name).write_text(page, encoding="utf-8", errors="replace")
    found: list[dict[str, Any]] = found_by(folder, HARNESS % (json.dumps(list(pages)), json.dumps(list(widths))))
    return found


def found_by(folder: Path, harness: str) -> Any:
    """What a page of ours finds in the pages of a folder: it leaves JSON in an element with the ID `found`.

    Skips where there is no Chromium.
    """
    command = browser(folder)
    (folder / "harness.html").write_text(harness, "utf-8")
    with _served(folder) as address:
        shown = subprocess.run(
            [*command, "--virtual-time-budget=120000", "--dump-dom", f"{address}/harness.html"],
            capture_output=True, text=True, timeout=300, check=True,
        ).stdout  # fmt: skip
    answer = re.search(r'<pre id="found">(.*?)</pre>', shown, flags=re.DOTALL)
    assert answer, shown[-2000:]
    return json.loads(html.unescape(answer[1]))


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The folder on loopback: pages of a file system may not look into each other's frames."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""
