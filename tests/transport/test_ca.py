"""Whom https trusts: what is named, file or directory, before what the system has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.transport.ca import Trust, faults_of_trust, find_trust, trust_variable

VARIABLES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.touch()
    return str(path)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    path = tmp_path / "certs"
    path.mkdir()
    return str(path)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_names_a_file_or_a_directory(
    variable: str, file: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, file)
    assert find_trust() == Trust(file, None)
    monkeypatch.setenv(variable, directory)
    assert find_trust() == Trust(None, directory)


def test_advice_names_the_variable_that_decides(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To set another one, which is asked later, would change nothing."""
    for variable in (*VARIABLES, "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    assert trust_variable() == "SSL_CERT_FILE"
    for variable in ("SSL_CERT_DIR", *reversed(VARIABLES)):  # each before the one before it
        monkeypatch.setenv(variable, file)
        assert trust_variable() == variable


def test_the_argument_may_be_either_and_is_asked_first(
    file: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    assert find_trust(file) == Trust(file, None)
    assert find_trust(directory) == Trust(None, directory)


def test_the_directory_variable_stands_beside_the_file_variable(
    file: str, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = f"/no/such/place:{directory}"
    monkeypatch.setenv("SSL_CERT_DIR", several)
    assert find_trust() == Trust(None, several)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    assert find_trust() == Trust(file, several)
    monkeypatch.setenv("CURL_CA_BUNDLE", directory)
    assert find_trust() == Trust(None, directory)


@pytest.mark.parametrize("variable", [*VARIABLES, "SSL_CERT_DIR"])
def test_what_is_not_there_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/no/such/place")
    with pytest.raises(ConfigError, match=rf"{variable} names '/no/such/place'"):
        find_trust()


def test_an_empty_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_trust()
    for variable in (*VARIABLES, "SSL_CERT_DIR"):
        monkeypatch.setenv(variable, "")
    assert find_trust() == before


def test_a_key_log_is_warned_of_once(
    file: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", f"{file}.keys")
    with caplog.at_level(logging.WARNING, "engine.transport"):
        for find in (find_trust, lambda: find_trust(file), find_trust):
            call: Callable[[], Trust] = find
            call()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SSLKEYLOGFILE" in caplog.text


def some_certificate() -> str:
    """One that this machine trusts."""
    trust = find_trust()
    assert trust.file is not None
    text = Path(trust.file).read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----")
    end = "-----END CERTIFICATE-----\n"
    return text[begin : text.index(end) + len(end)]


@pytest.mark.parametrize(
    ("change", "well"),
    [
        (lambda text: text, True),
        (lambda text: f"# mine\n{text}{text}", True),
        (lambda text: "", False),
        (lambda text: "no PEM", False),
        (lambda text: text[: len(text) // 2], False),
        (lambda text: text + text[: len(text) // 2], False),
        (lambda text: text.replace("M", "\0"), False),
    ],
)
def test_certificates_are_read_as_libcurl_reads_them(
    change: Callable[[str], str], well: bool, tmp_path: Path
) -> None:
    text = change(some_certificate())
    bundle = tmp_path / "ca.pem"
    bundle.write_text(text)
    assert (faults_of_trust(Trust(str(bundle), None)) == []) == well
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "0123abcd.0").write_text(text)
    directories = f"/no/such/place:{tmp_path / 'certs'}"
    assert (faults_of_trust(Trust(None, directories)) == []) == well


def test_a_file_without_its_hash_for_a_name_is_found_by_nobody(directory: str) -> None:
    (Path(directory) / "mine.pem").write_text(some_certificate())
    assert "openssl rehash" in faults_of_trust(Trust(None, directory))[0]


def test_a_fault_tells_the_variable(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", file)
    assert "(REQUESTS_CA_BUNDLE)" in faults_of_trust(find_trust())[0]
    assert faults_of_trust(Trust(str(Path(file).parent), None)) != []  # cannot be read
