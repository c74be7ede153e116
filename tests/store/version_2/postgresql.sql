CREATE SCHEMA everwhen;
CREATE TABLE everwhen.checkpoints (
    projection text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL,
    cluster_id text NOT NULL,
    topic_id text NOT NULL,
    next_offset bigint NOT NULL,
    leader_epoch integer,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    watermark timestamp with time zone,
    quiet_until timestamp with time zone,
    last_offset bigint,
    last_checksum bigint,
    trouble text,
    trouble_from bigint,
    trouble_to bigint,
    attempts integer NOT NULL,
    suspect_offset bigint,
    suspect_records integer,
    suspect_deaths integer,
    suspect_epoch bigint
)
WITH (fillfactor='70');
COMMENT ON COLUMN everwhen.checkpoints.watermark IS 'null before the first record';
COMMENT ON COLUMN everwhen.checkpoints.quiet_until IS 'nothing comes any more that was recorded up to here';
COMMENT ON COLUMN everwhen.checkpoints.last_offset IS 'of the last record that was applied';
COMMENT ON COLUMN everwhen.checkpoints.last_checksum IS 'CRC-32 of that record';
COMMENT ON COLUMN everwhen.checkpoints.trouble IS 'why the partition stands still: the class of an error';
COMMENT ON COLUMN everwhen.checkpoints.attempts IS 'claims since the last batch that were not released';
COMMENT ON COLUMN everwhen.checkpoints.suspect_offset IS 'where records were about to be applied';
COMMENT ON COLUMN everwhen.checkpoints.suspect_records IS 'how many';
COMMENT ON COLUMN everwhen.checkpoints.suspect_deaths IS 'in how many claims';
COMMENT ON COLUMN everwhen.checkpoints.suspect_epoch IS 'the last of these claims';
CREATE TABLE everwhen.decisions (
    projection text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    partition integer NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    reason text NOT NULL
);
COMMENT ON COLUMN everwhen.decisions.kind IS 'gap, roll-back, restart or partitions';
CREATE TABLE everwhen.generations (
    projection text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    version integer NOT NULL,
    fingerprint text NOT NULL,
    topic text NOT NULL,
    state text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    partitions integer
);
COMMENT ON COLUMN everwhen.generations.state IS 'live, building or retired';
COMMENT ON COLUMN everwhen.generations.partitions IS 'how many the topic had; null before the first claim';
CREATE TABLE everwhen.ledger__1_entities (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    state json,
    first_valid timestamp with time zone,
    last_valid timestamp with time zone,
    last_offset bigint NOT NULL,
    versions bigint NOT NULL,
    lead bigint NOT NULL,
    withdrawals bigint NOT NULL,
    unstored_offset bigint,
    unstored_valid timestamp with time zone,
    quarantined_offset bigint,
    unstored_at timestamp with time zone,
    quarantined_at timestamp with time zone,
    pruned_before timestamp with time zone,
    failing_valid timestamp with time zone,
    failing_offset bigint,
    mended_offset bigint,
    mended_from bigint
)
WITH (fillfactor='70');
COMMENT ON COLUMN everwhen.ledger__1_entities.lead IS 'microseconds';
CREATE TABLE everwhen.ledger__1_versions (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    valid_from timestamp with time zone NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    refolded_offset bigint,
    refolded_at timestamp with time zone,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    correlation_id text,
    causation_id text,
    withdraws text,
    event bytea NOT NULL,
    state json
);
CREATE VIEW everwhen.ledger AS
 SELECT ledger__1_entities.entity_id,
    version.valid_from,
    version.event_type,
    (version.state -> 'notes'::text) AS notes
   FROM (everwhen.ledger__1_entities
     JOIN LATERAL ( SELECT ledger__1_versions.state,
            ledger__1_versions.valid_from,
            ledger__1_versions.event_type
           FROM everwhen.ledger__1_versions
          WHERE ((ledger__1_versions.entity_id = ledger__1_entities.entity_id) AND (ledger__1_versions.valid_from <= now()))
          ORDER BY ledger__1_versions.valid_from DESC, ledger__1_versions."offset" DESC
         LIMIT 1) version ON (true))
  WHERE (version.state IS NOT NULL);
