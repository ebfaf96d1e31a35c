-- The ledger of a single-process deployment. What was acknowledged is a committed row here.
--
-- Types: ids are 16-byte blobs, times are integers (milliseconds since 1970 UTC), JSON is text. Every row carries its
-- tenant. The hot tables (messages, events, session_records, instance_counters) have no foreign keys: the one writer looks
-- the instance up once a batch, and a parent look-up a row would cost as much as the row. This file is never edited again.

-- What is fixed when the store is made (log id, shard count and hash, network) and small secrets' checks.
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    prefix TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

-- No foreign key to tenants: a deleted instance stays as a tombstone until its last row is purged, longer than its tenant.
CREATE TABLE instances (
    id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL,
    shard INTEGER NOT NULL,
    name TEXT,
    metadata TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    since INTEGER NOT NULL,
    last_online_at INTEGER,
    phone TEXT,
    jid TEXT,
    lid TEXT,
    push_name TEXT,
    health_status INTEGER NOT NULL,
    health_reason TEXT,
    last_stanza_at INTEGER,
    rtt_ms INTEGER,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE INDEX instances_by_tenant ON instances (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX instances_by_phone ON instances (tenant_id, phone) WHERE deleted_at IS NULL AND phone IS NOT NULL;
CREATE INDEX instances_by_shard ON instances (shard) WHERE deleted_at IS NULL;
CREATE INDEX instances_deleted ON instances (deleted_at) WHERE deleted_at IS NOT NULL;

-- The numbers that every message and event moves, apart from the instance's wide row so that moving them stays cheap.
CREATE TABLE instance_counters (
    instance_id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL,
    event_seq INTEGER NOT NULL,
    open_messages INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- direction: 0 inbound, 1 outbound. status: 0 queued, 1 handed, 2 sent, 3 delivered, 4 read, 5 played, 9 failed.
-- delivery: 0 at_least_once, 1 at_most_once. author_jid is empty where the instance wrote the message.
-- AUTOINCREMENT: a place in the queue is never given twice, not even after retention emptied the table.
CREATE TABLE messages (
    queue_order INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    instance_id BLOB NOT NULL,
    direction INTEGER NOT NULL,
    whatsapp_id TEXT NOT NULL,
    chat TEXT NOT NULL,
    author_jid TEXT NOT NULL,
    author_pn TEXT,
    author_lid TEXT,
    author_name TEXT,
    content TEXT NOT NULL,
    quoted TEXT,
    status INTEGER NOT NULL,
    reason TEXT,
    delivery INTEGER NOT NULL,
    expires_at INTEGER,
    metadata TEXT,
    backfilled INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    handed_at INTEGER,
    sent_at INTEGER,
    delivered_at INTEGER,
    read_at INTEGER,
    played_at INTEGER,
    failed_at INTEGER,
    secret BLOB,
    attempt INTEGER NOT NULL,
    handed_epoch INTEGER,
    stanza BLOB
) STRICT;

CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_by_instance ON messages (instance_id, id);
-- The open ones of an instance in the order of its queue (the row id ends every index).
CREATE INDEX messages_open ON messages (instance_id) WHERE status < 2;
CREATE INDEX messages_outbound ON messages (instance_id, whatsapp_id) WHERE direction = 1;
-- The identity of an inbound message.
CREATE UNIQUE INDEX messages_inbound ON messages (instance_id, whatsapp_id, chat, author_jid) WHERE direction = 0;
CREATE INDEX messages_expiring ON messages (expires_at) WHERE status = 0 AND expires_at IS NOT NULL;

-- AUTOINCREMENT: a position is never given twice, cursors depend on it.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    instance_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_by_id ON events (id);
-- A second fence: two writers could never both give the same number.
CREATE UNIQUE INDEX events_by_seq ON events (instance_id, seq);
CREATE INDEX events_by_tenant ON events (tenant_id);

CREATE TABLE session_records (
    instance_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    mark INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (instance_id, kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_records_by_mark ON session_records (instance_id, kind, mark) WHERE mark > 0;

-- purpose: 0 a reserved request, 1 a sent message (resource is its id). status and body are set once it is answered.
CREATE TABLE idempotency (
    tenant_id BLOB NOT NULL,
    key TEXT NOT NULL,
    purpose INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    resource BLOB NOT NULL,
    stored_at INTEGER NOT NULL,
    status INTEGER,
    body BLOB,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (stored_at);

-- Which epoch owns a shard: every hot write is compared with it.
CREATE TABLE shard_owners (
    shard INTEGER PRIMARY KEY NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;
