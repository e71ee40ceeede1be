"""A severity model is data: a logistic regression on the biomarkers, with where it was fitted and how good it is.

It comes as JSON (`scanside.severity-model/1`), inside a bundle's manifest or as a file of the site's own. No number of
any model stands in the code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from scanside_runtime.measures.errors import SeverityModelUnusable

SEVERITY_MODEL_SCHEMA = "scanside.severity-model/1"
FEATURES = ("poi_percent", "ihu_hu")
"""What a model may look at: fields of the block `biomarkers` of a result document, whole lungs."""
LARGEST = 1e6
"""Of any number of a model, and of one by an SD: a real one is far below, and sums of such are finite."""
_SANE = f"each must be a number from {-LARGEST:g} to {LARGEST:g}"
LONGEST = 1000
"""Letters of a text, which stands on every page."""


@dataclass(frozen=True, slots=True)
class Standardisation:
    """The features enter as (value - mean) / sd; both in the feature's own unit, in the order of the features."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]

    def __post_init__(self) -> None:
        _check(_all_sane(self.mean), "standardisation.mean", _SANE)
        above = all(sd >= 1.0 / LARGEST for sd in self.sd)
        _check(_all_sane(self.sd) and above, "standardisation.sd", f"it must lie from {1.0 / LARGEST:g} to {LARGEST:g}")


@dataclass(frozen=True, slots=True)
class FittedOn:
    """The people behind the coefficients.

    cohort: in words, who and where. n: exams. events: severe ones among them. date: of the fit, ISO 8601.
    patients: how many people the exams are of. table_sha256: digest (hex) of the table that was fitted on.
    """

    cohort: str
    n: int
    events: int
    date: str
    patients: int | None = None
    table_sha256: str | None = None

    def __post_init__(self) -> None:
        _check(bool(self.cohort), "fitted_on.cohort", "it must say who and where")
        _check(0 < self.events < self.n, "fitted_on.events", "it must lie between 0 and n")
        people = self.n if self.patients is None else self.patients
        _check(0 < people <= self.n, "fitted_on.patients", "it must lie between 1 and n")
        try:
            date.fromisoformat(self.date)
        except ValueError as error:
            raise ValueError("fitted_on.date: it must be a date like 2026-11-22") from error

    def in_words(self) -> str:
        """One line for people."""
        people = "" if self.patients is None else f" of {self.patients} patients"
        return f"{self.cohort}: {self.n} exams{people}, {self.events} severe, fitted {self.date}"


@dataclass(frozen=True, slots=True)
class SeverityModel:
    """A fitted model.

    features: names out of FEATURES. coefficients: one a feature, in log odds for a unit (an SD where standardised).
    cut_off: the probability from which a patient is flagged severe. sensitivity, specificity: 0 to 1, at that cut-off,
    on `fitted_on`.
    """

    name: str
    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    cut_off: float
    fitted_on: FittedOn
    sensitivity: float
    specificity: float
    source: str
    standardisation: Standardisation | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field."""
        _check(bool(self.name), "name", "it must not be empty")
        known = 0 < len(set(self.features)) == len(self.features) and set(self.features) <= set(FEATURES)
        _check(known, "features", f"it must be one or more of {', '.join(FEATURES)}, each once")
        _check(_all_sane(self.coefficients), "coefficients", _SANE)
        _check(_all_sane((self.intercept,)), "intercept", _SANE)
        _check(len(self.coefficients) == len(self.features), "coefficients", "there must be one for each feature")
        _check(0.0 < self.cut_off < 1.0, "cut_off", "it is a probability, between 0 and 1")
        for name in ("sensitivity", "specificity"):
            _check(0.0 <= getattr(self, name) <= 1.0, name, "it must lie between 0 and 1")
        scale = self.standardisation
        fits = scale is None or len(scale.mean) == len(scale.sd) == len(self.features)
        _check(fits, "standardisation", "there must be one mean and one sd for each feature")

    def probability(self, values: Mapping[str, float]) -> float:
        """Probability of the severe class, 0 to 1; `values` holds every feature, by name."""
        x = [values[name] for name in self.features]
        if self.standardisation is not None:
            scale = zip(x, self.standardisation.mean, self.standardisation.sd, strict=True)
            x = [(value - mean) / sd for value, mean, sd in scale]
        log_odds = self.intercept + sum(b * value for b, value in zip(self.coefficients, x, strict=True))
        return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1.0 + math.exp(log_odds))

    def to_document(self) -> dict[str, Any]:
        """The JSON object, schema in front: what `from_document` reads."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return {"schema": SEVERITY_MODEL_SCHEMA, **plain}

    @classmethod
    def from_document(cls, document: object) -> SeverityModel:
        """Read a JSON object; a key that is not known is an error, since a misspelt one would change a flag in silence.

        Raises ValueError that says what is wrong.
        """
        values = dict(_object(document, "the model"))
        schema = values.pop("schema", None)
        _check(schema == SEVERITY_MODEL_SCHEMA, "schema", f"it is {schema!r}, not {SEVERITY_MODEL_SCHEMA!r}")
        _check_keys(cls, values, "")
        scale = values.pop("standardisation", None)
        return cls(
            name=_typed(values, "name", str),
            features=_list(values, "features", str),
            coefficients=_list(values, "coefficients", float),
            intercept=_typed(values, "intercept", float),
            cut_off=_typed(values, "cut_off", float),
            fitted_on=_fitted_on(_object(values["fitted_on"], "fitted_on")),
            sensitivity=_typed(values, "sensitivity", float),
            specificity=_typed(values, "specificity", float),
            source=_typed(values, "source", str),
            standardisation=None if scale is None else _standardisation(_object(scale, "standardisation")),
        )


