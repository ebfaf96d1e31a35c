//! What each service may do, table by table, and which rows it sees; as one text of SQL that can be run again and again.
//!
//! A service has what its statements need and no more: the gateway neither raises an epoch nor reads a session, a worker reads
//! no key of the API and no secret of a webhook, a dispatcher sees webhooks and the log. Nobody owns a table, so nobody changes
//! one, and nobody switches row level security off.

use super::Names;
use std::fmt::Write;

/// Which rows of a table a service sees that may use the table at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// They are nobody's.
    All,
    /// The gateway those of the tenant that it entered, whose id is in this column; the others all.
    Tenant(&'static str),
    /// What the store keeps of itself: only migrating writes what is fixed for ever, and a dispatcher reads nothing else.
    Facts,
}

/// A table, and what the services may do with it, in the words of `GRANT`; an empty text is nothing.
struct Table {
    name: &'static str,
    rows: Rows,
    gateway: &'static str,
    worker: &'static str,
    dispatcher: &'static str,
}

const READ: &str = "SELECT";
const WRITE: &str = "SELECT, INSERT, UPDATE, DELETE";
const NONE: &str = "";
const TENANT: Rows = Rows::Tenant("tenant_id");

/// Every table, the log's partitions excepted: those are reached through `events` only.
///
/// Whoever locks rows needs to be able to update a column of them: where nothing else of a table is updated, that column is one
/// whose change does no harm.
const TABLES: &[Table] = &[
    Table { name: "warren_migrations", rows: Rows::All, gateway: READ, worker: READ, dispatcher: READ },
    Table { name: "meta", rows: Rows::Facts, gateway: "SELECT, INSERT", worker: "SELECT, INSERT, UPDATE", dispatcher: READ },
    Table {
        name: "tenants",
        rows: Rows::Tenant("id"),
        gateway: "SELECT, INSERT, UPDATE (name, limits), DELETE",
        worker: NONE,
        dispatcher: NONE,
    },
    Table { name: "api_keys", rows: TENANT, gateway: "SELECT, INSERT, UPDATE (revoked_at)", worker: NONE, dispatcher: NONE },
    Table {
        name: "instances",
        rows: TENANT,
        gateway: "SELECT, INSERT, UPDATE (name, metadata, device_name, proxy, deleted_at)",
        worker: "SELECT, UPDATE, DELETE",
        dispatcher: NONE,
    },
    Table {
        name: "instance_counters",
        rows: TENANT,
        gateway: "SELECT, INSERT, UPDATE (event_seq, open_messages, last_active_at)",
        worker: "SELECT, UPDATE, DELETE",
        dispatcher: NONE,
    },
    // What is open ends with its instance; what is new comes by accept_messages() only.
    Table {
        name: "messages",
        rows: TENANT,
        gateway: "SELECT, UPDATE (status, reason, failed_at, attempt, handed_epoch, handed_at)",
        worker: WRITE,
        dispatcher: NONE,
    },
    Table { name: "queue", rows: TENANT, gateway: "SELECT, UPDATE (held), DELETE", worker: WRITE, dispatcher: NONE },
    Table { name: "message_members", rows: TENANT, gateway: READ, worker: WRITE, dispatcher: NONE },
    Table { name: "known_chats", rows: TENANT, gateway: READ, worker: WRITE, dispatcher: NONE },
    Table { name: "events", rows: TENANT, gateway: "SELECT, INSERT", worker: "SELECT, INSERT, DELETE", dispatcher: READ },
    Table {
        name: "event_partitions",
        rows: Rows::All,
        gateway: NONE,
        worker: "SELECT, UPDATE (opened_at)",
        dispatcher: NONE,
    },
    Table { name: "session_records", rows: TENANT, gateway: NONE, worker: WRITE, dispatcher: NONE },
    Table {
        name: "idempotency",
        rows: TENANT,
        gateway: "SELECT, INSERT, UPDATE (stored_at, status, body), DELETE",
        worker: "SELECT, UPDATE (stored_at), DELETE",
        dispatcher: NONE,
    },
    Table { name: "shard_owners", rows: Rows::All, gateway: READ, worker: "SELECT, INSERT, UPDATE", dispatcher: NONE },
    Table { name: "lane_commits", rows: Rows::All, gateway: NONE, worker: WRITE, dispatcher: NONE },
    Table { name: "media", rows: TENANT, gateway: WRITE, worker: WRITE, dispatcher: NONE },
    Table { name: "number_checks", rows: TENANT, gateway: "SELECT, DELETE", worker: WRITE, dispatcher: NONE },
    Table {
        name: "number_check_uses",
        rows: TENANT,
        gateway: WRITE,
        worker: "SELECT, UPDATE (used), DELETE",
        dispatcher: NONE,
    },
    Table {
        name: "webhooks",
        rows: TENANT,
        gateway: "SELECT, INSERT, UPDATE",
        worker: NONE,
        dispatcher:
            "SELECT, DELETE, UPDATE (failing_since, delivered_at, paused_until, missed_at, disabled, position, attempts,
            failures, claimed_by, fence)",
    },
    Table { name: "webhook_dispatchers", rows: Rows::All, gateway: NONE, worker: NONE, dispatcher: WRITE },
    Table { name: "webhook_replays", rows: TENANT, gateway: "SELECT, INSERT, DELETE", worker: NONE, dispatcher: WRITE },
    Table {
        name: "webhook_lanes",
        rows: TENANT,
        gateway: "SELECT, UPDATE (next_at), DELETE",
        worker: NONE,
        dispatcher: WRITE,
    },
    Table { name: "webhook_attempts", rows: TENANT, gateway: READ, worker: NONE, dispatcher: WRITE },
    Table { name: "webhook_dead_letters", rows: TENANT, gateway: READ, worker: NONE, dispatcher: WRITE },
];

