//! I1 and I4: nothing acknowledged is lost.

use super::{Invariant, Violation};
use crate::History;
use crate::history::End;
use std::collections::HashSet;

/// I1: every send that the API acknowledged was taken by the server and seen by its recipient, or is reported failed.
#[must_use]
pub fn outbound(history: &History) -> Vec<Violation> {
    let taken: HashSet<_> = history.taken.iter().map(|taken| taken.whatsapp_id.as_str()).collect();
    let received: HashSet<_> = history.received.iter().map(|received| received.whatsapp_id.as_str()).collect();
    let mut violations = Vec::new();
    for send in &history.sends {
        let id = send.whatsapp_id.as_str();
        let problem = match send.end {
            End::Open => "was acknowledged and is still open",
            End::Failed => continue,
            End::Sent if !taken.contains(id) => "is reported sent and never reached the server",
            End::Sent if !received.contains(id) => "is reported sent and never reached its recipient",
            End::Sent => continue,
        };
        violations.push(Violation::new(Invariant::I1, format!("{id} {problem}")));
    }
    violations
}

/// I4: what was on its way to an instance is in its event log. What the instance acknowledged and did not log is lost for
/// good; what it never acknowledged should have come again by now.
#[must_use]
pub fn inbound(history: &History) -> Vec<Violation> {
    let logged: HashSet<_> =
        history.logged.iter().map(|logged| (logged.instance.as_str(), logged.whatsapp_id.as_str())).collect();
    let is_missing = |instance: &str, id: &str| !logged.contains(&(instance, id));
    history
        .emitted
        .iter()
        .filter(|emitted| is_missing(&emitted.instance, &emitted.whatsapp_id))
        .map(|emitted| {
            let how = if emitted.acked { "was acknowledged and is" } else { "was never acknowledged, and is" };
            Violation::new(Invariant::I4, format!("{} {how} not in the log", emitted.whatsapp_id))
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_a_send_that_the_server_never_got() {
        let mut history = sound();
        history.taken.remove(1);
        history.received.remove(1);
        assert_eq!(violated(&history), [Invariant::I1]);
    }

    #[test]
    fn sees_a_send_that_never_arrived() {
        let mut history = sound();
        history.received.remove(2);
        assert_eq!(violated(&history), [Invariant::I1]);
    }

    #[test]
    fn sees_a_send_that_never_ended() {
        let mut history = sound();
        history.sends[0].end = End::Open;
        assert_eq!(violated(&history), [Invariant::I1]);
    }

    #[test]
    fn a_reported_failure_is_no_loss() {
        let mut history = sound();
        history.sends[2].end = End::Failed;
        history.taken.remove(2);
        history.received.remove(2);
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn sees_an_inbound_message_that_was_acknowledged_and_not_logged() {
        let mut history = sound();
        history.logged.remove(0);
        assert_eq!(violated(&history), [Invariant::I4]);
    }

    #[test]
    fn sees_an_inbound_message_that_never_came_again() {
        let mut history = sound();
        history.emitted[1].acked = false;
        history.logged.remove(1);
        assert_eq!(violated(&history), [Invariant::I4]);
    }

    #[test]
    fn the_log_of_another_instance_does_not_count() {
        let mut history = sound();
        history.logged[0].instance = "j".into();
        assert_eq!(violated(&history), [Invariant::I4]);
    }
}
