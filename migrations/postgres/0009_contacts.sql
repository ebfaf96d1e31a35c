-- What is known of the people in known_chats: the name of each in his latest message, and of a hidden address (`@lid`) the one by
-- number of the same person.
ALTER TABLE known_chats ADD COLUMN name TEXT;
ALTER TABLE known_chats ADD COLUMN pn TEXT;

UPDATE known_chats k SET name = latest.author_name, pn = CASE WHEN k.chat LIKE '%@lid' THEN latest.author_pn END
FROM (
    SELECT DISTINCT ON (m.instance_id, a.address) m.instance_id, a.address, m.author_name, m.author_pn
    FROM messages m CROSS JOIN LATERAL (VALUES (m.author_jid), (m.author_pn), (m.author_lid)) AS a (address)
    WHERE m.direction = 0 AND m.author_name IS NOT NULL AND m.chat NOT LIKE '%@g.us' AND a.address IS NOT NULL
    ORDER BY m.instance_id, a.address, m.id DESC) AS latest
WHERE k.instance_id = latest.instance_id AND k.chat = latest.address;
