"""A question that is rendered once but for its text is sent as if it were rendered anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asking.form import Forms, render_question
from engine.asking.question import as_question
from engine.asking.rendered import Rendered, render
from engine.asking.target import Target
from engine.errors import ConfigError
from engine.messages import Tool
from engine.providers import Endpoint, dialect, endpoint, is_built_in, register, register_dialect
from engine.providers.chat.dialect import ChatDialect
from engine.request import ModelRequest
from tests.asking.test_consulted import CHANGES
from tests.cases import each_case
from tests.volume import every, examples

DIALECTS = ["chat", "responses", "messages", "gemini", "gemini-array", "interactions", "ollama",
            "ollama-generate", "completions", "cohere"]  # fmt: skip
URL = "http://127.0.0.1:1/v1"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

OPTIONS: list[dict[str, Any]] = [
    {},
    {"system": "be brief", "max_tokens": 5, "temperature": 0.5},
    {"max_tokens": 5, "extra_headers": {"X-A": "b"}, "extra_body": {"a": {"b": [1, None]}}},
]


def ask(
    forms: Forms,
    target: Target,
    text: Any,
    model: str = "m",
    wanted: Any = None,
    streaming: bool = True,
    **options: Any,
) -> Rendered:
    return render_question(forms, target, model, text, wanted, options, streaming=streaming)  # type: ignore[arg-type]


def shown(rendered: Rendered | None) -> list[object]:
    """All of it, with those to fall back to."""
    told: list[object] = []
    while rendered is not None:
        fields = {name: getattr(rendered, name) for name in rendered.__struct_fields__}
        rendered = fields.pop("fallback")
        told += [msgspec.structs.astuple(fields.pop("http")), fields]
    return told


def made(forms: Forms) -> int:
    return sum(form is not None for form in forms._forms.values())


@each_case("streaming", [True, False])
@each_case("options", OPTIONS, ids=str)
@each_case("format", DIALECTS)
def test_it_is_what_would_be_rendered(
    format: str, options: dict[str, Any], streaming: bool
) -> None:
    if format == "completions":  # it has no word for instructions
        options = {name: value for name, value in options.items() if name != "system"}
    target = Target(base_url=URL, dialect=format, headers={"X-B": "c"})
    forms = Forms()
    for _ in range(2):
        ask(forms, target, "first", streaming=streaming, **options)
    assert made(forms) == 1, "these ask nothing by which it could not be made"

    @settings(max_examples=examples(100) // every(3))
    @given(st.text(min_size=1))
    def check(text: str) -> None:
        plain: Any
        try:
            plain = render(
                target,
                as_question("m", text, None, options),  # type: ignore[arg-type]
                streaming=streaming,
            )
        except ConfigError as error:
            with pytest.raises(ConfigError) as told:
                ask(forms, target, text, streaming=streaming, **options)
            assert str(told.value) == str(error)
        else:
            rendered = ask(forms, target, text, streaming=streaming, **options)
            assert shown(rendered) == shown(plain)

    check()


def test_a_text_that_is_no_text_is_refused_the_same_way() -> None:
    target, forms = Target(base_url=URL), Forms()
    for _ in range(3):
        ask(forms, target, "a")
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        ask(forms, target, "\ud800")


@each_case(
    "other",
    [
        {"model": "n"},
        {"streaming": False},
        {"wanted": "json"},
        {"wanted": SCHEMA},
        {"wanted": {**SCHEMA, "title": "t"}},
        {"system": "s"},
        {"temperature": 1},
        {"temperature": 1.0},
        {"temperature": 0.0},
        {"temperature": -0.0},
        {"max_tokens": 1},
        {"stop": "x"},
        {"stop": ["x", "y"]},
        {"seed": 1},
        {"thinking": "low"},
        {"extra_body": {"a": True}},
        {"extra_body": {"a": 1}},
        {"extra_headers": {"X-A": "1"}},
        {"tools": [Tool("f", "does", SCHEMA)]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
        {"fallback": ["n"]},
        {"fallback": ["n", "o"]},
    ],
    ids=str,
)
def test_each_thing_that_can_be_asked_tells_two_questions_apart(other: dict[str, Any]) -> None:
    target, forms = Target(base_url=URL), Forms()
    everything = [{}, {"temperature": True and 2}, {"extra_body": {"a": 1.0}}, other]
    expected = [shown(ask(Forms(), target, "t", **asked)) for asked in everything]
    for _ in range(4):
        assert [shown(ask(forms, target, "t", **asked)) for asked in everything] == expected


def test_a_value_that_changes_in_place_is_seen() -> None:
    target, forms = Target(base_url=URL), Forms()
    body = {"a": 1}
    for number in range(5):
        body["a"] = number
        rendered = ask(forms, target, "t", extra_body=body)
        assert msgspec.json.decode(rendered.http.body or b"")["a"] == number


def test_what_can_be_read_once_is_read_once() -> None:
    target, forms = Target(base_url=URL), Forms()
    for _ in range(3):
        rendered = ask(forms, target, "t", stop=iter(["x"]))
        assert msgspec.json.decode(rendered.http.body or b"")["stop"] == ["x"]


@each_case("text", ["", " ", "\n\t ", "\u2003"])
def test_a_blank_text_takes_the_plain_way(text: str) -> None:
    target, forms = Target(base_url="https://api.anthropic.com", api_key="k"), Forms()
    for _ in range(3):
        ask(forms, target, "a")
    expected: Any
    try:
        expected = shown(ask(Forms(), target, text))
    except ConfigError as error:
        with pytest.raises(ConfigError) as told:
            ask(forms, target, text)
        assert str(told.value) == str(error)
    else:
        assert shown(ask(forms, target, text)) == expected


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_variable_that_changes_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    target, forms = Target(), Forms()
    for _ in range(3):
        before = ask(forms, target, "t", "openai/gpt-4o", fallback=["groq/m", "openai/gpt-4o"][1:])
    assert made(forms) == 1
    monkeypatch.setenv(name, value)
    after = ask(forms, target, "t", "openai/gpt-4o", fallback=["openai/gpt-4o"])
    assert (before.http.url, before.http.headers) != (after.http.url, after.http.headers)
    assert after.fallback is not None
    assert after.fallback.http == after.http
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        ask(forms, target, "t", "openai/gpt-4o", fallback=["openai/gpt-4o"])


def test_a_variable_of_a_model_to_fall_back_to_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-one")
    target, forms = Target(), Forms()
    for key in ("gsk-one", "gsk-two", "gsk-three"):
        monkeypatch.setenv("GROQ_API_KEY", key)
        for first, then in (("openai/m", "groq/m"), ("groq/m", "openai/m")):
            for _ in range(3):
                asked = ask(forms, target, "t", first, fallback=[then])
            assert asked.fallback is not None
            of_groq = asked if first == "groq/m" else asked.fallback
            assert of_groq.http.headers["Authorization"] == f"Bearer {key}"


def test_a_credentials_file_that_changes_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    file = tmp_path / "streamengine" / "credentials.toml"
    file.parent.mkdir()
    target, forms = Target(), Forms()
    for key in ("sk-one", "sk-two", "sk-3"):  # two of one length, one after the other
        file.write_text(f'[openai]\napi_key = "{key}"\n')
        file.chmod(0o600)
        for _ in range(4):
            rendered = ask(forms, target, "t", "openai/gpt-4o")
            assert rendered.http.headers["Authorization"] == f"Bearer {key}"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        ask(forms, target, "t", "openai/gpt-4o")
    file.unlink()
    with pytest.raises(ConfigError, match="needs a key"):
        ask(forms, target, "t", "openai/gpt-4o")


def test_a_row_or_a_dialect_that_is_registered_again_is_seen() -> None:
    target, forms = Target(provider="groq", api_key="k"), Forms()
    for _ in range(3):
        before = ask(forms, target, "t")
    row, format = endpoint("groq"), dialect("chat")

    class Loud(ChatDialect):
        def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
            text = request.messages[0].text
            return {"loud": text.upper() if len(text) == 1 else text}

    try:
        register(Endpoint("groq", "https://groq.example/v1", ("chat",), ("GROQ_API_KEY",)))
        assert ask(forms, target, "t").http.url.startswith("https://groq.example/")
        register_dialect(Loud())
        assert not is_built_in(dialect("chat"))
        for text in ("a", "b", "c", "d"):  # what somebody's own dialect does is its business
            body = ask(forms, target, text).http.body
            assert body == b'{"loud":"%b"}' % text.upper().encode()
    finally:
        register(row)
        register_dialect(format)
    assert shown(ask(forms, target, "t")) == shown(before)


def test_a_body_that_says_the_text_elsewhere_makes_no_form() -> None:
    target, forms = Target(base_url=URL), Forms()
    for text in ("a", "b", "c"):
        rendered = ask(forms, target, text, extra_body={"messages": "mine"})
        assert msgspec.json.decode(rendered.http.body or b"")["messages"] == "mine"
    assert made(forms) == 0


def test_what_is_remembered_is_bounded() -> None:
    target, forms = Target(base_url=URL), Forms()
    for number in range(300):
        for _ in range(2):
            ask(forms, target, "t", seed=number)
    assert len(forms) <= 64
    assert made(forms) == len(forms)
    small = len(forms)
    for _ in range(3):
        ask(forms, target, "t", system="s" * 20_000)
    assert len(forms) == small
    assert all(len(key) <= 16 * 1024 for key in forms._forms)


def test_a_question_that_is_asked_once_makes_no_form() -> None:
    target, forms = Target(base_url=URL), Forms()
    ask(forms, target, "t")
    assert made(forms) == 0
