"""HTTP/2 servers that take few streams a connection, or die with many: nginx, as it is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import engine
from engine import Category, Multi, Retry
from tests.server import HEALTHY, OK_SSE, Peer, chat, chat_chunk, serve
from tests.servers import nginx
from tests.servers.certificate import certify

TEXT = "".join(HEALTHY)
_CONFIG = """
daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 4096; }}
worker_rlimit_nofile 8192;
http {{
  access_log off; client_body_temp_path {home}; proxy_temp_path {home};
  fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {home}/server.pem; ssl_certificate_key {home}/server.key;
    http2_max_concurrent_streams {limit};
    add_header X-Connection $connection always;
    default_type text/event-stream;
    root {home}; error_page 405 =200 $uri;
    {more}
  }}
}}
"""


@contextmanager
def limited(
    home: Path, limit: int, more: str = "", certified: Path | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An nginx that takes `limit` streams a connection and answers each chat with `TEXT`; with the
    certificates in `certified`, or new ones."""
    if certified is None:
        certify(home)
    else:
        for name in ("ca.pem", "server.pem", "server.key"):
            shutil.copy(certified / name, home / name)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home / "chat").mkdir()
    (home / "chat" / "completions").write_bytes(b"".join(chat(*HEALTHY)))
    (home / "nginx.conf").write_text(_CONFIG.format(home=home, port=port, limit=limit, more=more))
    home.chmod(0o755)
    process = subprocess.Popen([nginx.program(), "-c", str(home / "nginx.conf"), "-p", str(home)])
    try:
        while not nginx.listens(port):
            assert process.poll() is None, (home / "error.log").read_text()
        yield f"https://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def ask_at_once(multi: Multi, url: str, many: int) -> list[engine.Completion]:
    client = engine.Client(multi, base_url=url, retry=Retry(max_attempts=1))
    begun = [client.stream("m", "hi") for _ in range(many)]
    multi.run()
    return [stream.completion for stream in begun if stream.completion is not None]


def assert_whole(completions: list[engine.Completion], many: int) -> None:
    assert len(completions) == many
    failed = [c.error for c in completions if c.status != "complete"]
    assert not failed, (len(failed), failed[0])
    assert {(c.text, c.attempts, c.possibly_billed) for c in completions} == {(TEXT, 1, 0)}
    assert {c.timing.http_version for c in completions} == {"2"}


def connections(completions: list[engine.Completion]) -> int:
    return len({c.headers["x-connection"] for c in completions})


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "most"), [(1, 1000), (10, 200), (100, 20)])
def test_a_thousand_begun_at_once_all_arrive(limit: int, most: int, tmp_path: Path) -> None:
    with limited(tmp_path, limit) as (url, _), Multi(ca_file=str(tmp_path / "ca.pem")) as multi:
        for _ in range(2):
            completions = ask_at_once(multi, url, 1000)
            assert_whole(completions, 1000)
            assert connections(completions) <= most


@pytest.mark.slow
def test_a_server_that_goes_away_again_and_again_is_no_server_of_small_limits(
    tmp_path: Path,
) -> None:
    """nginx says GOAWAY after so many requests on a connection, and refuses what came after."""
    more = "keepalive_requests 60;"
    with (
        limited(tmp_path, 100, more) as (url, process),
        Multi(ca_file=str(tmp_path / "ca.pem")) as multi,
    ):
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)  # as a busy one, that all of them wait for
            client = engine.Client(multi, base_url=url, retry=Retry(max_attempts=1))
            begun = [client.stream("m", "hi") for _ in range(600)]
            multi.poll(0.05)
            process.send_signal(signal.SIGCONT)
            multi.run()
            completions = [s.completion for s in begun if s.completion is not None]
            assert_whole(completions, 600)
            assert connections(completions) <= 30


@pytest.mark.slow
def test_a_host_of_one_stream_a_connection_does_not_spread_another_hosts(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir()
    many.mkdir()
    tmp_path.chmod(0o755)
    with (
        limited(one, 1) as (narrow, _),
        limited(many, 100, certified=one) as (wide, _),
        Multi(ca_file=str(one / "ca.pem")) as multi,
    ):
        once = Retry(max_attempts=1)
        for _ in range(2):
            asked: dict[str, list[engine.Stream]] = {narrow: [], wide: []}
            clients = {url: engine.Client(multi, base_url=url, retry=once) for url in asked}
            for _ in range(300):
                for url, streams in asked.items():
                    streams.append(clients[url].stream("m", "hi"))
            multi.run()
            for streams in asked.values():
                assert_whole([s.completion for s in streams if s.completion is not None], 300)
            told = [s.completion for s in asked[wide] if s.completion is not None]
            assert connections(told) <= 30


@pytest.mark.parametrize("limit", [1, 10])
def test_what_a_server_refuses_is_sent_again_and_is_no_attempt(limit: int, tmp_path: Path) -> None:
    with limited(tmp_path, limit) as (url, _), Multi(ca_file=str(tmp_path / "ca.pem")) as multi:
        assert_whole(ask_at_once(multi, url, 60), 60)


def test_the_learned_limit_holds_for_connections_that_are_counted(tmp_path: Path) -> None:
    with (
        limited(tmp_path, 5) as (url, _),
        Multi(max_host_connections=2, ca_file=str(tmp_path / "ca.pem")) as multi,
    ):
        client = engine.Client(
            multi, base_url=url, retry=Retry(max_attempts=1), timeouts=engine.Timeouts(connect=3)
        )
        begun = [client.stream("m", "hi") for _ in range(100)]
        multi.run()
        assert_whole([s.completion for s in begun if s.completion is not None], 100)


def test_a_hundred_streams_of_a_server_that_dies_are_told_the_truth(tmp_path: Path) -> None:
    def endless(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("begun"))
        peer.wait_closed()

    with serve(endless) as upstream:
        more = f"location /chat/ {{ proxy_pass {upstream.url}; proxy_buffering off; }}"
        with (
            limited(tmp_path, 256, more) as (url, process),
            Multi(ca_file=str(tmp_path / "ca.pem")) as multi,
        ):
            client = engine.Client(multi, base_url=url)
            streams = [client.stream("m", "hi") for _ in range(100)]
            while not all(stream.text for stream in streams):
                multi.poll()
            os.kill(process.pid, signal.SIGKILL)
            multi.run()
    for stream in streams:
        done = stream.completion
        assert done is not None and done.error is not None
        assert (done.status, done.text, done.attempts) == ("truncated", "begun", 1)
        assert (done.error.category, done.possibly_billed) == (Category.TRUNCATED, 0)


def test_requests_that_were_out_when_the_server_died_may_have_been_billed(tmp_path: Path) -> None:
    """They got no head: the death of the connection does not say that they were not read."""

    def mute(peer: Peer) -> None:
        peer.wait_closed()

    with serve(mute) as upstream:
        more = f"location /chat/ {{ proxy_pass {upstream.url}; proxy_buffering off; }}"
        with (
            limited(tmp_path, 256, more) as (url, process),
            Multi(ca_file=str(tmp_path / "ca.pem")) as multi,
        ):
            client = engine.Client(multi, base_url=url, retry=Retry(max_attempts=1))
            streams = [client.stream("m", "hi") for _ in range(20)]
            while len(upstream.requests) < 20:
                multi.poll(0.05)
            os.kill(process.pid, signal.SIGKILL)
            multi.run()
    for stream in streams:
        done = stream.completion
        assert done is not None and done.error is not None
        assert done.status == "error" and done.error.category is Category.NETWORK
        assert done.possibly_billed == 1
