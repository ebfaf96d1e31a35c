-- Scheduled messages. `held` is 1 while the time of a message has not come: it is in no index that its owner looks at, and
-- costs nothing until then.
ALTER TABLE messages ADD COLUMN send_at INTEGER;
ALTER TABLE messages ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- The open ones of an instance: what was handed, then what is queued, each in the order of its queue (the row id ends every
-- index).
DROP INDEX messages_open;
CREATE INDEX messages_open ON messages (instance_id, status) WHERE status < 2 AND held = 0;
-- The held ones, by when their time comes, and by instance.
CREATE INDEX messages_held ON messages (send_at) WHERE held = 1;
CREATE INDEX messages_held_by_instance ON messages (instance_id) WHERE held = 1;

-- Which people an account has exchanged messages with: WhatsApp limits how many others it may write to. `first_sent_at` is set
-- where the account wrote first. Kept as long as the instance.
CREATE TABLE known_chats (
    instance_id BLOB NOT NULL,
    chat TEXT NOT NULL,
    tenant_id BLOB NOT NULL,
    first_sent_at INTEGER,
    PRIMARY KEY (instance_id, chat)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_chats_opened ON known_chats (instance_id, first_sent_at) WHERE first_sent_at IS NOT NULL;

INSERT OR IGNORE INTO known_chats (instance_id, chat, tenant_id)
    SELECT DISTINCT instance_id, chat, tenant_id FROM messages
    WHERE direction = 0 AND (chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid');
INSERT OR IGNORE INTO known_chats (instance_id, chat, tenant_id)
    SELECT DISTINCT instance_id, author_pn, tenant_id FROM messages
    WHERE direction = 0 AND author_pn IS NOT NULL AND (chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid');
INSERT OR IGNORE INTO known_chats (instance_id, chat, tenant_id)
    SELECT DISTINCT instance_id, author_lid, tenant_id FROM messages
    WHERE direction = 0 AND author_lid IS NOT NULL AND (chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid');
INSERT OR IGNORE INTO known_chats (instance_id, chat, tenant_id, first_sent_at)
    SELECT instance_id, chat, tenant_id, min(sent_at) FROM messages
    WHERE direction = 1 AND status BETWEEN 2 AND 5 AND (chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid')
    GROUP BY instance_id, chat, tenant_id;

-- What WhatsApp, or the caution of this deployment, does not let the account do for a time: JSON.
ALTER TABLE instances ADD COLUMN restriction TEXT;
