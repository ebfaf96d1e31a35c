//! The code that is typed on the phone. One a connection: WhatsApp answers whoever types an older code with keys that the older
//! code does not open, so the next code comes with the next connection.

use super::{Live, LiveEnd, Round};
use crate::instance::policy::Ending;
use std::time::{Duration, Instant};
use whatsapp_rust::pair_code::{PairCodeOptions, PairCodeRejection};

/// The code of this connection.
#[derive(Debug, Default)]
pub(super) struct TypedCode {
    asked: bool,
    good_until: Option<Instant>,
}

impl TypedCode {
    /// Whether there is one that can still be typed.
    pub(super) fn is_good(&self) -> bool {
        self.good_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether there was one, and its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.good_until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Live<'_> {
    /// Asks for a code, once: WhatsApp is ready to give one when it has sent the first QR code.
    pub(super) fn ask_for_code(&mut self) {
        let Some(phone) = self.actor.pairing.by_code.clone() else { return };
        if std::mem::replace(&mut self.typed_code.asked, true) {
            return;
        }
        let client = self.link.client.clone();
        let options = PairCodeOptions { phone_number: phone.0, ..PairCodeOptions::default() };
        self.link.tasks.run(async move {
            // Its code and its failure are signalled.
            let _ = client.pair_with_code(options).await;
        });
    }

    pub(super) fn show_typed_code(&mut self, code: &str, valid_for: Duration) {
        self.typed_code.good_until = Some(Instant::now() + valid_for);
        self.actor.show_typed_code(code, valid_for);
    }

    pub(super) fn typed_code_over(&self, by_hand: bool) -> Round {
        if self.paired {
            return None;
        }
        Some(LiveEnd::Ended(if by_hand { Ending::NoTypedCode("wrong_codes") } else { Ending::CodesExhausted }))
    }

    pub(super) fn no_typed_code(&self, rejection: Option<PairCodeRejection>) -> Round {
        if self.paired {
            return None;
        }
        let reason = match rejection {
            // Also the answer for a number that codes were asked for too often.
            Some(PairCodeRejection::BadRequest) => "number_refused",
            Some(PairCodeRejection::RateOverlimit) => "code_limit",
            Some(PairCodeRejection::Forbidden | PairCodeRejection::FeatureNotAvailable) => "code_unavailable",
            Some(PairCodeRejection::InternalServerError | PairCodeRejection::Unknown(_)) | None => "code_refused",
        };
        Some(LiveEnd::Ended(Ending::NoTypedCode(reason)))
    }
}
