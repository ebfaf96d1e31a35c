-- What is known of the people in known_chats: the name of each in his latest message, and of a hidden address (`@lid`) the one by
-- number of the same person.
ALTER TABLE known_chats ADD COLUMN name TEXT;
ALTER TABLE known_chats ADD COLUMN pn TEXT;

UPDATE known_chats SET name = latest.author_name, pn = iif(chat LIKE '%@lid', latest.author_pn, NULL)
FROM (
    SELECT instance_id, address, author_name, author_pn, max(id) FROM (
        SELECT instance_id, author_jid AS address, author_name, author_pn, id FROM messages
        WHERE direction = 0 AND author_name IS NOT NULL AND chat NOT LIKE '%@g.us'
        UNION ALL
        SELECT instance_id, author_pn, author_name, author_pn, id FROM messages
        WHERE direction = 0 AND author_name IS NOT NULL AND author_pn IS NOT NULL AND chat NOT LIKE '%@g.us'
        UNION ALL
        SELECT instance_id, author_lid, author_name, author_pn, id FROM messages
        WHERE direction = 0 AND author_name IS NOT NULL AND author_lid IS NOT NULL AND chat NOT LIKE '%@g.us')
    GROUP BY instance_id, address) AS latest
WHERE known_chats.instance_id = latest.instance_id AND known_chats.chat = latest.address;
