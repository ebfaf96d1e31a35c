//! Whom the bus believes: nobody for what he can reach, and nobody twice.

use crate::common::{Joined, LIMIT, SECRET, SHORT, command, counted, heard, joined, joined_with, received};
use async_nats::Client;
use bytes::Bytes;
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{InstanceId, Shard, TenantId, Timestamp};
use warren_nats::Options;
use warren_ports::bus::{Action, Bus, Reply, Request, RequestError, Ring, Topic};
use warren_testkit::services::Nats;

const SHARD: Shard = Shard(7);
const SUBJECT: &str = "wrn.test.cmd.7";

/// Somebody with the password of the NATS server and without the secret of the cluster. He hears everything.
struct Stranger {
    client: Client,
    hears: async_nats::Subscriber,
}

impl Stranger {
    async fn at(nats: &Nats) -> Self {
        let client = crate::common::raw(nats).await;
        let hears = client.subscribe(">").await.unwrap();
        // Behind the subscription.
        let _ = client.request("nobody", Bytes::new()).await;
        Self { client, hears }
    }

    /// What is said on a subject next.
    async fn hears_on(&mut self, subject: &str) -> async_nats::Message {
        loop {
            let message = timeout(LIMIT, self.hears.next()).await.unwrap().unwrap();
            if message.subject.starts_with(subject) {
                return message;
            }
        }
    }

    async fn says(&self, subject: &str, answer: &str, frame: Bytes) {
        self.client.publish_with_reply(subject.to_owned(), answer.to_owned(), frame).await.unwrap();
        self.client.flush().await.unwrap();
    }
}

/// Asks the owner of the shard, for as long as a test waits.
fn asks(asker: &Joined, action: Action) -> JoinHandle<Result<Reply, RequestError>> {
    let bus = asker.bus.clone();
    tokio::spawn(async move { bus.request(SHARD, command(action), LIMIT).await })
}

