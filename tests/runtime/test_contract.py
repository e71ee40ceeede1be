"""The contract inside a model file: it comes back as it was written, and what is no contract is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanside_runtime.model.contract import CONTRACT_SCHEMA, ModelContract

NUMBERS = st.floats(0.01, 100.0)
CONTRACTS = st.builds(
    ModelContract,
    network=st.sampled_from(["lungs", "infection"]),
    classes=st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple),
    window_hu=st.tuples(st.floats(-1024, -1), st.floats(0, 3071)),
    pixel_mm=NUMBERS,
    matrix=st.tuples(*[st.integers(1, 24).map(lambda n: 32 * n)] * 2),
    slab_mm=NUMBERS,
    thin_below_mm=NUMBERS,
    stack_depth=st.integers(0, 4).map(lambda n: 2 * n + 1),
    stack_step_mm=NUMBERS,
    threshold=st.floats(0.01, 0.99),
    training_digest=st.text("0123456789abcdef", max_size=64),
    licence=st.text(max_size=20),
    validation=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=3),
)
GOOD = ModelContract("lungs", ("none", "right", "left"), (-1000.0, 200.0), 1.5, (256, 256))


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(GOOD.to_json()), **values})


@given(CONTRACTS)
def test_a_contract_comes_back_from_its_text(contract: ModelContract) -> None:
    assert ModelContract.from_json(contract.to_json()) == contract


@given(CONTRACTS)
def test_the_text_of_a_contract_says_its_schema(contract: ModelContract) -> None:
    assert json.loads(contract.to_json())["schema"] == CONTRACT_SCHEMA


def test_a_later_schema_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"scanside\.contract/2"):
        ModelContract.from_json(changed(schema="scanside.contract/2"))


NO_CONTRACT = ["", "{", "[]", "null", "7", '"x"', "{}", '{"schema": "scanside.contract/1"}', "[" * 9999]


@pytest.mark.parametrize("text", NO_CONTRACT)
def test_a_text_that_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"contract|Expecting"):
        ModelContract.from_json(text)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"matrix": [250, 256]}, "divisible by 32"),
        ({"matrix": [0, 0]}, "divisible by 32"),
        ({"matrix": [256]}, "unpack"),
        ({"matrix": ["a", "b"]}, "contract"),
        ({"stack_depth": 2}, "odd"),
        ({"stack_depth": -1}, "odd"),
        ({"window_hu": [200, -1000]}, "ascend"),
        ({"window_hu": [float("nan"), 200]}, "ascend"),
        ({"threshold": 0.0}, "between 0 and 1"),
        ({"threshold": 1.0}, "between 0 and 1"),
        ({"pixel_mm": 0.0}, "above 0"),
        ({"section_mm": float("nan")}, "above 0"),
        ({"pixel_mm": "wide"}, "contract"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_values_that_nothing_can_be_computed_with_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelContract.from_json(changed(**values))
