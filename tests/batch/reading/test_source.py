"""Twelve kinds of input: asked as written, or refused with the place before anything is asked."""

from __future__ import annotations

import gzip
import io
import json
import sys
import types
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine.batch.reading.rows import BadRow, Reading, Row
from engine.batch.reading.source import Source
from engine.errors import ConfigError
from tests.cases import each_case

ROWS = [{"prompt": "one", "label": "x"}, {"prompt": "zwei ü", "label": "y"}]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
CSV = "prompt,label\none,x\nzwei ü,y\n".encode()


def rows_of(path: Path, content: bytes, **arguments: Any) -> list[Row | BadRow]:
    path.write_bytes(content)
    return all_rows(Source(path, **arguments))


def all_rows(source: Source) -> list[Row | BadRow]:
    try:
        first, second = list(source.rows()), list(source.rows())
    finally:
        source.close()
    assert first == second
    return first


def prompts(rows: list[Row | BadRow]) -> list[Any]:
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.body["prompt"] for row in rows if isinstance(row, Row)]


def zstd(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(data)  # type: ignore[no-any-return]


def parquet(rows: list[dict[str, Any]] = ROWS) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), file)
    return file.getvalue()


def arrow_file() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    file = io.BytesIO()
    table = arrow.Table.from_pylist(ROWS)
    with arrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def arrow_stream() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    file = io.BytesIO()
    table = arrow.Table.from_pylist(ROWS)
    with arrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JSONL": ("in.jsonl", lambda: JSONL),
    "NDJSON, packed": ("in.ndjson.gz", lambda: gzip.compress(JSONL)),
    "JSONL, zstd": ("in.jsonl.zst", lambda: zstd(JSONL)),
    "two frames of zstd": ("in.jsonl.zst", lambda: zstd(JSONL[:30]) + zstd(JSONL[30:])),
    "JSON array": ("in.json", lambda: json.dumps(ROWS, indent=2).encode()),
    "JSON array, no ending": ("in", lambda: json.dumps(ROWS).encode()),
    "JSON of lines": ("in.json", lambda: JSONL),
    "CSV": ("in.csv", lambda: CSV),
    "CSV, packed, BOM": ("in.csv.gz", lambda: gzip.compress(b"\xef\xbb\xbf" + CSV)),
    "TSV": ("in.tsv", lambda: CSV.replace(b",", b"\t")),
    "Parquet": ("in.parquet", parquet),
    "Parquet, no ending": ("in", parquet),
    "Arrow": ("in.arrow", arrow_file),
    "Feather": ("in.feather", arrow_file),
    "Arrow stream": ("in.arrow", arrow_stream),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    name, content = KINDS[kind]
    rows = rows_of(tmp_path / name, content())
    assert prompts(rows) == ["one", "zwei ü"]
    assert [row.metadata for row in rows if isinstance(row, Row)] == [
        {"label": "x"},
        {"label": "y"},
    ]


