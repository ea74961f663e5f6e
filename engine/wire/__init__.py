"""Sans-IO decoders: bytes in, records out. No socket, no clock, no provider."""

from engine.wire.ndjson import NDJSONDecoder
from engine.wire.sse import SSEDecoder, SSERecord

__all__ = ["NDJSONDecoder", "SSEDecoder", "SSERecord"]
