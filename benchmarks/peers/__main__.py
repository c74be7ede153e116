"""``python -m benchmarks.peers``: fetch and build all peers, once."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.harness.rig import Unavailable
from benchmarks.peers import asof, quix, replay, streams


def main() -> None:
    """Prepare each peer; say why where one cannot be had."""
    peers: tuple[Callable[[], None], ...] = (
        quix.ENVIRONMENT.prepare,
        replay.ENVIRONMENT.prepare,
        asof.ENVIRONMENT.prepare,
        streams.prepare,
    )
    for prepare in peers:
        try:
            prepare()
        except Unavailable as reason:
            print(f"going on without: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
