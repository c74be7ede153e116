"""Topics: where events of some classes live, and the contracts they keep."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.errors import DeclarationError
from everwhen.event.evolution import Evolution, F
from everwhen.event.model import Event, event_type
from everwhen.event.retraction import Retracted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from everwhen.event.codec import Codec
    from everwhen.event.contracts import Contracts
    from everwhen.event.foreign import Foreign

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Topic:
    """A topic of the log: its name, the event classes it may hold, and where their contract files are.

    ::

        accounts = Topic("bank.accounts", events=[Opened, Deposited, Closed], schemas="schemas/bank.accounts")

    An immutable value; two are equal if their names and event classes are. Threads can share it. The contract files
    are read when they are first needed, not here.

    :ivar name: the topic's name in the log.
    :ivar events: the event classes that it may hold.
    :ivar schemas: the directory of the contract files.
    :ivar partitions: how many partitions the topic is created with. One that exists keeps its own number.
    :ivar source: CloudEvents' ``source`` of what is published to it, a URI reference.
    :ivar evolution: what was renamed or retired, and the upcasters.
    :ivar foreign: how records become events that no publisher of ours wrote; ``None`` if there are none.
    """

    name: str
    events: tuple[type[Event], ...]
    schemas: Path
    partitions: int
    source: str
    evolution: Evolution
    foreign: Foreign | None

    def __init__(
        self,
        name: str,
        *,
        events: Iterable[type[Event]],
        schemas: str | Path,
        partitions: int = 4,
        source: str | None = None,
        renamed: Mapping[str, type[Event]] | None = None,
        retired: Iterable[type[Event]] = (),
        foreign: Foreign | None = None,
    ) -> None:
        """Declare a topic.

        :param name: 1 to 249 of the characters ``a-z A-Z 0-9 . _ -``, as Kafka has it.
        :param events: the classes of its events, each with a type name of its own. Corrections and retractions of
            them need no declaration.
        :param schemas: the directory whose ``TYPE/N.avsc`` are the contract files. A relative one starts at the
            working directory of the moment it is first needed; a package is safer with
            ``Path(__file__).parent / "schemas"``.
        :param source: ``/NAME`` if it is not given.
        :param renamed: event types by the names that they had once, with the classes that read them today. Their
            contract files stay where they are.
        :param retired: those of ``events`` that are read and handled, and published no more.
        :param foreign: the rule for records from elsewhere; see :mod:`everwhen.event.foreign`.
        :raises DeclarationError: if one of these cannot be meant.
        """
        classes = tuple(events)
        _check(name, classes, partitions)
        evolution = Evolution.declare(name, classes, renamed or {}, retired)
        values = (name, classes, Path(schemas), partitions, source or f"/{name}", evolution, foreign)
        for attribute, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, attribute, value)

    def upcast(self, event: type[Event] | str, *, version: int) -> Callable[[F], F]:
        """Register the decorated function as the upcaster of one version of an event type.

        ::

            @flights.upcast(Departed, version=1)
            def in_seconds(old: dict[str, Any]) -> dict[str, Any]:
                old["delay_seconds"] = old.pop("delay_minutes") * 60
                return old

        It is a pure function from the fields of that version, which are its own to change, to those of the next one.
        Fields are plain Python data: ``Decimal``, aware ``datetime``, ``date`` and ``UUID`` where the schema says so,
        an enum's symbol as ``str``, lists, and dicts for maps and models. It is applied whenever such an event is read,
        from the log or from the store; the bytes stay as they are. Versions without an upcaster are read by Avro's
        rules, and upcasters of later versions follow. Declare them where the topic is declared.

        :param event: the class, or the name of the type: one that it had once, if it was renamed. The newest version
            under such a name is followed by version 1 under today's.
        :param version: the number of the contract file that the old data were written with.
        :raises DeclarationError: if there is no such type, or an upcaster of the version already; if the function does
            not take one argument; or if the contracts were read before.
        """
        name = event if isinstance(event, str) else event_type(event)
        if "contracts" in self.__dict__:
            raise DeclarationError(
                f"topic {self.name}: its contracts were read before the upcaster of {name} version {version} was "
                "declared; declare upcasters where the topic is declared"
            )
        return lambda function: self.evolution.add(self.name, self.events, name, version, function)

    @cached_property
    def contracts(self) -> Contracts:
        """The contracts of the topic's events, read and checked at the first use and kept.

        :raises ContractError: listing everything that is wrong with the contract files.
        """
        # Not at the top: it loads fastavro, which a program that only declares its topics has no need of.
        from everwhen.event.contracts import Contracts

        return Contracts.load(self.schemas, self.events, self.evolution)

    @cached_property
    def codec(self) -> Codec:
        """The codec of the topic's events without a schema registry, made at the first use and kept.

        :raises ContractError: as :attr:`contracts`.
        """
        from everwhen.event.codec import Codec  # as above

        return Codec(self.contracts)

    def event_class(self, type: str) -> type[Event] | None:  # noqa: A002 - CloudEvents and Event call it so
        """Return the class of an event type, by its name or one it had; ``None`` if the topic does not hold it."""
        return self._by_type.get(type)

    @cached_property
    def _by_type(self) -> dict[str, type[Event]]:
        return {**self.evolution.renamed, **{event_type(event): event for event in self.events}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topic) and (self.name, self.events) == (other.name, other.events)

    def __hash__(self) -> int:
        return hash((self.name, self.events))

    def __repr__(self) -> str:
        return f"<Topic {self.name}>"


def _check(name: object, events: tuple[object, ...], partitions: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise DeclarationError(f"{name!r} is not a topic's name; use 1 to 249 of the characters a-z A-Z 0-9 . _ -")
    if not isinstance(partitions, int) or isinstance(partitions, bool) or partitions < 1:
        raise DeclarationError(f"topic {name}: partitions must be a whole number of at least 1")
    if not events:
        raise DeclarationError(f"topic {name} has no events; name the event classes that it may hold")
    seen: dict[str, type[Event]] = {}
    for event in events:
        if not isinstance(event, type) or not issubclass(event, Event):
            raise DeclarationError(f"topic {name}: {event!r} is not an event class; derive it from everwhen.Event")
        if event is Retracted:
            raise DeclarationError(f"topic {name}: leave Retracted out; every topic can hold it without declaring it")
        other = seen.setdefault(event_type(event), event)
        if other is not event or events.count(event) > 1:
            raise DeclarationError(f"topic {name}: {event_type(event)} stands for two classes; give each its own type")
