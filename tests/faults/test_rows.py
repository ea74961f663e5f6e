"""Each row of the matrix is a test of this folder, or says where it is or why it is none."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cases import each_case
from tests.faults.rows import ROWS
from tests.faults.table import ids_in

HERE = Path(__file__).parent
SOURCE = "".join(
    path.read_text() for path in HERE.glob("test_*.py") if path.name != Path(__file__).name
)


def test_each_row_is_a_test_or_says_where_it_is() -> None:
    assert [row for row in ROWS if not told(row)] == []


def told(row: str) -> bool:
    """As "H04 …" in the id of a case, f"H0{…}" for several, or `test_h04_…`."""
    elsewhere = ROWS[row].elsewhere
    if elsewhere:
        return elsewhere.startswith("does not apply") or (HERE.parent / elsewhere).is_file()
    written = (
        rf'"{row}\b|test_{row.lower()}\b|test_{row.lower()}_|{row} |f"{row[:2]}\{{|f"{row[0]}\{{'
    )
    return re.search(written, SOURCE) is not None


@each_case(
    ("name", "rows"),
    [
        ("tests/faults/test_http.py::test_of_the_head[H01 400]", ["H01"]),
        ("tests/faults/test_connect.py::test_n07_a_good_name", ["N07"]),
        ("tests/faults/test_connect.py::test_a_certificate[T02 another name]", ["T02"]),
        ("tests/faults/test_http.py::test_other", []),
    ],
)
def test_a_row_is_found_in_the_name_of_its_test(name: str, rows: list[str]) -> None:
    assert ids_in(name) == rows
