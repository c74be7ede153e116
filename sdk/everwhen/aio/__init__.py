"""For services on asyncio: publish, ask and wait without blocking the event loop.

One thin layer over the same code: every method is that of the synchronous class, run by a few threads of its own.
Waiting takes none of them: for the log's acknowledgement there is a callback, and between two looks at the store
a wait for a token sleeps in the loop.
"""

from __future__ import annotations

from everwhen.aio.publisher import AsyncPublisher
from everwhen.aio.reader import AsyncReader
from everwhen.aio.streams import AsyncStream

__all__ = ["AsyncPublisher", "AsyncReader", "AsyncStream"]
