"""Lines that were written stay, whole, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.batch.keeping import journal as journal_module
from engine.batch.keeping.journal import GroupSync, Journal
from engine.batch.keeping.records import read_entry
from engine.errors import ResourceError
from tests.batch.support import (
    answer,
    custom_ids,
    ids,
    openai_row,
    provider,
    read,
    run_batch,
    write_rows,
)
from tests.server import Peer


def whole(line: bytes) -> bool:
    return read_entry(line) is not None


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files cost nothing to sync, where there is one."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_output_cut_at_every_byte_of_its_last_two_lines_resumes(memory: Path) -> None:
    cut_output(memory, every=1)


@pytest.mark.slow
def test_output_cut_in_its_last_two_lines_resumes(memory: Path) -> None:
    cut_output(memory, every=13)


def cut_output(memory: Path, every: int) -> None:
    input = write_rows(memory / "in.jsonl", map(openai_row, ids(3)))
    output = memory / "out.jsonl"
    with provider() as server:
        run_batch(input, output, server, concurrency=1)
        written = output.read_bytes()
        first = written.index(b"\n") + 1
        line_ends = {i + 1 for i, byte in enumerate(written) if byte == 10}
        ends = [end + shift for end in line_ends for shift in (-2, -1, 0)]
        for cut in (*range(first, len(written), every), *ends):
            if not first <= cut < len(written):
                continue
            output.write_bytes(written[:cut])
            server.requests.clear()
            summary = run_batch(input, output, server, concurrency=1)
            assert summary.exit_code == 0
            assert sorted(custom_ids(output)) == ids(3)
            # A line that lacks its break alone is whole; any other cut costs that row.
            whole_lines = written[:cut].count(b"\n") + (cut + 1 in line_ends)
            assert len(server.requests) == 3 - whole_lines


def test_zeros_at_the_end_are_cut_off(tmp_path: Path) -> None:
    # What ext4 may leave of a file that grew when the power went.
    path = tmp_path / "out.jsonl"
    line = b'{"custom_id":"a","response":null,"error":null}\n'
    path.write_bytes(line + b"\0" * 4096)
    journal = Journal(str(path))
    assert journal.mend(whole) == 4096
    journal.close()
    assert path.read_bytes() == line


def test_a_torn_end_longer_than_a_block_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"{}\n" + b'{"custom_id": "' + b"x" * 200_000)
    journal = Journal(str(path))
    assert journal.mend(whole) == 200_015
    journal.close()
    assert path.read_bytes() == b"{}\n"


def test_garbage_in_the_middle_is_told_and_its_row_alone_is_asked_again(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(3)))
    output = tmp_path / "out.jsonl"
    with provider() as server:
        run_batch(input, output, server, concurrency=1)
        lines = output.read_bytes().splitlines(keepends=True)
        lines[1] = b"\0" * (len(lines[1]) - 1) + b"\n"
        output.write_bytes(b"".join(lines))
        server.requests.clear()
        notices: list[str] = []
        run_batch(input, output, server, notices)
    assert len(server.requests) == 1
    assert any(f"{output}:2" in notice for notice in notices)
    assert output.read_bytes().startswith(b"".join(lines))
    after = map(json.loads, output.read_bytes().splitlines()[2:])
    assert [row["custom_id"] for row in after] == ["r2", "r1"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_stops_the_batch_and_room_lets_it_go_on(
    tmp_path: Path, small_disk: Path
) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(40)))
    output = small_disk / "out.jsonl"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1024 * 1024 - 24 * 1024))
    with provider() as server:
        summary = run_batch(input, output, server)
        assert summary.exit_code == 3
        assert "No space left" in str(summary.reason)
        kept = custom_ids(output)
        assert 0 < len(kept) == summary.done < 40
        ballast.unlink()
        assert run_batch(input, output, server).exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(40))
    assert custom_ids(output)[: len(kept)] == kept


def test_a_short_write_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(str(tmp_path / "out.jsonl"))
    journal.append(b"one\n")
    real = os.write
    answers = iter([3, OSError(errno.ENOSPC, "No space left on device")])

    def short(fd: int, data: bytes) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return real(fd, data[:answer])

    monkeypatch.setattr(journal_module.os, "write", short)
    with pytest.raises(ResourceError, match="make room"):
        journal.append(b"two and more\n")
    monkeypatch.undo()
    assert (tmp_path / "out.jsonl").read_bytes() == b"one\n"
    journal.close()


def test_after_a_failed_sync_nothing_counts_that_was_not_synced_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    input = tmp_path / "in.jsonl"
    output = tmp_path / "out.jsonl"
    real = journal_module._sync
    syncs = 0

    def failing(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs > 1:  # the first belongs to the recovery
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    with provider() as server:
        run_batch(write_rows(input, map(openai_row, ids(5))), output, server)
        before = output.read_bytes()
        monkeypatch.setattr(journal_module, "_sync", failing)
        write_rows(input, map(openai_row, ids(40)))
        summary = run_batch(input, output, server, concurrency=1)
        assert summary.exit_code == 3
        assert "Input/output error" in str(summary.reason)
        assert output.read_bytes() == before
        assert summary.done == 5
        monkeypatch.undo()
        assert run_batch(input, output, server).exit_code == 0
    assert sorted(custom_ids(output)) == sorted(ids(40))


def test_an_output_that_is_moved_away_stops_the_batch(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(40)))
    output = tmp_path / "out.jsonl"

    def moving(peer: Peer) -> None:
        if len(server.requests) == 10:
            output.rename(tmp_path / "moved.jsonl")
        peer.json(answer())

    with provider(moving) as server:
        summary = run_batch(input, output, server, concurrency=1)
    assert summary.exit_code == 3
    assert "moved or deleted" in str(summary.reason)
    assert not output.exists()


def test_a_group_is_synced_without_waiting_for_more_than_the_delay(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "out.jsonl"))
    syncs = GroupSync([journal], max_delay=0.001)
    journal.append(b"one\n")
    syncs.note()
    syncs.close()
    assert syncs.pending == 0
    assert syncs.failure is None
    journal.close()
    assert read_all(tmp_path) == b"one\n"


def read_all(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def test_an_output_that_is_a_link_is_written_where_it_points(tmp_path: Path) -> None:
    input = write_rows(tmp_path / "in.jsonl", map(openai_row, ids(2)))
    (tmp_path / "real").mkdir()
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "real" / "answers.jsonl")
    with provider() as server:
        assert run_batch(input, link, server).exit_code == 0
    assert link.is_symlink()
    assert len(read(tmp_path / "real" / "answers.jsonl")) == 2
