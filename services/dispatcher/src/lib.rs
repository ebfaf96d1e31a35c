//! The edge out: webhooks, delivered from the event log.