def test_text_is_read_packed_too(tmp_path: Path) -> None:
    assert prompts(rows_of(tmp_path / "in.txt.gz", gzip.compress(b"a\n\nb"))) == ["a", "b"]
    assert prompts(rows_of(tmp_path / "in.gz", gzip.compress(b"a\nb"))) == ["a", "b"]
    assert prompts(rows_of(tmp_path / "in.dat", b"a\nb", format="text")) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("in.jsonl", lambda: parquet(), "in.jsonl is Parquet and no jsonl"),
        ("in.txt", lambda: arrow_file(), "in.txt is Arrow and no text"),
        ("in.csv", lambda: b"PK\x03\x04\x14\x00", "a zip file .*save the sheet as CSV"),
        ("in.parquet", lambda: JSONL, "no Parquet file"),
        ("in.parquet", lambda: parquet()[:-40], "in.parquet cannot be read after row 0"),
        ("in.arrow", lambda: arrow_file()[:-60], "in.arrow cannot be read after row"),
        ("in.txt", lambda: b"fine\nnot \x00 fine\n", ":2 holds a NUL byte"),
        ("in.jsonl", lambda: JSONL * 200 + b'"\x00"\n', ":401 holds a NUL byte"),
        ("in.csv", lambda: CSV * 1 + "é,z\n".encode("latin-1"), ":4 is not UTF-8: byte 0xe9"),
        ("in.json", lambda: '["é"]'.encode("latin-1"), "item 1 is not UTF-8"),
        ("in.csv", lambda: CSV.decode().encode("utf-16"), "is UTF-16"),
        ("in.txt", lambda: "a\n".encode("utf-32-le"), "holds a NUL byte"),
        ("in.xyz", lambda: JSONL, "the ending .xyz says nothing.*--format"),
        ("in.jsonl.gz", lambda: gzip.compress(JSONL)[:-12], "cannot be unpacked"),
        ("in.jsonl.gz", lambda: gzip.compress(JSONL * 9)[:50], "cannot be unpacked"),
        ("in.jsonl.zst", lambda: zstd(JSONL)[:-5], "cannot be unpacked"),
        ("in.jsonl.gz", lambda: gzip.compress(gzip.compress(JSONL)), "compressed twice"),
        ("in.jsonl.xz", lambda: b"\xfd7zXZ\x00", "compressed by xz|the ending .xz"),
        ("in.json", lambda: json.dumps(ROWS).encode()[:-20], "after item 1 .* it has no end"),
        ("in.json", lambda: json.dumps(ROWS).encode() * 2, "something comes after its end"),
        ("in.json", lambda: b'{\n "requests": [\n  1\n ]\n}\n', "begins with no JSON array"),
        ("in.jsonl", lambda: CSV, ":1 is not JSON, and no line after it"),
        ("in.jsonl", lambda: b"<html>\n" * 400, ":1 is not JSON, and no line after it"),
        ("in.csv", lambda: b"question\nwhy?\n", "no column 'prompt'; its columns are question"),
        ("in.csv", lambda: b"id;prompt\n1;why?\n", "are id;prompt; ';' seems to stand between"),
        ("in.csv", lambda: b"prompt,prompt\na,b\n", "two columns are called 'prompt'"),
        ("in.csv", lambda: b'prompt,n\n"a,1\nb,2\n', "in.csv:3: unexpected end of data"),
        ("in.csv", lambda: b'prompt\n"a" b\n', "in.csv:2: .*quotes within a field are doubled"),
        ("in.csv", lambda: b"", "in.csv is empty"),
        ("in.parquet", lambda: parquet([{"text": "a"}]), "no column 'prompt'; .* are text"),
    ],
)  # fmt: skip
def test_what_is_something_else_is_refused_with_its_place(
    tmp_path: Path, name: str, content: Callable[[], bytes], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        rows_of(tmp_path / name, content())


def test_a_zip_of_columns_has_its_place(tmp_path: Path) -> None:
    few, many, good = rows_of(tmp_path / "in.csv", b"prompt,a,b\nx,1\ny,1,2,3\nz,1,2\n")
    assert isinstance(few, BadRow) and "line 2: it has fewer fields" in few.message
    assert isinstance(many, BadRow) and "line 3: it has more fields" in many.message
    assert isinstance(good, Row)


def test_parameters_may_be_columns(tmp_path: Path) -> None:
    content = b'prompt,temperature,max_tokens,stop,model,n,user\nhi,0.2,5,"[""a""]",m,7,ann\n'
    (row,) = rows_of(tmp_path / "in.csv", content)
    assert isinstance(row, Row)
    asked = {"prompt": "hi", "temperature": 0.2, "max_tokens": 5, "stop": ["a"], "model": "m"}
    assert (row.body, row.metadata) == (asked, {"n": "7", "user": "ann"})


def test_columns_of_parquet_may_be_messages_and_hold_nothing(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "hi", "name": None}], "model": "m"},
        {"messages": [{"role": "user", "content": "ho", "name": "ann"}], "model": None},
    ]
    first, second = rows_of(tmp_path / "in.parquet", parquet(rows))
    assert isinstance(first, Row) and isinstance(second, Row)
    assert first.body == {"messages": [{"role": "user", "content": "hi"}], "model": "m"}
    assert second.body == {"messages": [{"role": "user", "content": "ho", "name": "ann"}]}
    (bad,) = rows_of(tmp_path / "b.parquet", parquet([{"prompt": b"\x00\x01"}]))
    assert isinstance(bad, BadRow) and "holds bytes" in bad.message


