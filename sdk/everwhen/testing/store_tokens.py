"""What every store must tell those who wait: a part of the suite in :mod:`everwhen.testing.store_conformance`."""

from __future__ import annotations

import pytest

from everwhen.errors import ClosedError
from everwhen.ports.listening import Standing
from everwhen.ports.store import Store
from everwhen.positions import Mark
from everwhen.projection.rows import Changes
from everwhen.testing.store_samples import THINGS, blueprint, head, prepared, version


class StoreTokens:
    """How far a generation is; needs the fixture ``store``."""

    def test_where_a_partition_stands(self, store: Store) -> None:
        """And in which log, so that a token of another one is noticed; nothing before it was ever claimed."""
        store.prepare(blueprint())
        reader = store.reader("thing")
        assert reader.standing(0) is None
        (part,) = prepared(store)
        part.write(Changes(), Mark(7, 100))
        assert reader.standing(0) == Standing(7, THINGS.cluster_id, THINGS.topic_id)
        assert reader.standing(1) is None

    def test_which_event_of_an_entity_came(self, store: Store) -> None:
        """An event id is one entity's own."""
        (part,) = prepared(store)
        part.write(Changes(inserted=[version(event_id="%_'")], heads=[head(version())]))
        reader = store.reader("thing")
        assert reader.knows("e", "%_'")
        assert not reader.knows("e", "%_")
        assert not reader.knows("f", "%_'")

    def test_listening_does_not_wait_for_anything(self, store: Store) -> None:
        """Whether the database tells of batches or not, of any projection. Closing the store ends it."""
        with store.listening("thing", lambda moved: None), store.listening("nothing", lambda moved: None):
            prepared(store)[0].write(Changes())
        with store.listening("thing", lambda moved: None) as listening:
            store.close()
            assert not listening.active
        with pytest.raises(ClosedError):
            store.reader("thing")
