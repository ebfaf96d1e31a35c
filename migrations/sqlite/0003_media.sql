-- Files of messages. Their bytes are in the object store.
--
-- origin: 0 upload, 1 link, 2 whatsapp. state: 0 pending, 1 ready, 2 failed. bytes_gone: 1 once the object store was told to
-- forget the bytes, which is when the file expired or was deleted.
CREATE TABLE media (
    id BLOB PRIMARY KEY NOT NULL,
    tenant_id BLOB NOT NULL,
    instance_id BLOB,
    origin INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    mime_type TEXT,
    size INTEGER,
    sha256 BLOB,
    filename TEXT,
    link TEXT,
    source BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    bytes_gone INTEGER NOT NULL
) STRICT;

CREATE INDEX media_kept ON media (expires_at) WHERE bytes_gone = 0;
CREATE INDEX media_gone ON media (expires_at) WHERE bytes_gone = 1;
-- What a tenant or an instance holds, and how much that is.
CREATE INDEX media_by_owner ON media (tenant_id, instance_id, state, size) WHERE bytes_gone = 0;

-- What WhatsApp's media host answered for the file of an outbound message.
ALTER TABLE messages ADD COLUMN upload BLOB;
