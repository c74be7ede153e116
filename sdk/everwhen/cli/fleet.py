"""The processes of one machine that share a worker's work, and the one that watches over them.

Each is a fork of the first, made before any of the user's code is imported and before any thread is started. The first
one works on nothing itself. It passes signals on, and when a process ends that should not, it stops the others and
ends: whoever started it starts everything again. Should it die, a pipe tells the others, and they stop as well.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from types import FrameType

from everwhen.cli.exits import Exit

_log = logging.getLogger("everwhen.worker")
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)


@dataclass
class Fleet:
    """The processes, seen from the one that watches over them.

    :param to_end: whether they end by themselves.
    """

    to_end: bool
    _numbers: dict[int, int] = field(default_factory=dict)
    _is_stopping: bool = False
    _code: int = Exit.DONE

    def launch(self, count: int) -> int | None:
        """Fork the processes; return in each of them its number, from 0 on, and in the first ``None``."""
        sys.stdout.flush()
        sys.stderr.flush()
        watched, held = os.pipe()
        # A signal that comes in between is delivered when all are there to be told.
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        for number in range(count):
            pid = os.fork()
            if pid == 0:
                os.close(held)
                _begin(watched, number)
                return number
            self._numbers[pid] = number
        os.close(watched)
        for each in _PASSED_ON:
            signal.signal(each, self._pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        _log.info("fleet.started %d processes: %s", count, ", ".join(map(str, self._numbers)))
        return None

    def watch(self) -> int:
        """Wait until all processes have ended; return the exit code, which is that of the first that failed."""
        while self._numbers:
            pid, status = os.wait()
            if (number := self._numbers.pop(pid, None)) is not None:
                self._note(number, pid, os.waitstatus_to_exitcode(status))
        return self._code

    def _note(self, number: int, pid: int, code: int) -> None:
        if code == Exit.DONE and (self.to_end or self._is_stopping):
            return
        facts = {"process_number": number, "pid": pid, "code": code}
        if code < 0:
            if self._is_stopping and -code in _PASSED_ON:
                return  # it was told before it could listen
            name = signal.Signals(-code).name
            _log.error(
                "process.killed process %d (pid %d) by %s; the others are stopped", number, pid, name, extra=facts
            )
            self._fail(Exit.PROCESS_DIED)
        else:
            message = "process.ended process %d (pid %d) with exit code %d; the others are stopped"
            _log.log(logging.ERROR if code else logging.WARNING, message, number, pid, code, extra=facts)
            self._fail(code)

    def _fail(self, code: int) -> None:
        self._code = self._code or code
        if not self._is_stopping:
            self._tell(signal.SIGTERM)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._tell(number)

    def _tell(self, number: int) -> None:
        self._is_stopping = True
        for pid in list(self._numbers):
            os.kill(pid, number)  # it is there until it is waited for


def _begin(watched: int, number: int) -> None:
    """Make a forked process ready: signals of a terminal reach it through the first process only."""
    os.setpgid(0, 0)
    for each in _PASSED_ON:
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    threading.Thread(target=_end_with_the_first, args=(watched, number), name="everwhen-watch", daemon=True).start()


def _end_with_the_first(watched: int, number: int) -> None:
    os.read(watched, 1)  # nobody writes: it returns when the other end is closed by the first process's death
    _log.warning(
        "process.orphaned process %d stops, as the first one is gone", number, extra={"process_number": number}
    )
    os.kill(os.getpid(), signal.SIGTERM)
