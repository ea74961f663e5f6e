"""The transfers libcurl has, and the queue of those it will have."""

from __future__ import annotations

from time import monotonic
from typing import Final

import pycurl

from engine.errors import EngineError
from engine.transport.admission import Admission
from engine.transport.descriptors import descriptors_left
from engine.transport.hosts import Hosts
from engine.transport.inbox import Inbox
from engine.transport.sockets import Sockets
from engine.transport.transfer import State, Transfer

__all__ = ["Transfers"]

_QUEUED: Final = State.QUEUED
# Ends of transfers that are told between two looks at the clock.
_SLICE: Final = 8
# Beginnings between two looks at the clock: many together find libcurl's code and ours in the
# processor's cache (8 at a time miss its second level half as often again), but no more than fit
# into the time there is: libcurl looks through all connections to a host for each new one, which
# takes it a millisecond where there are 9,000.
_MOST: Final = 48
# Seconds that one takes, before it is known, and how much the last ones count.
_A_BEGINNING: Final = 0.0003
_WEIGHT: Final = 0.5
# Descriptors that are not used up within a moment (seconds), by us or others of the process.
_AMPLE: Final = 2000
_MOMENT: Final = 0.01
# Seconds that a process without a free descriptor is waited for, where none of ours will come free,
# and between two looks.
_PATIENCE: Final = 2.0
_LOOK_AGAIN: Final = 0.05


class Transfers:
    """Puts transfers into libcurl and takes them out; signals held.

    Attributes:
        counts: how many transfers are, or ended, in each state.
        more_ended: more of them are done than the last `reap` took.
    """

    __slots__ = (
        "_a_beginning",
        "_admission",
        "_ample_until",
        "_hosts",
        "_inbox",
        "_of_easy",
        "_out_of_descriptors",
        "_out_since",
        "_sockets",
        "counts",
        "more_ended",
    )

    def __init__(self, sockets: Sockets, inbox: Inbox, admission: Admission, hosts: Hosts) -> None:
        self._hosts = hosts
        self._sockets = sockets
        self._inbox = inbox
        self._admission = admission
        self._of_easy: dict[pycurl.Curl, Transfer] = {}
        self._out_of_descriptors = False
        self._out_since: float | None = None
        self._a_beginning = _A_BEGINNING
        self._ample_until = 0.0
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self.more_ended: bool = False

    def __len__(self) -> int:
        """How many libcurl has."""
        return len(self._of_easy)

    @property
    def pending(self) -> bool:
        """Whether there is something to do, as far as is known here."""
        return self.more_ended or (self._admission.waiting and not self._out_of_descriptors)

    def release(self, easy: pycurl.Curl, transfer: Transfer) -> None:
        """Take `easy` out of libcurl, wherever its transfer is; it is not closed."""
        if self._of_easy.pop(easy, None) is not None:
            self._sockets.curl.remove_handle(easy)
        self._admission.release(transfer)
        self._out_of_descriptors = False

    def reap(self, until: float) -> None:
        """Tell the attempts libcurl is done with, until the clock says `until`."""
        while True:
            left, good, bad = self._sockets.curl.info_read(_SLICE)
            for easy in good:
                transfer = self._of_easy.get(easy)
                if transfer is not None:
                    transfer.attempt_over(0, "")
            for easy, code, text in bad:
                transfer = self._of_easy.get(easy)
                if transfer is not None:
                    transfer.attempt_over(code, text)
            self.more_ended = bool(left)
            if not left or monotonic() >= until:
                break

    def admit(self, until: float) -> None:
        """Begin those that wait, until the clock says `until`."""
        if not self._admission.waiting:
            return
        while True:
            begun = monotonic()
            room = self._descriptors_left(begun)
            if room is not None:
                # Those that are connecting have taken, or will take, a descriptor each.
                room = max(room - self.counts[State.CONNECTING], 0)
                if room:
                    self._out_since = None
                else:
                    room = self._without_room(begun)
            self._out_of_descriptors = room == 0
            most = max(int(min((until - begun) / self._a_beginning, _MOST)), 1)
            made = 0
            for transfer in self._admission.take(most if room is None else min(room, most)):
                assert isinstance(transfer, Transfer)
                self._start(transfer)
                made += 1
            self._hosts.fit_cache()
            self._sockets.run_timer(self._inbox.pieces)
            now = monotonic()
            if made:
                self._a_beginning += _WEIGHT * ((now - begun) / made - self._a_beginning)
            if not self._admission.waiting or self._out_of_descriptors or now >= until:
                break

    def _descriptors_left(self, now: float) -> int | None:
        """As `descriptors_left`, which makes three system calls; None also where it found many a
        moment ago."""
        if now < self._ample_until:
            return None
        left = descriptors_left()
        if left is None or left > _AMPLE:
            self._ample_until = now + _MOMENT
        return left

    def _without_room(self, now: float) -> int:
        """How many begin all the same: one, that is told why, where waiting was in vain."""
        if self._of_easy:
            return 0  # one of them will end
        if self._out_since is None:
            self._out_since = now
        if now - self._out_since >= _PATIENCE:
            return 1
        if not self._out_of_descriptors:
            self._hosts.call_later(_LOOK_AGAIN, self._look_again)
        return 0

    def _look_again(self) -> None:
        self._out_of_descriptors = False

    def _start(self, transfer: Transfer) -> None:
        if transfer.state is not _QUEUED:
            # A deadline struck while it waited to go out again: it has its next attempt's place in
            # the queue, or will have.
            self._admission.release(transfer)
            return
        if transfer.passed and not transfer.again:
            assert transfer.lane is not None
            if transfer.lane.recalls(transfer):
                self._admission.release(transfer)
                return
        try:
            easy = transfer.start()
            self._sockets.curl.add_handle(easy)
            self._of_easy[easy] = transfer
        except (EngineError, pycurl.error) as error:
            transfer.could_not_start(error)

    def close(self) -> None:
        """Take all out of libcurl."""
        for easy in list(self._of_easy):
            self._sockets.curl.remove_handle(easy)
            easy.close()
        self._of_easy.clear()
