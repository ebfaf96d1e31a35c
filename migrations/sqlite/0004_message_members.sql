-- Who a message to a group goes to, and what each did with it: a message's status is the weakest of its members'. Messages to
-- persons have no rows here.
CREATE TABLE message_members (
    queue_order INTEGER NOT NULL,
    jid TEXT NOT NULL,
    pn TEXT,
    lid TEXT,
    delivered_at INTEGER,
    read_at INTEGER,
    played_at INTEGER,
    PRIMARY KEY (queue_order, jid)
) STRICT, WITHOUT ROWID;

-- They go with their message, whoever removes it.
CREATE TRIGGER message_members_removed AFTER DELETE ON messages WHEN OLD.direction = 1 AND OLD.chat LIKE '%@g.us'
BEGIN
    DELETE FROM message_members WHERE queue_order = OLD.queue_order;
END;
