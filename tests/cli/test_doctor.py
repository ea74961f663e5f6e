"""`engine doctor`: what is told, and what never is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import main
from engine.providers import endpoints
from engine.transport.ca import find_trust
from engine.transport.libcurl import faults_of, libcurl
from tests.cases import each_case
from tests.cli.terminal import environment

CANARY = "canary-0123456789"


def doctor(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine", "doctor", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(**changes),
    )


def findings(**changes: str) -> dict[str, dict[str, str]]:
    done = doctor("--json", **changes)
    assert done.returncode in (0, 1), done.stderr
    return {entry["subject"]: entry for entry in json.loads(done.stdout)}


def test_a_good_machine_is_told_so() -> None:
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "an answer was streamed from this machine to itself" in done.stdout


def test_a_proxy_is_told_with_whom_it_catches() -> None:
    proxy = findings(https_proxy="http://127.0.0.1:9")["https proxy"]
    assert proxy["verdict"] == "note"
    assert "http://127.0.0.1:9" in proxy["what"]
    assert "never for this machine" in proxy["what"]


@each_case(
    ("version", "names"),
    [
        ((8, 3, 0), ["CVE-2023-38545", "CVE-2024-7264"]),
        ((8, 10, 0), ["curl#14898"]),
        ((8, 10, 1), []),
        ((8, 20, 0), ["curl#21960"]),
        ((8, 23, 0), []),
    ],
)
def test_what_is_wrong_with_a_libcurl(version: tuple[int, int, int], names: list[str]) -> None:
    assert [fault.name for fault in faults_of(version)] == names


def test_this_libcurl_is_read() -> None:
    found = libcurl()
    assert found.version >= (7, 0, 0)
    assert found.pycurl[0].isdigit()


def test_something_bad_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.cli.doctor.faults_of", lambda version: faults_of((8, 10, 0)))
    assert main(["doctor"]) == 1


def told(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    code = main(["doctor", "--json"])
    return code, {entry["subject"]: entry for entry in json.loads(capsys.readouterr().out)}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies and certificates of its own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_no_key_and_no_secret_of_an_address_is_printed(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.setenv("OPENAI_API_KEY", f"sk-{CANARY}")
    bare.setenv("OPENAI_BASE_URL", f"https://u:{CANARY}@h.example/v1?key={CANARY}")
    bare.setenv("https_proxy", f"http://u:{CANARY}@127.0.0.1:9")
    for arguments in ([], ["--json"]):
        main(["doctor", *arguments])
        shown = capsys.readouterr()
        assert CANARY not in shown.out + shown.err
        assert "OPENAI_API_KEY" in shown.out


def test_certificates_that_are_named_and_not_there_are_bad(
    bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bare.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    code, found = told(capsys)
    assert code == 1
    assert found["certificates"]["verdict"] == "bad"


# What curl, Go, requests and Windows each have in NO_PROXY.
_HEEDED = "a.example,.b.example,C.EXAMPLE,d.example.,10.0.0.0/8,172.16.0.1,fd00::1,fd01::/16"
_UNHEEDED = (
    "*.e.example,f.example:443,192.168.*,172.16.0.2:443,[fd00::2],[fd00::3]:443,[fd02::]/16,"
    "'g.example',https://h.example,i.example/x,<local>,*"
)
REMOTE = sum(row.base_url.startswith("https:") for row in endpoints())


@pytest.mark.parametrize(
    ("variables", "subject", "verdict", "words"),
    [
        ({"OPENAI_API_KEY": CANARY}, "keys", "ok", "set: OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": f"'{CANARY}'"}, "keys", "bad", "OPENAI_API_KEY stands in quotes"),
        ({"ANTHROPIC_API_KEY": f"{CANARY}\n"}, "keys", "bad", "ANTHROPIC_API_KEY holds a space"),
        ({"GEMINI_API_KEY": f"Bearer {CANARY}"}, "keys", "bad", "GEMINI_API_KEY begins with"),
        ({"OPENAI_BASE_URL": "https://x.example/v1"}, "addresses", "note", "OPENAI_BASE_URL moves"),
        ({"OPENAI_BASE_URL": '"https://x/v1"'}, "addresses", "bad", "OPENAI_BASE_URL"),
        ({"OPENAI_BASE_URL": f"https://u:{CANARY}@x/v1"}, "addresses", "bad", "OPENAI_BASE_URL"),
        ({"OLLAMA_HOST": "http://x:notaport"}, "addresses", "bad", "OLLAMA_HOST"),
    ],
)
def test_what_a_request_would_be_refused_for_is_found_before_it(
    variables: dict[str, str],
    subject: str,
    verdict: str,
    words: str,
    bare: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for row in endpoints():
        for name in (*row.key_variables, *row.base_variables):
            bare.delenv(name, raising=False)
    bare.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        bare.setenv(name, value)
    code, found = told(capsys)
    assert (found[subject]["verdict"], code) == (verdict, int(verdict == "bad"))
    assert words in found[subject]["what"] and CANARY not in json.dumps(found)


@pytest.mark.parametrize(
    ("variables", "subject", "verdict", "words"),
    [
        ({"https_proxy": f"http://u:{CANARY}@h:bad"}, "https proxy", "bad", "https_proxy"),
        ({"HTTPS_PROXY": f"http://u:{CANARY}@h:bad"}, "https proxy", "bad", "HTTPS_PROXY"),
        ({"http_proxy": f"http://u:{CANARY}@h:bad"}, "http proxy", "bad", "http_proxy"),
        ({"ALL_PROXY": f"{CANARY}://h:1"}, "all proxy", "bad", "ALL_PROXY"),
        ({"HTTP_PROXY": "http://h:1"}, "http proxy", "note", "not used"),
        ({"http_proxy": "http://h:1"}, "http proxy", "note", "for 0 providers"),
        ({"all_proxy": "h:1"}, "all proxy", "note", f"for {REMOTE} providers"),
        ({"https_proxy": "h:1", "NO_PROXY": "*"}, "https proxy", "note", "for 0 providers"),
        (
            {"https_proxy": "h:1", "NO_PROXY": "api.openai.com, api.x.ai"},
            *("https proxy", "note", f"for {REMOTE - 2} providers"),
        ),
        (
            {"https_proxy": "h:1", "NO_PROXY": "*.openai.com,api.x.ai:443"},
            *("https proxy", "note", f"for {REMOTE} providers"),
        ),
        (
            {"https_proxy": "h:1", "NO_PROXY": "a.example,*.openai.com"},
            *("no proxy", "warning", "heed: *.openai.com;"),
        ),
        (
            {"https_proxy": "h:1", "no_proxy": "a.example b.example"},
            *("no proxy", "warning", "heed: b.example;"),
        ),
        (
            {"https_proxy": "h:1", "no_proxy": f"{_HEEDED},{_UNHEEDED}"},
            *("no proxy", "warning", f"heed: {_UNHEEDED.replace(',', ' ')};"),
        ),
    ],
)
def test_proxies_are_told_as_libcurl_takes_them(
    variables: dict[str, str],
    subject: str,
    verdict: str,
    words: str,
    bare: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        bare.setenv(name, value)
    code, found = told(capsys)
    assert found[subject]["verdict"] == verdict, found
    assert words in found[subject]["what"]
    assert CANARY not in str(found)
    assert code == int(verdict == "bad")


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_what_holds_no_certificate_is_bad(
    variable: str, tmp_path: Path, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text("no PEM")
    for place in (tmp_path / "ca.pem", tmp_path):
        bare.setenv(variable, str(place))
        code, found = told(capsys)
        assert (code, found["certificates"]["verdict"]) == (1, "bad")
        assert variable in found["certificates"]["what"]


def test_a_directory_without_certificates_beside_a_good_file_is_a_warning(
    tmp_path: Path, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = find_trust().file
    assert good is not None
    bare.setenv("SSL_CERT_DIR", str(tmp_path))
    assert told(capsys)[1]["certificates"]["verdict"] == "bad"
    bare.setenv("SSL_CERT_FILE", good)
    code, found = told(capsys)
    assert (code, found["certificates"]["verdict"]) == (0, "warning")


@pytest.mark.parametrize("limit", [6, pytest.param(7, marks=pytest.mark.slow)])
def test_without_descriptors_the_rest_is_told_all_the_same(limit: int) -> None:
    command = f'ulimit -n {limit}; exec "$0" -m engine doctor --json'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(https_proxy="http://127.0.0.1:9"),
    )
    assert done.returncode == 1, done.stderr
    found = {entry["subject"]: entry for entry in json.loads(done.stdout)}
    assert found["open files"]["verdict"] == "bad"
    assert {"engine", "certificates", "keys", "loopback"} <= set(found)
    assert "Traceback" not in done.stderr
