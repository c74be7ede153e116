"""Sessions that PostgreSQL's own timeouts do not end."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, text

_END: Final = text("""
SELECT pg_terminate_backend(session.pid)
FROM pg_stat_activity AS session
WHERE session.datname = current_database()
  AND session.usename = current_user
  AND session.pid <> pg_backend_pid()
  AND session.state = 'active'
  AND session.wait_event = 'ClientRead'
  AND session.query_start < clock_timestamp() - make_interval(secs => :seconds)
  AND EXISTS (
    SELECT FROM pg_locks AS lock
    WHERE lock.pid = session.pid
      AND lock.granted
      AND lock.mode = 'RowExclusiveLock'
      AND lock.relation = to_regclass(:rows)
  )
""")


def end_stuck(connection: Connection, rows: Table, seconds: float) -> None:
    """End sessions that have written to a table and wait for the rest of their rows for longer than a statement may.

    A client that is paused in the middle of a ``COPY`` is neither idle to PostgreSQL nor does it heed the timeouts of
    statements and transactions: while it waits for rows, only the end of the session ends it. It would keep its lock
    for as long as its machine acknowledges.

    :param seconds: the limit of a statement.
    """
    connection.execute(_END, {"seconds": seconds, "rows": rows.fullname})
