"""Reading a table of studies, CSV or Parquet, so that a bad cell is named and never guessed at."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scanside_appliance.statistics.auc import Bools, Floats
from scanside_appliance.statistics.errors import CohortTable
from scanside_runtime.followup.placeholders import is_listed

LIMITS = {"poi_percent": (0.0, 100.0), "ihu_hu": (-1024.0, 3071.0)}
"""What a measure can be; a value outside is a mistake in the table."""


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """All columns of a table, of which `columns` must be there. Identifiers and phrases stay text, leading zeros too.

    Raises CohortTable where the file can't be read, lacks a column or any row, or a row has more cells than the header.
    """
    try:
        table = _read(path)
    except OSError as error:
        raise CohortTable(name=path.name, why=error.strerror or "it can't be read") from error
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise CohortTable(name=path.name, why=f"it is no table ({error})") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise CohortTable(name=path.name, why=f"it has no column {', '.join(missing)}")
    if table.empty:
        raise CohortTable(name=path.name, why="it has no row")
    return table


def _read(path: Path) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    # Without index_col=False the first cell of a longer row is no column, and each name stands above the wrong cell.
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path, dtype=str, encoding="utf-8-sig", keep_default_na=False, na_values=[""], index_col=False
        )


def numbers(table: pd.DataFrame, column: str, name: str) -> Floats:
    """A column as float64, NaN where the cell is empty. Raises CohortTable, naming the row, for anything else."""
    low, high = LIMITS.get(column, (-np.inf, np.inf))
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = (np.isnan(values) & table[column].notna().to_numpy()) | np.isinf(values) | (values < low) | (values > high)
    if bad.any():
        row = int(np.argmax(bad))
        raise CohortTable(name=name, why=f"{column} in row {row + 1} is {table[column].iloc[row]!r}")
    return np.asarray(values, dtype=np.float64)


def labels(table: pd.DataFrame, column: str, name: str) -> Floats:
    """A column of 0 and 1 as float64, NaN where the cell is empty. Raises CohortTable for any other value."""
    if table[column].dtype == np.bool_:
        return np.asarray(table[column].to_numpy(dtype=np.float64))
    values = numbers(table, column, name)
    bad = ~np.isnan(values) & (values != 0.0) & (values != 1.0)
    if bad.any():
        row = int(np.argmax(bad))
        raise CohortTable(name=name, why=f"{column} in row {row + 1} is {table[column].iloc[row]!r}, neither 0 nor 1")
    return values


def nobodys(table: pd.DataFrame, placeholder_ids: Collection[str]) -> Bools:
    """Which rows have no patient_id, or one that is given to many: (n,)."""
    names = table["patient_id"].astype("string").fillna("")
    known = {name: is_listed(name, placeholder_ids) for name in names.unique()}
    return np.array([known[name] for name in names], np.bool_)


def patients(table: pd.DataFrame, placeholder_ids: Collection[str] = ()) -> np.ndarray:
    """Who is who: (n,) whole numbers from 0. A row that is nobody's stands for a patient of its own.

    Where there is a column `issuer`, one patient_id of two issuers is two patients.
    """
    names = table["patient_id"].astype("string").mask(nobodys(table, placeholder_ids))
    if "issuer" in table.columns:
        names = names + "\x1f" + table["issuer"].astype("string").fillna("")
    own = pd.Series([f"\x1frow {row}" for row in range(len(table))], index=table.index, dtype="string")
    return np.asarray(pd.factorize(names.fillna(own))[0], dtype=np.int64)
