//! A small load in both directions, and waiting until all of it has settled.

use serde_json::json;
use std::time::Duration;
use warren_testkit::{Draft, Message, Paired, Person, Stage, eventually};

/// How long everything under way may take to settle after a fault.
const SETTLE: Duration = Duration::from_secs(60);
/// Every third text must not be tried again when in doubt.
const AT_MOST_ONCE_EVERY: usize = 3;

/// A text to send, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) to: String,
    pub(crate) text: String,
    pub(crate) at_most_once: bool,
    /// As the API acknowledged it; `None` until it did.
    pub(crate) accepted: Option<Message>,
    key: String,
}

/// One instance and the people it talks to.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) instance: Paired,
    pub(crate) people: Vec<Person>,
    /// In the order in which they are to be accepted.
    pub(crate) sends: Vec<Sent>,
    /// Probes sent after the fault: what they are, and whether they were read.
    pub(crate) probes: Vec<(String, bool)>,
    /// How long everything under way may take to settle. A test in which something is lost on purpose waits less.
    pub(crate) patience: Duration,
}

impl Traffic {
    /// Pairs an instance and makes people: the first half has talked with it before, the other half are strangers. Every
    /// second one never confirms what arrives: for those, only the server's ack says that a message was taken, and a lost
    /// one means that it is sent again.
    pub(crate) async fn begin(stage: &Stage, people: usize) -> Self {
        Self::begin_with(stage, people, |number| number % 2 == 0).await
    }

    /// The same, with people of whom nobody ever confirms: whatever lost its ack is sent again.
    pub(crate) async fn begin_unconfirmed(stage: &Stage, people: usize) -> Self {
        Self::begin_with(stage, people, |_| false).await
    }

    async fn begin_with(stage: &Stage, people: usize, confirms: impl Fn(usize) -> bool) -> Self {
        let instance = stage.pair("traffic").await.unwrap();
        let mut made = Vec::new();
        for number in 0..people {
            made.push(stage.simulator.person(json!({"auto_receipt": confirms(number)})).await.unwrap());
        }
        let mut traffic = Self { instance, people: made, sends: Vec::new(), probes: Vec::new(), patience: SETTLE };
        let known: Vec<_> = traffic.people.iter().take(people / 2).cloned().collect();
        for person in &known {
            traffic.plan(&person.phone, "hello");
            stage.simulator.write(&person.phone, &traffic.instance.phone, "hello back", 1).await.unwrap();
        }
        traffic.send(stage).await;
        traffic.settle(stage).await;
        traffic
    }

    /// Plans `count` texts, turn by turn to everybody.
    pub(crate) fn plan_all(&mut self, count: usize) {
        let phones: Vec<_> = self.people.iter().map(|person| person.phone.clone()).collect();
        for phone in phones.iter().cycle().take(count) {
            self.plan(phone, "out");
        }
    }

    fn plan(&mut self, to: &str, what: &str) {
        let number = self.sends.len();
        self.sends.push(Sent {
            to: to.to_owned(),
            text: format!("{what} {number} to {to}"),
            at_most_once: number.is_multiple_of(AT_MOST_ONCE_EVERY),
            accepted: None,
            key: format!("send-{number}"),
        });
    }

    /// Everybody writes `each` texts to the instance, turn by turn.
    pub(crate) async fn write_all(&self, stage: &Stage, each: u32) {
        for round in 1..=each {
            for person in &self.people {
                let text = format!("in {round} from {}", person.phone);
                stage.simulator.write(&person.phone, &self.instance.phone, &text, 1).await.unwrap();
            }
        }
    }

    /// Sends what was not accepted yet, in order, each under its own key; ends at the first request without an answer (the
    /// process died). Says whether all were accepted.
    pub(crate) async fn send(&mut self, stage: &Stage) -> bool {
        for send in self.sends.iter_mut().filter(|send| send.accepted.is_none()) {
            let draft = Draft::text(&send.to, &send.text).key(&send.key);
            let draft = if send.at_most_once { draft.at_most_once() } else { draft };
            let Ok(answer) = stage.api.try_send(&self.instance.id, &draft).await else { return false };
            match answer.into::<Message>() {
                Ok(message) => send.accepted = Some(message),
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits until nothing is open: every send has ended, everything on its way to the instance is in its log. Whether that
    /// came; when something was lost on purpose it does not, and the checkers tell what is missing.
    pub(crate) async fn settle(&self, stage: &Stage) -> bool {
        let settled = eventually("everything settled", self.patience, async || {
            for send in self.sends.iter().filter_map(|send| send.accepted.as_ref()) {
                let now = stage.api.message(&send.id).await?;
                anyhow::ensure!(!matches!(now.status.as_str(), "queued" | "handed"), "a send is {}", now.status);
            }
            let history = crate::history::of(stage, self).await?;
            let logged = history.logged.len();
            anyhow::ensure!(logged >= history.emitted.len(), "{logged} of {} are logged", history.emitted.len());
            anyhow::ensure!(history.emitted.iter().all(|emitted| emitted.acked), "some are not acknowledged");
            let sent = history.sends.iter().filter(|send| send.end == warren_swarm::history::End::Sent).count();
            let seen = history.received.len();
            anyhow::ensure!(seen >= sent, "{seen} of {sent} were received");
            Ok(Some(()))
        });
        settled.await.inspect_err(|error| println!("not everything settled: {error:#}")).is_ok()
    }

    /// One more text in each direction with everybody: it must be read at the first try.
    pub(crate) async fn probe(&mut self, stage: &Stage) {
        let before = self.sends.len();
        self.plan_all(self.people.len());
        assert!(self.send(stage).await, "the probes were not accepted");
        for person in &self.people {
            let text = format!("probe from {}", person.phone);
            stage.simulator.write(&person.phone, &self.instance.phone, &text, 1).await.unwrap();
        }
        self.settle(stage).await;
        let events = stage.api.events(&self.instance.id).await.unwrap();
        for person in &self.people {
            let text = format!("probe from {}", person.phone);
            self.probes.push(("in".to_owned(), events.iter().any(|event| event.is_text(&text))));
        }
        for send in self.sends[before..].iter() {
            let inbox = stage.simulator.inbox(&send.to, &self.instance.phone).await.unwrap();
            let is_read = inbox.messages.iter().any(|message| message.text.as_deref() == Some(&send.text));
            self.probes.push(("out".to_owned(), is_read));
        }
    }
}
