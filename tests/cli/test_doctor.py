"""`engine doctor`: what is told, and what never is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import main
from engine.transport.libcurl import faults_of, libcurl
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


def test_no_key_and_no_secret_of_an_address_is_printed() -> None:
    secrets = {
        "OPENAI_API_KEY": f"sk-{CANARY}",
        "OPENAI_BASE_URL": f"https://u:{CANARY}@h.example/v1?key={CANARY}",
        "https_proxy": f"http://u:{CANARY}@127.0.0.1:9",
    }
    for arguments in ((), ("--json",)):
        done = doctor(*arguments, **secrets)
        assert CANARY not in done.stdout + done.stderr
        assert "OPENAI_API_KEY" in done.stdout


def test_a_proxy_is_told_with_whom_it_catches() -> None:
    proxy = findings(https_proxy="http://127.0.0.1:9")["https proxy"]
    assert proxy["verdict"] == "note"
    assert "http://127.0.0.1:9" in proxy["what"]
    assert "never for this machine" in proxy["what"]


def test_certificates_that_are_named_and_not_there_are_bad(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    assert doctor(SSL_CERT_FILE=missing).returncode == 1
    assert findings(SSL_CERT_FILE=missing)["certificates"]["verdict"] == "bad"


@pytest.mark.parametrize(
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
