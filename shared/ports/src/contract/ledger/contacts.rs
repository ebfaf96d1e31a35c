//! Contacts: people with whom an instance exchanged messages.

use super::{Subject, World, at, verdict};
use crate::ledger::{Committer, Contact, Contacts, EdgeLedger, Inbound, NewMessage, Op, OwnerLedger, ReceiptTarget};
use warren_domain::{InstanceId, MessageStatus, Person, TenantId};

fn number(name: &str) -> String {
    format!("{name}@s.whatsapp.net")
}

/// What a person wrote from an address.
fn written<L: EdgeLedger + OwnerLedger>(
    world: &World<'_, L>,
    id: &str,
    chat: &str,
    pn: Option<String>,
    name: &str,
) -> Inbound {
    let mut inbound = world.incoming(id);
    inbound.message.chat = chat.to_owned();
    let lid = chat.ends_with("@lid").then(|| chat.to_owned());
    let push_name = Some(name.to_owned()).filter(|name| !name.is_empty());
    inbound.message.author = Some(Person { jid: chat.to_owned(), pn, lid, push_name });
    inbound
}

async fn all(ledger: &impl Contacts, tenant: TenantId, instance: InstanceId) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    // In stretches of two.
    loop {
        let after = found.last().map(|(address, _): &(String, Option<String>)| address.clone());
        let stretch = ledger.contacts(tenant, instance, after.as_deref(), 2).await.unwrap();
        let is_last = stretch.len() < 2;
        found.extend(stretch.into_iter().map(|Contact { address, name }| (address, name)));
        if is_last {
            return found;
        }
    }
}

/// Each person is there once, by number where it is known, with the latest name; of one tenant's instance alone.
pub async fn people_are_listed_once_by_their_latest_name(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let receive = async |inbound| assert_eq!(world.commit(Op::Receive(Box::new(inbound))).await, "done");
    receive(written(&world, "A", "77@lid", None, "Nobody")).await;
    receive(written(&world, "B", "88@lid", Some(number("62811")), "Ann")).await;
    receive(written(&world, "C", "88@lid", Some(number("62811")), "Anna")).await;
    receive(written(&world, "D", &number("62811"), Some(number("62811")), "")).await;
    let mut in_a_group = written(&world, "E", &number("62899"), Some(number("62899")), "Group");
    in_a_group.message.chat = "1@g.us".to_owned();
    receive(in_a_group).await;
    world.accept(vec![NewMessage { chat: number("62822"), ..world.outgoing("F") }]).await;
    let sent = ReceiptTarget { whatsapp_ids: vec!["F".to_owned()], status: MessageStatus::Sent, at: at(300) };
    let name = |name: &str| Some(name.to_owned());
    let before = [(number("62811"), name("Anna")), ("77@lid".to_owned(), name("Nobody"))];
    assert_eq!(all(world.ledger, world.tenant, world.instance).await, before);
    assert_eq!(world.commit(Op::Receipt(sent)).await, "done");
    receive(written(&world, "G", "77@lid", Some(number("62833")), "Somebody")).await;
    let after = [(number("62811"), name("Anna")), (number("62822"), None), (number("62833"), name("Somebody"))];
    assert_eq!(all(world.ledger, world.tenant, world.instance).await, after);
    let other = World::of(world.ledger, world.tenant).await;
    assert!(all(world.ledger, world.tenant, other.instance).await.is_empty());
    let stranger = World::new(world.ledger).await;
    assert!(all(world.ledger, stranger.tenant, world.instance).await.is_empty());
}

/// People who write at once are all there, those who write twice in one commit too.
pub async fn people_who_come_in_one_commit_are_all_there(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let inbound = [
        written(&world, "A", "88@lid", Some(number("62811")), "Ann"),
        written(&world, "B", &number("62822"), Some(number("62822")), "Ben"),
        written(&world, "C", "88@lid", Some(number("62811")), "Anna"),
    ];
    let writes = inbound.map(|inbound| world.write(Op::Receive(Box::new(inbound)))).into();
    let outcomes = world.ledger.commit(writes).await;
    assert_eq!(outcomes.iter().map(verdict).collect::<Vec<_>>(), ["done", "done", "done"]);
    let found = all(world.ledger, world.tenant, world.instance).await;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(found, [(number("62811"), name("Anna")), (number("62822"), name("Ben"))]);
}
