"""Keys: found where they should be, sent where they may be, printed nowhere."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.asking.keys import credentials_path, environment_headers, find_key, key_headers
from engine.errors import ConfigError
from engine.providers import Endpoint, endpoint, endpoints
from tests.cases import each_case
from tests.server import Peer, serve

ANY = Endpoint("", "", key_required=False)
CANARY = "canary-4b1d-never-to-be-seen"
HTTPS = "https://api.example.com/v1"


@pytest.fixture
def credentials(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Writes the file; gives the environment in which it is found."""

    def write(text: str, mode: int = 0o600) -> dict[str, str]:
        environ = {"XDG_CONFIG_HOME": str(tmp_path)}
        path = credentials_path(environ)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return environ

    return write


@each_case("row", [row for row in endpoints() if row.key_variables], ids=lambda r: r.name)
def test_each_providers_variables_are_found(row: Endpoint) -> None:
    for variable in row.key_variables:
        url = "https://host.example/v1"
        assert find_key(row, url, None, {variable: "k"}) == ("k", variable)
    everything = dict.fromkeys(row.key_variables, "k")
    assert find_key(row, "https://h.example", None, everything)[1] == row.key_variables[0]


@each_case(
    ("host", "variable"),
    [
        ("api.groq.com", "GROQ_API_KEY"),
        ("api.fireworks.ai", "FIREWORKS_API_KEY"),
        ("api.mistral.ai", "MISTRAL_API_KEY"),
        ("api.hyperbolic.xyz", "HYPERBOLIC_API_KEY"),
        ("api.deepseek.com", "DEEPSEEK_API_KEY"),
        ("api.llama.com", "LLAMA_API_KEY"),
        ("api.moonshot.ai", "MOONSHOT_API_KEY"),
        ("API.Groq.Com:443", "GROQ_API_KEY"),
        ("mine.openai.azure.com", "AZURE_OPENAI_API_KEY"),
        ("api.example.com", "OPENAI_API_KEY"),
        # The host is matched, not a prefix of the string.
        ("api.groq.com.evil.example", "OPENAI_API_KEY"),
        ("evil.example/api.groq.com", "OPENAI_API_KEY"),
    ],
)
def test_the_host_of_the_base_url_selects_the_variable(host: str, variable: str) -> None:
    environ = {name: f"key of {name}".replace(" ", "-") for name in ("OPENAI_API_KEY", variable)}
    key, found = find_key(ANY, f"https://{host}/v1", None, environ)
    assert (key, found) == (environ[variable], variable)


def test_the_argument_wins_then_the_environment_then_the_file(
    credentials: Callable[[str], dict[str, str]],
) -> None:
    environ = credentials('[groq]\napi_key = "saved"\n["api.example.com"]\napi_key = "hosted"\n')
    groq = endpoint("groq")
    set_ = {**environ, "GROQ_API_KEY": "set"}
    assert find_key(groq, groq.base_url, "given", set_) == ("given", "api_key=")
    assert find_key(groq, groq.base_url, None, set_) == ("set", "GROQ_API_KEY")
    file = str(credentials_path(environ))
    assert find_key(groq, groq.base_url, None, environ) == ("saved", file)
    assert find_key(ANY, HTTPS, None, environ)[0] == "hosted"
    empty = {**environ, "GROQ_API_KEY": ""}
    assert find_key(groq, groq.base_url, None, empty)[0] == "saved"


