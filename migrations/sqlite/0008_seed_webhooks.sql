-- A webhook may be an instance's setting of the seed: it posts what came in to that instance, as the seed writes and signs it.
ALTER TABLE webhooks ADD COLUMN seed_instance_id BLOB;

CREATE UNIQUE INDEX webhooks_of_seed ON webhooks (seed_instance_id) WHERE seed_instance_id IS NOT NULL AND deleted_at IS NULL;
