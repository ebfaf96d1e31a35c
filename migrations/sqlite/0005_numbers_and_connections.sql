-- What WhatsApp said of numbers, kept for the tenant that asked: nothing of one tenant's contacts shows to another.
-- jid and lid are null where the number is not registered.
CREATE TABLE number_checks (
    tenant_id BLOB NOT NULL,
    phone TEXT NOT NULL,
    jid TEXT,
    lid TEXT,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, phone)
) STRICT, WITHOUT ROWID;

CREATE INDEX number_checks_by_age ON number_checks (checked_at);

-- How many numbers an instance asked WhatsApp about on a day (days since 1970 UTC).
CREATE TABLE number_check_uses (
    tenant_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    instance_id BLOB NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, day, instance_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX number_check_uses_by_day ON number_check_uses (day);

-- The name a phone shows for the device, and the proxy through which the instance connects.
ALTER TABLE instances ADD COLUMN device_name TEXT;
ALTER TABLE instances ADD COLUMN proxy TEXT;
