//! `GET /v1/instances/{instance}/messages` `?direction=&status=&chat=&limit=&cursor=`: newest first.

use crate::{
    auth::Reader,
    openapi::{Paging, Problems},
    parameters::{Id, Parameters},
    problem::Result,
    state::App,
    v1::{self, messages::View},
};
use axum::{extract::State, response::Response};
use serde::de::{DeserializeOwned, IntoDeserializer as _, value};
use utoipa::IntoParams;
use warren_domain::{Direction, InstanceId, Message, MessageStatus, Recipient};
use warren_ports::ledger::MessageFilter;

/// What can be asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handler takes out of the query")]
struct Filters {
    /// Only received or only sent ones.
    direction: Option<Direction>,
    /// Only those that are exactly this far.
    status: Option<MessageStatus>,
    /// Only those of this chat: a phone number, or an address.
    #[param(max_length = 100)]
    chat: Option<String>,
}

/// List the messages of an instance, newest first.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/messages",
    tag = "messages",
    operation_id = "listMessages",
    params(("instance" = InstanceId, Path), Filters, Paging),
    responses((status = 200, description = "A page of messages.", body = v1::Page<View>), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Reader,
    Id(instance): Id<InstanceId>,
    mut query: Parameters,
) -> Result<Response> {
    let limit = query.limit(v1::LIST_DEFAULT, v1::LIST_MOST)?;
    let before = query.parsed("cursor", |text| text.parse().ok())?;
    let filter = MessageFilter {
        direction: query.parsed("direction", by_name)?,
        status: query.parsed("status", by_name)?,
        chat: query.parsed("chat", chat)?,
    };
    query.finish()?;
    app.instance(caller.tenant, instance).await?;
    let messages = app.ledger.messages(caller.tenant, instance, &filter, before, limit + 1).await?;
    Ok(v1::Page::cut(messages, limit, |message: &Message| message.id.to_string(), View::from))
}

/// The value that JSON writes with this name.
fn by_name<T: DeserializeOwned>(name: &str) -> Option<T> {
    let reader: value::StrDeserializer<'_, value::Error> = name.into_deserializer();
    T::deserialize(reader).ok()
}

/// A bare number is a phone number; everything with an `@` is an address as it stands.
fn chat(text: &str) -> Option<String> {
    if text.len() > 100 {
        return None;
    }
    if text.contains('@') { Some(text.to_owned()) } else { Recipient::parse(text).ok().map(|to| to.jid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_written_as_in_the_resource() {
        assert_eq!(by_name::<Direction>("inbound"), Some(Direction::Inbound));
        assert_eq!(by_name::<MessageStatus>("handed"), Some(MessageStatus::Handed));
        assert_eq!(by_name::<MessageStatus>("Handed"), None);
        assert_eq!(chat("+628123456").as_deref(), Some("628123456@s.whatsapp.net"));
        assert_eq!(chat("77@lid").as_deref(), Some("77@lid"));
        assert_eq!(chat("(555) abc"), None);
    }
}
