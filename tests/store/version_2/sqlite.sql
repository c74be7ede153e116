BEGIN TRANSACTION;
CREATE TABLE everwhen_checkpoints (
	projection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	partition INTEGER NOT NULL, 
	topic TEXT NOT NULL, 
	cluster_id TEXT NOT NULL, 
	topic_id TEXT NOT NULL, 
	next_offset BIGINT NOT NULL, 
	leader_epoch INTEGER, 
	owner TEXT NOT NULL, 
	epoch BIGINT NOT NULL, 
	watermark BIGINT, 
	quiet_until BIGINT, 
	last_offset BIGINT, 
	last_checksum BIGINT, 
	trouble TEXT, 
	trouble_from BIGINT, 
	trouble_to BIGINT, 
	attempts INTEGER NOT NULL, 
	suspect_offset BIGINT, 
	suspect_records INTEGER, 
	suspect_deaths INTEGER, 
	suspect_epoch BIGINT, 
	PRIMARY KEY (projection, number, partition)
);
INSERT INTO "everwhen_checkpoints" VALUES('ledger',1,0,'ledger','cluster-1','topic-1',16,NULL,'owner-3',2,1795396934663444,NULL,15,641517291,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_checkpoints" VALUES('ledger',1,1,'ledger','cluster-1','topic-1',2,NULL,'owner-3',2,1795396933870375,NULL,1,2465295950,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_checkpoints" VALUES('other_one',1,0,'few','cluster-2','topic-2',1,NULL,'owner-5',1,1795396934949401,NULL,0,3126308863,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
CREATE TABLE everwhen_decisions (
	projection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	partition INTEGER NOT NULL, 
	decided_at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	from_offset BIGINT NOT NULL, 
	to_offset BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (projection, number, partition, decided_at)
);
CREATE TABLE everwhen_generations (
	projection TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	fingerprint TEXT NOT NULL, 
	topic TEXT NOT NULL, 
	state TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	partitions INTEGER, 
	PRIMARY KEY (projection, number)
);
INSERT INTO "everwhen_generations" VALUES('ledger',1,1,'e04b86e2368ae657','ledger','live',1795396934231008,2);
INSERT INTO "everwhen_generations" VALUES('other_one',1,1,'e04b86e2368ae657','few','live',1795396934967648,1);
CREATE TABLE everwhen_ledger__1_conflicts (
	entity_id TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	event_type TEXT NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (entity_id, "offset", partition)
)
 WITHOUT ROWID

;
INSERT INTO "everwhen_ledger__1_conflicts" VALUES('c','twice',11,0,1795396933870375,1767229200000000,'ledger.noted',X'C3019D61FC6833605D030674776F');
CREATE TABLE everwhen_ledger__1_entities (
	entity_id TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	state TEXT, 
	first_valid BIGINT, 
	last_valid BIGINT, 
	last_offset BIGINT NOT NULL, 
	versions BIGINT NOT NULL, 
	lead BIGINT NOT NULL, 
	withdrawals BIGINT NOT NULL, 
	unstored_offset BIGINT, 
	unstored_valid BIGINT, 
	quarantined_offset BIGINT, 
	unstored_at BIGINT, 
	quarantined_at BIGINT, 
	pruned_before BIGINT, 
	failing_valid BIGINT, 
	failing_offset BIGINT, 
	mended_offset BIGINT, 
	mended_from BIGINT, 
	PRIMARY KEY (entity_id)
)
 WITHOUT ROWID

;
INSERT INTO "everwhen_ledger__1_entities" VALUES('a',0,'{"notes":["1","right","late","5"]}',1767229200000000,1767243600000000,6,4,0,2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_ledger__1_entities" VALUES('c',0,'{"notes":["one"]}',1767229200000000,1767229200000000,11,1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_ledger__1_entities" VALUES('deep',0,'{"notes":["3","2","1","0"]}',1767322800000000,1767333600000000,15,4,0,0,15,1767322800000000,NULL,1795396934663444,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_ledger__1_entities" VALUES('gone',1,NULL,1767229200000000,1767232800000000,1,2,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "everwhen_ledger__1_entities" VALUES('parked',0,'{"notes":["p"]}',1767229200000000,1767229200000000,7,1,0,0,NULL,NULL,8,NULL,1795396933870375,NULL,1767232800000000,8,NULL,NULL);
CREATE TABLE everwhen_ledger__1_quarantine (
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	entity_id TEXT, 
	recorded_at BIGINT NOT NULL, 
	"key" BLOB, 
	value BLOB, 
	headers TEXT NOT NULL, 
	error_class TEXT, 
	error TEXT, 
	attempts INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT, 
	request TEXT, 
	PRIMARY KEY (partition, "offset")
);
INSERT INTO "everwhen_ledger__1_quarantine" VALUES(0,8,'parked',1795396933870375,X'7061726B6564',X'C30160F9F7B012BE3905','[["ce_specversion", "MS4w"], ["ce_id", "ZXZlbnQtMS04"], ["ce_source", "L2xlZGdlcg=="], ["ce_type", "bGVkZ2VyLnBvaXNvbg=="], ["ce_subject", "cGFya2Vk"], ["ce_time", "MjAyNi0wMS0wMVQwMjowMDowMFo="], ["content-type", "YXBwbGljYXRpb24vYXZybw=="]]','HandlerError','ledger[0]@8, entity ''parked'', event ledger.poison: projection.<locals>.poison() of projection ledger raised ValueError; mend the handler and retry the record',1,'failed',NULL,NULL);
INSERT INTO "everwhen_ledger__1_quarantine" VALUES(0,9,'parked',1795396933870375,X'7061726B6564',X'C3019D61FC6833605D030271','[["ce_specversion", "MS4w"], ["ce_id", "ZXZlbnQtMS05"], ["ce_source", "L2xlZGdlcg=="], ["ce_type", "bGVkZ2VyLm5vdGVk"], ["ce_subject", "cGFya2Vk"], ["ce_time", "MjAyNi0wMS0wMVQwMzowMDowMFo="], ["content-type", "YXBwbGljYXRpb24vYXZybw=="]]',NULL,NULL,0,'waiting',NULL,NULL);
CREATE TABLE everwhen_ledger__1_superseded (
	entity_id TEXT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	refolded_offset BIGINT, 
	refolded_at BIGINT, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	correlation_id TEXT, 
	causation_id TEXT, 
	withdraws TEXT, 
	event BLOB NOT NULL, 
	state TEXT, 
	ended_offset BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	withdrawn BOOLEAN NOT NULL, 
	PRIMARY KEY (entity_id, valid_from, "offset", ended_offset)
);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767243600000000,3,0,1795396933870375,NULL,NULL,'event-1-3','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030235','{"notes":["1","2","3","5"]}',4,1795396933870375,0);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767232800000000,1,0,1795396933870375,NULL,NULL,'event-1-1','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030232','{"notes":["1","2"]}',5,1795396933870375,1);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767236400000000,2,0,1795396933870375,NULL,NULL,'event-1-2','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030233','{"notes":["1","2","3"]}',5,1795396933870375,0);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767240000000000,4,0,1795396933870375,NULL,NULL,'event-1-4','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D03086C617465','{"notes":["1","2","3","late"]}',5,1795396933870375,0);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767243600000000,3,0,1795396933870375,4,1795396933870375,'event-1-3','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030235','{"notes":["1","2","3","late","5"]}',5,1795396933870375,0);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767236400000000,2,0,1795396933870375,5,1795396933870375,'event-1-2','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030233','{"notes":["1","3"]}',6,1795396933870375,1);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767240000000000,4,0,1795396933870375,5,1795396933870375,'event-1-4','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D03086C617465','{"notes":["1","3","late"]}',6,1795396933870375,0);
INSERT INTO "everwhen_ledger__1_superseded" VALUES('a',1767243600000000,3,0,1795396933870375,5,1795396933870375,'event-1-3','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030235','{"notes":["1","3","late","5"]}',6,1795396933870375,0);
CREATE TABLE everwhen_ledger__1_versions (
	entity_id TEXT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	refolded_offset BIGINT, 
	refolded_at BIGINT, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	correlation_id TEXT, 
	causation_id TEXT, 
	withdraws TEXT, 
	event BLOB NOT NULL, 
	state TEXT, 
	PRIMARY KEY (entity_id, valid_from, "offset")
);
INSERT INTO "everwhen_ledger__1_versions" VALUES('a',1767229200000000,0,0,1795396933870375,NULL,NULL,'event-1-0','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030231','{"notes":["1"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('a',1767236400000000,6,0,1795396933870375,NULL,NULL,'correction-1','ledger.noted',NULL,NULL,'event-1-2',X'C3019D61FC6833605D030A7269676874','{"notes":["1","right"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('a',1767240000000000,4,0,1795396933870375,6,1795396933870375,'event-1-4','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D03086C617465','{"notes":["1","right","late"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('a',1767243600000000,3,0,1795396933870375,6,1795396933870375,'event-1-3','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030235','{"notes":["1","right","late","5"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('c',1767229200000000,10,0,1795396933870375,NULL,NULL,'twice','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D03066F6E65','{"notes":["one"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('parked',1767229200000000,7,0,1795396933870375,NULL,NULL,'event-1-7','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030270','{"notes":["p"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('gone',1767229200000000,0,1,1795396933870375,NULL,NULL,'event-1-5','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030267','{"notes":["g"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('gone',1767232800000000,1,1,1795396933870375,NULL,NULL,'event-1-6','ledger.wiped',NULL,NULL,NULL,X'C3014BB3D8B60213DDEA',NULL);
INSERT INTO "everwhen_ledger__1_versions" VALUES('deep',1767322800000000,15,0,1795396934663444,NULL,NULL,'event-2-3','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030233','{"notes":["3"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('deep',1767326400000000,14,0,1795396934663444,15,1795396934663444,'event-2-2','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030232','{"notes":["3","2"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('deep',1767330000000000,13,0,1795396934663444,15,1795396934663444,'event-2-1','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030231','{"notes":["3","2","1"]}');
INSERT INTO "everwhen_ledger__1_versions" VALUES('deep',1767333600000000,12,0,1795396934663444,15,1795396934663444,'event-2-0','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D030230','{"notes":["3","2","1","0"]}');
CREATE TABLE everwhen_ledger__1_withdrawals (
	entity_id TEXT NOT NULL, 
	target_id TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (entity_id, event_id)
)
 WITHOUT ROWID

;
INSERT INTO "everwhen_ledger__1_withdrawals" VALUES('a','event-1-2',6,0,1795396933870375,'correction-1','ledger.noted',X'');
INSERT INTO "everwhen_ledger__1_withdrawals" VALUES('a','event-1-1',5,0,1795396933870375,'retraction-1','everwhen.retracted',X'C301679A7C9533E233A0020278');
CREATE TABLE everwhen_meta (
	schema_version INTEGER NOT NULL, 
	PRIMARY KEY (schema_version)
);
INSERT INTO "everwhen_meta" VALUES(2);
CREATE TABLE everwhen_other_one__1_conflicts (
	entity_id TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	event_type TEXT NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (entity_id, "offset", partition)
)
 WITHOUT ROWID

;
CREATE TABLE everwhen_other_one__1_entities (
	entity_id TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	state TEXT, 
	first_valid BIGINT, 
	last_valid BIGINT, 
	last_offset BIGINT NOT NULL, 
	versions BIGINT NOT NULL, 
	lead BIGINT NOT NULL, 
	withdrawals BIGINT NOT NULL, 
	unstored_offset BIGINT, 
	unstored_valid BIGINT, 
	quarantined_offset BIGINT, 
	unstored_at BIGINT, 
	quarantined_at BIGINT, 
	pruned_before BIGINT, 
	failing_valid BIGINT, 
	failing_offset BIGINT, 
	mended_offset BIGINT, 
	mended_from BIGINT, 
	PRIMARY KEY (entity_id)
)
 WITHOUT ROWID

;
INSERT INTO "everwhen_other_one__1_entities" VALUES('z',0,'{"notes":["z"]}',1767229200000000,1767229200000000,0,1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE everwhen_other_one__1_quarantine (
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	entity_id TEXT, 
	recorded_at BIGINT NOT NULL, 
	"key" BLOB, 
	value BLOB, 
	headers TEXT NOT NULL, 
	error_class TEXT, 
	error TEXT, 
	attempts INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT, 
	request TEXT, 
	PRIMARY KEY (partition, "offset")
);
CREATE TABLE everwhen_other_one__1_superseded (
	entity_id TEXT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	refolded_offset BIGINT, 
	refolded_at BIGINT, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	correlation_id TEXT, 
	causation_id TEXT, 
	withdraws TEXT, 
	event BLOB NOT NULL, 
	state TEXT, 
	ended_offset BIGINT NOT NULL, 
	ended_at BIGINT NOT NULL, 
	withdrawn BOOLEAN NOT NULL, 
	PRIMARY KEY (entity_id, valid_from, "offset", ended_offset)
);
CREATE TABLE everwhen_other_one__1_versions (
	entity_id TEXT NOT NULL, 
	valid_from BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	refolded_offset BIGINT, 
	refolded_at BIGINT, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	correlation_id TEXT, 
	causation_id TEXT, 
	withdraws TEXT, 
	event BLOB NOT NULL, 
	state TEXT, 
	PRIMARY KEY (entity_id, valid_from, "offset")
);
INSERT INTO "everwhen_other_one__1_versions" VALUES('z',1767229200000000,0,0,1795396934949401,NULL,NULL,'z','ledger.noted',NULL,NULL,NULL,X'C3019D61FC6833605D03027A','{"notes":["z"]}');
CREATE TABLE everwhen_other_one__1_withdrawals (
	entity_id TEXT NOT NULL, 
	target_id TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	partition INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	event_id TEXT NOT NULL, 
	event_type TEXT NOT NULL, 
	event BLOB NOT NULL, 
	PRIMARY KEY (entity_id, event_id)
)
 WITHOUT ROWID

;
CREATE INDEX everwhen_ledger__1_versions_event ON everwhen_ledger__1_versions (entity_id, event_id);
CREATE INDEX everwhen_ledger__1_superseded_event ON everwhen_ledger__1_superseded (entity_id, event_id);
CREATE INDEX everwhen_ledger__1_quarantine_entity ON everwhen_ledger__1_quarantine (entity_id, "offset");
CREATE INDEX everwhen_ledger__1_quarantine_request ON everwhen_ledger__1_quarantine (partition, "offset") WHERE request IS NOT NULL;
CREATE INDEX everwhen_other_one__1_versions_event ON everwhen_other_one__1_versions (entity_id, event_id);
CREATE INDEX everwhen_other_one__1_superseded_event ON everwhen_other_one__1_superseded (entity_id, event_id);
CREATE INDEX everwhen_other_one__1_quarantine_entity ON everwhen_other_one__1_quarantine (entity_id, "offset");
CREATE INDEX everwhen_other_one__1_quarantine_request ON everwhen_other_one__1_quarantine (partition, "offset") WHERE request IS NOT NULL;
COMMIT;