def test_a_missing_key_says_where_to_put_it(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(ConfigError) as caught:
        find_key(endpoint("anthropic"), "https://api.anthropic.com", None, environ)
    for words in ("ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN", "api_key=", "credentials.toml"):
        assert words in str(caught.value)
    assert find_key(ANY, HTTPS, None, environ) == (None, "OPENAI_API_KEY")
    assert find_key(endpoint("sglang"), "http://localhost:30000/v1", None, environ) == (None, None)


def test_the_file_follows_xdg() -> None:
    assert credentials_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/streamengine/credentials.toml")
    default = Path("/h/.config/streamengine/credentials.toml")
    assert credentials_path({"HOME": "/h"}) == default
    assert credentials_path({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == default


def test_a_changed_file_is_read_again(credentials: Callable[[str], dict[str, str]]) -> None:
    groq = endpoint("groq")
    environ = credentials('[groq]\napi_key = "one"\n')
    assert find_key(groq, groq.base_url, None, environ)[0] == "one"
    environ = credentials('[groq]\napi_key = "other"\n')
    assert find_key(groq, groq.base_url, None, environ)[0] == "other"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(
    credentials: Callable[..., dict[str, str]], mode: int
) -> None:
    environ = credentials(f'[groq]\napi_key = "{CANARY}"\n', mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        find_key(endpoint("groq"), HTTPS, None, environ)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f'[groq]\napi_key = "{CANARY}\n',
        f"[groq]\napi_key = {CANARY}\n",
        f'[groq]\napi_key = "{CANARY} "\n',
        f'[groq]\napi_key = ["{CANARY}"]\n',
        f'[groq]\napi_key = "{CANARY}\\n"\n',
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_its_keys_are_not(
    credentials: Callable[[str], dict[str, str]], text: str
) -> None:
    environ = credentials(text)
    with pytest.raises(ConfigError) as caught:
        find_key(endpoint("groq"), HTTPS, None, environ)
    assert str(credentials_path(environ)) in str(caught.value)
    assert CANARY not in told(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="a folder is no file anywhere, told differently")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = credentials_path(environ)
    path.mkdir(parents=True, mode=0o700)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        find_key(endpoint("groq"), HTTPS, None, environ)


def test_a_file_without_the_provider_is_no_key(
    credentials: Callable[[str], dict[str, str]],
) -> None:
    for text in ("", "groq = 3\n", "[groq]\n", '[other]\napi_key = "k"\n', '[groq]\napi_key=""\n'):
        assert find_key(ANY, "https://groq/", None, credentials(text))[0] is None


def test_bytes_that_are_no_text_in_the_file_are_refused(
    credentials: Callable[[str], dict[str, str]],
) -> None:
    environ = credentials("")
    credentials_path(environ).write_bytes(b"\xff" + CANARY.encode())
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        find_key(endpoint("groq"), HTTPS, None, environ)
    assert CANARY not in told(caught.value)


@each_case("spoiled", ["{}\n", "{}\r\nX-Evil: 1", "{} ", " {}", "{}\x00", "{}é"])
def test_a_key_that_no_header_may_hold_is_refused_unprinted(spoiled: str) -> None:
    key = spoiled.format(CANARY)
    groq = endpoint("groq")
    for given, environ in ((key, {}), (None, {"GROQ_API_KEY": key})):
        with pytest.raises(ConfigError) as caught:
            find_key(groq, groq.base_url, given, environ)
        assert ("api_key" if given else "GROQ_API_KEY") in str(caught.value)
        assert CANARY not in told(caught.value)


@each_case(
    ("spoiled", "words"),
    [
        ('"CANARY-0123456789"', "quotes"),
        ("'CANARY-0123456789'", "quotes"),
        ("`CANARY-0123456789`", "quotes"),
        ('"CANARY-0123456789', "quotes"),
        ("CANARY-0123456789'", "quotes"),
        ("Bearer CANARY-0123456789", "Bearer"),
        ("bearer CANARY-0123456789", "Bearer"),
    ],
)
@each_case("row", ["openai", "anthropic", "gemini", "ollama"])
def test_what_a_file_or_a_page_adds_to_a_key_is_named(row: str, spoiled: str, words: str) -> None:
    one = endpoint(row)
    variable = one.key_variables[0]
    for explicit, environ, source in (
        (None, {variable: spoiled}, variable),
        (spoiled, {}, "api_key"),
    ):
        with pytest.raises(ConfigError, match=f"^{source} .*{words}") as caught:
            find_key(one, one.base_url, explicit, environ)
        assert "CANARY" not in str(caught.value)


def test_quotes_inside_a_key_are_its_own() -> None:
    assert find_key(endpoint("openai"), "https://api.openai.com/v1", "a'b\"c", {})[0] == "a'b\"c"


def test_keys_travel_over_https_or_to_this_machine() -> None:
    row = endpoint("openai")
    for url in (HTTPS, "http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:80/v1"):
        assert key_headers(row, "k", None, url, False) == {"Authorization": "Bearer k"}
    for url in ("http://10.0.0.1/v1", "HTTP://api.example.com/v1", "http://127.0.0.1.example/v1"):
        with pytest.raises(ConfigError, match="unencrypted"):
            key_headers(row, CANARY, None, url, False)
        assert key_headers(row, "k", None, url, True) == {"Authorization": "Bearer k"}
        assert key_headers(row, None, None, url, False) == {}


def test_a_key_nobody_asked_for_is_not_offered_over_plain_http() -> None:
    environ = {"OPENAI_API_KEY": "k", "OLLAMA_API_KEY": "k"}
    plain = "http://10.0.0.1:8000/v1"
    assert find_key(ANY, plain, None, environ)[0] is None
    assert find_key(endpoint("ollama"), "http://10.0.0.1:11434", None, environ)[0] is None
    assert find_key(ANY, "http://127.0.0.1:8000/v1", None, environ)[0] == "k"
    assert find_key(ANY, HTTPS, None, environ)[0] == "k"
    assert find_key(ANY, plain, "given", environ)[0] == "given"


def test_each_provider_has_its_own_header() -> None:
    def header(name: str, variable: str | None = None) -> dict[str, str]:
        return key_headers(endpoint(name), "k", variable, HTTPS, False)

    assert header("openai") == {"Authorization": "Bearer k"}
    assert header("azure") == {"api-key": "k"}
    assert header("anthropic", "ANTHROPIC_API_KEY") == {"x-api-key": "k"}
    assert header("anthropic", "ANTHROPIC_AUTH_TOKEN") == {"Authorization": "Bearer k"}
    assert header("gemini") == {"x-goog-api-key": "k"}


def test_headers_of_the_environment_are_those_of_the_official_sdks() -> None:
    environ = {
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "proj",
        "OPENAI_CUSTOM_HEADERS": "X-One: 1\nX-Two:  a:b \n\nnonsense",
        "ANTHROPIC_CUSTOM_HEADERS": "anthropic-beta: x",
    }
    openai, anthropic = endpoint("openai"), endpoint("anthropic")
    assert environment_headers(openai, HTTPS, environ) == {
        "OpenAI-Organization": "org",
        "OpenAI-Project": "proj",
        "X-One": "1",
        "X-Two": "a:b",
    }
    assert environment_headers(anthropic, HTTPS, environ) == {"anthropic-beta": "x"}
    assert environment_headers(endpoint("groq"), HTTPS, environ) == {}
    assert environment_headers(openai, "http://10.0.0.1", environ) == {}
    assert environment_headers(openai, HTTPS, {}) == {}


def test_a_header_of_the_environment_that_cannot_be_sent_is_refused_unprinted() -> None:
    environ = {"OPENAI_CUSTOM_HEADERS": f"X-Key: é{CANARY}"}
    with pytest.raises(ConfigError, match="OPENAI_CUSTOM_HEADERS") as caught:
        environment_headers(endpoint("openai"), HTTPS, environ)
    assert CANARY not in told(caught.value)


def told(error: BaseException) -> str:
    """All that a user, a log or a crash report may show of `error`."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


def test_the_key_is_in_nothing_that_is_printed() -> None:
    def refuse(peer: Peer) -> None:
        assert peer.request.headers["authorization"] == f"Bearer {CANARY}"
        peer.json(b'{"error": {"message": "no such model", "code": "model_not_found"}}', "404 No")

    with serve(refuse) as server, engine.Multi() as multi:
        client = engine.Client(multi, base_url=f"{server.url}/v1", api_key=CANARY)
        stream = client.stream("m", "hi")
        shown = [repr(client), repr(stream), repr(multi)]
        completion = stream.result()
    assert completion.error is not None
    shown += [repr(stream), repr(completion), str(completion), told(completion.error)]
    assert not [text for text in shown if CANARY in text]
