"""The table as a file: CSV for everybody, Parquet for those who load many."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from scanside_appliance.cohort.rows import COLUMNS, Row
from scanside_appliance.extras import BoxExtraMissing
from scanside_appliance.files.atomic import replace_file, writing
from scanside_appliance.files.names import plain_cell
from scanside_runtime.errors import shown

FORMS = (".csv", ".parquet")


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write the rows, whole or not at all, as the path's suffix says. Raises BoxOutput, BoxExtraMissing."""
    content = parquet_bytes(rows) if path.suffix.lower() == ".parquet" else csv_bytes(rows)
    with writing(path):
        replace_file(path, content)


def check_can_write(path: Path) -> None:
    """What this form of table needs is installed: asked before hours of work. Raises BoxExtraMissing."""
    if path.suffix.lower() != ".parquet":
        return
    try:
        import pyarrow.parquet  # noqa: F401 - whether it is there
    except ImportError as error:
        raise BoxExtraMissing(package="pyarrow", extra="cohort") from error


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """UTF-8, one header line, empty cells for what is not known; no text is a formula."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _plain(row: Row) -> Row:
    """Its texts as they may be shown: names of files may be no UTF-8, which Parquet does not take."""
    return {name: shown(value) if isinstance(value, str) else value for name, value in row.items()}


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """Parquet, each column with its type whatever the rows hold. Raises BoxExtraMissing without pyarrow."""
    check_can_write(Path("x.parquet"))
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_plain(row) for row in rows], schema=schema), sink)
    return sink.getvalue()