CREATE TABLE everwhen.ledger__1_conflicts (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    event_id text NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    event bytea NOT NULL
);
CREATE TABLE everwhen.ledger__1_quarantine (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    entity_id text COLLATE pg_catalog."C",
    recorded_at timestamp with time zone NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,
    error_class text,
    error text,
    attempts integer NOT NULL,
    status text NOT NULL,
    reason text,
    request text
);
COMMENT ON COLUMN everwhen.ledger__1_quarantine.error_class IS 'null for what only waits';
COMMENT ON COLUMN everwhen.ledger__1_quarantine.status IS 'failed, waiting or discarded';
COMMENT ON COLUMN everwhen.ledger__1_quarantine.request IS 'retry or discard, until the worker has done it';
CREATE TABLE everwhen.ledger__1_superseded (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    valid_from timestamp with time zone NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    refolded_offset bigint,
    refolded_at timestamp with time zone,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    correlation_id text,
    causation_id text,
    withdraws text,
    event bytea NOT NULL,
    state json,
    ended_offset bigint NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    withdrawn boolean NOT NULL
);
CREATE TABLE everwhen.ledger__1_withdrawals (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    target_id text NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    event bytea NOT NULL
);
CREATE VIEW everwhen.ledger_history AS
 SELECT entity_id,
    version_key,
    valid_from,
    valid_to,
    is_deleted,
    event_type,
    ((valid_from <= now()) AND ((valid_to IS NULL) OR (valid_to > now()))) AS is_current,
    (state -> 'notes'::text) AS notes
   FROM ( SELECT ledger__1_versions.entity_id,
            md5(concat_ws('|'::text, ledger__1_versions.entity_id, ((EXTRACT(epoch FROM ledger__1_versions.valid_from) * (1000000)::numeric))::bigint, ledger__1_versions."offset")) AS version_key,
            ledger__1_versions.valid_from,
            lead(ledger__1_versions.valid_from) OVER (PARTITION BY ledger__1_versions.entity_id ORDER BY ledger__1_versions.valid_from, ledger__1_versions."offset") AS valid_to,
            (ledger__1_versions.state IS NULL) AS is_deleted,
            ledger__1_versions.event_type,
            ledger__1_versions.state
           FROM everwhen.ledger__1_versions) history;
CREATE TABLE everwhen.meta (
    schema_version integer NOT NULL
);
CREATE TABLE everwhen.other_one__1_entities (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    state json,
    first_valid timestamp with time zone,
    last_valid timestamp with time zone,
    last_offset bigint NOT NULL,
    versions bigint NOT NULL,
    lead bigint NOT NULL,
    withdrawals bigint NOT NULL,
    unstored_offset bigint,
    unstored_valid timestamp with time zone,
    quarantined_offset bigint,
    unstored_at timestamp with time zone,
    quarantined_at timestamp with time zone,
    pruned_before timestamp with time zone,
    failing_valid timestamp with time zone,
    failing_offset bigint,
    mended_offset bigint,
    mended_from bigint
)
WITH (fillfactor='70');
COMMENT ON COLUMN everwhen.other_one__1_entities.lead IS 'microseconds';
CREATE TABLE everwhen.other_one__1_versions (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    valid_from timestamp with time zone NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    refolded_offset bigint,
    refolded_at timestamp with time zone,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    correlation_id text,
    causation_id text,
    withdraws text,
    event bytea NOT NULL,
    state json
);
CREATE VIEW everwhen.other_one AS
 SELECT other_one__1_entities.entity_id,
    version.valid_from,
    version.event_type,
    (version.state -> 'notes'::text) AS notes
   FROM (everwhen.other_one__1_entities
     JOIN LATERAL ( SELECT other_one__1_versions.state,
            other_one__1_versions.valid_from,
            other_one__1_versions.event_type
           FROM everwhen.other_one__1_versions
          WHERE ((other_one__1_versions.entity_id = other_one__1_entities.entity_id) AND (other_one__1_versions.valid_from <= now()))
          ORDER BY other_one__1_versions.valid_from DESC, other_one__1_versions."offset" DESC
         LIMIT 1) version ON (true))
  WHERE (version.state IS NOT NULL);
