"""Bugs in builds that stand side by side: who writes which, which one answers, and what tells them apart."""

from __future__ import annotations

from functools import partial

from tests.mutation.bug import Bug
from tests.mutation.selections import SQLITE

_catalog = partial(Bug, file="sql/catalog.py")
_generations = partial(Bug, file="sql/generations.py")
_current = partial(Bug, file="reader/current.py")
_compare = partial(Bug, file="reader/compare.py")

_READING = "tests/reader/test_generations.py::"
_COMPARED = "tests/reader/test_compare.py::"
_MINE = SQLITE + "test_a_worker_gets_the_generation_that_its_code_built"
_SWITCHED = SQLITE + "test_a_switch_changes_what_answers_and_nothing_else"
_GONE = SQLITE + "test_what_is_dropped_is_gone"
_PINNED = _READING + "test_an_answer_that_is_pinned_comes_from_the_generation_that_gave_it"
_DIFFERENCES = _COMPARED + "test_exactly_the_entities_that_differ_are_named"

_WRITING = [
    _catalog(
        "a worker that names a generation writes into what other code built",
        before="            self.check_same(generation, blueprint)\n            return generation\n",
        after="            return generation\n",
        tests=(_MINE,),
    ),
    _catalog(
        "a worker gets the newest generation although the one that answers is its own",
        before="for generation in (live, *(build.generation for build in reversed(builds))):",
        after="for generation in (*(build.generation for build in reversed(builds)), live):",
        tests=(_MINE,),
    ),
    _generations(
        "a rebuild that was broken off begins anew",
        before='if build.state == "building" and is_same(',
        after='if build.state == "live" and is_same(',
        tests=(SQLITE + "test_a_rebuild_that_was_broken_off_goes_on",),
    ),
    Bug(
        "a generation that was dropped can be claimed",
        file="sql/continuity.py",
        before='of_generation(self._generations, generation), table.state != "dropped")',
        after='of_generation(self._generations, generation), table.state != "nothing")',
        tests=(_GONE,),
    ),
]

_ANSWERING = [
    _generations(
        "a switch leaves two generations that answer",
        before='live._replace(state="retired", retired_at',
        after='live._replace(state="live", retired_at',
        tests=(_SWITCHED,),
    ),
    _generations(
        "what answers can be dropped",
        before='        if build.state == "live":\n            raise ArgumentError(f"{what} answers; switch',
        after='        if build.state == "gone":\n            raise ArgumentError(f"{what} answers; switch',
        tests=(SQLITE + "test_what_answers_is_not_dropped",),
    ),
    _generations(
        "what answered a moment ago can be dropped",
        before="time.time_ns() // 1000 < build.retired_at + _STILL_ASKED",
        after="time.time_ns() // 1000 < build.retired_at",
        tests=(SQLITE + "test_what_answers_is_not_dropped",),
    ),
    _generations(
        "the number of a dropped generation is given again",
        before=".where(self._table.c.projection == self._projection)\n        return int",
        after=".where(self._table.c.state != 'dropped')\n        return int",
        tests=(_GONE,),
    ),
    _generations(
        "the checkpoints of a dropped generation stay",
        before="for table in (self._shared.checkpoints, self._shared.decisions):",
        after="for table in (self._shared.decisions,):",
        tests=(_GONE,),
    ),
    _current(
        "a reader never looks whether another generation answers",
        before="now - opened[1] < _NOTICE_SECONDS",
        after="now >= opened[1]",
        tests=(_READING + "test_an_open_reader_notices_a_switch_and_the_way_back",),
    ),
    _current(
        "a basis is asked of whatever answers now",
        before="if pinned is None or pinned == current.generation.number:",
        after="if pinned != current.generation.number or pinned:",
        tests=(_PINNED,),
    ),
    _catalog(
        "what a dropped generation said is asked of other code",
        before="if dropped is not None and replace(dropped, number=generation.number) == generation:",
        after="if dropped is not None:",
        tests=(SQLITE + "test_answers_of_a_dropped_generation_are_given_by_its_like",),
    ),
    Bug(
        "a belief is folded by other code than had it",
        file="reader/states.py",
        before="(self._projection.version, self._fingerprint) != (generation.version, generation.fingerprint):",
        after="(generation.version, generation.fingerprint) is None:",
        tests=(_READING + "test_a_belief_that_must_be_folded_is_folded_by_the_code_that_had_it",),
    ),
]

_COMPARING = [
    _compare(
        "a comparison goes as far as the one that is ahead",
        before="min(mark.next_offset, new.next_offset(partition))",
        after="max(mark.next_offset, new.next_offset(partition))",
        tests=(_DIFFERENCES,),
    ),
    _compare(
        "an entity that only one of them has read shifts the others",
        before="        elif one is None or other[0].entity_id < one[0].entity_id:\n            yield None, other\n",
        after="        elif one is None or other[0].entity_id < one[0].entity_id:\n            yield one, other\n",
        tests=(_DIFFERENCES,),
    ),
    _compare(
        "what one of them set aside is not compared",
        before="        if _is_parked(old, self.basis) != _is_parked(new, self.basis):\n",
        after="        if _is_parked(old, self.basis) is None:\n",
        tests=(_COMPARED + "test_what_only_one_of_them_set_aside_is_told",),
    ),
    _compare(
        "what one of them does not keep is taken for a difference",
        before="        if any(_is_uncertain(head, self.basis) for head, _ in sides):\n",
        after="        if not sides:\n",
        tests=(_COMPARED + "test_what_one_of_them_does_not_keep_is_unknown",),
    ),
]

BUGS: list[Bug] = [*_WRITING, *_ANSWERING, *_COMPARING]
