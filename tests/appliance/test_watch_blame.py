"""Who is to blame where an analysis comes to no result: the study, or a box that two studies in a row ran into."""

from __future__ import annotations

import json
import select
from contextlib import suppress
from dataclasses import replace

import pytest

from kit.child_programs import BEGINS, HELLO
from kit.watch_box import PYTHON, Box, study
from scanside_appliance.jobs.messages import Order, SelfTestOrder
from scanside_appliance.service.errors import BoxStuck
from scanside_appliance.service.service import watch
from scanside_runtime.process.child import Child
from scanside_runtime.process.messages import Hello, encode
from scanside_runtime.settings.load import load_settings
from sweeps.box import write_settings

REPLACED = f"""
import sys
from pathlib import Path
proved = Path(sys.argv[1], "proved")
if proved.exists():
    exec(Path(sys.argv[1], "replacement.py").read_text())
    raise SystemExit
{BEGINS}
sys.stdin.readline()
print('{{"SelfTested": {{"engine": "fake"}}}}', flush=True)
proved.touch()
"""


def test_one_defect_of_two_studies_in_a_row_is_the_box_s_and_neither_is_put_aside(box: Box) -> None:
    for number in (1, 2):
        box.put(*study(number, text="DEFECT"))
    with pytest.raises(BoxStuck, match=r"ValueError at fake_worker\.py:1"):
        box.run()
    shown = box.scanside("status")
    assert (shown.exit_code, "two studies in a row" in shown.output) == (5, True)
    queued = json.loads(box.scanside("queue", "--json").output)
    assert [job["state"] for job in queued] == ["queued", "queued"]
    assert {job["code"] for job in queued} >= {"BOX_SAME_DEFECT"}
    assert box.is_sound()


def test_two_studies_with_one_defect_do_not_stop_a_third(box: Box) -> None:
    for number, text in ((1, "DEFECT"), (2, "DEFECT"), (3, "")):
        box.put(*study(number, text=text))
    with suppress(BoxStuck):
        box.run()
    assert len(box.of(3)) == 1
    assert box.is_sound()


@pytest.mark.parametrize(
    ("worker", "code"),
    [
        (BEGINS.replace(HELLO, encode(Hello("9.9", "abc")).decode().strip()) + "input()", "BOX_REPLACED"),
        ("import scanside_runtime.not_there_yet", "BOX_WORKER_START"),
    ],
)
def test_a_worker_of_another_software_blames_the_box_and_no_study(box: Box, worker: str, code: str) -> None:
    """The daemon proved its networks with the old one, which ended; what it starts then is what lies there now."""
    box.put(*study(1))
    (box.root.parent / "replacement.py").write_text(worker)
    path = write_settings(box.root)
    command = (*PYTHON, "-c", REPLACED, str(box.root.parent))
    with pytest.raises(BoxStuck, match=r"systemctl restart|scanside selftest"):
        watch(replace(box.plan(lambda: load_settings(path)), worker=command))
    (job,) = json.loads(box.scanside("queue", "--json").output)
    assert (job["state"], job["attempts"], job["code"]) == ("queued", 0, code)
    assert box.is_sound()


def test_a_worker_that_is_gone_before_it_could_be_asked_blames_the_box_too(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Child.ask

    def asked_late(child: Child, question: Order | SelfTestOrder) -> None:
        if isinstance(question, Order):
            select.select([child], [], [])  # it said something, or it ended
        ask(child, question)

    monkeypatch.setattr(Child, "ask", asked_late)
    test_a_worker_of_another_software_blames_the_box_and_no_study(box, "raise SystemExit(1)", "BOX_WORKER_START")


@pytest.mark.parametrize(("text", "workers"), [("", 1), ("KEEPS", 2)])
def test_a_worker_that_keeps_much_memory_is_not_given_the_next_study(box: Box, text: str, workers: int) -> None:
    for number in (1, 2):
        box.put(*study(number, text=text))
    box.run()
    assert len({result["pid"] for result in box.results().values()}) == workers


def test_three_large_studies_at_once_are_measured_one_after_the_other_each_with_all_the_memory(box: Box) -> None:
    """Each keeps 200 MB of the 512 that a worker may have: together they would not fit, nor a third in one worker."""
    for number in (1, 2, 3):
        box.put(*study(number, text="KEEPS"))
    box.run()
    assert [len(box.of(number)) for number in (1, 2, 3)] == [1, 1, 1]
    assert len({result["pid"] for result in box.results().values()}) == 3
    assert box.places("quarantine") == []
