-- The ledger of a cluster. What was acknowledged is a committed row here.
--
-- The numbers of these files are those of migrations/sqlite, so that both stores say of themselves how new they are. This one
-- has the tables in the shape that SQLite's reached with its sixth, so the files up to 0006 hold nothing.
--
-- Types: ids are uuids, times are bigint (milliseconds since 1970 UTC), JSON is text (jsonb refuses some of what people
-- write); what is compared or indexed is compared by its bytes (an update of the machine's locales breaks other indexes).
-- Every row carries its tenant. The hot tables (messages, queue, events, session_records, instance_counters) have
-- no foreign keys: the lane looks the instance up once a batch. Nothing here needs an extension. This file is never edited
-- again.
--
-- Who may do what is no part of it, because the names of roles are the server's: shared/postgres/src/roles has it, and says
-- which of the functions below act with the rights of the tables' owner.

-- A tenant's id as a statement's parameter. Reading the parameter, which comes before everything else, enters the tenant until
-- the transaction ends: what the gateway's role then sees are that tenant's rows. So a statement that names its tenant costs no
-- round trip more; in a transaction the first one that does counts for those after it.
CREATE DOMAIN tenant_scope AS UUID CHECK (VALUE IS NULL OR set_config('warren.tenant', VALUE::TEXT, true) IS NOT NULL);

-- The tenant that was entered, if one was.
CREATE FUNCTION entered_tenant() RETURNS UUID LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('warren.tenant', true), '')::UUID
$$;

