"""An output in an object store: written in parts, gone on with, whole at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from engine.batch import Options, run
from engine.batch.keeping import mirror
from engine.batch.keeping.mirror import mirrored
from engine.errors import ConfigError
from tests.batch.support import answer, ids, openai_row, provider, question
from tests.server import Peer

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``s3://bucket`` of a moto server; addresses have its endpoint behind them."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    pytest.importorskip("pyarrow.fs")
    server.start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    host, port = server.get_host_and_port()
    import boto3

    # What an earlier test left is in the process, not in the server.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    yield f"scheme=http&endpoint_override={host}%3A{port}&allow_bucket_creation=true"
    server.stop()


def address(bucket: str, name: str) -> str:
    return f"s3://bucket/{name}?{bucket}"


def write(path: str, data: bytes) -> None:
    system, place = mirror.remote_file(path)
    with system.open_output_stream(place) as file:
        file.write(data)


def content(path: str) -> list[dict[str, Any]]:
    system, place = mirror.remote_file(path)
    with system.open_input_stream(place) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def names(bucket: str) -> set[str]:
    import pyarrow.fs

    system, _ = mirror.remote_file(address(bucket, "x"))
    found = system.get_file_info(pyarrow.fs.FileSelector("bucket", recursive=True))
    return {info.path.removeprefix("bucket/") for info in found if info.is_file}


def test_in_and_out_of_an_object_store(bucket: str) -> None:
    rows = "".join(json.dumps(openai_row(name)) + "\n" for name in ids(30)).encode()
    write(address(bucket, "in.jsonl"), rows)
    output = address(bucket, "out.jsonl")

    def handler(peer: Peer) -> None:
        if question(peer).endswith("r3"):
            peer.json(b"{}", status="400 Bad")
        else:
            peer.json(answer())

    with provider(handler) as server:
        options = Options(base_url=f"{server.url}/v1")
        summary = run(address(bucket, "in.jsonl"), output, options)
        assert (summary.done, summary.failed) == (29, 1)
        assert len(content(output)) == 29
        assert names(bucket) == {
            "in.jsonl",
            "out.jsonl",
            "out.errors.jsonl",
            "out.jsonl.manifest.json",
        }
        assert run(address(bucket, "in.jsonl"), output, options).requests == 0


def test_a_run_that_dies_is_gone_on_with_from_its_parts(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_EVERY", 0.01)
    monkeypatch.setattr(mirror._Mirror, "finish", lambda self: self.stop())  # it dies before
    output = address(bucket, "out.jsonl")
    with provider() as server:
        options = Options(base_url=f"{server.url}/v1")
        for count in (10, 25):
            assert run(map(openai_row, ids(count)), output, options).done == count
        assert "out.jsonl" not in names(bucket)
        monkeypatch.undo()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        assert run(map(openai_row, ids(40)), output, options).done == 40
        assert len(server.requests) == 40
    assert sorted(line["custom_id"] for line in content(output)) == sorted(ids(40))
    assert not any(".parts/" in name for name in names(bucket))


def test_a_file_of_this_machine_is_itself(tmp_path: Path) -> None:
    with mirrored(tmp_path / "out.jsonl", None) as files:
        assert files.output == str(tmp_path / "out.jsonl")


@pytest.mark.parametrize("path", ["nothing://bucket/out.jsonl", "s3://"])
def test_what_cannot_be_reached_is_told(path: str) -> None:
    pytest.importorskip("pyarrow.fs")
    with pytest.raises(ConfigError, match=r"can be reached|names no file"), mirrored(path):
        pass
