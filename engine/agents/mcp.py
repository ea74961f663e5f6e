"""Tools of MCP servers (https://modelcontextprotocol.io), by the official SDK.

    with McpServer(client, ["npx", "-y", "@modelcontextprotocol/server-everything"]) as server:
        agent = FunctionAgent(client, model, [*server.tools, add])

Needs the extra ``mcp``. The sessions live in the client's worker: one thread with one asyncio loop
for all of them; a call is a `Pending` in the loop of the `Multi`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from engine.agents.tools.given_schema import GivenSchema
from engine.agents.tools.pending import Pending
from engine.agents.tools.tool import FunctionTool
from engine.agents.tools.worker import worker_of
from engine.client import Client
from engine.errors import ConfigError, DeadlineError, EngineError, NetworkError, describe
from engine.messages import Document, Image

__all__ = ["McpServer"]

_MAX_NAME: Final = 64
_CLOSE: Final = 5.0  # seconds a server may take to end


class McpServer:
    """A server, connected; its tools are in `tools` until `close`, or the end of ``with``.

    Args:
        client: whose agents call the tools.
        server: the command of a stdio server, as a list; or the URL of a streamable-HTTP one.
        name: stands before the name of each tool, to keep servers apart; None: what the server
            calls itself; "": nothing does.
        env: more environment variables of the command.
        timeout: seconds a call may take; None: any.
        connect_timeout: seconds it may take to connect and to list its tools.
        approve: whether the agent's `approve` is asked before each call.

    Attributes:
        name: as above.
        tools: one a tool of the server.

    Raises:
        ConfigError: the SDK is not installed, or `server` is neither.
        NetworkError: the server cannot be reached, or began and ended.
        DeadlineError: it took too long.
    """

    def __init__(
        self,
        client: Client,
        server: str | Sequence[str],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
        connect_timeout: float = 30.0,
        approve: bool = True,
    ) -> None:
        session = _session(server, env)
        self._client = client
        self._where = server if isinstance(server, str) else " ".join(server[:1])
        self._worker = worker_of(client)
        self._ready = threading.Event()
        self._over = threading.Event()
        self._session: Any = None
        self._stop: Any = None
        self._listed: list[Any] = []
        self._error: BaseException | None = None
        self.name: str = name or ""
        cancel = self._worker.run(self._serve(session, own_name=name is None), self._ended)
        if not self._ready.wait(connect_timeout):
            cancel()
            raise DeadlineError(
                f"the MCP server {self._where} did not tell its tools within {connect_timeout:g} s",
                phase="connect",
            )
        if self._error is not None:
            raise self._gone(self._error) from self._error
        names = _mapped([tool.name for tool in self._listed], self.name)
        self.tools: list[FunctionTool] = [
            self._tool(tool, names[tool.name], timeout, approve) for tool in self._listed
        ]

    def __repr__(self) -> str:
        return f"<McpServer {self.name or self._where} {len(self.tools)} tools>"

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session, and a server that was started for it. Idempotent. Blocks until it is
        over, 5 s at most."""
        stop = self._stop
        if stop is not None and not self._over.is_set():
            stop()
            self._over.wait(_CLOSE)

    # -- in the worker ---------------------------------------------------------------------------

    async def _serve(self, session: Any, own_name: bool) -> None:
        import asyncio  # the worker has

        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with session as open_session:
            if own_name:
                info = getattr(open_session, "server_info", None)
                self.name = str(getattr(info, "name", "") or "")
            cursor = None
            while True:
                page = await open_session.list_tools(cursor=cursor)
                self._listed += page.tools
                cursor = getattr(page, "next_cursor", None)
                if not cursor:
                    break
            self._session = open_session
            self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
            self._ready.set()
            await stopped.wait()

    def _ended(self, _: Any, error: BaseException | None) -> None:
        self._session = None
        self._error = error
        self._over.set()
        self._ready.set()

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        session = self._session
        if session is None:
            raise self._gone(self._error)
        return await session.call_tool(name, arguments)

    # -- in the loop of the Multi ------------------------------------------------------------------

    def _tool(self, tool: Any, name: str, timeout: float | None, approve: bool) -> FunctionTool:
        def call(arguments: dict[str, Any]) -> Pending:
            pending = Pending(cancel=lambda: cancel())
            multi = self._client.multi

            def then(result: Any, error: BaseException | None) -> None:
                multi.call_soon(lambda: self._settle(pending, result, error))

            cancel = self._worker.run(self._call(tool.name, arguments), then)
            return pending

        return FunctionTool(
            call,
            name=name,
            description=tool.description or tool.title or "",
            timeout=timeout,
            approve=approve,
            signature=GivenSchema(tool.input_schema),
        )

    def _settle(self, pending: Pending, result: Any, error: BaseException | None) -> None:
        if error is not None:
            pending.fail(error if isinstance(error, EngineError) else self._gone(error))
        elif result.is_error:
            pending.fail(EngineError(_words(result) or "the tool failed and does not say why"))
        else:
            pending.resolve(_value(result))

    def _gone(self, error: BaseException | None) -> NetworkError:
        why = "it is closed" if error is None else describe(_innermost(error))
        return NetworkError(f"the MCP server {self.name or self._where} does not answer: {why}")


