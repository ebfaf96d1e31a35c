-- Webhooks: addresses to which a tenant's events are posted. The log of events is their queue: nothing of it is copied but
-- what was given up.
--
-- events, instances and headers are JSON. `version` grows with each change by the tenant, `fence` with each taking by a
-- dispatcher. A deleted one stays until its last row went. What dispatchers move is in no index.
CREATE TABLE webhooks (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    events TEXT NOT NULL,
    instances TEXT NOT NULL,
    headers TEXT NOT NULL,
    secret TEXT NOT NULL,
    former_secret TEXT,
    former_until BIGINT,
    disabled TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    failing_since BIGINT,
    delivered_at BIGINT,
    paused_until BIGINT,
    missed_at BIGINT,
    attempts BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    claimed_by UUID,
    fence BIGINT NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_enabled ON webhooks (claimed_by) WHERE deleted_at IS NULL AND disabled IS NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- The dispatchers that live, by the database's clock: what another one holds may be taken.
CREATE TABLE webhook_dispatchers (
    id UUID PRIMARY KEY,
    alive_until BIGINT NOT NULL
) WITH (fillfactor = 20);

-- Events that are delivered again; source is JSON.
CREATE TABLE webhook_replays (
    webhook_id UUID NOT NULL,
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, id)
) WITH (fillfactor = 50);

-- Instances whose events wait for their turn, of the live flow (replay_id is 16 zeros) or of a replay.
CREATE TABLE webhook_lanes (
    webhook_id UUID NOT NULL,
    replay_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    position BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    next_at BIGINT NOT NULL,
    failure TEXT,
    PRIMARY KEY (webhook_id, replay_id, instance_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- The last attempts, in two rings: those that succeeded and those that failed each have as many slots, so that the table does
-- not grow and neither kind pushes the other out.
CREATE TABLE webhook_attempts (
    webhook_id UUID NOT NULL,
    failed BOOLEAN NOT NULL,
    slot SMALLINT NOT NULL,
    tenant_id UUID NOT NULL,
    number BIGINT NOT NULL,
    event_id UUID NOT NULL,
    type TEXT NOT NULL,
    instance_id UUID NOT NULL,
    tries INTEGER NOT NULL,
    status INTEGER,
    failure TEXT,
    took_ms BIGINT NOT NULL,
    at BIGINT NOT NULL,
    replay BOOLEAN NOT NULL,
    PRIMARY KEY (webhook_id, failed, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Events that were given up, whole, because the log forgets them.
CREATE TABLE webhook_dead_letters (
    webhook_id UUID NOT NULL,
    position BIGINT NOT NULL,
    tenant_id UUID NOT NULL,
    event_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    type TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    data TEXT NOT NULL,
    tries INTEGER NOT NULL,
    status INTEGER,
    failure TEXT NOT NULL,
    died_at BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, position)
);

CREATE UNIQUE INDEX webhook_dead_letters_by_event ON webhook_dead_letters (webhook_id, event_id);
CREATE INDEX webhook_dead_letters_by_age ON webhook_dead_letters (died_at);