-- What is fixed when the store is made (log id, shard count and hash, network) and small secrets' checks.
CREATE TABLE meta (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE tenants (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    prefix TEXT COLLATE "C" NOT NULL UNIQUE,
    hash BYTEA NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    last_used_at BIGINT
);

CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

-- No foreign key to tenants: a deleted instance stays as a tombstone until its last row is purged, longer than its tenant.
-- health_status: 0 ok, 1 degraded. restriction is JSON.
CREATE TABLE instances (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    shard INTEGER NOT NULL,
    name TEXT,
    metadata TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    since BIGINT NOT NULL,
    last_online_at BIGINT,
    phone TEXT COLLATE "C",
    jid TEXT,
    lid TEXT,
    push_name TEXT,
    health_status SMALLINT NOT NULL,
    health_reason TEXT,
    last_stanza_at BIGINT,
    rtt_ms BIGINT,
    restriction TEXT,
    device_name TEXT,
    proxy TEXT,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
) WITH (fillfactor = 80);

CREATE INDEX instances_by_tenant ON instances (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX instances_by_phone ON instances (tenant_id, phone) WHERE deleted_at IS NULL AND phone IS NOT NULL;
CREATE INDEX instances_by_shard ON instances (shard) WHERE deleted_at IS NULL;
CREATE INDEX instances_deleted ON instances (deleted_at) WHERE deleted_at IS NOT NULL;

-- The numbers that every message and event moves, apart from the instance's wide row so that moving them stays cheap. Whoever
-- moves several locks them by instance_id, so that no two wait for each other.
CREATE TABLE instance_counters (
    instance_id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    event_seq BIGINT NOT NULL,
    open_messages BIGINT NOT NULL,
    last_active_at BIGINT NOT NULL
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02);

-- A place in the queue is never given twice, not even after retention emptied the table.
CREATE SEQUENCE message_orders;

-- direction: 0 inbound, 1 outbound. status: 0 open (queued or handed: its row in `queue` knows), 2 sent, 3 delivered, 4 read,
-- 5 played, 9 failed. delivery: 0 at_least_once, 1 at_most_once. author_jid is empty where the instance wrote the message.
--
-- What moves here (status, times, reason) is in no index, so that a message that climbs stays where it is, with all its index
-- entries. handed_at, attempt and handed_epoch are written when it leaves the queue.
CREATE TABLE messages (
    queue_order BIGINT PRIMARY KEY DEFAULT nextval('message_orders'),
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    direction SMALLINT NOT NULL,
    status SMALLINT NOT NULL,
    delivery SMALLINT NOT NULL,
    backfilled BOOLEAN NOT NULL,
    attempt INTEGER NOT NULL,
    stored_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    send_at BIGINT,
    handed_epoch BIGINT,
    handed_at BIGINT,
    sent_at BIGINT,
    delivered_at BIGINT,
    read_at BIGINT,
    played_at BIGINT,
    failed_at BIGINT,
    whatsapp_id TEXT COLLATE "C" NOT NULL,
    chat TEXT COLLATE "C" NOT NULL,
    author_jid TEXT COLLATE "C" NOT NULL,
    author_pn TEXT,
    author_lid TEXT,
    author_name TEXT,
    content TEXT NOT NULL,
    quoted TEXT,
    reason TEXT,
    metadata TEXT,
    secret BYTEA,
    upload BYTEA
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

ALTER SEQUENCE message_orders OWNED BY messages.queue_order;
-- It is sealed: nothing to compress.
ALTER TABLE messages ALTER COLUMN upload SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_by_instance ON messages (instance_id, id);
CREATE INDEX messages_outbound ON messages (instance_id, whatsapp_id) WHERE direction = 1;
-- The identity of an inbound message.
CREATE UNIQUE INDEX messages_inbound ON messages (instance_id, whatsapp_id, chat, author_jid) WHERE direction = 0;

-- The open outbound messages: a row from accept until sent or failed. Whoever deletes the row ends the message: of two that
-- try, one finds it gone. `held` while the time of a message has not come. `handed` from the first claim on, with the
-- encrypted stanza.
CREATE TABLE queue (
    queue_order BIGINT PRIMARY KEY,
    instance_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    message_id UUID NOT NULL,
    held BOOLEAN NOT NULL,
    handed BOOLEAN NOT NULL DEFAULT FALSE,
    attempt INTEGER NOT NULL DEFAULT 0,
    handed_epoch BIGINT,
    handed_at BIGINT,
    send_at BIGINT,
    expires_at BIGINT,
    stanza BYTEA
) WITH (
    fillfactor = 60, toast_tuple_target = 4080,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.2
);

ALTER TABLE queue ALTER COLUMN stanza SET STORAGE EXTERNAL;

-- What was handed, then what is queued, each in its order; the held ones are in neither.
CREATE INDEX queue_by_instance ON queue (instance_id, handed, queue_order) WHERE NOT held;
CREATE INDEX queue_held ON queue (send_at) WHERE held;
CREATE INDEX queue_held_by_instance ON queue (instance_id) WHERE held;
CREATE INDEX queue_expiring ON queue (expires_at) WHERE NOT handed AND expires_at IS NOT NULL;

-- Who a message to a group goes to, and what each did with it: a message's status is the weakest of its members'. Messages to
-- persons have no rows here.
CREATE TABLE message_members (
    queue_order BIGINT NOT NULL,
    jid TEXT COLLATE "C" NOT NULL,
    tenant_id UUID NOT NULL,
    pn TEXT COLLATE "C",
    lid TEXT COLLATE "C",
    delivered_at BIGINT,
    read_at BIGINT,
    played_at BIGINT,
    PRIMARY KEY (queue_order, jid)
) WITH (fillfactor = 80);

-- They go with their message, whoever removes it.
CREATE FUNCTION remove_message_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_members m USING gone
        WHERE gone.direction = 1 AND gone.chat LIKE '%@g.us' AND m.queue_order = gone.queue_order;
    RETURN NULL;
END
$$;

CREATE TRIGGER message_members_removed AFTER DELETE ON messages REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION remove_message_members();

-- Which people an account has exchanged messages with: WhatsApp limits how many others it may write to. `first_sent_at` is set
-- where the account wrote first. Kept as long as the instance.
CREATE TABLE known_chats (
    instance_id UUID NOT NULL,
    chat TEXT COLLATE "C" NOT NULL,
    tenant_id UUID NOT NULL,
    first_sent_at BIGINT,
    PRIMARY KEY (instance_id, chat)
);

CREATE INDEX known_chats_opened ON known_chats (instance_id, first_sent_at) WHERE first_sent_at IS NOT NULL;

-- The log. A position is never given twice, cursors depend on it. It is given while the counter row of the instance is locked,
-- so that the events of an instance have their numbers and their positions in one order.
--
-- There is no unique (instance_id, seq): the number comes from instance_counters, in the transaction that appends the event
-- and under that row's lock, so that it cannot be given twice; the index would cost a random page an event.
CREATE SEQUENCE event_positions;

CREATE TABLE events (
    position BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

CREATE INDEX events_by_tenant ON events (tenant_id, position);

-- The partitions of the log, by range of positions: [lower, upper). `opened_at` is when the first position of it was seen to
-- be given; how long a partition took decides how wide later ones are.
CREATE TABLE event_partitions (
    lower BIGINT PRIMARY KEY,
    upper BIGINT NOT NULL,
    opened_at BIGINT
);

-- Adds a partition at the end of the log. Attaching does not block who reads or writes the log.
CREATE FUNCTION add_event_partition(lower_position BIGINT, upper_position BIGINT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition TEXT := 'events_' || lower_position;
BEGIN
    INSERT INTO event_partitions (lower, upper) VALUES (lower_position, upper_position);
    EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS, CHECK (position >= %s AND position < %s))',
        partition, lower_position, upper_position);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (id)', partition || '_by_id', partition);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
        partition, lower_position, upper_position);
END
$$;

-- Removes a partition from the front of the log; false if it is not there any more.
CREATE FUNCTION drop_event_partition(lower_position BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    IF lower_position IS DISTINCT FROM (SELECT min(lower) FROM event_partitions) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', 'events_' || lower_position);
    DELETE FROM event_partitions WHERE lower = lower_position;
    RETURN true;
END
$$;

SELECT add_event_partition(0, 16777216);
SELECT add_event_partition(16777216, 33554432);

-- The horizon of the log. Whoever appends events says so first, with a shared advisory lock that names the last position given
-- before, and so a bound below all that it will be given; the lock goes when its transaction is over and visible. A reader
-- takes the last position given, then looks who is still at it: nothing can appear any more below what the first of those
-- named. shared/postgres/src/events.rs has the argument.
CREATE FUNCTION last_event_position() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_positions
$$;

CREATE FUNCTION announce_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- last_event_position(), in place: this runs with every batch.
    PERFORM pg_advisory_xact_lock_shared(CASE WHEN is_called THEN last_value ELSE 0 END) FROM event_positions;
    RETURN NULL;
END
$$;

CREATE TRIGGER events_announced BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION announce_events();

CREATE FUNCTION log_head() RETURNS BIGINT LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given BIGINT;
    pending BIGINT;
BEGIN
    given := last_event_position();
    -- After, never before: see events.rs.
    SELECT min((classid::BIGINT << 32) | objid::BIGINT) INTO pending FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(given, pending);
END
$$;

-- What the client library keeps for an instance, sealed.
CREATE TABLE session_records (
    instance_id UUID NOT NULL,
    kind SMALLINT NOT NULL,
    key BYTEA NOT NULL,
    tenant_id UUID NOT NULL,
    mark BIGINT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (instance_id, kind, key)
) WITH (fillfactor = 70, toast_tuple_target = 4080, autovacuum_vacuum_scale_factor = 0.05);

ALTER TABLE session_records ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX session_records_by_mark ON session_records (instance_id, kind, mark) WHERE mark > 0;

-- purpose: 0 a reserved request, 1 a sent message (resource is its id). status and body are set once it is answered.
CREATE TABLE idempotency (
    tenant_id UUID NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    purpose SMALLINT NOT NULL,
    fingerprint BYTEA NOT NULL,
    resource UUID NOT NULL,
    stored_at BIGINT NOT NULL,
    status INTEGER,
    body BYTEA,
    PRIMARY KEY (tenant_id, key)
);

CREATE INDEX idempotency_by_age ON idempotency (stored_at);

-- Which epoch owns a shard: every hot write is compared with it, and holds the row FOR SHARE until it is committed.
CREATE TABLE shard_owners (
    shard INTEGER PRIMARY KEY,
    epoch BIGINT NOT NULL
) WITH (fillfactor = 50);

-- The last batch that each committer lane committed, written with it: a lane whose connection broke while it committed finds
-- here whether it did.
CREATE TABLE lane_commits (
    lane UUID PRIMARY KEY,
    batch BIGINT NOT NULL,
    stored_at BIGINT NOT NULL
) WITH (fillfactor = 40);

-- Files of messages. Their bytes are in the object store.
--
-- origin: 0 upload, 1 link, 2 whatsapp. state: 0 pending, 1 ready, 2 failed. bytes_gone once the object store was told to
-- forget the bytes, which is when the file expired or was deleted.
CREATE TABLE media (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    instance_id UUID,
    origin SMALLINT NOT NULL,
    state SMALLINT NOT NULL,
    reason TEXT,
    mime_type TEXT,
    size BIGINT,
    sha256 BYTEA,
    filename TEXT,
    link TEXT,
    source BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    bytes_gone BOOLEAN NOT NULL
);

CREATE INDEX media_kept ON media (expires_at) WHERE NOT bytes_gone;
CREATE INDEX media_gone ON media (expires_at) WHERE bytes_gone;
-- What a tenant or an instance holds, and how much that is.
CREATE INDEX media_by_owner ON media (tenant_id, instance_id, state, size) WHERE NOT bytes_gone;

-- What WhatsApp said of numbers, kept for the tenant that asked: nothing of one tenant's contacts shows to another.
-- jid and lid are null where the number is not registered.
CREATE TABLE number_checks (
    tenant_id UUID NOT NULL,
    phone TEXT COLLATE "C" NOT NULL,
    jid TEXT,
    lid TEXT,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, phone)
);

CREATE INDEX number_checks_by_age ON number_checks (checked_at);

-- How many numbers an instance asked WhatsApp about on a day (days since 1970 UTC).
CREATE TABLE number_check_uses (
    tenant_id UUID NOT NULL,
    day BIGINT NOT NULL,
    instance_id UUID NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, day, instance_id)
);

CREATE INDEX number_check_uses_by_day ON number_check_uses (day);

-- Accepts messages, each on its own verdict, in the order given: 0 new, 1 made before with the same key (`made` says which),
-- 2 the key stands for something else, 3 no room in the queue, 4 no such instance, 5 not paired, 6 new, and in the store already
-- (`again`: an earlier try may have been committed).
--
-- The counter rows are locked first, by instance_id. What follows is a statement of its own and sees all that was committed
-- before: of one instance, messages are judged and numbered one call after the other, whichever process takes them. No two
-- messages of a call share a key, unless as different parts of one request; and all of an instance have one `room`.
--
-- The settings hold for the plans of this function, which are made once a connection, for any number of messages, and perhaps
-- while the tables are empty: every row is found by its key.
CREATE FUNCTION accept_messages(
    ids UUID[], tenants UUID[], targets UUID[], rooms BIGINT[], keys TEXT[], parts TEXT[], fingerprints BYTEA[],
    whatsapp_ids TEXT[], secrets BYTEA[], chats TEXT[], contents TEXT[], quotes TEXT[], deliveries SMALLINT[],
    expiries BIGINT[], times BIGINT[], metadatas TEXT[], creations BIGINT[], files JSON, now BIGINT, again BOOLEAN
) RETURNS TABLE (verdict SMALLINT, made UUID)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET enable_material = off AS $$
BEGIN
    PERFORM 1 FROM instance_counters c WHERE c.instance_id = ANY (targets) ORDER BY c.instance_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT asked.*, coalesce(p.resource, k.resource) AS made, CASE
            WHEN k.purpose <> 1 OR k.fingerprint <> asked.fingerprint THEN 2
            WHEN k.key IS NOT NULL AND (asked.part IS NULL OR p.key IS NOT NULL) THEN 1
            WHEN i.id IS NULL OR i.tenant_id <> asked.tenant_id OR i.deleted_at IS NOT NULL THEN 4
            WHEN i.phone IS NULL OR i.state IN ('created', 'pairing', 'logged_out') THEN 5
            WHEN again AND EXISTS (SELECT 1 FROM messages m WHERE m.id = asked.id) THEN 6
            ELSE 0
        END AS verdict
        FROM unnest(ids, tenants, targets, rooms, keys, parts, fingerprints, whatsapp_ids, secrets, chats, contents, quotes,
            deliveries, expiries, times, metadatas, creations) WITH ORDINALITY AS asked (id, tenant_id, instance_id, room, key,
            part, fingerprint, whatsapp_id, secret, chat, content, quoted, delivery, expires_at, send_at, metadata, created_at,
            place)
        LEFT JOIN idempotency k ON k.tenant_id = asked.tenant_id AND k.key = asked.key
        LEFT JOIN idempotency p ON p.tenant_id = asked.tenant_id AND p.key = asked.part
        LEFT JOIN instances i ON i.id = asked.instance_id
    ), settled AS MATERIALIZED (
        SELECT j.*, CASE
            WHEN j.verdict > 0 THEN j.verdict
            WHEN c.open_messages + row_number() OVER (PARTITION BY j.instance_id, j.verdict ORDER BY j.place) > j.room THEN 3
            ELSE 0
        END AS final
        FROM judged j LEFT JOIN instance_counters c ON c.instance_id = j.instance_id
    ), taken AS MATERIALIZED (
        SELECT *, nextval('message_orders') AS queue_order FROM (SELECT * FROM settled WHERE final = 0 ORDER BY place) new
    ), counted AS (
        UPDATE instance_counters c
        SET open_messages = c.open_messages + more.messages, last_active_at = greatest(c.last_active_at, now)
        FROM (SELECT instance_id, count(*) AS messages FROM taken GROUP BY instance_id) more
        WHERE c.instance_id = more.instance_id
    ), kept AS (
        INSERT INTO idempotency (tenant_id, key, purpose, fingerprint, resource, stored_at)
        SELECT tenant_id, name, 1, fingerprint, id, now FROM (
            (SELECT DISTINCT ON (tenant_id, key) tenant_id, key AS name, fingerprint, id FROM taken
                WHERE key IS NOT NULL AND taken.made IS NULL ORDER BY tenant_id, key, place)
            UNION ALL
            SELECT tenant_id, part, fingerprint, id FROM taken WHERE part IS NOT NULL
        ) names ORDER BY tenant_id, name
    ), known AS (
        INSERT INTO media (id, tenant_id, instance_id, origin, state, reason, mime_type, size, sha256, filename, link, source,
            created_at, expires_at, bytes_gone)
        SELECT f.id, f.tenant_id, f.instance_id, f.origin, f.state, f.reason, f.mime_type, f.size, decode(f.sha256, 'hex'),
            f.filename, f.link, decode(f.source, 'hex'), f.created_at, f.expires_at, false
        FROM json_to_recordset(files) AS f (place BIGINT, id UUID, tenant_id UUID, instance_id UUID, origin SMALLINT,
            state SMALLINT, reason TEXT, mime_type TEXT, size BIGINT, sha256 TEXT, filename TEXT, link TEXT, source TEXT,
            created_at BIGINT, expires_at BIGINT)
        JOIN taken ON taken.place = f.place
        ON CONFLICT (id) DO NOTHING
    ), stored AS (
        INSERT INTO messages (queue_order, id, tenant_id, instance_id, direction, status, delivery, backfilled, attempt,
            stored_at, created_at, expires_at, send_at, whatsapp_id, chat, author_jid, content, quoted, metadata, secret)
        SELECT queue_order, id, tenant_id, instance_id, 1, 0, delivery, false, 0, now, created_at, expires_at, send_at,
            whatsapp_id, chat, '', content, quoted, metadata, secret
        FROM taken
    ), queued AS (
        INSERT INTO queue (queue_order, instance_id, tenant_id, message_id, held, send_at, expires_at)
        SELECT queue_order, instance_id, tenant_id, id, coalesce(send_at > now, false), send_at, expires_at FROM taken
    )
    SELECT settled.final::SMALLINT, settled.made FROM settled ORDER BY settled.place;
