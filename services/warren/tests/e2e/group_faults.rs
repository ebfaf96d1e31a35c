//! SIGKILL in the middle of sends to a group: every member sees every text once, in order.

use crate::stage;
use serde_json::json;
use std::time::Duration;
use warren_testkit::{Draft, Message, Paired, Person, Stage, eventually};

const TEXTS: usize = 12;
/// How long it may take until the point is reached, and until everything has settled after it.
const REACHED: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(60);

struct Round {
    stage: Stage,
    instance: Paired,
    people: Vec<Person>,
    group: String,
    /// As the API acknowledged them; `None` until it did.
    sends: Vec<Option<Message>>,
}

impl Round {
    /// An instance in a group with three people, one of whom confirms nothing: what it has, only the ack can settle.
    async fn begin() -> Self {
        let stage = stage().await;
        let instance = stage.pair("a").await.unwrap();
        let mut people = Vec::new();
        for confirms in [true, true, false] {
            people.push(stage.simulator.person(json!({"auto_receipt": confirms})).await.unwrap());
        }
        let phones: Vec<_> = people.iter().map(|person| person.phone.clone()).collect();
        let body = json!({"subject": "Round", "participants": phones});
        let made = stage.api.post(&format!("/v1/instances/{}/groups", instance.id), &body).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        let group = made.body["id"].as_str().unwrap().to_owned();
        let mut round = Self { stage, instance, people, group, sends: vec![None] };
        // The first one brings the members the sender's key.
        round.send().await;
        round.settle().await;
        round.sends.resize(TEXTS, None);
        round
    }

    fn text(number: usize) -> String {
        format!("number {number}")
    }

    /// Sends what was not accepted yet, each under its own key, until the process dies.
    async fn send(&mut self) {
        for (number, send) in self.sends.iter_mut().enumerate().filter(|(_, send)| send.is_none()) {
            let draft = Draft::text(&self.group, &Self::text(number)).key(&format!("send-{number}"));
            let Ok(answer) = self.stage.api.try_send(&self.instance.id, &draft).await else { return };
            let Ok(message) = answer.into::<Message>() else { return };
            *send = Some(message);
        }
    }

    /// Waits until every send is with the server, and every member has it.
    async fn settle(&self) {
        eventually("every member has it", SETTLED, async || {
            for send in self.sends.iter().flatten() {
                let now = self.stage.api.message(&send.id).await?;
                anyhow::ensure!(now.status != "queued" && now.status != "handed", "a send is {}", now.status);
                anyhow::ensure!(now.status != "failed", "a send failed: {:?}", now.reason);
            }
            let count = self.sends.iter().flatten().count();
            for person in &self.people {
                let seen = self.stage.simulator.inbox(&person.phone, &self.instance.phone).await?.messages.len();
                anyhow::ensure!(seen >= count, "somebody has {seen} of {count}");
            }
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// Dies at the point while texts go out; what is seen afterwards.
    async fn survives(mut self, point: &str) {
        self.stage.restart_with(|options| options.fault(point)).await.unwrap();
        let online = self.stage.state(&self.instance.id, "online").await;
        assert!(online.is_ok() || !self.stage.warren.is_running(), "{point}: {online:?}");
        self.send().await;
        let ended =
            self.stage.warren.died(REACHED).await.unwrap_or_else(|error| panic!("{point} is not reached: {error:#}"));
        assert_eq!(ended.code, None, "it ended by itself and not by the fault: {}", ended.stderr);
        self.stage.restart().await.unwrap();
        self.send().await;
        assert!(self.sends.iter().all(Option::is_some), "{point}: the rest was not accepted after the restart");
        self.settle().await;
        let expected: Vec<_> = (0..TEXTS).map(Self::text).collect();
        for person in &self.people {
            let inbox = self.stage.simulator.inbox(&person.phone, &self.instance.phone).await.unwrap();
            let texts: Vec<_> = inbox.messages.iter().map(|message| message.text.clone().unwrap_or_default()).collect();
            assert_eq!(texts, expected, "{point}");
            assert!(inbox.messages.iter().all(|message| message.surfaced == 1), "{point}: seen twice: {:?}", inbox.messages);
            assert_eq!((inbox.undecryptable, inbox.retries_sent), (0, 0), "{point}");
        }
        // Every send still knows who it went to.
        for send in self.sends.iter().flatten() {
            let receipts = self.stage.api.get(&format!("/v1/messages/{}/receipts", send.id)).await.unwrap();
            assert_eq!(receipts.body["data"].as_array().map(Vec::len), Some(3), "{point}: {}", receipts.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_claim_of_a_group_message() {
    Round::begin().await.survives("outbound.before_claim:3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_group_message_claimed() {
    Round::begin().await.survives("outbound.claimed:3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_group_message_on_the_wire() {
    Round::begin().await.survives("outbound.on_wire:3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_a_group_message_acknowledged() {
    Round::begin().await.survives("outbound.acked:3").await;
}
