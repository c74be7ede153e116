"""Bugs in what reads what, and in upcasters."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug

_compatibility = partial(Bug, file="event/compatibility.py")
_lineage = partial(Bug, file="event/lineage.py")
_opening = partial(Bug, file="event/opening.py")
_examination = partial(Bug, file="event/examination.py")

_PAIRS = "tests/event/test_schema_pairs.py::"
_UPCASTERS = "tests/event/test_upcasters.py::"

BUGS = [
    _compatibility(
        "a field that the writer lacks needs no default",
        before="                if name not in reader.defaults:\n",
        after="                if name not in reader.children:\n",
        tests=(_PAIRS + "test_apache_agrees_or_the_difference_is_explained",),
    ),
    _compatibility(
        "an alias of a type is not followed",
        before="    return writer.name in reader.aliases\n",
        after="    return writer.name in reader.aliases[:0]\n",
        tests=(_PAIRS + "test_apache_agrees_or_the_difference_is_explained",),
    ),
    _compatibility(
        "a default excuses a removed symbol of an event's enum",
        before="        if rule is Rule.DEFAULT and not self._strict:\n",
        after="        if rule is Rule.DEFAULT:\n",
        tests=(_PAIRS + "test_strict_is_stricter",),
    ),
    _lineage(
        "the newest version under a former name leads nowhere",
        before="    return [*later, *own] if version in later else [version]\n",
        after="    return later if version in later else [version]\n",
        tests=(_UPCASTERS + "test_a_renamed_type_is_read_by_its_class",),
    ),
    _opening(
        "an upcaster gets no defaults of fields that its version added",
        before="        return {**copy.deepcopy(new), **resolved}\n",
        after="        return resolved\n",
        tests=(_UPCASTERS + "test_upcasters_are_chained_and_avro_fills_what_lies_between",),
    ),
    _examination(
        "a version past the first upcaster is compared with the class",
        before="    target = steps[0].source if steps else line[-1]\n",
        after="    target = line[-1]\n",
        tests=(_UPCASTERS + "test_a_change_of_meaning_is_bridged",),
    ),
    Bug(
        "a registry that refuses the credentials is waited for",
        "worker/schemas.py",
        "        if isinstance(error, SchemaWithheld):\n",
        "        if False:\n",
        ("tests/registry/test_outages.py::test_a_wrong_password_is_no_outage",),
    ),
]