def read_severity_model(path: Path) -> SeverityModel:
    """The model in a file. Raises SeverityModelUnusable."""
    try:
        return SeverityModel.from_document(json.loads(path.read_bytes()))
    except OSError as error:
        raise SeverityModelUnusable(name=path, why=error.strerror or "it can't be read") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise SeverityModelUnusable(name=path, why=error) from error


def _fitted_on(values: Mapping[str, Any]) -> FittedOn:
    _check_keys(FittedOn, values, "fitted_on.")
    return FittedOn(
        cohort=_typed(values, "cohort", str),
        n=_typed(values, "n", int),
        events=_typed(values, "events", int),
        date=_typed(values, "date", str),
        patients=None if values.get("patients") is None else _typed(values, "patients", int),
        table_sha256=None if values.get("table_sha256") is None else _typed(values, "table_sha256", str),
    )


def _standardisation(values: Mapping[str, Any]) -> Standardisation:
    _check_keys(Standardisation, values, "standardisation.")
    return Standardisation(_list(values, "mean", float), _list(values, "sd", float))


def _check_keys(kind: type[Any], values: Mapping[str, Any], prefix: str) -> None:
    """Every field of the dataclass without a default is there, and nothing else than its fields."""
    required = {one.name: one.default is MISSING for one in fields(kind)}
    for name in values:
        _check(name in required, f"{prefix}{name}", f"there is no such field; known: {', '.join(required)}")
    for name in required:
        _check(name in values or not required[name], f"{prefix}{name}", "it is missing")


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: it must be a JSON object")
    return value


def _typed(values: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    return _as(values[name], name, kind)


def _list(values: Mapping[str, Any], name: str, kind: type[Any]) -> tuple[Any, ...]:
    _check(isinstance(values[name], list), name, "it must be a list")
    return tuple(_as(value, name, kind) for value in values[name])


def _as(value: object, name: str, kind: type[Any]) -> Any:
    """The value as text, whole number or number: true and false are no numbers here."""
    if kind is float and type(value) is int:
        _check(abs(value) <= LARGEST, name, _SANE)
        return float(value)
    _check(type(value) is kind, name, f"it must be of type {kind.__name__}")
    _check(not isinstance(value, int) or abs(value) <= LARGEST, name, "it is too large")
    _check(not isinstance(value, str) or len(value) <= LONGEST, name, f"it must have at most {LONGEST} letters")
    return value


def _all_sane(values: tuple[float, ...]) -> bool:
    """NaN is not, whatever it is compared with."""
    return all(abs(value) <= LARGEST for value in values)


def _check(holds: bool, name: str, why: str) -> None:
    if not holds:
        raise ValueError(f"{name}: {why}")
