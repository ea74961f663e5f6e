"""`engine chat`, piped and on a terminal, against a server that does what the test says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable

import pytest

from engine.providers import Endpoint, endpoints, register
from tests.cli.terminal import COMMAND, environment, terminal
from tests.server import OK_SSE, Peer, Server, serve

# Each starts a program, or two.
pytestmark = pytest.mark.slow


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


def answer(*texts: str) -> list[bytes]:
    return [*(chunk({"content": t}) for t in texts), chunk({}, "stop"), b"data: [DONE]\n\n"]


def ask(
    server: Server, *arguments: str, stdin: str = "", **changes: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "chat", "-m", "m", "--base-url", f"{server.url}/v1", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**changes),
    )


def asked(server: Server, number: int = -1) -> dict[str, object]:
    return json.loads(server.requests[number].body)


def test_the_answer_goes_to_stdout_and_nothing_else_does() -> None:
    with serve(lambda peer: peer.stream(answer("Hel", "lo"))) as server:
        done = ask(server, "hi", "--system", "be kind", "--max-tokens", "9", "--thinking", "low")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
    body = asked(server)
    assert body["stream"] is True
    assert body["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
    ]


def test_what_is_piped_in_is_appended_to_the_prompt() -> None:
    with serve(lambda peer: peer.stream(answer("ok"))) as server:
        ask(server, "Sum up:", stdin="line 1\nline 2\n")
        ask(server, stdin="only this")
        ask(server, "-", stdin="and this")
    contents = [asked(server, n)["messages"][0]["content"] for n in range(3)]  # type: ignore[index]
    assert contents == ["Sum up:\n\nline 1\nline 2", "only this", "and this"]


def test_a_pipe_gets_the_text_as_it_came() -> None:
    with serve(lambda peer: peer.stream(answer("\x1b[31m\r\n", "\u202e\n"))) as server:
        done = subprocess.run(
            [COMMAND, "chat", "-m", "m", "--base-url", f"{server.url}/v1", "hi"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
        )
    assert done.stdout == "\x1b[31m\r\n\u202e\n".encode()


def test_without_streaming_the_answer_is_asked_for_whole() -> None:
    message = {"role": "assistant", "content": "Hello"}
    whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    with serve(lambda peer: peer.json(json.dumps(whole).encode())) as server:
        done = ask(server, "--no-stream", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello\n")
    assert not asked(server).get("stream")


def test_a_refusal_is_one_line_and_exit_code_3() -> None:
    body = json.dumps({"error": {"message": "bad\nkey \x1b[31m", "code": "invalid_api_key"}})
    with serve(lambda peer: peer.json(body.encode(), "401 Unauthorized")) as server:
        done = ask(server, "hi")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("engine: error: ")
    assert done.stderr.count("\n") == 1 and "\x1b" not in done.stderr


def test_an_answer_that_is_cut_off_is_kept_and_exit_code_1() -> None:
    with serve(lambda peer: peer.stream([chunk({"content": "Hel"})])) as server:
        done = ask(server, "hi")
    assert (done.returncode, done.stdout) == (1, "Hel\n")
    assert done.stderr.startswith("engine: error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("-m", "openai/gpt-x", "hi"), "OPENAI_API_KEY"),
        (("--base-url", "ftp://x", "-m", "m", "hi"), "http"),
        (("--base-url", "http://x", "hi"), "-m MODEL"),
        (("--provider", "nobody", "-m", "m", "hi"), "nobody"),
        (("--provider", "vllm", "hi"), "-m vllm/MODEL"),
        (("--api-key-env", "MY_KEY", "-m", "emulator/m", "hi"), "MY_KEY"),
        (("hi",), "engine providers"),
        (("-m", "emulator/m"), "no prompt"),
        (("--thinking", "hard", "hi"), "--thinking"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(arguments: Iterable[str], advice: str) -> None:
    done = subprocess.run(
        [COMMAND, "chat", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 2
    assert advice in done.stderr and "Traceback" not in done.stderr


def test_the_key_comes_from_the_variable_named() -> None:
    with serve(lambda peer: peer.stream(answer("ok"))) as server:
        ask(server, "--api-key-env", "MY_KEY", "hi", MY_KEY="s3cret")
    assert server.requests[0].headers["authorization"] == "Bearer s3cret"


def test_the_model_is_that_of_the_first_provider_whose_key_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.cli import main

    for row in endpoints():
        for name in row.key_variables:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ENGINE_MODEL", raising=False)
    monkeypatch.setenv("MINE_KEY", "k")
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr(sys.modules["engine.providers.endpoints"], "_table", {})
    with serve(lambda peer: peer.stream(answer("ok"))) as server:
        register(Endpoint("other", server.url, key_variables=("OTHER_KEY",), default_model="no"))
        register(Endpoint("mine", server.url, key_variables=("MINE_KEY",), default_model="m1"))
        assert main(["chat", "hi"]) == 0
    assert asked(server)["model"] == "m1"
    assert capsys.readouterr().out == "ok\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    with serve(lambda peer: peer.stream(answer(*["line\n"] * 2000))) as server:
        command = f"'{COMMAND}' chat -m m --base-url {server.url}/v1 hi | head -n 1"
        done = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, env=environment()
        )
    assert (done.stdout, done.stderr) == (b"line\n", b"")


# -- on a terminal -----------------------------------------------------------------------------


def test_a_conversation_has_turns_and_ends_with_ctrl_d() -> None:
    with (
        serve(lambda peer: peer.stream(answer(f"no. {len(peer.server.requests)}"))) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1") as screen,
    ):
        screen.read_until("> ")
        screen.type("first\n")
        screen.read_until("no. 1")
        screen.read_until("> ")
        screen.type("second\n")
        screen.read_until("no. 2")
        screen.read_until("> ")
        screen.type("\x04")
        screen.read_rest()
        assert screen.process.wait() == 0
    assert asked(server)["messages"] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "no. 1"},
        {"role": "user", "content": "second"},
    ]


def test_the_model_cannot_command_the_terminal_even_piece_by_piece() -> None:
    pieces = ("\x1b", "]0;owned", "\x07", "\x9b", "2J", "\u202e", "end")
    with (
        serve(lambda peer: peer.stream(answer(*pieces))) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1", "hi") as screen,
    ):
        shown = screen.read_rest()
        assert screen.process.wait() == 0
    assert shown == "␛]0;owned␇\ufffd2Jend\r\n"


def test_ctrl_c_cancels_the_answer_and_not_the_program() -> None:
    def endless_then_short(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.send(OK_SSE)
            peer.chunk(chunk({"content": "It begins"}))
            peer.wait_closed()
        else:
            peer.stream(answer("Still here"))

    with (
        serve(endless_then_short) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1") as screen,
    ):
        screen.read_until("> ")
        screen.type("tell\n")
        screen.read_until("It begins")
        screen.type("\x03")
        screen.read_until("cancelled")
        screen.read_until("> ")
        screen.press_until("\x03", "> ")  # at the prompt it only begins a new line
        screen.type("and now?\n")
        screen.read_until("Still here")
        screen.read_until("> ")
        screen.type("\x04")
        screen.read_rest()
        assert screen.process.wait() == 0
    assert asked(server)["messages"] == [
        {"role": "user", "content": "tell"},
        {"role": "assistant", "content": "It begins"},
        {"role": "user", "content": "and now?"},
    ]


def test_ctrl_c_ends_a_single_question_with_exit_code_130() -> None:
    def endless(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chunk({"content": "It begins"}))
        peer.wait_closed()

    with (
        serve(endless) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1", "hi") as screen,
    ):
        screen.read_until("It begins")
        screen.type("\x03")
        rest = screen.read_rest()
        assert screen.process.wait() == 130
    assert "Traceback" not in rest


def test_what_is_typed_while_an_answer_is_written_is_the_next_question() -> None:
    typed: list[str] = []

    def type_meanwhile(peer: Peer) -> None:
        peer.send(OK_SSE)
        peer.chunk(chunk({"content": f"answer {len(peer.server.requests)}"}))
        if not typed:
            typed.append("next\n")
            screen.type(typed[0])
        for piece in answer(" done"):
            peer.chunk(piece)
        peer.end()

    with (
        serve(type_meanwhile) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1") as screen,
    ):
        screen.read_until("> ")
        screen.type("first\n")
        screen.read_until("answer 2")
    assert asked(server, 1)["messages"][-1]["content"] == "next"  # type: ignore[index]


def test_after_a_failure_the_conversation_goes_on_without_that_turn() -> None:
    def refuse_once(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(b'{"error": {"message": "no"}}', "400 Bad Request")
        else:
            peer.stream(answer("fine"))

    with (
        serve(refuse_once) as server,
        terminal("chat", "-m", "m", "--base-url", f"{server.url}/v1") as screen,
    ):
        screen.read_until("> ")
        screen.type("one\n")
        screen.read_until("engine: error: ")
        screen.read_until("> ")
        screen.type("two\n")
        screen.read_until("fine")
    assert asked(server)["messages"] == [{"role": "user", "content": "two"}]


@pytest.mark.parametrize(("no_color", "faint"), [("", True), ("1", False)])
def test_reasoning_is_shown_fainter_unless_no_color(no_color: str, faint: bool) -> None:
    pieces = [chunk({"reasoning_content": "hm\x1b"}), *answer("Yes")]
    with (
        serve(lambda peer: peer.stream(pieces)) as server,
        terminal(
            "chat", "-m", "m", "--base-url", f"{server.url}/v1", "hi", NO_COLOR=no_color
        ) as screen,
    ):
        shown = screen.read_rest()
    assert shown == ("\x1b[2mhm␛\x1b[0m\r\nYes\r\n" if faint else "hm␛\r\nYes\r\n")
