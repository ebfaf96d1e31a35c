//! `{"to" | "groupJid", "mediaUrl", "caption", "mediaType"}`: the instance's worker fetches the file, through the egress guard,
//! before it sends.

use super::{Audience, answer, check_caption, deliver, files, sent};
use crate::{
    problem::Problem,
    seed::{
        Seed,
        body::{self, given},
        codes::Code,
        envelope::{Answer, Failure, coded},
        session::{Needs, Sender},
    },
    v1::messages::{
        attachment::{Given, last_part},
        draft::Draft,
    },
};
use axum::extract::Request;
use serde::Deserialize;
use std::time::Duration;
use warren_domain::{
    Message, MessageStatus,
    media::{Media, MediaFailure, MediaKind},
};

/// How long fetching, bringing to WhatsApp and sending may take together; shorter than any request may.
const WAIT: Duration = Duration::from_secs(45);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    to: Option<String>,
    group_jid: Option<String>,
    media_url: Option<String>,
    caption: Option<String>,
    media_type: Option<String>,
}

/// What is to be fetched, and as what it is sent.
struct Linked {
    link: String,
    name: String,
    kind: MediaKind,
    caption: Option<String>,
}

impl Linked {
    fn new(link: String, caption: Option<String>, kind: Option<&str>) -> Result<Self, Failure> {
        let name = last_part(&link).unwrap_or_else(|| "file".to_owned());
        let kind = match kind.unwrap_or_default() {
            "" => files::kind_of(&name),
            kind => match MediaKind::parse(kind).filter(|kind| *kind != MediaKind::Sticker) {
                Some(kind) => kind,
                None => {
                    let detail = "'mediaType' is image, video, document or audio.";
                    return Err(Failure::from(Code::ValidationError).details(detail));
                }
            },
        };
        let caption = given(caption);
        check_caption(caption.as_deref())?;
        let kind = files::showable(kind, &name);
        Ok(Self { link, name, kind, caption: caption.filter(|_| files::has_caption(kind)) })
    }
}

/// Sends the file behind a link.
pub(in crate::seed) async fn send(seed: &Seed, sender: &Sender, audience: Audience, request: Request) -> Answer {
    let body: Body = body::read(&seed.app, request, Code::InvalidRequest).await?;
    let to = audience.named(body.to, body.group_jid);
    let missing = || Failure::from(Code::ValidationError).details("The recipient and 'mediaUrl' are required.");
    let (Some(to), Some(link)) = (to, given(body.media_url)) else { return Err(missing()) };
    let linked = Linked::new(link, body.caption, body.media_type.as_deref())?;
    let (instance, from) = sender.find(seed, Needs::LoggedIn).await?;
    let address = audience.address(seed, &instance, &to).await?;
    let file = Given::linked(linked.link, linked.caption);
    let delivered = deliver(seed, &instance, Draft::file(&address, linked.kind, file), WAIT).await;
    let message = delivered.map_err(of_send)?;
    let media = fetched(seed, &message).await;
    if let Some(failure) = media.as_ref().and_then(|media| not_fetched(&message, media)) {
        return Err(failure);
    }
    let message = sent(message)?;
    let size = media.and_then(|media| media.size).unwrap_or_default();
    answer(audience, &to, from, &message, files::described(linked.kind, &linked.name, size))
}

/// What was not accepted: an address that is not fetched from, or everything else.
fn of_send(problem: Problem) -> Failure {
    let is_of_the_link =
        problem.member("field").and_then(|field| field.as_str()).is_some_and(|name| name.ends_with(".link"));
    coded(if is_of_the_link { Code::DownloadFailed } else { Code::SendFailed })(problem)
}

/// The file as it is known now. That it cannot be read now takes nothing back.
async fn fetched(seed: &Seed, message: &Message) -> Option<Media> {
    let (_, attachment) = message.content.attachment()?;
    seed.app.ledger.media(seed.tenant, attachment.id).await.ok().flatten()
}

/// Why the file could not be had, if that is why the message failed.
fn not_fetched(message: &Message, media: &Media) -> Option<Failure> {
    let reason = media.reason.filter(|_| message.status == MessageStatus::Failed)?;
    let code = match reason {
        MediaFailure::TooLarge | MediaFailure::TooManyPixels => Code::FileTooLarge,
        MediaFailure::MediaFetch | MediaFailure::RedirectBlocked => Code::DownloadFailed,
        _ => Code::UploadFailed,
    };
    Some(Failure::from(code).details(reason.as_str()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn linked(link: &str, kind: Option<&str>) -> Result<Linked, Failure> {
        Linked::new(link.to_owned(), Some("look".to_owned()), kind)
    }

    #[test]
    fn what_is_not_said_is_guessed_from_the_name() {
        let of = |link: &str, kind| linked(link, kind).map(|linked| (linked.name, linked.kind)).unwrap();
        assert_eq!(of("https://a.example/b/cat.jpg?x=1", None), ("cat.jpg".into(), MediaKind::Image));
        assert_eq!(of("https://a.example/b", Some("")), ("file".into(), MediaKind::Document));
        assert_eq!(of("https://a.example/b", Some("audio")), ("file".into(), MediaKind::Audio));
        assert_eq!(of("https://a.example/b.gif", Some("image")), ("b.gif".into(), MediaKind::Document));
        assert!(linked("https://a.example/b", Some("sticker")).is_err());
        assert!(linked("https://a.example/b", Some("hologram")).is_err());
    }

    #[test]
    fn sound_has_no_words_under_it() {
        assert_eq!(linked("https://a.example/a.mp3", None).unwrap().caption, None);
        assert_eq!(linked("https://a.example/a.png", None).unwrap().caption.as_deref(), Some("look"));
    }
}
