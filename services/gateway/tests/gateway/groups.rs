//! Groups, as far as no worker is needed: whose they are, and receipts.

use crate::{messages::online, support::Gateway};
use serde_json::json;
use std::sync::atomic::Ordering;
use warren_domain::{MessageStatus, Timestamp, group::Member};
use warren_ports::ledger::{Messages as _, Op, ReceiptTarget};

const GROUP: &str = "120363000000000001@g.us";

#[tokio::test]
async fn another_tenants_groups_are_unknown() {
    let gateway = Gateway::start().await;
    let (_, worker, path) = online(&gateway).await;
    let asked = worker.answer(&gateway);
    let stranger = gateway.tenant().await;
    let groups = path.replace("/messages", "/groups");
    for sub in ["", "/invites/AAAAAAAAAAAAAAAAAAAAAA", &format!("/{GROUP}"), &format!("/{GROUP}/invite")] {
        gateway.get(&format!("{groups}{sub}"), &stranger.key).await.is_problem(404, "not_found");
    }
    let people = json!({"participants": ["628123456789"]});
    for (sub, body) in [
        (String::new(), json!({"subject": "x"})),
        ("/join".to_owned(), json!({"code": "AAAAAAAAAAAAAAAAAAAAAA"})),
        (format!("/{GROUP}/participants"), people.clone()),
        (format!("/{GROUP}/participants/remove"), people.clone()),
        (format!("/{GROUP}/participants/promote"), people.clone()),
        (format!("/{GROUP}/participants/demote"), people),
        (format!("/{GROUP}/leave"), json!({})),
        (format!("/{GROUP}/invite/revoke"), json!({})),
    ] {
        gateway.post(&format!("{groups}{sub}"), &stranger.key, body).await.is_problem(404, "not_found");
    }
    let change = json!({"subject": "x"});
    gateway.patch(&format!("{groups}/{GROUP}"), &stranger.key, change).await.is_problem(404, "not_found");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the worker was asked for a stranger");
}

#[tokio::test]
async fn receipts_are_the_tenants() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let body = json!({"to": GROUP, "type": "text", "text": {"body": "x"}});
    let sent = gateway.post(&path, &tenant.key, body).await.is(202);
    let id: warren_domain::MessageId = sent["id"].as_str().unwrap().parse().unwrap();
    let whatsapp_ids = vec![sent["whatsapp_id"].as_str().unwrap().to_owned()];
    let member = |number: u8| Member { jid: format!("{number}@lid"), pn: None, lid: Some(format!("{number}@lid")) };
    worker.commit(Op::Audience { message: id, members: vec![member(1), member(2)] }).await;
    let target = ReceiptTarget { whatsapp_ids, status: MessageStatus::Read, at: Timestamp::default() };
    worker.commit(Op::MemberReceipt { target, member: member(2) }).await;
    let receipts = gateway.get(&format!("/v1/messages/{id}/receipts"), &tenant.key).await.is(200);
    let at = "1970-01-01T00:00:00Z";
    let at = receipts["data"][1]["read_at"].as_str().filter(|read| read.starts_with(&at[..19])).unwrap();
    assert_eq!(
        receipts["data"],
        json!([
            {"jid": "1@lid", "pn": null, "lid": "1@lid", "delivered_at": null, "read_at": null, "played_at": null},
            {"jid": "2@lid", "pn": null, "lid": "2@lid", "delivered_at": at, "read_at": at, "played_at": null},
        ])
    );
    let message = gateway.get(&format!("/v1/messages/{id}"), &tenant.key).await.is(200);
    assert_eq!(message["status"], "sent");
    let stranger = gateway.tenant().await;
    gateway.get(&format!("/v1/messages/{id}/receipts"), &stranger.key).await.is_problem(404, "not_found");
    assert!(gateway.ledger.member_receipts(stranger.id.parse().unwrap(), id).await.unwrap().is_empty());
}
