"""What a run was asked to do, beside its output: so that the next run goes on with the same."""

from __future__ import annotations

import os
import secrets
from typing import Any, Final

import msgspec

from engine.batch.reading.rows import Reading
from engine.errors import ConfigError, ResourceError

__all__ = ["Manifest", "load_manifest", "private", "save_manifest"]


class Manifest(msgspec.Struct, kw_only=True):
    """The facts that make answers comparable, and `batch`, the name of the run.

    Attributes:
        batch: made once; part of every row's idempotency key, so that the same rows asked for
            another output are new requests.
        spent_cost, spent_tokens: what earlier runs took and no line of the output tells: USD,
            tokens.
    """

    version: int = 1
    batch: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    model: str | None = None
    provider: str | None = None
    base_url: str | None = None
    system: str | None = None
    body: dict[str, Any] = {}
    schema: dict[str, Any] | None = None
    stream: bool = False
    prompt: str | None = None
    endpoint: str | None = None
    samples: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    spent_cost: float = 0.0
    spent_tokens: int = 0

    def reading(self) -> Reading:
        """How rows are made of the input."""
        return Reading(
            prompt=self.prompt, system=self.system, endpoint=self.endpoint, samples=self.samples
        )

    def differences(self, other: Manifest) -> list[str]:
        """The facts in which `other` is another run, as ``name: ours, then theirs``."""
        names = [name for name in self.__struct_fields__ if name not in _OF_THE_RUN]
        return [
            f"{name} was {_show(getattr(self, name))}, is now {_show(getattr(other, name))}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


_OF_THE_RUN: Final = frozenset({"version", "batch", "spent_cost", "spent_tokens"})


def load_manifest(path: str) -> Manifest | None:
    """The manifest at `path`; None where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); put it back, or go on without it by --force"
        ) from error


def save_manifest(path: str, manifest: Manifest) -> None:
    """Write it, whole or not at all.

    Raises:
        ResourceError: the disk refused.
    """
    new = f"{path}.new"
    try:
        with open(new, "wb", opener=private) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror}; make room, and run the same command again",
            retryable=False,
        ) from error


def private(path: str, flags: int) -> int:
    """An opener for files that hold prompts: for their owner's eyes only."""
    return os.open(path, flags, 0o600)


def _show(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
