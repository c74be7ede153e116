"""Waiting for a store that is away: for how long, how often it is asked, and what is logged of it."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from everwhen.errors import StoreConflict, StoreUnavailable
from everwhen.worker.observer import Observer

T = TypeVar("T")

_log = logging.getLogger("everwhen.worker")
_SHORTEST: Final = 0.1  # seconds
_LONGEST: Final = 3.0  # seconds: so much later than the database a worker may be back
_DOUBLINGS: Final = 10
_CONFLICTS_AT_ONCE: Final = 5
_REMIND: Final = 60.0  # seconds
_NAP: Final = 0.05  # seconds


class Abandoned(Exception):
    """What was waited for is not wanted any more. It never leaves the worker."""


class Outage:
    """A time during which the store is away, as all threads of a worker see it together.

    It begins when the first of them fails, and ends when none of them is failing any more.

    :param patience: how many seconds it may last; ``None``: any time.
    :param observer: is told of failures, and of the end.

    Thread-safe.
    """

    def __init__(self, patience: float | None, observer: Observer | None = None) -> None:
        self.observer = observer or Observer()
        self._patience = math.inf if patience is None else patience
        self._failing: set[object] = set()
        self._began = 0.0
        self._said = 0.0
        self._lock = threading.Lock()

    def failed(self, who: object, error: StoreUnavailable) -> float:
        """Note that somebody failed; return how many more seconds that may go on.

        :raises StoreUnavailable: if it has gone on for too long.
        """
        with self._lock:
            now = time.monotonic()
            begins = not self._failing
            if begins:
                self._began = now
            away = now - self._began
            if away >= self._patience:
                raise _too_long(error, away)
            self._failing.add(who)
            if begins:
                self.observer.store_away(away=True)
            self._say(error, now, begins=begins)
            return self._patience - away

    def succeeded(self, who: object) -> None:
        """Note that somebody is not failing any more."""
        with self._lock:
            if self._leave(who):
                _log.info("store.back after %.1f s", time.monotonic() - self._began)

    @property
    def is_on(self) -> bool:
        """Whether somebody is failing now."""
        return bool(self._failing)

    def forget(self, who: object) -> None:
        """Note that somebody does not try any more: whether the store is back is then unknown."""
        with self._lock:
            self._leave(who)

    def _leave(self, who: object) -> bool:
        if who not in self._failing:
            return False
        self._failing.remove(who)
        if self._failing:
            return False
        self.observer.store_away(away=False)
        return True

    def _say(self, error: StoreUnavailable, now: float, *, begins: bool) -> None:
        if begins:
            _log.warning("store.unavailable and waited for: %s", error)
        elif now - self._said >= _REMIND:
            _log.warning("store.unavailable for %.0f s, still waiting for it: %s", now - self._began, error)
        else:
            return
        self._said = now


class Patience:
    """How one thread of a worker lives with failures of the store that pass.

    It waits twice as long after each failure, within bounds, and not exactly so: many workers that lost one database
    must not come back in step. What the database undid because of a conflict is tried again at once, a few times.

    :param outage: shared by all threads of a worker.
    :param stopping: whether the worker was told to stop; asked again and again while something is waited for.

    Used by one thread.
    """

    def __init__(self, outage: Outage, stopping: Callable[[], bool]) -> None:
        self._outage = outage
        self._stopping = stopping
        self._failures = 0
        self._conflicts = 0
        self._again_at = 0.0

    def failed(self, error: StoreUnavailable) -> None:
        """Note a failure: :meth:`due` says when to try again.

        :raises StoreUnavailable: if the store has been away for too long.
        """
        self._outage.observer.store_failed(error)
        if isinstance(error, StoreConflict) and self._conflicts < _CONFLICTS_AT_ONCE:
            self._conflicts += 1
            _log.debug("store.conflict %s", error)
            return
        left = self._outage.failed(self, error)
        pause = min(_LONGEST, _SHORTEST * 2 ** min(self._failures, _DOUBLINGS))
        self._failures += 1
        self._again_at = time.monotonic() + min(left, pause * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def due(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self._again_at

    def bear(self, error: StoreUnavailable, unwanted: Callable[[], bool] = lambda: False) -> None:
        """Note a failure and wait until it is time to try again.

        :param unwanted: asked again and again whether there is still something to wait for.
        :raises Abandoned: if there is not, or the worker was told to stop.
        :raises StoreUnavailable: if the store has been away for too long.
        """
        self.failed(error)
        while True:
            if self._stopping() or unwanted():
                self.forget()
                raise Abandoned from error
            if self.due():
                return
            # Not an event: a signal's handler must not set one that its own thread is about to wait for.
            time.sleep(_NAP)

    def insist(self, ask: Callable[[], T]) -> T:
        """Ask the store until it answers.

        :raises Abandoned: if the worker was told to stop.
        :raises StoreUnavailable: if the store has been away for too long.
        """
        while True:
            try:
                answer = ask()
            except StoreUnavailable as error:
                self.bear(error)
            else:
                self.succeeded()
                return answer

    def succeeded(self) -> None:
        """Note that the store did what it was asked."""
        if self._reset():
            self._outage.succeeded(self)

    @property
    def is_store_away(self) -> bool:
        """Whether the store fails any thread of the worker."""
        return self._outage.is_on

    def forget(self) -> None:
        """Note that nothing is asked of the store any more."""
        if self._reset():
            self._outage.forget(self)

    def _reset(self) -> bool:
        failed = bool(self._failures)
        self._failures = self._conflicts = 0
        self._again_at = 0.0
        return failed


def _too_long(error: StoreUnavailable, away: float) -> StoreUnavailable:
    if not away:
        return error
    longer = StoreUnavailable(f"{error}. It was away for {away:.0f} s, and store_patience_seconds allows no more")
    longer.__cause__ = error
    return longer


def no_patience() -> Patience:
    """Return what lets every failure out but a conflict."""
    return Patience(Outage(0), lambda: False)