CREATE TABLE everwhen.other_one__1_conflicts (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    event_id text NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    event bytea NOT NULL
);
CREATE TABLE everwhen.other_one__1_quarantine (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    entity_id text COLLATE pg_catalog."C",
    recorded_at timestamp with time zone NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,
    error_class text,
    error text,
    attempts integer NOT NULL,
    status text NOT NULL,
    reason text,
    request text
);
COMMENT ON COLUMN everwhen.other_one__1_quarantine.error_class IS 'null for what only waits';
COMMENT ON COLUMN everwhen.other_one__1_quarantine.status IS 'failed, waiting or discarded';
COMMENT ON COLUMN everwhen.other_one__1_quarantine.request IS 'retry or discard, until the worker has done it';
CREATE TABLE everwhen.other_one__1_superseded (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    valid_from timestamp with time zone NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    refolded_offset bigint,
    refolded_at timestamp with time zone,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    correlation_id text,
    causation_id text,
    withdraws text,
    event bytea NOT NULL,
    state json,
    ended_offset bigint NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    withdrawn boolean NOT NULL
);
CREATE TABLE everwhen.other_one__1_withdrawals (
    entity_id text NOT NULL COLLATE pg_catalog."C",
    target_id text NOT NULL,
    "offset" bigint NOT NULL,
    partition integer NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    event bytea NOT NULL
);
CREATE VIEW everwhen.other_one_history AS
 SELECT entity_id,
    version_key,
    valid_from,
    valid_to,
    is_deleted,
    event_type,
    ((valid_from <= now()) AND ((valid_to IS NULL) OR (valid_to > now()))) AS is_current,
    (state -> 'notes'::text) AS notes
   FROM ( SELECT other_one__1_versions.entity_id,
            md5(concat_ws('|'::text, other_one__1_versions.entity_id, ((EXTRACT(epoch FROM other_one__1_versions.valid_from) * (1000000)::numeric))::bigint, other_one__1_versions."offset")) AS version_key,
            other_one__1_versions.valid_from,
            lead(other_one__1_versions.valid_from) OVER (PARTITION BY other_one__1_versions.entity_id ORDER BY other_one__1_versions.valid_from, other_one__1_versions."offset") AS valid_to,
            (other_one__1_versions.state IS NULL) AS is_deleted,
            other_one__1_versions.event_type,
            other_one__1_versions.state
           FROM everwhen.other_one__1_versions) history;
