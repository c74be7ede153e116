"""What a store must do in a process that was forked off."""

from __future__ import annotations

import os

import pytest

from everwhen.ports.answers import AsOf
from everwhen.ports.store import Store
from everwhen.projection.rows import Changes
from everwhen.testing.forks import assert_refused_in_child
from everwhen.testing.store_samples import THINGS, blueprint, head, prepared, version


class StoreForked:
    """Needs the fixture ``store``."""

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_use_in_a_forked_child(self, store: Store) -> None:
        """The child is told, as it would share its parent's connections; closing does nothing, the parent goes on."""
        (part,) = prepared(store)
        reader = store.reader("thing")
        reader.marks()
        uses = [
            reader.marks,
            lambda: reader.find("e", AsOf(0)),
            lambda: part.write(Changes()),
            lambda: store.prepare(blueprint()),
            lambda: store.claim(part.claim.generation, [0], THINGS),
            lambda: store.next_offset(part.claim),
        ]
        assert_refused_in_child(uses, [store.close])
        row = version()
        part.write(Changes(inserted=[row], heads=[head(row)]))
        assert reader.rows("e").versions == [row]
