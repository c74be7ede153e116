"""What is done to the servers while workers come and go: stopped, killed, and their connections ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psycopg

from tests.torture import quotas
from tests.torture.place import Place
from tests.torture.tally import Tally

_STORM_ENDS = 5
"""About how many connections a storm finds."""
_BREATH_SECONDS = 1.5
"""At least so long between two faults: the time in which something is done again."""
_SURPLUS = 1.0
_DOWN_SECONDS = (0.0, 1.5)


class Servers:
    """Draws a fault every few seconds, so that each kind meets its quota when the time is over."""

    def __init__(self, place: Place, tally: Tally, seed: int) -> None:
        self._place = place
        self._tally = tally
        self._draw = random.Random(seed)
        faults: dict[str, Callable[[], None]] = {
            quotas.DATABASE: self._stop_database,
            quotas.BROKER: self._kill_broker,
            quotas.TERMINATED: self._end_connections,
        }
        self._faults = {name: fault for name, fault in faults.items() if name in tally.owed}

    def run(self, over: Callable[[], bool], due: Callable[[], float]) -> None:
        """Go on until it is over; each kind as far as ``due`` says: a share of its quota."""
        try:
            while not over():
                behind = [name for name in self._faults if self._tally.progress(name) <= _SURPLUS * due()]
                if behind:
                    self._faults[self._draw.choice(behind)]()
                time.sleep(_BREATH_SECONDS)
        except Exception as error:  # noqa: BLE001 - the run goes on, and fails at its end
            self._tally.broken.append(f"harness: {error!r}")

    def _stop_database(self) -> None:
        assert self._place.postgres is not None
        with self._tally.outage():
            self._place.postgres.stop_immediate()
            time.sleep(self._draw.uniform(*_DOWN_SECONDS))
            self._place.postgres.restart()
        self._tally.count(self._tally.faults, quotas.DATABASE)

    def _kill_broker(self) -> None:
        assert self._place.broker is not None
        with self._tally.outage():
            self._place.broker.kill()
            time.sleep(self._draw.uniform(*_DOWN_SECONDS))
            self._place.broker.start()
        self._tally.count(self._tally.faults, quotas.BROKER)

    def _end_connections(self) -> None:
        """End every connection to the store some times in a row, wherever its owner stands."""
        ended = 0
        try:
            with psycopg.connect(self._place.store.replace("+psycopg", ""), autocommit=True) as admin:
                for _ in range(100):
                    row = admin.execute(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND application_name = 'everwhen'"
                    ).fetchone()
                    ended += row[0] if row else 0
                    if ended >= _STORM_ENDS:
                        break
                    time.sleep(0.05)
        finally:
            if ended:
                self._tally.count(self._tally.faults, quotas.TERMINATED, ended)