/// Waits until the server of the shard is heard: nobody makes again for a stranger what came before.
async fn is_heard(nats: &Nats, served: &mut Receiver<Request>) {
    let asker = joined(nats, "first").await;
    let asked = asks(&asker, Action::Disconnect);
    let request = received(served).await;
    assert_eq!(request.command.action, Action::Disconnect);
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_not_whole_and_ours_is_refused_and_counted() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let mut others = server.bus.serve(Shard(8)).await;
    let asker = joined(&nats, "asker").await;
    // One that nobody has carried out: its receiver is not read.
    let asked = asks(&asker, Action::Connect);
    let whole = stranger.hears_on(SUBJECT).await;
    let answer = whole.reply.clone().unwrap();
    let request = received(&mut served).await;
    let changed = |at: usize| {
        let mut bytes = whole.payload.to_vec();
        *bytes.get_mut(at).unwrap() ^= 1;
        Bytes::from(bytes)
    };
    let length = whole.payload.len();
    stranger.says(SUBJECT, &answer, changed(0)).await;
    counted(&server, "request", "version", 1).await;
    stranger.says(SUBJECT, &answer, changed(length - 1)).await;
    stranger.says(SUBJECT, &answer, changed(length - 40)).await;
    stranger.says(SUBJECT, "elsewhere", whole.payload.clone()).await;
    stranger.says("wrn.test.cmd.8", &answer, whole.payload.clone()).await;
    counted(&server, "request", "forged", 4).await;
    stranger.says(SUBJECT, &answer, whole.payload.slice(..20)).await;
    stranger.says(SUBJECT, &answer, Bytes::new()).await;
    stranger.client.publish(SUBJECT, whole.payload.clone()).await.unwrap();
    counted(&server, "request", "malformed", 3).await;
    stranger.says(SUBJECT, &answer, whole.payload.clone()).await;
    counted(&server, "request", "repeated", 1).await;
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
    // Also after it was answered.
    stranger.says(SUBJECT, &answer, whole.payload.clone()).await;
    counted(&server, "request", "repeated", 2).await;
    assert!(served.try_recv().is_err() && others.try_recv().is_err(), "something was carried out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_an_earlier_server_is_not_carried_out_by_the_next() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let asker = joined(&nats, "asker").await;
    // Its deadline is far away, and its caller is gone.
    let asked = asks(&asker, Action::Connect);
    let old = stranger.hears_on(SUBJECT).await;
    asked.abort();
    let server = joined(&nats, "server").await;
    // Clocks tell milliseconds, and the request may be younger by one than they say.
    let made = SystemClock.now().after(Duration::from_millis(3));
    while SystemClock.now() < made {
        tokio::task::yield_now().await;
    }
    let mut served = server.bus.serve(SHARD).await;
    is_heard(&nats, &mut served).await;
    stranger.says(SUBJECT, &old.reply.unwrap(), old.payload).await;
    counted(&server, "request", "stale", 1).await;
    assert!(served.try_recv().is_err());
}

/// Another machine's clock: by so many milliseconds ahead of ours.
#[derive(Debug)]
struct Off(AtomicI64);

impl Off {
    fn by_seconds(seconds: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(seconds * 1_000)))
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_or_from_the_future_is_refused_and_made_again_by_the_clock_of_who_is_asked() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    // The first is within the minute, and its deadline has passed.
    for (round, by) in (1..).zip([-30, -70, 70, -86_400, 86_400]) {
        let clock = Off::by_seconds(by);
        let asker = joined_with(&nats, "asker", |options| Options { clock, ..options }).await;
        let asked = asks(&asker, Action::Connect);
        let first = stranger.hears_on(SUBJECT).await;
        let request = received(&mut served).await;
        counted(&server, "request", "stale", round).await;
        request.reply.send(Reply::Accepted).unwrap();
        assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted), "{by} s ahead");
        // The frame that was refused is not carried out later, and neither is the one that was taken.
        let second = stranger.hears_on(SUBJECT).await;
        for frame in [first, second] {
            stranger.says(SUBJECT, &frame.reply.unwrap(), frame.payload).await;
            stranger.hears_on(SUBJECT).await;
        }
        counted(&server, "request", "repeated", round * 2).await;
    }
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_while_a_request_is_carried_out_lets_nobody_repeat_it() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let clock = Off::by_seconds(0);
    let its = Arc::clone(&clock);
    let server = joined_with(&nats, "server", |options| Options { clock: its, ..options }).await;
    let mut served = server.bus.serve(SHARD).await;
    let asker = joined(&nats, "asker").await;
    let asked = asks(&asker, Action::Connect);
    let whole = stranger.hears_on(SUBJECT).await;
    let request = received(&mut served).await;
    for (round, seconds) in (1..).zip([30, 3_600, -3_600]) {
        clock.0.store(seconds * 1_000, Ordering::Relaxed);
        stranger.says(SUBJECT, whole.reply.as_ref().unwrap(), whole.payload.clone()).await;
        counted(&server, "request", "repeated", round).await;
    }
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_again_for_a_wrong_clock_is_good_at_that_process_alone() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined_with(&nats, "server", |options| Options { clock: Off::by_seconds(3_600), ..options }).await;
    let mut served = server.bus.serve(SHARD).await;
    let asker = joined(&nats, "asker").await;
    let asked = asks(&asker, Action::Connect);
    let again = (stranger.hears_on(SUBJECT).await, stranger.hears_on(SUBJECT).await).1;
    received(&mut served).await.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
    // The next owner, when the time has come that the first one told.
    let next = joined_with(&nats, "next", |options| Options { clock: Off::by_seconds(3_600), ..options }).await;
    drop((served, server));
    let mut served = next.bus.serve(SHARD).await;
    is_heard(&nats, &mut served).await;
    // Its clock is wrong for that one too.
    counted(&next, "request", "stale", 1).await;
    stranger.says(SUBJECT, &again.reply.unwrap(), again.payload).await;
    counted(&next, "request", "stale", 2).await;
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_caller_has_given_up_is_not_carried_out() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let asker = joined(&nats, "asker").await;
    let asked = asker.bus.request(SHARD, command(Action::Connect), SHORT);
    let (whole, answered) = tokio::join!(stranger.hears_on(SUBJECT), asked);
    assert_eq!(answered, Err(RequestError::Timeout));
    // The one in the queue: its caller is gone, and says so.
    let request = received(&mut served).await;
    timeout(LIMIT, async {
        let mut reply = request.reply;
        reply.closed().await;
    })
    .await
    .unwrap();
    stranger.says(SUBJECT, &whole.reply.unwrap(), whole.payload).await;
    counted(&server, "request", "stale", 1).await;
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_secrets_and_clusters_are_strangers() {
    let nats = Nats::start().await.unwrap();
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let mut listener = server.bus.listen(Topic::Outbound(SHARD)).await;
    let secret = "another secret, which is long enough as well".to_owned();
    let stranger = joined_with(&nats, "stranger", |options| Options { secret, ..options }).await;
    assert_eq!(stranger.bus.request(SHARD, command(Action::Connect), SHORT).await, Err(RequestError::Timeout));
    counted(&server, "request", "forged", 1).await;
    stranger.bus.ring(Topic::Outbound(SHARD), Ring::Outbound(InstanceId::generate()));
    counted(&server, "ring", "forged", 1).await;
    let other = joined_with(&nats, "other", |options| Options { cluster: "other".to_owned(), ..options }).await;
    assert_eq!(other.bus.request(SHARD, command(Action::Connect), SHORT).await, Err(RequestError::NoResponder));
    assert!(served.try_recv().is_err());
    let instance = InstanceId::generate();
    server.bus.ring(Topic::Outbound(SHARD), Ring::Outbound(instance));
    assert_eq!(heard(&mut listener).await, Ring::Outbound(instance), "nothing else was heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_answer_is_not_believed_and_the_true_one_still_comes() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let asker = joined(&nats, "asker").await;
    // An answer to another request, which is true there.
    let (first, ()) = tokio::join!(asker.bus.request(SHARD, command(Action::Health), LIMIT), async {
        received(&mut served).await.reply.send(Reply::NotFound).unwrap();
    });
    assert_eq!(first, Ok(Reply::NotFound));
    let replayed = stranger.hears_on("_INBOX_asker").await.payload;
    let asked = asks(&asker, Action::Connect);
    let request = received(&mut served).await;
    let answer = loop {
        let heard = stranger.hears_on(SUBJECT).await;
        if heard.payload.windows(7).any(|part| part == b"connect") {
            break heard.reply.unwrap();
        }
    };
    stranger.client.publish(answer.clone(), replayed).await.unwrap();
    stranger.client.publish(answer.clone(), "no frame".into()).await.unwrap();
    counted(&asker, "answer", "forged", 1).await;
    counted(&asker, "answer", "version", 1).await;
    // As the server itself says it: so the request is made again, and not carried out again.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Status", "503");
    stranger.client.publish_with_headers(answer.clone(), headers, Bytes::new()).await.unwrap();
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_made_again_is_carried_out_once() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let asker = joined(&nats, "asker").await;
    let asked = asks(&asker, Action::Connect);
    let answer = stranger.hears_on(SUBJECT).await.reply.unwrap();
    let request = received(&mut served).await;
    // "No responders", as a NATS server says it, though there is one.
    let raw = "HPUB {} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
    crate::common::raw_line(&nats, &raw.replace("{}", &answer)).await;
    counted(&server, "request", "repeated", 1).await;
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
    assert!(served.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_ring_is_not_heard() {
    let nats = Nats::start().await.unwrap();
    let mut stranger = Stranger::at(&nats).await;
    let listening = joined(&nats, "listening").await;
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let mut listener = listening.bus.listen(Topic::Log(tenant)).await;
    let _other = listening.bus.listen(Topic::Log(other)).await;
    listening.bus.ring(Topic::Log(tenant), Ring::Log);
    assert_eq!(heard(&mut listener).await, Ring::Log);
    let subject = format!("wrn.test.evt.{tenant}");
    let true_one = stranger.hears_on(&subject).await.payload;
    let moved = format!("wrn.test.evt.{other}");
    stranger.client.publish(moved, true_one).await.unwrap();
    stranger.client.publish(subject.clone(), "no frame".into()).await.unwrap();
    counted(&listening, "ring", "forged", 1).await;
    counted(&listening, "ring", "version", 1).await;
    assert!(timeout(SHORT, listener.next()).await.is_err());
    assert!(!format!("{:?}", Options::new("nats://user:hidden@host", "test", SECRET, "gateway")).contains("hidden"));
}
