"""The error tree: one code for one class, and errors that arrive in another process as what they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kit.reading import find_series
from scanside_runtime.dicom.errors import GeometryMissingSlices, InputUnreadable, SeriesNotChest
from scanside_runtime.errors import Refused, ScansideError, registered
from scanside_runtime.process.messages import Failed, decode, encode


def test_a_code_given_twice_is_refused_where_the_second_class_is_defined() -> None:
    with pytest.raises(TypeError, match="Another has the code SERIES_NOT_CHEST of SeriesNotChest"):
        type("Another", (Refused,), {"code": "SERIES_NOT_CHEST"})
    assert SeriesNotChest in registered()


def test_a_class_without_a_code_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="INPUT_REFUSED of Refused"):
        type("Nameless", (Refused,), {})


def through_a_pipe(error: ScansideError) -> ScansideError:
    return decode(encode(Failed.of(error)), (Failed,)).error()


@pytest.mark.parametrize("way", [lambda error: pickle.loads(pickle.dumps(error)), through_a_pipe])
def test_an_error_from_another_process_is_the_same_error(way: object) -> None:
    sent = GeometryMissingSlices(count=2, where="slice 3", spacing_mm=5.0)
    assert callable(way)
    came = way(sent)
    assert type(came) is GeometryMissingSlices
    assert came.message == sent.message


def test_a_message_with_a_code_that_no_error_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no error has the code INPUT_NONSENSE"):
        Failed("INPUT_NONSENSE", 3, "", {}).error()


def test_no_name_of_a_file_speaks_to_the_terminal(tmp_path: Path) -> None:
    name = "1\x1b]0;owned\x07\x1b[2J\nPOI 0.0 %\u202e.dcm"
    (tmp_path / name).write_bytes(b"no picture")
    (told,) = find_series(tmp_path).unreadable
    for text in (told.name, *(InputUnreadable(name=one, why="it ends").message for one in (name, tmp_path / name))):
        assert text.isprintable()
        assert r"\x1b[2J\nPOI 0.0 %\u202e" in text
