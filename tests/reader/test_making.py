"""Frozen objects that are made without their own ``__init__``."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from everwhen.reader import Answer
from everwhen.reader.answer import Version
from everwhen.reader.making import maker


@pytest.mark.parametrize("cls", [Answer, Version])
def test_what_is_made_is_what_the_class_makes(cls: type[Any]) -> None:
    """Each field has the value in its place, is as frozen, and none is left out."""
    values = [f"the {field.name}" for field in fields(cls)]
    made = maker(cls)(*values)
    assert made == cls(**{field.name: value for field, value in zip(fields(cls), values, strict=True)})
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(cls)[0].name, None)
    with pytest.raises(TypeError, match="missing 1 required"):
        maker(cls)(*values[:-1])
