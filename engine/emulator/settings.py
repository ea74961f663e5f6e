"""How an answer is given: when, how fast, how long, and whether it fails.

Settings come from, the later over the earlier: the flags of the server, the query of the URL
(``?ttft=0.2&tps=50``), headers (``x-emulator-ttft: 0.2``), and the model's name
(``demo-tokens=100-tps=50``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.emulator.contract import BadRequest

__all__ = ["FAULTS", "NAMES", "Settings", "split_model", "with_settings"]

# Beside `error-NNN`, an HTTP status.
FAULTS: Final = frozenset(
    {
        "cut",
        "drop",
        "empty",
        "end",
        "html",
        "instream-error",
        "malformed",
        "reset",
        "stall",
    }
)
_STATUS: Final = re.compile(r"(?:error-)?([45]\d\d)")
_PAIR: Final = re.compile(r"-([a-z_]+)=([^-]*)")

_MOST_TOKENS: Final = 1_000_000  # an answer this long is 200 MB of events: a slip of the pen


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set.

    Attributes:
        ttft: time to the first token, seconds.
        tps: tokens a second after that; 0 or ``inf``: as fast as the reader takes them.
        tokens: length of a text.
        thinking: tokens of reasoning, where the client asks for it.
        error: how the request fails: ``error-401`` or any other status, ``drop`` (the connection
            closes without an answer), ``cut`` (it closes in mid-stream), ``reset`` (the same, with
            a RST), ``end`` (the body ends well, before the end marker), ``stall`` (silence, the
            connection open), ``malformed`` (a record that is not JSON), ``instream-error``,
            ``empty`` (200 and no body), ``html`` (200 and a web page). None: it does not.
        times: only the first so many requests with the same conversation fail; 0: all.
        after: tokens before a failure in mid-stream.
        retry_after: seconds, the header of a 429 and 503; 0: no header.
        tool: the tool that the models ``react`` and ``loop`` call; None: the first one offered.
    """

    ttft: float = 0.0
    tps: float = 0.0
    tokens: int = 64
    thinking: int = 16
    error: str | None = None
    times: int = 0
    after: int = 3
    retry_after: float = 1.0
    tool: str | None = None

    def __post_init__(self) -> None:
        for name in ("ttft", "tps", "tokens", "thinking", "times", "after", "retry_after"):
            if not getattr(self, name) >= 0:  # also false for nan
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("ttft", "retry_after"):
            if getattr(self, name) > 86_400:
                raise ValueError(f"{name} must be at most a day, in seconds")
        if max(self.tokens, self.thinking) > _MOST_TOKENS:
            raise ValueError(f"tokens and thinking must be at most {_MOST_TOKENS}")
        if self.error is not None and self.error not in FAULTS and not self.error_status:
            raise ValueError(
                f"error must be error-NNN with a status of 400 to 599, or one of "
                f"{', '.join(sorted(FAULTS))}; got {self.error!r}"
            )

    @property
    def error_status(self) -> int | None:
        """The HTTP status of `error`, or None where it fails in another way, or not."""
        match = _STATUS.fullmatch(self.error or "")
        return int(match[1]) if match else None

    @property
    def interval(self) -> float:
        """Seconds from token to token."""
        return 1 / self.tps if 0 < self.tps < float("inf") else 0.0


NAMES: Final = tuple(Settings.__struct_fields__)
_NUMBERS: Final = {name: int for name in ("tokens", "thinking", "times", "after")} | {
    name: float for name in ("ttft", "tps", "retry_after")
}


def split_model(model: str) -> tuple[str, dict[str, str]]:
    """The bare name, and the settings in it: ``a-tokens=5`` is ``("a", {"tokens": "5"})``. The
    emulator's own name may stand before it: clients send ids as they are written."""
    model = model.removeprefix("emulator/")
    return _PAIR.sub("", model), dict(_PAIR.findall(model))


def with_settings(settings: Settings, values: Mapping[str, str], where: str) -> Settings:
    """`settings`, changed by `values` as they were written; `where` names their place in errors.

    Raises:
        BadRequest: there is no such setting, or the value is not one for it.
    """
    if not values:
        return settings
    changes: dict[str, Any] = {}
    for name, text in values.items():
        if name not in NAMES:
            raise BadRequest(f"{where}: no setting {name!r}; there are {', '.join(NAMES)}")
        try:
            changes[name] = _NUMBERS[name](text) if name in _NUMBERS else text or None
        except ValueError:
            raise BadRequest(f"{where}: {name} must be a number, got {text!r}") from None
    try:
        return msgspec.structs.replace(settings, **changes)
    except ValueError as error:
        raise BadRequest(f"{where}: {error}") from None
