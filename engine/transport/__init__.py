"""The only importer of pycurl: a `Multi`, its transfers, timers, curl options and retry timing."""

from engine.transport.deadlines import Timeouts
from engine.transport.exchange import Exchange
from engine.transport.multi import Multi, Statistics
from engine.transport.retry import Retry

__all__ = ["Exchange", "Multi", "Retry", "Statistics", "Timeouts"]
