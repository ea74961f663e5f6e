"""Keys are taken out of what is printed, and nothing else is."""

from __future__ import annotations

from engine.errors import ProviderError
from engine.request import HttpRequest
from engine.wire.redaction import clean_bytes, clean_headers, hide_secrets, redact, secrets_of
from tests.cases import each_case

URL = "https://h.example/v1"
KEY = "canary-4b1d-never-to-be-seen"


def secrets(headers: dict[str, str], url: str = URL) -> tuple[str, ...]:
    return secrets_of(HttpRequest("POST", url, headers))


@each_case(
    ("headers", "found"),
    [
        ({"Authorization": f"Bearer {KEY}"}, {KEY}),
        ({"authorization": f"Basic {KEY}=="}, {KEY, f"{KEY}==", f"{KEY}%3D%3D"}),
        ({"x-api-key": KEY}, {KEY}),
        ({"API-KEY": KEY}, {KEY}),
        ({"x-goog-api-key": KEY}, {KEY}),
        ({"Proxy-Authorization": KEY}, {KEY}),
        ({"Ocp-Apim-Subscription-Key": KEY}, {KEY}),
        ({"X-Auth-Token": KEY}, {KEY}),
        ({"Cookie": f"sid={KEY}; theme=dark-blue"}, {KEY, "dark-blue"}),
        ({"X-Title": "nothing secret here", "Idempotency-Key": KEY}, set()),
        ({"Authorization": "Bearer test"}, set()),  # every other sentence holds it
        ({"Authorization": "Bearer 1234567"}, set()),
        ({"Authorization": "Bearer 12345678"}, {"12345678"}),
        ({"x-api-key": "ab/cd+ef="}, {"ab/cd+ef", "ab/cd+ef=", "ab\\/cd+ef", "ab%2Fcd%2Bef"}),
    ],
)
def test_the_secrets_of_a_request(headers: dict[str, str], found: set[str]) -> None:
    assert found <= set(secrets(headers))
    if not found:
        assert secrets(headers) == ()


@each_case("name", ["key", "api_key", "token", "access_token", "sig", "apikey"])
def test_the_secrets_of_a_query(name: str) -> None:
    assert secrets({}, f"{URL}?api-version=2024-10-21&{name}={KEY}") == (KEY,)


@each_case(
    ("secret", "text", "clean"),
    [
        ("testtest", "the testtest of it", "the … of it"),
        ("testtest", "the latesttest of testtests", "the latesttest of testtests"),
        ("testtest", "invalid_key_testtest", "invalid_key_…"),
        ("testtest", '"testtest", key=testtest.', '"…", key=….'),
        ("testtest", "xtesttest testtest1", "xtesttest testtest1"),
        # A long one is no word by chance: out of the middle too.
        (KEY, f"x{KEY}x", "x…x"),
    ],
)
def test_whole_words_only(secret: str, text: str, clean: str) -> None:
    assert redact(text, [secret]) == clean


@each_case(
    ("text", "clean"),
    [
        ("key sk-abcdefgh1234", "key sk-a…"),
        ("key fw_abcdefgh1234", "key fw_a…"),
        ("key hf_abcdefgh1234", "key hf_a…"),
        ("xai-abcdefgh1234", "xai-…"),
        ("AIzaSyabcdefgh1234", "AIza…"),
        ("nvapi-abcdefgh1234", "nvap…"),
        ("req-fwtKSQsm70I16ztg", "req-fwtKSQsm70I16ztg"),
        ("req_skAbCdEf12345678", "req_skAbCdEf12345678"),
        ("hfAbCdEf1234567890", "hfAbCdEf1234567890"),
        ("keyboardinterrupted", "keyboardinterrupted"),
    ],
)
def test_what_looks_like_a_key_is_hidden_and_ids_that_only_begin_like_one_are_not(
    text: str, clean: str
) -> None:
    assert redact(text) == clean


def test_a_short_key_costs_no_words() -> None:
    found = secrets({"Authorization": "Bearer test"})
    assert redact("the latest test", found) == "the latest test"


def test_an_error_is_cleaned_wherever_it_quotes() -> None:
    error = ProviderError(
        f"no: {KEY}", code=f"bad_{KEY}", detail=f'{{"key": "{KEY}"}}', request_id=f"r-{KEY}"
    )
    assert hide_secrets(error, [KEY]) is error
    said = [str(error), repr(error), error.message, error.code, error.detail, error.request_id]
    assert KEY not in "".join(str(part) for part in said)
    assert error.code == "bad_…"


def test_a_header_that_echoes_the_key_is_cleaned_and_the_others_are_left() -> None:
    headers = {"x-echo": f"Bearer {KEY}", "server": "s"}
    assert clean_headers(headers, (KEY,)) == {"x-echo": "Bearer …", "server": "s"}
    assert headers["x-echo"] == f"Bearer {KEY}"
    plain = {"server": "s"}
    assert clean_headers(plain, (KEY,)) is plain


def test_bytes_are_cleaned_whatever_they_are() -> None:
    assert clean_bytes(f'{{"k": "{KEY}"}}'.encode() + b"\xff", (KEY,)) == (
        '{"k": "…"}'.encode() + b"\xff"
    )
    assert clean_bytes(b"\xfflatesttest", ("testtest",)) == b"\xfflatesttest"