INSERT INTO everwhen.checkpoints VALUES ('ledger', 1, 0, 'ledger', 'cluster-1', 'topic-1', 16, NULL, 'owner-4', 2, '2026-11-23 01:22:14.663444+00', NULL, 15, 641517291, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.checkpoints VALUES ('ledger', 1, 1, 'ledger', 'cluster-1', 'topic-1', 2, NULL, 'owner-4', 2, '2026-11-23 01:22:13.870375+00', NULL, 1, 2465295950, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.checkpoints VALUES ('other_one', 1, 0, 'few', 'cluster-2', 'topic-2', 1, NULL, 'owner-6', 1, '2026-11-23 01:22:14.949401+00', NULL, 0, 3126308863, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.generations VALUES ('ledger', 1, 1, 'e04b86e2368ae657', 'ledger', 'live', '2026-11-23 01:22:14.437665+00', 2);
INSERT INTO everwhen.generations VALUES ('other_one', 1, 1, 'e04b86e2368ae657', 'few', 'live', '2026-11-23 01:22:15.148528+00', 1);
INSERT INTO everwhen.ledger__1_conflicts VALUES ('c', 'twice', 11, 0, '2026-11-23 01:22:13.870375+00', '2026-01-01 01:00:00+00', 'ledger.noted', '\xc3019d61fc6833605d030674776f');
INSERT INTO everwhen.ledger__1_entities VALUES ('a', 0, '{"notes":["1","right","late","5"]}', '2026-01-01 01:00:00+00', '2026-01-01 05:00:00+00', 6, 4, 0, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.ledger__1_entities VALUES ('parked', 0, '{"notes":["p"]}', '2026-01-01 01:00:00+00', '2026-01-01 01:00:00+00', 7, 1, 0, 0, NULL, NULL, 8, NULL, '2026-11-23 01:22:13.870375+00', NULL, '2026-01-01 02:00:00+00', 8, NULL, NULL);
INSERT INTO everwhen.ledger__1_entities VALUES ('c', 0, '{"notes":["one"]}', '2026-01-01 01:00:00+00', '2026-01-01 01:00:00+00', 11, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.ledger__1_entities VALUES ('gone', 1, NULL, '2026-01-01 01:00:00+00', '2026-01-01 02:00:00+00', 1, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.ledger__1_entities VALUES ('deep', 0, '{"notes":["3","2","1","0"]}', '2026-01-02 03:00:00+00', '2026-01-02 06:00:00+00', 15, 4, 0, 0, 15, '2026-01-02 03:00:00+00', NULL, '2026-11-23 01:22:14.663444+00', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.ledger__1_quarantine VALUES (0, 8, 'parked', '2026-11-23 01:22:13.870375+00', '\x7061726b6564', '\xc30160f9f7b012be3905', '[["ce_specversion", "MS4w"], ["ce_id", "ZXZlbnQtMS04"], ["ce_source", "L2xlZGdlcg=="], ["ce_type", "bGVkZ2VyLnBvaXNvbg=="], ["ce_subject", "cGFya2Vk"], ["ce_time", "MjAyNi0wMS0wMVQwMjowMDowMFo="], ["content-type", "YXBwbGljYXRpb24vYXZybw=="]]', 'HandlerError', 'ledger[0]@8, entity ''parked'', event ledger.poison: projection.<locals>.poison() of projection ledger raised ValueError; mend the handler and retry the record', 1, 'failed', NULL, NULL);
INSERT INTO everwhen.ledger__1_quarantine VALUES (0, 9, 'parked', '2026-11-23 01:22:13.870375+00', '\x7061726b6564', '\xc3019d61fc6833605d030271', '[["ce_specversion", "MS4w"], ["ce_id", "ZXZlbnQtMS05"], ["ce_source", "L2xlZGdlcg=="], ["ce_type", "bGVkZ2VyLm5vdGVk"], ["ce_subject", "cGFya2Vk"], ["ce_time", "MjAyNi0wMS0wMVQwMzowMDowMFo="], ["content-type", "YXBwbGljYXRpb24vYXZybw=="]]', NULL, NULL, 0, 'waiting', NULL, NULL);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 05:00:00+00', 3, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-3', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030235', '{"notes":["1","2","3","5"]}', 4, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 02:00:00+00', 1, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-1', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030232', '{"notes":["1","2"]}', 5, '2026-11-23 01:22:13.870375+00', true);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 03:00:00+00', 2, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-2', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030233', '{"notes":["1","2","3"]}', 5, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 04:00:00+00', 4, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-4', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d03086c617465', '{"notes":["1","2","3","late"]}', 5, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 05:00:00+00', 3, 0, '2026-11-23 01:22:13.870375+00', 4, '2026-11-23 01:22:13.870375+00', 'event-1-3', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030235', '{"notes":["1","2","3","late","5"]}', 5, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 03:00:00+00', 2, 0, '2026-11-23 01:22:13.870375+00', 5, '2026-11-23 01:22:13.870375+00', 'event-1-2', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030233', '{"notes":["1","3"]}', 6, '2026-11-23 01:22:13.870375+00', true);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 04:00:00+00', 4, 0, '2026-11-23 01:22:13.870375+00', 5, '2026-11-23 01:22:13.870375+00', 'event-1-4', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d03086c617465', '{"notes":["1","3","late"]}', 6, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_superseded VALUES ('a', '2026-01-01 05:00:00+00', 3, 0, '2026-11-23 01:22:13.870375+00', 5, '2026-11-23 01:22:13.870375+00', 'event-1-3', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030235', '{"notes":["1","3","late","5"]}', 6, '2026-11-23 01:22:13.870375+00', false);
INSERT INTO everwhen.ledger__1_versions VALUES ('a', '2026-01-01 01:00:00+00', 0, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-0', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030231', '{"notes":["1"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('a', '2026-01-01 03:00:00+00', 6, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'correction-1', 'ledger.noted', NULL, NULL, 'event-1-2', '\xc3019d61fc6833605d030a7269676874', '{"notes":["1","right"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('a', '2026-01-01 04:00:00+00', 4, 0, '2026-11-23 01:22:13.870375+00', 6, '2026-11-23 01:22:13.870375+00', 'event-1-4', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d03086c617465', '{"notes":["1","right","late"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('a', '2026-01-01 05:00:00+00', 3, 0, '2026-11-23 01:22:13.870375+00', 6, '2026-11-23 01:22:13.870375+00', 'event-1-3', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030235', '{"notes":["1","right","late","5"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('parked', '2026-01-01 01:00:00+00', 7, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-7', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030270', '{"notes":["p"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('c', '2026-01-01 01:00:00+00', 10, 0, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'twice', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d03066f6e65', '{"notes":["one"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('gone', '2026-01-01 01:00:00+00', 0, 1, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-5', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030267', '{"notes":["g"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('gone', '2026-01-01 02:00:00+00', 1, 1, '2026-11-23 01:22:13.870375+00', NULL, NULL, 'event-1-6', 'ledger.wiped', NULL, NULL, NULL, '\xc3014bb3d8b60213ddea', NULL);
INSERT INTO everwhen.ledger__1_versions VALUES ('deep', '2026-01-02 03:00:00+00', 15, 0, '2026-11-23 01:22:14.663444+00', NULL, NULL, 'event-2-3', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030233', '{"notes":["3"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('deep', '2026-01-02 04:00:00+00', 14, 0, '2026-11-23 01:22:14.663444+00', 15, '2026-11-23 01:22:14.663444+00', 'event-2-2', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030232', '{"notes":["3","2"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('deep', '2026-01-02 05:00:00+00', 13, 0, '2026-11-23 01:22:14.663444+00', 15, '2026-11-23 01:22:14.663444+00', 'event-2-1', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030231', '{"notes":["3","2","1"]}');
INSERT INTO everwhen.ledger__1_versions VALUES ('deep', '2026-01-02 06:00:00+00', 12, 0, '2026-11-23 01:22:14.663444+00', 15, '2026-11-23 01:22:14.663444+00', 'event-2-0', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d030230', '{"notes":["3","2","1","0"]}');
INSERT INTO everwhen.ledger__1_withdrawals VALUES ('a', 'event-1-1', 5, 0, '2026-11-23 01:22:13.870375+00', 'retraction-1', 'everwhen.retracted', '\xc301679a7c9533e233a0020278');
INSERT INTO everwhen.ledger__1_withdrawals VALUES ('a', 'event-1-2', 6, 0, '2026-11-23 01:22:13.870375+00', 'correction-1', 'ledger.noted', '\x');
INSERT INTO everwhen.meta VALUES (2);
INSERT INTO everwhen.other_one__1_entities VALUES ('z', 0, '{"notes":["z"]}', '2026-01-01 01:00:00+00', '2026-01-01 01:00:00+00', 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO everwhen.other_one__1_versions VALUES ('z', '2026-01-01 01:00:00+00', 0, 0, '2026-11-23 01:22:14.949401+00', NULL, NULL, 'z', 'ledger.noted', NULL, NULL, NULL, '\xc3019d61fc6833605d03027a', '{"notes":["z"]}');
ALTER TABLE ONLY everwhen.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (projection, number, partition);
ALTER TABLE ONLY everwhen.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (projection, number, partition, decided_at);
ALTER TABLE ONLY everwhen.generations
    ADD CONSTRAINT generations_pkey PRIMARY KEY (projection, number);
ALTER TABLE ONLY everwhen.ledger__1_conflicts
    ADD CONSTRAINT ledger__1_conflicts_pkey PRIMARY KEY (entity_id, "offset", partition);
ALTER TABLE ONLY everwhen.ledger__1_entities
    ADD CONSTRAINT ledger__1_entities_pkey PRIMARY KEY (entity_id);
ALTER TABLE ONLY everwhen.ledger__1_quarantine
    ADD CONSTRAINT ledger__1_quarantine_pkey PRIMARY KEY (partition, "offset");
ALTER TABLE ONLY everwhen.ledger__1_superseded
    ADD CONSTRAINT ledger__1_superseded_pkey PRIMARY KEY (entity_id, valid_from, "offset", ended_offset);
ALTER TABLE ONLY everwhen.ledger__1_versions
    ADD CONSTRAINT ledger__1_versions_pkey PRIMARY KEY (entity_id, valid_from, "offset");
ALTER TABLE ONLY everwhen.ledger__1_withdrawals
    ADD CONSTRAINT ledger__1_withdrawals_pkey PRIMARY KEY (entity_id, event_id);
ALTER TABLE ONLY everwhen.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (schema_version);
ALTER TABLE ONLY everwhen.other_one__1_conflicts
    ADD CONSTRAINT other_one__1_conflicts_pkey PRIMARY KEY (entity_id, "offset", partition);
ALTER TABLE ONLY everwhen.other_one__1_entities
    ADD CONSTRAINT other_one__1_entities_pkey PRIMARY KEY (entity_id);
ALTER TABLE ONLY everwhen.other_one__1_quarantine
    ADD CONSTRAINT other_one__1_quarantine_pkey PRIMARY KEY (partition, "offset");
ALTER TABLE ONLY everwhen.other_one__1_superseded
    ADD CONSTRAINT other_one__1_superseded_pkey PRIMARY KEY (entity_id, valid_from, "offset", ended_offset);
ALTER TABLE ONLY everwhen.other_one__1_versions
    ADD CONSTRAINT other_one__1_versions_pkey PRIMARY KEY (entity_id, valid_from, "offset");
ALTER TABLE ONLY everwhen.other_one__1_withdrawals
    ADD CONSTRAINT other_one__1_withdrawals_pkey PRIMARY KEY (entity_id, event_id);
CREATE INDEX ledger__1_quarantine_entity ON everwhen.ledger__1_quarantine USING btree (entity_id, "offset");
CREATE INDEX ledger__1_quarantine_request ON everwhen.ledger__1_quarantine USING btree (partition, "offset") WHERE (request IS NOT NULL);
CREATE INDEX ledger__1_superseded_event ON everwhen.ledger__1_superseded USING btree (entity_id, event_id);
CREATE INDEX ledger__1_versions_event ON everwhen.ledger__1_versions USING btree (entity_id, event_id);
CREATE INDEX other_one__1_quarantine_entity ON everwhen.other_one__1_quarantine USING btree (entity_id, "offset");
CREATE INDEX other_one__1_quarantine_request ON everwhen.other_one__1_quarantine USING btree (partition, "offset") WHERE (request IS NOT NULL);
CREATE INDEX other_one__1_superseded_event ON everwhen.other_one__1_superseded USING btree (entity_id, event_id);
CREATE INDEX other_one__1_versions_event ON everwhen.other_one__1_versions USING btree (entity_id, event_id);
