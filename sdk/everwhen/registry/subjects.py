"""Under which subject of a registry a schema stands.

Source: Confluent's documentation, "Schema Registry concepts", section "Subject name strategy". The names are those of
its classes, without the word Strategy.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

Subjects: TypeAlias = Literal["TopicRecordName", "TopicName", "RecordName"]
"""How a subject is named: ``TOPIC-TYPE``, ``TOPIC-value`` or ``TYPE``.

Versions are compared within a subject. ``TopicName`` puts all types of a topic into one, so it fits topics of one
event type only.
"""

STRATEGIES: Final[tuple[Subjects, ...]] = get_args(Subjects)


def subject_of(strategy: Subjects, topic: str, event_type: str) -> str:
    """Return the subject of an event type in a topic."""
    match strategy:
        case "TopicRecordName":
            return f"{topic}-{event_type}"
        case "TopicName":
            return f"{topic}-value"
        case "RecordName":
            return event_type
