"""Why tables and masks of many studies can't be evaluated."""

from __future__ import annotations

from scanside_runtime.errors import Refused


class CohortTable(Refused):
    """The table {name} can't be used: {why}."""

    code = "INPUT_TABLE"
    advice = "Correct the table; docs/cohort.md says what each column must hold."


class CohortTooFewEvents(Refused):
    """Too few exams to fit {features} to {label}: {with_label} with it and {without} without, at least {needed} of either are needed."""

    code = "INPUT_TOO_FEW_EVENTS"
    advice = "Collect more exams; a model of fewer would not hold on the next patients."


class CohortMasks(Refused):
    """The masks {name} can't be compared: {why}."""

    code = "INPUT_MASKS"
    advice = "Hand over two folders whose files have the same names, kinds and grids."
