//! Files of messages in a folder, or in object storage.
