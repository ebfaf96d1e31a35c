//! A file that is to be sent: one that is here, by its id, or one behind a link, which the instance's worker fetches before
//! it sends.

use super::checks;
use crate::{
    problem::{Problem, Result},
    state::App,
};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use utoipa::ToSchema;
use warren_domain::{
    ErrorKind, InstanceId, MediaId, TenantId,
    content::Attachment,
    media::{Media, MediaFailure, MediaKind, MediaOrigin, MediaState, VOICE_TYPE, sanitised_filename},
    message::Content,
};

/// The longest caption, characters.
pub(crate) const CAPTION: usize = 4_096;

/// Whether this can be written under a file.
pub(crate) fn is_caption(text: &str) -> bool {
    text.chars().count() <= CAPTION && !text.contains('\0')
}

/// A file to be sent: by its `id` or by a `link`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttachmentToSend)]
pub(crate) struct Given {
    /// A file that was sent here, or that an instance received.
    id: Option<MediaId>,
    /// Where the file is fetched from, once, before it is sent: a public `https` address.
    link: Option<String>,
    /// Words under it, at most 4,096 characters (image, video, document).
    caption: Option<String>,
    /// Its name for people (document). By default the file's own, or the last part of the link.
    filename: Option<String>,
    /// Whether it is shown as a voice note (audio in Ogg Opus).
    #[serde(default)]
    voice: bool,
    /// Whether it moves without sound: a film shown as a GIF (video), an animated sticker (sticker).
    #[serde(default)]
    animated: bool,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(..)")
    }
}

impl Given {
    /// A file that is here.
    pub(crate) const fn stored(id: MediaId, caption: Option<String>) -> Self {
        Self { id: Some(id), link: None, caption, filename: None, voice: false, animated: false }
    }

    /// The file behind a link.
    pub(crate) const fn linked(link: String, caption: Option<String>) -> Self {
        Self { id: None, link: Some(link), caption, filename: None, voice: false, animated: false }
    }
}

/// The file that belongs to the type of a message, if it is one that carries a file; any other one is refused.
pub(super) fn only(kind: &str, given: [(MediaKind, Option<Given>); 5]) -> Result<Option<(MediaKind, Given)>> {
    let mut wanted = None;
    for (name, file) in given {
        match file {
            Some(file) if name.as_str() == kind => wanted = Some((name, file)),
            Some(_) => return Err(Problem::field(name.as_str(), "Only the object that the type names is given.")),
            None if name.as_str() == kind => return Err(Problem::field(kind, "This field is required.")),
            None => {}
        }
    }
    Ok(wanted)
}

/// What is to be sent, and the file behind a link, which is made known together with the message.
pub(super) async fn content(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    kind: MediaKind,
    given: Given,
) -> Result<(Content, Option<Media>)> {
    shape(kind, &given)?;
    let (media, is_new) = match (given.id, &given.link) {
        (Some(id), None) => (stored(app, tenant, instance, kind, id).await?, false),
        (None, Some(link)) => (linked(app, tenant, instance, kind, link, given.filename.as_deref())?, true),
        _ => return Err(of_kind(kind, "id", "Give an id or a link, one of them.")),
    };
    let is_voice_type = media.mime_type.as_deref().is_none_or(|mime_type| mime_type == VOICE_TYPE);
    if given.voice && !is_voice_type {
        return Err(mismatch(kind, "voice", "A voice note is sound in Ogg Opus (audio/ogg; codecs=opus)."));
    }
    let attachment = Attachment {
        id: media.id,
        caption: given.caption,
        filename: named(kind, given.filename.as_deref(), &media),
        mime_type: media.mime_type.clone(),
        size: media.size,
        sha256: media.sha256.map(hex::encode),
        voice: given.voice,
        animated: given.animated,
        width: None,
        height: None,
        seconds: None,
    };
    Ok((with(kind, attachment), is_new.then_some(media)))
}

const fn with(kind: MediaKind, attachment: Attachment) -> Content {
    match kind {
        MediaKind::Image => Content::Image { image: attachment },
        MediaKind::Video => Content::Video { video: attachment },
        MediaKind::Audio => Content::Audio { audio: attachment },
        MediaKind::Document => Content::Document { document: attachment },
        MediaKind::Sticker => Content::Sticker { sticker: attachment },
    }
}

/// What only some kinds have.
fn shape(kind: MediaKind, given: &Given) -> Result<()> {
    use MediaKind::{Audio, Document, Image, Sticker, Video};
    if let Some(caption) = &given.caption {
        if !matches!(kind, Image | Video | Document) {
            return Err(of_kind(kind, "caption", "An image, a video or a document has a caption."));
        }
        if !is_caption(caption) {
            return Err(of_kind(kind, "caption", "A caption has at most 4,096 characters, and no NUL."));
        }
    }
    if let Some(filename) = &given.filename {
        if kind != Document {
            return Err(of_kind(kind, "filename", "A document has a filename."));
        }
        checks::line("document.filename", filename)?;
    }
    if given.voice && kind != Audio {
        return Err(of_kind(kind, "voice", "Sound can be a voice note."));
    }
    if given.animated && !matches!(kind, Video | Sticker) {
        return Err(of_kind(kind, "animated", "A video or a sticker can be animated."));
    }
    Ok(())
}

fn named(kind: MediaKind, given: Option<&str>, media: &Media) -> Option<String> {
    if kind != MediaKind::Document {
        return None;
    }
    given.and_then(sanitised_filename).or_else(|| media.filename.clone())
}

