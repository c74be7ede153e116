"""The tests that bugs name more than once."""

from __future__ import annotations

_TIMELINE = "tests/timeline/test_timeline.py::"
BELIEFS = _TIMELINE + "test_every_stored_belief_equals_the_oracle_and_every_present_one_is_stored"
APPEND = _TIMELINE + "test_under_append_log_order_decides"
EVENTS = _TIMELINE + "test_the_events_to_fold_are_all_in_the_rows"
HEAD = _TIMELINE + "test_the_head_describes_the_versions"
REPEATED = _TIMELINE + "test_an_id_that_comes_again_is_judged_the_same_in_one_batch_and_in_two"
USED_ID = _TIMELINE + "test_a_withdrawal_under_a_used_id_that_names_another_event_is_a_conflict"
BOUNDS = "tests/timeline/test_bounds.py::"

PASSAGE = "tests/timeline/test_passage.py::"
LAST_GOOD = PASSAGE + "test_rows_are_those_of_the_last_good_basis"
CUTS = PASSAGE + "test_batches_do_not_show"

_CHRONICLE = "tests/timeline/test_chronicle.py::"
FOLDING = _CHRONICLE + "test_folding_gives_what_the_rows_would_have"
DEFINITION = _CHRONICLE + "test_folding_says_what_the_definition_says"
REPLAY = _CHRONICLE + "test_a_replay_gives_every_row_back"
PLANE = _CHRONICLE + "test_beliefs_cover_the_plane_once"

SQLITE = "tests/store/test_sqlite_store.py::TestSqliteStore::"
POSTGRES = "tests/store/test_postgres_store.py::TestPostgresStore::"
ANSWERS = SQLITE + "test_answers_follow_the_definition"
UNSTORED = SQLITE + "test_what_is_not_stored_is_said"

STATUSES = "tests/reader/test_statuses.py::"
EDGES = "tests/reader/test_edge_cases.py::"
OWN_WRITES = "tests/reader/test_own_writes.py::"
