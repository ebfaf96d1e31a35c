//! Chats: what the others see this account doing, what it has read.

use super::{Asker, no_address, unanswered};
use std::str::FromStr;
use wacore_binary::Jid;
use warren_ports::bus::{
    Answer, Refusal,
    ask::{Activity, ChatAsk},
};
use whatsapp_rust::ChatStateType;

pub(super) async fn carry_out(asker: &Asker, ask: ChatAsk) -> Result<Answer, Refusal> {
    match ask {
        ChatAsk::Show { chat, activity } => show(asker, &chat, activity).await,
        ChatAsk::Read { chat, author, whatsapp_ids } => read(asker, &chat, author.as_deref(), &whatsapp_ids).await,
    }
}

async fn show(asker: &Asker, chat: &str, activity: Activity) -> Result<Answer, Refusal> {
    let chat = address(chat)?;
    let state = match activity {
        Activity::Typing => ChatStateType::Composing,
        Activity::Recording => ChatStateType::Recording,
        Activity::Paused => ChatStateType::Paused,
    };
    asker.client.chatstate().send(&chat, state).await.map(|()| Answer::Done).map_err(|_| unanswered())
}

async fn read(asker: &Asker, chat: &str, author: Option<&str>, ids: &[String]) -> Result<Answer, Refusal> {
    let chat = address(chat)?;
    let author = author.map(address).transpose()?;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    asker.client.mark_as_read(&chat, author.as_ref(), &ids).await.map(|()| Answer::Done).map_err(|_| unanswered())
}

fn address(text: &str) -> Result<Jid, Refusal> {
    Jid::from_str(text).map_err(|_| no_address())
}