/// The tenant's file, if it can be sent as this.
async fn stored(app: &App, tenant: TenantId, instance: InstanceId, kind: MediaKind, id: MediaId) -> Result<Media> {
    let known = app.ledger.media(tenant, id).await?;
    // An upload that is under way is nobody's business.
    let known = known.filter(|media| media.origin != MediaOrigin::Upload || media.state != MediaState::Pending);
    let media = known.ok_or_else(|| {
        let problem =
            Problem::new(ErrorKind::NotFound, "unknown_media", "There is no such file; upload it, or give a link.");
        problem.with("field", json!(format!("{}.id", kind.as_str())))
    })?;
    let is_over = media.expires_at <= app.now();
    if media.state == MediaState::Failed || is_over {
        let reason = media.reason.filter(|_| media.state == MediaState::Failed).unwrap_or(MediaFailure::Expired);
        return Err(unsendable(kind, "media_failed", "This file cannot be had any more; its reason says why.")
            .with("reason", json!(reason.as_str())));
    }
    let is_fetched_by_the_sender = media.origin == MediaOrigin::Whatsapp && media.instance == Some(instance);
    if media.state == MediaState::Pending && !is_fetched_by_the_sender {
        return Err(unsendable(kind, "media_pending", "This file is not here yet: fetch it first, GET /v1/media/{id}."));
    }
    if !kind.takes(media.mime_type.as_deref().unwrap_or_default()) {
        return Err(mismatch(kind, "id", "This file is of a type that cannot be sent so; a document can be anything."));
    }
    let most = app.limits.bytes(kind);
    if media.size.is_some_and(|size| size > most) {
        let problem =
            Problem::invalid("too_large", "The file is larger than files of this type may be; send it as a document.");
        return Err(problem.with("field", json!(format!("{}.id", kind.as_str()))).with("max_bytes", json!(most)));
    }
    Ok(media)
}

/// The file behind a link, not fetched yet. Nothing is sent there now, not even to look its name up.
fn linked(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    kind: MediaKind,
    link: &str,
    filename: Option<&str>,
) -> Result<Media> {
    let checked = app.egress.check(link).map_err(|refused| {
        Problem::invalid(refused.code(), refused.to_string()).with("field", json!(format!("{}.link", kind.as_str())))
    })?;
    let now = app.now();
    Ok(Media {
        id: MediaId::generate(),
        tenant,
        instance: Some(instance),
        origin: MediaOrigin::Link,
        state: MediaState::Pending,
        reason: None,
        mime_type: None,
        size: None,
        sha256: None,
        filename: filename.and_then(sanitised_filename).or_else(|| last_part(checked.as_str())),
        link: Some(checked.as_str().to_owned()),
        source: None,
        created_at: now,
        expires_at: app.limits.kept_until(now),
    })
}

/// The last part of a link's path, if it looks like a file's name.
pub(crate) fn last_part(link: &str) -> Option<String> {
    let path = link.split_once("://")?.1.split(['?', '#']).next()?;
    let (_, last) = path.rsplit_once('/')?;
    sanitised_filename(last).filter(|name| name.contains('.'))
}

fn of_kind(kind: MediaKind, field: &str, detail: &'static str) -> Problem {
    Problem::field(&format!("{}.{field}", kind.as_str()), detail)
}

fn mismatch(kind: MediaKind, field: &str, detail: &'static str) -> Problem {
    Problem::invalid("type_mismatch", detail).with("field", json!(format!("{}.{field}", kind.as_str())))
}

fn unsendable(kind: MediaKind, code: &'static str, detail: &'static str) -> Problem {
    Problem::new(ErrorKind::Conflict, code, detail).with("field", json!(format!("{}.id", kind.as_str())))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn given(file: serde_json::Value) -> Given {
        serde_json::from_value(file).unwrap()
    }

    #[test]
    fn each_kind_has_what_belongs_to_it() {
        let fits = |kind, file: serde_json::Value| shape(kind, &given(file)).is_ok();
        let caption = || json!({"caption": "x"});
        for kind in MediaKind::ALL {
            assert!(fits(kind, json!({})));
            assert_eq!(fits(kind, caption()), matches!(kind, MediaKind::Image | MediaKind::Video | MediaKind::Document));
            assert_eq!(fits(kind, json!({"filename": "a.pdf"})), kind == MediaKind::Document);
            assert_eq!(fits(kind, json!({"voice": true})), kind == MediaKind::Audio);
            assert_eq!(fits(kind, json!({"animated": true})), matches!(kind, MediaKind::Video | MediaKind::Sticker));
        }
        assert!(fits(MediaKind::Image, json!({"caption": "é".repeat(CAPTION)})));
        assert!(!fits(MediaKind::Image, json!({"caption": "e".repeat(CAPTION + 1)})));
        assert!(!fits(MediaKind::Image, json!({"caption": "a\0b"})));
    }

    #[test]
    fn a_type_has_its_file_and_no_other() {
        let files =
            |names: &[&str]| MediaKind::ALL.map(|kind| (kind, names.contains(&kind.as_str()).then(|| given(json!({})))));
        assert_eq!(only("image", files(&["image"])).unwrap().unwrap().0, MediaKind::Image);
        assert!(only("text", files(&[])).unwrap().is_none());
        for (kind, names) in
            [("image", &[][..]), ("image", &["image", "video"]), ("text", &["audio"]), ("sticker", &["image"])]
        {
            assert_eq!(only(kind, files(names)).unwrap_err().code(), "invalid_request");
        }
    }

    #[test]
    fn a_link_may_end_in_a_name() {
        assert_eq!(last_part("https://a.example/b/cat.jpg?x=1/2.gif#y").as_deref(), Some("cat.jpg"));
        for link in ["https://a.example", "https://a.example/", "https://a.example/b", "https://a.example/..", ""] {
            assert_eq!(last_part(link), None, "{link}");
        }
    }
}