END
$$;

-- Locks the counters of instances, whoever's they are, in the order in which accept_messages() does.
CREATE FUNCTION lock_counters(instances UUID[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM instance_counters c WHERE c.instance_id = ANY (instances) ORDER BY c.instance_id FOR NO KEY UPDATE;
END
$$;

-- What is asked before it is known whose it is: the key that a caller shows, the file of a signed link; and the list of all
-- tenants, for the operator.
CREATE FUNCTION key_by_prefix(wanted TEXT) RETURNS SETOF api_keys LANGUAGE sql STABLE AS $$
    SELECT * FROM api_keys WHERE prefix = wanted
$$;

CREATE FUNCTION touch_key(wanted UUID, used_at BIGINT, unless_after BIGINT) RETURNS void LANGUAGE sql AS $$
    UPDATE api_keys SET last_used_at = used_at WHERE id = wanted AND (last_used_at IS NULL OR last_used_at <= unless_after)
$$;

CREATE FUNCTION linked_media(wanted UUID) RETURNS SETOF media LANGUAGE sql STABLE AS $$
    SELECT * FROM media WHERE id = wanted
$$;

CREATE FUNCTION tenants_after(last UUID, most BIGINT) RETURNS SETOF tenants LANGUAGE sql STABLE AS $$
    SELECT * FROM tenants WHERE id > last ORDER BY id LIMIT most
$$;
