"""A stdio MCP server in plain JSON-RPC, for what the foreign ones do not do: odd names, dying in
the middle of a call, waiting to be cancelled. Notes what it is told in the file it is given."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

EMPTY = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "files/read.all", "description": "Read.", "inputSchema": EMPTY},
    {"name": "files.read/all", "description": "Read, too.", "inputSchema": EMPTY},
    {"name": "x" * 100, "description": "Long.", "inputSchema": EMPTY},
    {"name": "die", "inputSchema": EMPTY},
    {"name": "hang", "inputSchema": EMPTY},
    {"name": "fail", "inputSchema": EMPTY},
    {"name": "structured", "inputSchema": EMPTY},
]


def answer(request: dict[str, Any], log: Any) -> Any:
    method, params = request["method"], request.get("params", {})
    print(method, json.dumps(params.get("name")), file=log, flush=True)
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "odd server", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method != "tools/call":
        return None if "id" not in request else {}
    name = params["name"]
    if name == "die":
        os._exit(3)
    if name == "hang":
        return None
    if name == "structured":
        return {"content": [], "structuredContent": {"a": [1]}}
    return {"content": [{"type": "text", "text": f"{name}!"}], "isError": name == "fail"}


def main() -> None:
    with open(sys.argv[1], "a") as log:
        for line in sys.stdin:
            request = json.loads(line)
            result = answer(request, log)
            if "id" in request and result is not None:
                message = {"jsonrpc": "2.0", "id": request["id"], "result": result}
                print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
