"""A projection: how the events of a topic become states."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, overload

from pydantic import BaseModel

from everwhen.errors import DeclarationError
from everwhen.event import Envelope, Event, Topic, event_type
from everwhen.projection.arrival import Late
from everwhen.projection.fingerprint import fingerprint

S = TypeVar("S", bound=BaseModel)
E = TypeVar("E", bound=Event)

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Handler:
    """One registered function, with what its signature asks for."""

    function: Callable[..., Any]
    takes_envelope: bool
    """It declares a third parameter."""
    takes_none: bool
    """Its state parameter may be ``None``: it handles an entity that does not exist yet, or no more."""

    @property
    def name(self) -> str:
        """The function's qualified name, for messages."""
        return getattr(self.function, "__qualname__", repr(self.function))


class Projection(Generic[S]):
    """A value that says how to fold a topic's events into states of one model.

    ::

        account = Projection("account", version=1, topic=accounts, state=Account)

        @account.on(Opened)
        def opened(state: Account | None, event: Opened) -> Account: ...

    :param name: lower-case words joined by single underscores, at most 40 characters; it names tables and views.
    :param version: raise it when the meaning of the states changes; the store refuses to mix two versions.
    :param topic: where the events come from.
    :param state: the state model. It must survive a round trip through JSON: every handler gets a state that was
        read back from JSON, so that results do not depend on where batches begin.
    :param ignore: event classes of the topic that this projection leaves out on purpose.
    :param late: what an event means that occurred before the entity's latest one. ``"refold"``: it takes its place,
        and the states after it are folded again. ``"append"``: log order decides; it counts from the latest
        instant of the entity on, and no state of the past ever changes but by a correction or a retraction.
    :raises DeclarationError: if one of these cannot be meant.

    Handlers are pure functions ``(state, event)`` or ``(state, event, envelope)`` that return the next state, or
    ``None`` to delete the entity. They may change and return the state they were given: it is theirs alone. A handler
    whose state parameter is not annotated as optional is never called for an entity without a state; such a record
    is an error. Thread-safe once all handlers are registered.
    """

    def __init__(
        self,
        name: str,
        *,
        version: int,
        topic: Topic,
        state: type[S],
        ignore: Collection[type[Event]] = (),
        late: Late = "refold",
    ) -> None:
        if not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT:
            raise DeclarationError(
                f"projection name {name!r} must be lower-case words joined by single underscores, such as "
                f"'account' or 'open_orders', at most {_NAME_LIMIT} characters: it names tables and views"
            )
        if type(version) is not int or version < 1:
            raise DeclarationError(f"projection {name}: version must be a whole number from 1 on")
        if not isinstance(topic, Topic):
            raise DeclarationError(f"projection {name}: topic must be an everwhen.Topic")
        if not inspect.isclass(state) or not issubclass(state, BaseModel) or state is BaseModel:
            raise DeclarationError(f"projection {name}: state must be a pydantic model class")
        self.name = name
        self.version = version
        self.topic = topic
        if late not in get_args(Late):
            raise DeclarationError(f"projection {name}: late must be 'refold' or 'append'")
        self.state = state
        self.late: Late = late
        self._handlers: dict[str, Handler] = {}
        self._ignored = frozenset(self._type_of(event) for event in ignore)

    def __repr__(self) -> str:
        return f"Projection({self.name!r}, version={self.version}, topic={self.topic.name!r})"

    def on(self, event: type[E]) -> _Registrar[S, E]:
        """Register the decorated function as the handler of one event class.

        :raises DeclarationError: if the class is not of the topic, is ignored or has a handler already, or if the
            function does not take ``(state, event)`` or ``(state, event, envelope)``.
        """
        name = self._type_of(event)
        if name in self._ignored:
            raise DeclarationError(f"projection {self.name} ignores {name}, so it cannot have a handler too")
        if name in self._handlers:
            raise DeclarationError(
                f"projection {self.name} has a handler for {name} already: {self._handlers[name].name}"
            )
        return _Registrar(self._handlers, name, self.name)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by event type."""
        return types.MappingProxyType(self._handlers)

    @property
    def ignored(self) -> frozenset[str]:
        """The event types that are left out on purpose."""
        return self._ignored

    @property
    def fingerprint(self) -> str:
        """A digest of the state model, the handlers and what else decides; see
        :mod:`everwhen.projection.fingerprint`."""
        functions = {name: h.function for name, h in self._handlers.items()}
        past = self.topic.evolution
        handled = [event for event in self.topic.events if event_type(event) in functions]
        return fingerprint(
            self.state,
            functions,
            self._ignored,
            appends=self.late == "append",
            upcasters={key: each.function for event in handled for key, each in past.upcasters_of(event).items()},
            renamed={old: event_type(event) for event in handled for old in past.renamed_to(event)},
            foreign=self.topic.foreign,
        )

    def check_complete(self) -> None:
        """Make sure that every event type of the topic is handled or ignored.

        :raises DeclarationError: naming those that are not.
        """
        missing = [
            event.__name__
            for event in self.topic.events
            if event_type(event) not in self._handlers.keys() | self._ignored
        ]
        if missing:
            raise DeclarationError(
                f"projection {self.name} has no handler for {', '.join(missing)} of topic {self.topic.name}; add one "
                f"with @{self.name}.on(...), or leave the type out on purpose with Projection(..., ignore=[...])"
            )

    def _type_of(self, event: type[Event]) -> str:
        if event not in self.topic.events:
            shown = getattr(event, "__name__", repr(event))
            raise DeclarationError(f"projection {self.name}: {shown} is not an event class of topic {self.topic.name}")
        return event_type(event)


class _Registrar(Generic[S, E]):
    """The decorator that :meth:`Projection.on` returns."""

    def __init__(self, handlers: dict[str, Handler], event_name: str, projection: str) -> None:
        self._handlers = handlers
        self._event_name = event_name
        self._projection = projection

    @overload
    def __call__(self, function: Callable[[S, E], S | None]) -> Callable[[S, E], S | None]: ...

    @overload
    def __call__(
        self, function: Callable[[S, E, Envelope[E]], S | None]
    ) -> Callable[[S, E, Envelope[E]], S | None]: ...

    def __call__(self, function: Callable[..., S | None]) -> Callable[..., S | None]:
        where = f"projection {self._projection}: the handler of {self._event_name}"
        if inspect.iscoroutinefunction(function):
            raise DeclarationError(f"{where} must be a plain function; it is folded again and again and may not wait")
        parameters = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        if len(parameters) not in (2, 3) or any(p.kind not in _POSITIONAL for p in parameters):
            raise DeclarationError(f"{where} must take (state, event) or (state, event, envelope)")
        self._handlers[self._event_name] = Handler(
            function, takes_envelope=len(parameters) == 3, takes_none=_takes_none(function, parameters[0].name)
        )
        return function


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _takes_none(function: Callable[..., Any], parameter: str) -> bool:
    """Say whether a parameter's annotation admits ``None``; without a readable annotation it does."""
    try:
        hint = typing.get_type_hints(function).get(parameter, Any)
    except (NameError, TypeError):
        return True
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return type(None) in typing.get_args(hint)
    return not (isinstance(hint, type) and issubclass(hint, BaseModel))