def _session(server: str | Sequence[str], env: Mapping[str, str] | None) -> Any:
    try:
        import mcp
    except ImportError as error:
        raise ConfigError(
            "MCP needs the official SDK: pip install 'streamengine[mcp]' (mcp 2 or newer)"
        ) from error
    if isinstance(server, str):
        if not server.startswith(("http://", "https://")):
            raise ConfigError(
                f"an MCP server is a URL, or a command as a list, not {server!r}; give "
                f"{server.split()!r} for a command"
            )
        return mcp.Client(server)
    command = list(server)
    if not command or not all(isinstance(word, str) for word in command):
        raise ConfigError("the command of an MCP server is a list of strings")
    environment = dict(env) if env is not None else None
    return mcp.Client(
        mcp.StdioServerParameters(command=command[0], args=command[1:], env=environment)
    )


def _mapped(names: Sequence[str], prefix: str) -> dict[str, str]:
    """The server's names as providers take them, no two alike."""
    mapped: dict[str, str] = {}
    for name in names:
        whole = f"{prefix}_{name}" if prefix else name
        fit = re.sub(r"[^a-zA-Z0-9_-]+", "_", whole)
        if len(fit) > _MAX_NAME or fit in mapped.values():
            mark = sha256(whole.encode()).hexdigest()[:8]
            fit = f"{fit[: _MAX_NAME - 9]}_{mark}"
        mapped[name] = fit
    return mapped


def _value(result: Any) -> Any:
    """What a tool gave: text, pictures, documents; JSON where there is nothing else."""
    pieces = [_piece(block) for block in result.content]
    if not pieces and result.structured_content is not None:
        return result.structured_content
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "\n".join(texts) if len(texts) == len(pieces) else pieces


def _words(result: Any) -> str:
    return "\n".join(piece for piece in map(_piece, result.content) if isinstance(piece, str))


def _piece(block: Any) -> str | Image | Document:
    kind = block.type
    if kind == "text":
        return str(block.text)
    if kind == "image":
        return Image(data=block.data, media_type=block.mime_type)
    if kind == "resource":
        resource = block.resource
        text = getattr(resource, "text", None)
        if text is not None:
            return f"{resource.uri}:\n{text}"
        return Document(data=resource.blob, media_type=resource.mime_type, title=str(resource.uri))
    if kind == "resource_link":
        return f"[{block.name}: {block.uri}]"
    return f"[{kind}: {getattr(block, 'mime_type', '')}]"


def _innermost(error: BaseException) -> BaseException:
    """Of a group of exceptions, the first that is one: the SDK's tasks fail in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
