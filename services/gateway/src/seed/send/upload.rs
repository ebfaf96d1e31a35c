//! `multipart/form-data` with `to` or `groupJid`, `caption`, and `file`: its bytes go to the object store as they come.

use super::{Audience, answer, check_caption, deliver, files, sent};
use crate::{
    problem::Problem,
    seed::{
        Seed,
        body::given,
        codes::Code,
        envelope::{Answer, Failure, coded},
        session::{Needs, Sender},
    },
    v1::{
        media::upload::{self, Form, Incoming, Part, Wanted},
        messages::{
            attachment::{CAPTION, Given},
            draft::Draft,
        },
    },
};
use axum::extract::Request;
use std::time::Duration;
use warren_domain::{
    Instance,
    media::{Media, MediaKind, sanitised_filename},
};

/// How long WhatsApp is waited for, once the file is here: it is brought there first.
const WAIT: Duration = Duration::from_secs(60);
/// The longest recipient, bytes, and the longest caption: every character may take four.
const RECIPIENT: usize = 256;
const CAPTION_BYTES: usize = 4 * CAPTION;

/// A form as far as it was read.
struct Filled<'a> {
    seed: &'a Seed,
    sender: &'a Sender,
    audience: Audience,
    recipient: Option<String>,
    caption: Option<String>,
    file: Option<(Incoming, String)>,
    /// Who sends, and to which address; found as soon as the recipient is known.
    checked: Option<Checked>,
}

struct Checked {
    instance: Instance,
    from: Option<String>,
    address: String,
}

/// Sends a file.
pub(in crate::seed) async fn send(seed: &Seed, sender: &Sender, audience: Audience, request: Request) -> Answer {
    let mut filled = Filled { seed, sender, audience, recipient: None, caption: None, file: None, checked: None };
    // Kept until the file is settled: so many are under way at once.
    let _place = match upload::open(&seed.app, seed.tenant, request).await {
        Ok((place, form)) => {
            Box::pin(filled.read(form)).await?;
            Some(place)
        }
        // A body that is no form at all holds no recipient either.
        Err(problem) if problem.code() == "unsupported_media_type" => None,
        Err(problem) => return Err(of_file(problem)),
    };
    filled.check().await?;
    let Filled { recipient, caption, file, checked, .. } = filled;
    let (Some(recipient), Some(checked)) = (recipient, checked) else { return Err(Code::ValidationError.into()) };
    let (incoming, name) = file.ok_or(Code::FileRequired)?;
    let media = incoming.settle().await.map_err(coded(Code::UploadFailed))?;
    let kind = fitting(seed, files::kind_of(&name), &media);
    let caption = caption.filter(|_| files::has_caption(kind));
    let draft = Draft::file(&checked.address, kind, Given::stored(media.id, caption));
    let delivered = deliver(seed, &checked.instance, draft, WAIT).await;
    let message = sent(delivered.map_err(coded(Code::SendFailed))?)?;
    let described = files::described(kind, &name, media.size.unwrap_or_default());
    answer(audience, &recipient, checked.from, &message, described)
}

impl Filled<'_> {
    /// Reads the parts in whichever order they come.
    async fn read(&mut self, mut form: Form) -> Result<(), Failure> {
        while let Some(part) = form.next(&self.seed.app).await.map_err(of_file)? {
            let name = part.name().unwrap_or_default().to_owned();
            match name.as_str() {
                field if field == self.audience.field() => self.recipient = text(part, RECIPIENT).await?,
                "caption" => self.caption = text(part, CAPTION_BYTES).await?,
                "file" if self.file.is_none() => {
                    if self.recipient.is_some() {
                        // Nothing is stored for somebody who cannot be sent to.
                        self.check().await?;
                    }
                    self.file = Some(store(self.seed, part).await?);
                }
                // The seed passes over what it does not know.
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks what comes before the file in the contract's order.
    async fn check(&mut self) -> Result<(), Failure> {
        if self.checked.is_some() {
            return Ok(());
        }
        let recipient = given(self.recipient.take());
        let missing = || Failure::from(Code::ValidationError).details("The recipient is required.");
        let recipient = recipient.ok_or_else(missing)?;
        check_caption(self.caption.as_deref())?;
        let (instance, from) = self.sender.find(self.seed, Needs::LoggedIn).await?;
        let address = self.audience.address(self.seed, &instance, &recipient).await?;
        self.recipient = Some(recipient);
        self.checked = Some(Checked { instance, from, address });
        Ok(())
    }
}

async fn text(part: Part<'_>, most: usize) -> Result<Option<String>, Failure> {
    let text = part.text(most).await.map_err(of_file)?;
    let too_long = || Failure::from(Code::ValidationError).details("A field of the form is too long, or no text.");
    text.map(Some).ok_or_else(too_long)
}

/// Stores a file under the name that it came with.
async fn store(seed: &Seed, part: Part<'_>) -> Result<(Incoming, String), Failure> {
    let name = part.file_name().and_then(sanitised_filename).unwrap_or_else(|| "file".to_owned());
    let kind = files::kind_of(&name);
    let most = files::most(kind).min(seed.app.limits.bytes(kind));
    let wanted = Wanted { kind: None, declared: None, most };
    let incoming = Box::pin(part.file(seed.tenant, wanted)).await.map_err(of_file)?;
    Ok((incoming, name))
}

/// What it is sent as: what its name says, if its bytes are such; a document can be anything.
fn fitting(seed: &Seed, kind: MediaKind, media: &Media) -> MediaKind {
    let is_such = kind.takes(media.mime_type.as_deref().unwrap_or_default());
    let fits = media.size.is_none_or(|size| size <= seed.app.limits.bytes(kind));
    if is_such && fits { kind } else { MediaKind::Document }
}

/// What went wrong with a file, by the contract's codes.
fn of_file(problem: Problem) -> Failure {
    let code = match problem.code() {
        "too_large" | "too_many_pixels" => Code::FileTooLarge,
        "storage_full" | "too_many_uploads" => Code::UploadFailed,
        _ => Code::FileReadFailed,
    };
    coded(code)(problem)
}
