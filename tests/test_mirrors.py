"""`tests/` mirrors `engine/`: a file has its test file, or a line here that says where."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from tests.cases import each_case

ROOT = Path(__file__).parents[1]

_FORMAT = "the files of one wire format are one reader of bytes: tested at its dialect"
_RUN = "the files of a run are one state machine: tested by runs"
_ROWS = "what becomes of a row is tested from the row to the file"
_DATA = "plain data; what it means is tested where it is made"
_SERVER = "the emulator is tested as a server, by what it answers"
_TOLD = "tested by what `logging` and OpenTelemetry are told"
_SHOWN = "tested by the command that shows it"

# Pattern of files without a test file of their own → where they are tested, and why there.
ELSEWHERE = {
    "engine/events.py": ("tests/test_stream_answers.py", _DATA),
    "engine/messages.py": ("tests/test_stream_answers.py", _DATA),
    "engine/response.py": ("tests/transport/test_exchange.py", _DATA),
    "engine/asking/calls.py": ("tests/asking/test_input.py", _DATA),
    "engine/asking/contents.py": ("tests/asking/test_input.py", "one way in for all histories"),
    "engine/asking/items.py": ("tests/asking/test_input.py", "one way in for all histories"),
    "engine/asking/reasoning.py": ("tests/asking/test_input.py", "one way in for all histories"),
    "engine/answering/*.py": ("tests/answering/test_delivery.py", "parts of attempts and delivery"),
    "engine/agents/tools/*.py": ("tests/agents/tools/test_tool.py", "a tool is tested as a whole"),
    "engine/agents/*.py": ("tests/agents/test_function_agent.py", _RUN),
    "engine/batch/*.py": ("tests/batch/test_batch.py", _ROWS),
    "engine/cli/*.py": ("tests/cli/test_main.py", _SHOWN),
    "engine/emulator/*.py": ("tests/emulator/test_server.py", _SERVER),
    "engine/loops/*.py": ("tests/loops/test_hosts.py", "tested in the real host"),
    "engine/providers/chat/*.py": ("tests/providers/chat/test_dialect.py", _FORMAT),
    "engine/providers/cohere/*.py": ("tests/providers/cohere/test_dialect.py", _FORMAT),
    "engine/providers/gemini/*.py": ("tests/providers/gemini/test_parser.py", _FORMAT),
    "engine/providers/interactions/*.py": ("tests/providers/interactions/test_dialect.py", _FORMAT),
    "engine/providers/messages/*.py": ("tests/providers/messages/test_dialect.py", _FORMAT),
    "engine/providers/ollama/*.py": ("tests/providers/ollama/test_dialect.py", _FORMAT),
    "engine/providers/responses/*.py": ("tests/providers/responses/test_dialect.py", _FORMAT),
    "engine/providers/*.py": ("tests/providers/chat/test_dialect.py", "shared by all formats"),
    "engine/telemetry/*.py": ("tests/telemetry/test_hooks.py", _TOLD),
    "engine/transport/*.py": ("tests/transport/test_multi.py", "part of the driver"),
}

FILES = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "engine").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
]


def mirror_of(file: str) -> Path:
    folder, _, name = file.removeprefix("engine/").rpartition("/")
    return ROOT / "tests" / folder / f"test_{name}"


def elsewhere(file: str) -> str | None:
    """The first pattern that fits `file`; the order above goes from one file to whole folders."""
    return next((pattern for pattern in ELSEWHERE if fnmatch(file, pattern)), None)


def test_a_file_has_its_test_file_or_says_where_it_is_tested() -> None:
    untold = [file for file in FILES if not mirror_of(file).exists() and elsewhere(file) is None]
    assert not untold, "write its test file, or a line above"


@each_case("pattern", ELSEWHERE)
def test_what_is_said_of_other_places_is_true(pattern: str) -> None:
    place, why = ELSEWHERE[pattern]
    assert (ROOT / place).exists(), place
    assert why
    without = [f for f in FILES if elsewhere(f) == pattern and not mirror_of(f).exists()]
    assert without, f"every file of {pattern} has its own by now: take the line out"
