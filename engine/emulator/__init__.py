"""The embedded emulator: an LLM provider on this machine, with no key and no network.

    with engine.emulator.start(ttft=0.2, tps=50) as emulator:
        client = engine.Client(base_url=emulator.base_url)
        print(client.stream("emulator/demo", "Why is the sky blue?").result().message.text)

or ``engine emulate --port 8089`` beside any program, also one that uses another SDK. It speaks HTTP
over real sockets, several thousand streams at once on one thread. The same conversation with the
same model has the same answer, byte for byte.

Tests that must see into it run `engine.emulator.server.Server` in a thread of their own process.

What it answers is told in `engine.emulator.compose`, scripts for agents in
`engine.emulator.script`, and speed, length and failures in `engine.emulator.settings`: by flags,
query, headers, or the model's name: ``demo-tokens=100-tps=50``, ``error-429-times=2``, ``cut``.
"""

from engine.emulator.process import Emulator, start
from engine.emulator.settings import Settings

__all__ = ["Emulator", "Settings", "start"]
