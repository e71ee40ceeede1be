"""Names are compared as the standard fills them up, and no further."""

from __future__ import annotations

import pytest

from scanside_runtime.dicom.values.person_name import components, is_one_name


@pytest.mark.parametrize(
    "other",
    ["DOE^JOHN^^", "DOE^JOHN^^^^", "DOE^JOHN=", "DOE^JOHN==", "DOE ^ JOHN", "Doe^John ", "DOE^JOHN=土^太郎", "", None],
)
def test_what_fills_a_name_up_makes_no_other_name(other: str | None) -> None:
    assert is_one_name(["DOE^JOHN", other])
    assert is_one_name([other, "DOE^JOHN"])


@pytest.mark.parametrize("other", ["DOE^JOHN^A", "DOE", "JOHN^DOE", "DOE^^JOHN", "DOE JOHN", "DOE^JOAN", "^DOE^JOHN"])
def test_another_component_is_another_name(other: str) -> None:
    assert not is_one_name(["DOE^JOHN", other])


def test_two_that_both_agree_with_a_third_may_still_differ() -> None:
    assert not is_one_name(["DOE^JOHN", "DOE^JOHN=A^B", "DOE^JOHN=A^C"])


def test_empty_components_in_front_count() -> None:
    assert components("^JOHN=^太郎^^=") == (("", "john"), ("", "太郎"))
