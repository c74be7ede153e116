"""Threads of which one runs at a time, in an order and a time of their own: so a run can be had again.

A task is a real thread, but it goes on only when it was given its turn. The turn changes where a task waits, ends or
passes a call to the log or the database, and nowhere else. The clock moves when all tasks wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

LIMIT: Final = 3600.0
"""Seconds of the clock after which something is taken to have got stuck."""
_PATIENCE: Final = 60.0
"""Real seconds that one turn may last."""


class Killed(BaseException):
    """The process of this task is dead: nothing of it may take place any more."""


class Stuck(Exception):
    """No task can ever go on, or the clock has run for too long."""


class Process:
    """Tasks that die, and stand still, together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stalled_until = 0.0

    def kill(self) -> None:
        """End the process: each of its tasks unwinds when it has its next turn."""
        self.dead = True


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, body: Callable[[], object]) -> None:
        self.process = process
        self.body = body
        self.turn = threading.Lock()
        self.turn.acquire()
        self.ready: Callable[[], Any] = bool  # until it waits for the first time it is not asked
        self.deadline: float | None = 0.0
        self.finished = False
        self.error: BaseException | None = None

    def wakes_at(self) -> float | None:
        """When it goes on though nothing happens; ``None``: never."""
        return None if self.deadline is None else max(self.deadline, self.process.stalled_until)

    def can_go_on(self, now: float) -> bool:
        """Whether it does not have to wait any more."""
        if self.process.dead:
            return True
        if now < self.process.stalled_until:
            return False
        return (self.deadline is not None and self.deadline <= now) or bool(self.ready())


class Scheduler:
    """Gives turns.

    :param choose: which of so many tasks goes on; the first of them is the one that has waited for longest.
    :param switches: whether the turn changes at a call too, and not only where a task waits.
    """

    def __init__(self, choose: Callable[[int], int], switches: Callable[[], bool] = lambda: False) -> None:
        self.now = 0.0
        self._choose = choose
        self._switches = switches
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._over = threading.Lock()
        self._over.acquire()
        self._failure: Stuck | None = None

    @property
    def failed(self) -> bool:
        """Whether it has given up."""
        return self._failure is not None

    @property
    def current(self) -> Task:
        """The task that has the turn."""
        assert self._current is not None
        return self._current

    def spawn(self, process: Process, body: Callable[[], object]) -> Task:
        """Make a task; it has its first turn when another one waits."""
        task = Task(process, body)
        self._tasks.append(task)
        threading.Thread(target=self._live, args=(task,), daemon=True).start()
        return task

    def run(self) -> None:
        """Let the tasks go on until all have ended.

        :raises Stuck: if they never do.
        """
        self._hand_over(self._choose_next())
        if not self._over.acquire(timeout=_PATIENCE):
            raise Stuck("a task waits in real time")
        if self._failure is not None:
            raise self._failure

    def wait(self, ready: Callable[[], Any], timeout: float | None = None) -> bool:
        """Wait for a condition, for so many seconds of the clock; return whether it holds.

        :raises Killed: if the process is dead.
        """
        task = self.current
        if not task.process.dead and self.now >= task.process.stalled_until and ready():
            return True
        task.ready = ready
        task.deadline = None if timeout is None else self.now + timeout
        self._give_turn(task)
        return bool(ready())

    def pause(self) -> None:
        """Pass a point at which another task may go on.

        :raises Killed: if the process is dead.
        """
        task = self.current
        if task.process.dead:
            raise Killed
        if self.now < task.process.stalled_until or self._switches():
            task.ready, task.deadline = bool, self.now
            self._give_turn(task)

    def _give_turn(self, task: Task) -> None:
        self._tasks.remove(task)
        self._tasks.append(task)
        if (chosen := self._choose_next()) is not task:
            self._hand_over(chosen)
            if not task.turn.acquire(timeout=_PATIENCE):
                raise Stuck("a task waits in real time")
        self._current = task
        if task.process.dead:
            raise Killed

    def _live(self, task: Task) -> None:
        task.turn.acquire()
        try:
            if not task.process.dead:
                task.body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            task.error = error
        task.finished = True
        self._tasks.remove(task)
        self._hand_over(self._choose_next())

    def _choose_next(self) -> Task | None:
        while self._tasks:
            able = [task for task in self._tasks if task.can_go_on(self.now)]
            if able:
                return able[self._choose(len(able))] if len(able) > 1 else able[0]
            self._advance()
        return None

    def _hand_over(self, chosen: Task | None) -> None:
        if chosen is None:
            self._over.release()
            return
        self._current = chosen
        chosen.turn.release()

    def _advance(self) -> None:
        later = [at for task in self._tasks for at in (task.wakes_at(), task.process.stalled_until) if at is not None]
        now = min((at for at in later if at > self.now), default=LIMIT)
        if now < LIMIT:
            self.now = now
            return
        self._failure = Stuck(f"at {self.now:.3f} s no task goes on, or never all of them end")
        for task in self._tasks:
            task.process.kill()


class Condition:
    """A ``threading.Condition`` for tasks. It excludes nobody: the turn does not change inside its block."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def notify_all(self) -> None:
        """Do nothing: who waits is asked again."""

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> bool:
        """Wait until the predicate holds, or for so many seconds."""
        return self._scheduler.wait(predicate, timeout)
