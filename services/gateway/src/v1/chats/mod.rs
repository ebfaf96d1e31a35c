//! Chats: what the others see this account doing in them.

pub(crate) mod activity;
