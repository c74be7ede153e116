"""Runs in turns: A B C, A B C, A B C. A machine that changes its speed meanwhile does so to all sides."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

R = TypeVar("R")


def in_turns(sides: Mapping[str, Callable[[], R]], rounds: int, *, quiet: bool = False) -> dict[str, list[R]]:
    """Run each side once a round; every other round goes backwards, so that no side always comes first.

    :param sides: what to run, by name.
    :param rounds: how often.
    :param quiet: do not tell stderr how far it is.
    :return: what each side returned, in the order of the rounds.
    """
    found: dict[str, list[R]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            gc.collect()  # one side's garbage is not the next one's
            began = time.monotonic()
            found[name].append(sides[name]())
            if not quiet:
                _tell(f"round {number + 1} of {rounds}: {name} ({time.monotonic() - began:.1f} s)")
    return found


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
