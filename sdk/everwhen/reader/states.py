"""From a stored state to what the caller wants to see: the projection's model, or a plain dict."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from everwhen.errors import GenerationMismatch, NotStored
from everwhen.event import Event, Retracted, event_type
from everwhen.ports.generations import Generation
from everwhen.projection import Fold, Folder, Projection

S = TypeVar("S", covariant=True)
M = TypeVar("M", bound=BaseModel)

_RETRACTED = event_type(Retracted)


class States(Protocol[S]):
    """How a reader shows states, and whether it can fold them itself."""

    def read(self, state: str, generation: Generation) -> S:
        """Turn a stored state into what the caller gets."""
        ...

    def folding(self, entity_id: str, generation: Generation) -> Fold:
        """Return the function that applies one stored event of the entity.

        :raises NotStored: without the code that built the generation.
        """
        ...

    def event(self, value: bytes, event_type: str) -> Event | None:
        """Return a stored event; ``None`` without the projection's code."""
        ...

    def document(self, state: Any) -> Any:
        """Return a shown state as JSON has it."""
        ...


class ModelStates(Generic[M]):
    """States as instances of the projection's model."""

    def __init__(self, projection: Projection[M]) -> None:
        self._projection = projection
        self._read = projection.state.__pydantic_validator__.validate_json

    def read(self, state: str, generation: Generation) -> M:
        """Validate a stored state as the model.

        :raises GenerationMismatch: if the stored state is not one of this model.
        """
        try:
            model: M = self._read(state, by_alias=False, by_name=True)
        except ValidationError:
            # Not chained: pydantic's text shows the values.
            raise GenerationMismatch(
                f"a stored state of projection {generation.projection} version {generation.version} is not a "
                f"{self._projection.state.__name__} of version {self._projection.version}; read with the code that "
                f"built it, or as plain dicts with Reader({generation.projection!r}, ...)"
            ) from None
        return model

    def folding(self, entity_id: str, generation: Generation) -> Fold:
        """Return the function that applies one stored event.

        :raises NotStored: if other code built the generation: what it believed cannot be folded by this.
        """
        if (self._projection.version, self._fingerprint) != (generation.version, generation.fingerprint):
            raise NotStored(
                f"what was believed of entity {entity_id!r} at this basis is not kept as rows, and this program is "
                f"not the code that built generation {generation.number} of projection {generation.projection} "
                f"(version {generation.version}, code {generation.fingerprint[:12]}): ask with that code"
            )
        return Folder(self._projection).fold

    @cached_property
    def _fingerprint(self) -> str:
        return self._projection.fingerprint  # it reads the source of every handler, which takes milliseconds

    def document(self, state: Any) -> Any:
        """Return a state's fields by their names, as they are stored."""
        return state.model_dump(mode="json", by_alias=False, round_trip=True)

    def event(self, value: bytes, event_type: str) -> Event | None:
        """Return a stored event, as its class is today; ``None`` for a type that is no more."""
        known = event_type == _RETRACTED or self._projection.topic.event_class(event_type) is not None
        return self._projection.topic.codec.decode(value) if value and known else None


class DictStates:
    """States as plain dicts, for a reader that does not have the projection's code."""

    def read(self, state: str, generation: Generation) -> dict[str, Any]:
        """Read the state's JSON."""
        data: dict[str, Any] = json.loads(state)
        return data

    def document(self, state: Any) -> Any:
        """Return the dict itself."""
        return state

    def event(self, value: bytes, event_type: str) -> Event | None:
        """Return nothing: there are no event classes here."""
        return None

    def folding(self, entity_id: str, generation: Generation) -> Fold:
        """Refuse: there are no handlers here."""
        raise NotStored(
            f"what was believed of entity {entity_id!r} at this basis is not kept as rows; it can be folded by a "
            "reader that has the projection's code: Reader(projection, ...) instead of Reader('name', ...)"
        )