class TestTemplates:
    READING = Reading(prompt="Classify: {text} ({{{n}}})", system="Be {tone}.")

    def test_columns_are_filled_in_and_come_back(self, tmp_path: Path) -> None:
        content = b'{"text": "good", "n": 3, "tone": "brief", "custom_id": "a", "top_p": 0.5}\n'
        (row,) = rows_of(tmp_path / "in.jsonl", content, reading=self.READING)
        assert isinstance(row, Row)
        assert row.body == {"prompt": "Classify: good ({3})", "system": "Be brief.", "top_p": 0.5}
        assert row.metadata == {"text": "good", "n": 3, "tone": "brief"}
        assert row.custom_id == "a"

    def test_a_row_that_lacks_one_is_refused_and_keeps_its_id(self, tmp_path: Path) -> None:
        content = (
            b'{"text": "good", "tone": "x", "custom_id": "a"}\n{"text": 1, "n": 2, "tone": []}\n'
        )
        bad, good = rows_of(tmp_path / "in.jsonl", content, reading=self.READING)
        assert isinstance(bad, BadRow) and "it has nothing for {n}" in bad.message
        assert bad.custom_id == "a"
        assert isinstance(good, Row) and good.body["prompt"] == "Classify: 1 ({2})"

    def test_a_table_that_lacks_one_is_refused_whole(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"no column 'n'; its columns are text, tone|no column"
        ):
            rows_of(tmp_path / "in.csv", b"text,tone\na,b\n", reading=self.READING)

    def test_a_line_of_text_is_the_column_text(self, tmp_path: Path) -> None:
        rows = rows_of(tmp_path / "in.txt", b"a\nb\n", reading=Reading(prompt="Say {text}!"))
        assert prompts(rows) == ["Say a!", "Say b!"]

    def test_a_prompt_the_template_does_not_name_is_kept(self, tmp_path: Path) -> None:
        reading = Reading(prompt="Say {text}")
        (row,) = rows_of(tmp_path / "in.csv", b"text,prompt\na,b\n", reading=reading)
        assert isinstance(row, Row)
        assert (row.body["prompt"], row.metadata) == ("Say a", {"text": "a", "prompt": "b"})

    @each_case("text", ["{", "a } b", "{}", "{a!r}", "{a:>3}", '{"a": 1}'])
    def test_what_is_no_template_is_told(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"prompt: .*for a column, and \{\{ and \}\}"):
            Source(["a"], reading=Reading(prompt=text))


def test_samples_are_rows_of_their_own(tmp_path: Path) -> None:
    content = b'{"custom_id": "a", "prompt": "x"}\n"y"\n{"no": "row"}\n'
    rows = rows_of(tmp_path / "in.jsonl", content, reading=Reading(samples=2))
    assert [row.custom_id.partition("-")[2] or row.custom_id for row in rows[:2]] == ["a#1", "a#2"]
    assert rows[2].custom_id.endswith("-1#1") and rows[3].custom_id.endswith("-1#2")
    assert len({row.key for row in rows}) == 5
    one = rows_of(tmp_path / "in.jsonl", content, reading=Reading(samples=1))
    assert one[0].custom_id == "a"


def test_a_row_with_half_a_character_is_refused_and_not_changed(tmp_path: Path) -> None:
    (bad,) = rows_of(tmp_path / "in.jsonl", b'{"custom_id": "a", "prompt": "\\ud83d"}\n')
    assert isinstance(bad, BadRow) and "half a character" in bad.message


def test_what_grows_is_not_read_beyond_its_first_size(tmp_path: Path) -> None:
    for name, content in (("in.jsonl", JSONL), ("in.csv", CSV), ("in.txt", b"a\nb\n")):
        path = tmp_path / name
        path.write_bytes(content)
        source = Source(path)
        with open(path, "ab") as file:
            file.write(content)
        assert len(list(source.rows())) == 2, name
        source.close()


def test_a_pass_left_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("in.jsonl", "in.csv", "in.csv.gz", "in.json"):
        kind = next(kind for kind, (known, _) in KINDS.items() if known == name)
        path = tmp_path / name
        path.write_bytes(KINDS[kind][1]())
        source = Source(path)
        rows = source.rows()
        next(rows)
        source.close()
        rows.close()


