//! `GET /api/groups/{instance}`, `GET /api/groups/by-number/{phone}`: the groups that the account is in.

use super::{
    Seed,
    codes::Code,
    envelope::{Answer, coded, success},
    session::{Needs, Sender},
};
use crate::{problem::Problem, v1::groups::list};
use serde_json::{Value, json};
use warren_domain::{Instance, Timestamp, group::Group};

/// No account is in more groups, in stretches: an end for an owner that never tells one.
const STRETCHES: usize = 200;

/// All groups of the sender.
pub(super) async fn all(seed: &Seed, sender: &Sender) -> Answer {
    let (instance, from) = sender.find(seed, Needs::Live).await?;
    let groups = groups(seed, &instance).await.map_err(coded(Code::GetGroupsFailed))?;
    let mut data = json!({"total": groups.len(), "groups": groups});
    if let (Some(from), Some(members)) = (from, data.as_object_mut()) {
        members.insert("from".into(), from.into());
    }
    success("Groups retrieved", data)
}

async fn groups(seed: &Seed, instance: &Instance) -> Result<Vec<Value>, Problem> {
    let (mut views, mut after) = (Vec::new(), None);
    for _ in 0..STRETCHES {
        let groups = list::stretch(&seed.app, seed.tenant, instance.id, after, list::MOST).await?;
        views.extend(groups.iter().map(view));
        match groups.last() {
            Some(last) if groups.len() >= list::MOST as usize => after = Some(last.id.clone()),
            _ => break,
        }
    }
    Ok(views)
}

fn view(group: &Group) -> Value {
    let owner = group.owner.as_ref().map(|owner| owner.pn.as_deref().unwrap_or(&owner.jid));
    json!({
        "jid": group.id,
        "name": group.subject,
        "topic": group.description.as_deref().unwrap_or_default(),
        "participants": group.size,
        "ownerJid": owner.unwrap_or_default(),
        "createdAt": group.created_at.map_or(0, Timestamp::as_seconds),
    })
}
