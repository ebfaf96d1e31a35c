//! Files: fetched when somebody asks for them.

use super::Asker;
use crate::media::{Fetched, Wanted};
use warren_ports::bus::{Answer, Refusal, RefusalKind, ask::MediaAsk};

pub(super) async fn carry_out(asker: &Asker, ask: MediaAsk) -> Result<Answer, Refusal> {
    let MediaAsk::Fetch { media } = ask;
    match asker.files.fetch(media, Wanted::default()).await {
        Fetched::Ready | Fetched::Failed(_) => Ok(Answer::Done),
        Fetched::Unknown => Err(Refusal::new(RefusalKind::NotFound, "not_found", "This instance has no such file.")),
        Fetched::Full => Err(Refusal::new(
            RefusalKind::Exhausted,
            "too_many_asks",
            "This instance is fetching many files already; try again later.",
        )),
        Fetched::NoRoom => Err(Refusal::new(
            RefusalKind::Exhausted,
            "storage_full",
            "The files of this tenant take all the room they may; delete some, or wait until they expire.",
        )),
        Fetched::Later => Err(Refusal::conflict(
            "media_unavailable",
            "The file cannot be fetched now: its host does not answer, or the connection ended. Try again later.",
        )),
    }
}
