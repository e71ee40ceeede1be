"""`scanside explain`: for every code what it means, how it is found, and what the technician does now."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest

from scanside_appliance.explain import explanation, explanations, known_codes
from scanside_runtime.settings.tables import Settings

SETTINGS = {f"{group}.{name}" for group, values in asdict(Settings()).items() for name in values}


@pytest.mark.parametrize("code", known_codes())
def test_every_code_says_what_it_means_how_it_is_found_and_what_to_do_now(code: str) -> None:
    found = explanation(code)
    assert found is not None
    for text in (found.message, found.measured, found.advice):
        assert len(text) > 10
        assert text[0].isupper() or text[0] == "…"
        assert text.rstrip().endswith((".", ")"))


def test_the_settings_that_explanations_name_are_settings() -> None:
    text = " ".join(one.measured for one in explanations())
    named = set(re.findall(r"\b(?:coverage|anatomy|missing_lung|quality|motion|patient|measures)\.[a-z_]+", text))
    assert len(named) > 15
    assert named <= SETTINGS


def test_a_code_is_found_in_any_case_of_letters_and_no_other_is() -> None:
    assert explanation("quality_motion") == explanation("QUALITY_MOTION")
    assert explanation("QUALITY") is None
