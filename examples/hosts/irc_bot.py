"""A bot on IRC in a bare select loop: no library, no thread.

    python examples/hosts/irc_bot.py irc.example.org:6667 '#channel'

It answers who says its name, to all who do at once, in one line. Without an address it sits
in a channel of its own in which two people talk.
"""

from __future__ import annotations

import os
import re
import select
import socket
import sys

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
NICK = "enginebot"
SAID = re.compile(rf":(\w+)\S* PRIVMSG (\S+) :.*?{NICK}\W*(.+)")


class Bot:
    def __init__(self, server: socket.socket, client: engine.Client, channel: str) -> None:
        self.server = server
        self.client = client
        self.received = b""
        for line in (f"NICK {NICK}", f"USER {NICK} 0 * :a bot", f"JOIN {channel}"):
            self.send(line)

    def send(self, line: str) -> None:
        self.server.sendall(f"{line}\r\n".encode())

    def receive(self) -> bool:
        """Handle what the server said; False: it has hung up."""
        data = self.server.recv(65536)
        *lines, self.received = (self.received + data).split(b"\r\n")
        for line in lines:
            self.handle(line.decode(errors="replace"))
        return bool(data)

    def handle(self, line: str) -> None:
        if line.startswith("PING"):
            self.send(line.replace("PING", "PONG", 1))  # at once, whatever the models do
        elif said := SAID.match(line):
            who, where, question = said.groups()
            self.client.stream(MODEL, question, on_done=self.say, user_data=(who, where))

    def say(self, completion: engine.Completion[None], stream: engine.Stream[None]) -> None:
        who, where = stream.user_data
        answer = " ".join((completion.text or str(completion.error)).split())
        self.send(f"PRIVMSG {where} :{who}: {answer:.400}")  # a line of IRC has 512 bytes


def run(server: socket.socket, channel: str) -> None:
    with engine.Multi() as multi:
        bot = Bot(server, engine.Client(multi), channel)
        while True:
            reading, writing, failing = multi.fdset()
            reading.append(server.fileno())
            ready, _, _ = select.select(reading, writing, failing, multi.timeout())
            if server.fileno() in ready and not bot.receive():
                return
            multi.perform()
            multi.info_read()


def demonstration() -> socket.socket:
    """A channel in which two people talk; they go when they have their answers."""
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        lines = there.makefile("rw", newline="\r\n")
        for who in ("ann", "bob"):
            lines.write(f":{who}!~{who}@host PRIVMSG #demo :{NICK}: what is an event loop?\r\n")
        lines.write("PING :still there?\r\n")
        lines.flush()
        answered: set[str] = set()
        while len(answered) < 3 and (line := lines.readline()):
            print(line.strip(), flush=True)
            answered |= {word for word in ("PONG", "ann:", "bob:") if word in line}
        os._exit(0)
    there.close()
    return here


if __name__ == "__main__":
    connected: socket.socket
    if len(sys.argv) > 2:
        host, _, port = sys.argv[1].partition(":")
        connected = socket.create_connection((host, int(port or 6667)))
    else:
        connected = demonstration()
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tokens=60)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    with connected:
        run(connected, sys.argv[2] if len(sys.argv) > 2 else "#demo")
