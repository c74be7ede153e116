"""Which typed columns a state model gives, for views that a BI tool can read."""

from __future__ import annotations

import types
import typing
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel

_KINDS: dict[type, str] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    datetime: "instant",
    date: "date",
    UUID: "uuid",
}


def columns(state: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Return ``(field, kind)`` for every field; kinds as in :class:`everwhen.ports.generations.Blueprint`."""
    return tuple((name, _kind(field.annotation)) for name, field in state.model_fields.items())


def _kind(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _kind(members[0]) if len(members) == 1 else "json"
    if origin is typing.Annotated:
        return _kind(typing.get_args(annotation)[0])
    return _KINDS.get(annotation, "json") if isinstance(annotation, type) else "json"
