"""What a client remembers of where a model is asked ends with what it hung on."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from engine.asking.consulted import Consulted
from engine.asking.target import Target
from engine.errors import ConfigError
from engine.providers import Endpoint, endpoint, register


def test_an_answer_stands_until_its_variable_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "1")
    monkeypatch.delenv("UNSET", raising=False)
    environ = Consulted()
    assert (environ.get("SET"), environ.get("UNSET")) == ("1", None)
    assert environ.stands()
    monkeypatch.setenv("OTHER", "1")
    assert environ.stands()
    monkeypatch.setenv("UNSET", "")
    assert not environ.stands()


def test_one_that_is_asked_for_later_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = Consulted()
    monkeypatch.setenv("FIRST", "1")
    monkeypatch.setenv("LATER", "1")
    assert environ["FIRST"] == "1" and environ.stands()
    assert environ["LATER"] == "1" and environ.stands()
    monkeypatch.setenv("LATER", "2")
    assert not environ.stands()


def test_a_mapping_in_the_place_of_the_environment_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.environ", {"A": "1"})
    environ = Consulted()
    assert (environ.get("A"), environ.get("B")) == ("1", None)
    assert environ.stands()
    monkeypatch.setattr("os.environ", {"A": "1", "B": "2"})
    assert not environ.stands()


def test_a_file_that_was_written_just_now_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("one")
    written = file.stat().st_ctime_ns
    environ = Consulted()
    monkeypatch.setattr("engine.asking.consulted.time_ns", lambda: written + 1_000_000)
    environ.look_at(str(file))
    assert not environ.stands(), "it may be written again and keep its time"
    monkeypatch.setattr("engine.asking.consulted.time_ns", lambda: written + 10**9)
    environ.look_at(str(file))
    assert environ.stands()
    file.chmod(0o600)
    assert not environ.stands()
    environ.look_at(str(tmp_path / "none"))
    assert environ.stands()
    (tmp_path / "none").write_text("")
    assert not environ.stands()


def test_a_place_is_found_once() -> None:
    target = Target(provider="openai", api_key="sk-1")
    assert target.place("gpt-4o-mini") is target.place("gpt-4o-mini")
    assert target.place("gpt-4o-mini") is not target.place("gpt-4o")


# Variables that say who is asked or how, each with another value.
CHANGES = [
    ("OPENAI_API_KEY", "sk-another"),
    ("OPENAI_BASE_URL", "https://elsewhere.example/v1"),
    ("OPENAI_ORG_ID", "org-1"),
    ("OPENAI_CUSTOM_HEADERS", "X-A: b"),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_variable_that_changes_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    target = Target()
    before = target.place("openai/gpt-4o")
    monkeypatch.setenv(name, value)
    after = target.place("openai/gpt-4o")
    assert (before.base_url, before.headers) != (after.base_url, after.headers)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        target.place("openai/gpt-4o")


def test_a_key_in_a_file_is_looked_for_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    file = tmp_path / "streamengine" / "credentials.toml"
    file.parent.mkdir()
    target = Target()
    for key in ("sk-one", "sk-other"):
        file.write_text(f'[openai]\napi_key = "{key}"\n')
        file.chmod(0o600)
        assert target.place("openai/gpt-4o").headers["Authorization"] == f"Bearer {key}"


def test_a_provider_that_is_registered_again_is_seen() -> None:
    target = Target(provider="groq", api_key="k")
    before = target.place("m")
    row = endpoint("groq")
    try:
        register(Endpoint("groq", "https://groq.example/v1", ("chat",), ("GROQ_API_KEY",)))
        assert target.place("m").base_url == "https://groq.example/v1"
    finally:
        register(row)
    assert target.place("m").base_url == before.base_url


def test_what_is_remembered_is_bounded() -> None:
    target = Target(provider="openai", api_key="sk-1")
    for number in range(500):
        target.place(f"m{number}")
    assert len(target.places) <= 64


def test_each_request_has_its_own_body_and_headers(multi: engine.Multi) -> None:
    client = engine.Client(multi, provider="openai", api_key="sk-1")
    first = client.stream("gpt-4o", "one")
    second = client.stream("gpt-4o", "two", extra_headers={"X-A": "b"})
    third = client.stream("gpt-4o", "three")
    requests = [s._attempts._transfer.request for s in (first, second, third)]
    assert [b"one" in r.body for r in requests if r.body] == [True, False, False]
    assert ["X-A" in r.headers for r in requests] == [False, True, False]
    multi.cancel_all()
