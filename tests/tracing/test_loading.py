"""When OpenTelemetry is loaded and used: only in a program that uses it itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_RUN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
{before}
from everwhen import Publisher, Worker
from tests import ledger
from tests.ledger import Noted
topic = ledger.topic(Path("schemas"), partitions=1)
with Publisher(topic, "sqlite:///log.db") as publisher:
    publisher.publish("e", Noted(text="1"), occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    {between}
    publisher.publish("e", Noted(text="2"), occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
assert Worker(ledger.projection(topic), "sqlite:///log.db", "sqlite:///store.db").run(until="end").tally.applied == 2
print({tell})
"""
_NOT_INSTALLED = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
"""
_PROVIDER = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    trace.set_tracer_provider(provider)
"""
_LOADED = "sorted(name for name in sys.modules if name.startswith('opentelemetry'))"


@pytest.mark.parametrize(
    ("before", "between", "tell", "told"),
    [
        (_NOT_INSTALLED, "", _LOADED, "[]"),
        ("", "", _LOADED, "[]"),
        ("", _PROVIDER, "[span.kind.name for span in exported.get_finished_spans()]", "['PRODUCER', 'CONSUMER']"),
    ],
    ids=["not installed", "not used", "used from the second event on"],
)
def test_it_is_loaded_only_by_a_program_that_uses_it(
    before: str, between: str, tell: str, told: str, tmp_path: Path
) -> None:
    """Publishing and projecting in a process of their own; a provider counts from the moment when it is set."""
    code = _RUN.format(before=before, between=between, tell=tell)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(_ROOT)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == told, done.stderr