/// Functions that act with the rights of the tables' owner. The gateway's judge messages of many tenants at once, each by the
/// tenant that it names, or are asked before the tenant is known; the worker's change the log's partitions; all readers' finds
/// the head of the log, which is that of all tenants.
const GATEWAY_ACTS: &[&str] =
    &["accept_messages", "lock_counters", "key_by_prefix", "touch_key", "linked_media", "tenants_after"];
const WORKER_ACTS: &[&str] = &["add_event_partition", "drop_event_partition"];
const READERS_ACTS: &[&str] = &["log_head_after"];

/// Everything, as SQL, for a schema and these roles.
pub(super) fn sql(schema: &str, names: &Names) -> String {
    let schema = quoted(schema);
    let Names { gateway, worker, dispatcher } = names;
    let (gateway, worker, dispatcher) = (quoted(gateway), quoted(worker), quoted(dispatcher));
    let everybody = format!("{gateway}, {worker}, {dispatcher}");
    let mut sql = String::new();
    let mut say = |line: String| writeln!(sql, "{line};").unwrap_or_default();
    say(format!("REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC"));
    say(format!("GRANT USAGE ON SCHEMA {schema} TO {everybody}"));
    for kind in ["TABLES", "SEQUENCES"] {
        say(format!("REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM {everybody}"));
    }
    for table in TABLES {
        let services = [(&gateway, table.gateway), (&worker, table.worker), (&dispatcher, table.dispatcher)];
        for (role, rights) in services.into_iter().filter(|(_, rights)| !rights.is_empty()) {
            say(format!("GRANT {rights} ON {schema}.{} TO {role}", table.name));
        }
        policies(table, &schema, [&gateway, &worker, &dispatcher], &mut say);
    }
    say(format!("GRANT USAGE ON SEQUENCE {schema}.message_orders TO {worker}"));
    say(format!("GRANT USAGE, SELECT ON SEQUENCE {schema}.event_positions TO {gateway}, {worker}"));
    say(format!("GRANT SELECT ON SEQUENCE {schema}.event_positions TO {dispatcher}"));
    for (role, functions) in [(&gateway, GATEWAY_ACTS), (&worker, WORKER_ACTS), (&everybody, READERS_ACTS)] {
        for name in functions {
            // Nobody puts tables of his own, temporary ones, in the way of what the function names.
            say(format!("ALTER FUNCTION {schema}.{name} SECURITY DEFINER SET search_path = {schema}, pg_temp"));
            say(format!("REVOKE EXECUTE ON FUNCTION {schema}.{name} FROM PUBLIC, {everybody}"));
            say(format!("GRANT EXECUTE ON FUNCTION {schema}.{name} TO {role}"));
        }
    }
    sql
}

fn policies(table: &Table, schema: &str, [gateway, worker, dispatcher]: [&str; 3], say: &mut impl FnMut(String)) {
    if table.rows == Rows::All {
        return;
    }
    let name = table.name;
    let mut policy = |policy: &str, terms: String| {
        say(format!("DROP POLICY IF EXISTS {policy} ON {schema}.{name}"));
        say(format!("CREATE POLICY {policy} ON {schema}.{name} {terms}"));
    };
    match table.rows {
        Rows::All => {}
        Rows::Tenant(column) => {
            // A subquery, so that it is looked up once a statement and not once a row.
            let entered = format!("{column} = (SELECT {schema}.entered_tenant())");
            policy("gateway", format!("TO {gateway} USING ({entered}) WITH CHECK ({entered})"));
            policy("owner_of_shards", format!("TO {worker} USING (true)"));
            policy("dispatcher", format!("TO {dispatcher} USING (true)"));
        }
        Rows::Facts => {
            policy("readers", format!("FOR SELECT TO {gateway} USING (true)"));
            policy("gateway", format!("FOR INSERT TO {gateway} WITH CHECK (name NOT LIKE 'store.%')"));
            policy("owner_of_shards", format!("FOR SELECT TO {worker} USING (true)"));
            policy("first_writer", format!("FOR INSERT TO {worker} WITH CHECK (true)"));
            policy("retention", format!("FOR UPDATE TO {worker} USING (name = '{}')", crate::events::REMOVED_TO));
            policy("dispatcher", format!("FOR SELECT TO {dispatcher} USING (name LIKE 'store.%')"));
        }
    }
    say(format!("ALTER TABLE {schema}.{name} ENABLE ROW LEVEL SECURITY"));
}

/// A name as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