class TestPythonObjects:
    def test_lists_and_generators(self) -> None:
        assert prompts(all_rows(Source(["a", {"prompt": "b"}]))) == ["a", "b"]
        assert prompts(all_rows(Source(str(n) for n in range(2)))) == ["0", "1"]

    def test_a_data_frame_is_its_rows_and_not_its_columns(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"prompt": ["a", "b"], "score": [1.5, None], "n": [1, 2]})
        rows = all_rows(Source(frame))
        assert prompts(rows) == ["a", "b"]
        # As in CSV: a column "n" is more often somebody's own than a number of answers to pay.
        assert isinstance(rows[0], Row) and rows[0].metadata == {"score": 1.5, "n": 1}
        assert rows[0].body == {"prompt": "a"}
        assert prompts(all_rows(Source(pandas.Series(["x", "y"])))) == ["x", "y"]

    def test_a_data_frame_of_polars(self) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(
            {
                "prompt": ["a", "b"],
                "score": [1.5, None],
                "n": [1, 2],
                "temperature": [None, 0.5],
                "when": [date(2026, 1, 1), None],
                "tags": [["x"], []],
            }
        )
        rows = all_rows(Source(frame))
        assert prompts(rows) == ["a", "b"]
        assert isinstance(rows[0], Row) and isinstance(rows[1], Row)
        assert rows[0].metadata == {"score": 1.5, "n": 1, "when": "2026-01-01", "tags": ["x"]}
        assert rows[1].body == {"prompt": "b", "temperature": 0.5}
        assert prompts(all_rows(Source(polars.Series(["x", "y"])))) == ["x", "y"]
        bodies = polars.DataFrame({"messages": [[{"role": "user", "content": "q"}]], "model": "m"})
        (asked,) = all_rows(Source(bodies))
        assert isinstance(asked, Row) and asked.shape == "chat"
        with pytest.raises(ConfigError, match="collect"):
            Source(frame.lazy())

    def test_a_column_called_n_buys_nothing_in_a_parquet_file_either(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "in.parquet"
        parquet.write_table(arrow.table({"prompt": ["a"], "n": [57], "seed": [3]}), path)
        (row,) = all_rows(Source(path))
        assert isinstance(row, Row)
        assert (row.body, row.metadata) == ({"prompt": "a", "seed": 3}, {"n": 57})

    def test_a_table_of_arrow(self) -> None:
        arrow = pytest.importorskip("pyarrow")
        assert prompts(all_rows(Source(arrow.Table.from_pylist(ROWS)))) == ["one", "zwei ü"]

    def test_a_data_set(self) -> None:
        datasets = pytest.importorskip("datasets")
        data = datasets.Dataset.from_list(ROWS)
        assert prompts(all_rows(Source(data))) == ["one", "zwei ü"]
        with pytest.raises(ConfigError, match="one of its splits: train"):
            Source(datasets.DatasetDict({"train": data}))

    def test_numbers_of_numpy_are_numbers(self) -> None:
        numpy = pytest.importorskip("numpy")
        (row,) = all_rows(Source([{"prompt": "a", "x": numpy.int64(3), "y": numpy.ones(2)}]))
        assert isinstance(row, Row) and row.metadata == {"x": 3, "y": [1.0, 1.0]}

    @each_case("rows", [{"prompt": "a"}, b"a", 5, None])
    def test_what_has_no_rows_is_refused(self, rows: Any) -> None:
        with pytest.raises(ConfigError, match="the rows must be"):
            Source(rows)

    def test_a_row_that_is_no_json_has_its_place(self) -> None:
        with pytest.raises(ConfigError, match="row 2 cannot be written as JSON"):
            Source(["a", {"prompt": object()}])
        with pytest.raises(ConfigError, match="row 1 cannot be written as JSON"):
            Source(["\ud83d"])


def test_without_the_package_the_advice_is_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, table = zstd(JSONL), parquet()
    for package, name, content in (
        ("zstandard", "in.jsonl.zst", packed),
        ("pyarrow", "in.parquet", table),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ConfigError, match=r"pip install 'streamengine\["):
            rows_of(tmp_path / name, content)


def test_a_closed_stdin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="stdin is closed"):
        Source("-")


def test_stdin_may_be_any_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (gzip.compress(JSONL), json.dumps(ROWS).encode(), parquet()):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
        assert prompts(all_rows(Source("-"))) == ["one", "zwei ü"]


class TestWhatIsCalledSomethingElse:
    """A name that says one thing of a file in which there is another."""

    @pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n"])
    def test_lines_of_json_called_text_are_no_prompts(self, tmp_path: Path, start: bytes) -> None:
        path = tmp_path / "in.txt"
        path.write_bytes(start + b'{"prompt": "a"}\n{"prompt": "b"}\n')
        with pytest.raises(ConfigError, match="first line is a JSON object"):
            Source(path)
        assert prompts(all_rows(Source(path, "jsonl"))) == ["a", "b"]
        assert prompts(all_rows(Source(path, "text")))[-1] == '{"prompt": "b"}'

    def test_text_with_braces_is_text(self, tmp_path: Path) -> None:
        path = tmp_path / "in.txt"
        path.write_text("{a} is a set\n{b}\n")
        assert prompts(all_rows(Source(path))) == ["{a} is a set", "{b}"]

    def test_an_array_in_a_line_is_told_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_text('[{"prompt": "a"}]\n')
        (row,) = all_rows(Source(path))
        assert isinstance(row, BadRow) and "--format json" in row.message

    @pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
    def test_wide_text_is_told_by_its_name(self, tmp_path: Path, codec: str) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes('{"prompt": "a"}\n'.encode(codec))
        with pytest.raises(ConfigError, match=codec.upper()):
            Source(path)
