-- Webhooks: addresses to which a tenant's events are posted. The log of events is their queue: nothing of it is copied but
-- what was given up.
--
-- events, instances and headers are JSON. `version` grows with each change by the tenant, `fence` with each taking by a
-- dispatcher. A deleted one stays until its last row went.
CREATE TABLE webhooks (
    id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    events TEXT NOT NULL,
    instances TEXT NOT NULL,
    headers TEXT NOT NULL,
    secret TEXT NOT NULL,
    former_secret TEXT,
    former_until INTEGER,
    disabled TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    failing_since INTEGER,
    delivered_at INTEGER,
    paused_until INTEGER,
    missed_at INTEGER,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    claimed_by BLOB,
    fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_enabled ON webhooks (claimed_by) WHERE deleted_at IS NULL AND disabled IS NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- The dispatchers that live: what another one holds may be taken.
CREATE TABLE webhook_dispatchers (
    id BLOB PRIMARY KEY NOT NULL,
    alive_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that are delivered again; source is JSON.
CREATE TABLE webhook_replays (
    webhook_id BLOB NOT NULL,
    id BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    source TEXT NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, id)
) STRICT, WITHOUT ROWID;

-- Instances whose events wait for their turn, of the live flow (replay_id is 16 zeros) or of a replay.
CREATE TABLE webhook_lanes (
    webhook_id BLOB NOT NULL,
    replay_id BLOB NOT NULL,
    instance_id BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    failure TEXT,
    PRIMARY KEY (webhook_id, replay_id, instance_id)
) STRICT, WITHOUT ROWID;

-- The last attempts, in two rings: those that succeeded and those that failed each have as many slots, so that the table does
-- not grow and neither kind pushes the other out.
CREATE TABLE webhook_attempts (
    webhook_id BLOB NOT NULL,
    failed INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type TEXT NOT NULL,
    instance_id BLOB NOT NULL,
    tries INTEGER NOT NULL,
    status INTEGER,
    failure TEXT,
    took_ms INTEGER NOT NULL,
    at INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, failed, slot)
) STRICT, WITHOUT ROWID;

-- Events that were given up, whole, because the log forgets them.
CREATE TABLE webhook_dead_letters (
    webhook_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    instance_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    data TEXT NOT NULL,
    tries INTEGER NOT NULL,
    status INTEGER,
    failure TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, position)
) STRICT;

CREATE UNIQUE INDEX webhook_dead_letters_by_event ON webhook_dead_letters (webhook_id, event_id);
CREATE INDEX webhook_dead_letters_by_age ON webhook_dead_letters (died_at);
