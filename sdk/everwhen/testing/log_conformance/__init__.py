"""What every log must do: subclass :class:`LogConformance` and give it a ``kit``.

::

    class TestMyLog(LogConformance):
        @pytest.fixture
        def kit(self, tmp_path: Path) -> LogKit:
            return MyKit(tmp_path)

A topic of a test has :data:`PARTITIONS` partitions and is its own. Nothing here sleeps: what takes its time in a
real log is polled for until a deadline.
"""

import pytest

# Before they are imported: a failing assertion then shows its values, as those of test modules do.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("groups", "lifetimes", "reading", "topics", "writing"))
)

from everwhen.testing.log_conformance.groups import Groups  # noqa: E402
from everwhen.testing.log_conformance.kit import JAVA_MURMUR2, PARTITIONS, PATIENCE, LogKit  # noqa: E402
from everwhen.testing.log_conformance.lifetimes import Lifetimes  # noqa: E402
from everwhen.testing.log_conformance.reading import Reading  # noqa: E402
from everwhen.testing.log_conformance.tools import Answers, Follower, poll_until, publish, read_all  # noqa: E402
from everwhen.testing.log_conformance.topics import Topics  # noqa: E402
from everwhen.testing.log_conformance.writing import Writing  # noqa: E402

__all__ = [
    "JAVA_MURMUR2",
    "PARTITIONS",
    "PATIENCE",
    "Answers",
    "Follower",
    "LogConformance",
    "LogKit",
    "poll_until",
    "publish",
    "read_all",
]


class LogConformance(Writing, Reading, Groups, Topics, Lifetimes):
    """The whole suite. ``kit`` is the one fixture that a subclass gives."""
