//! `w:g2`: groups made, looked at, changed, joined and left.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use super::{Answer, Request, communities};
use crate::account::Account;
use crate::address::{Addressing, PHONE};
use crate::groups::community::{self, Community, Ties};
use crate::groups::{self, Change, Ephemeral, Group, Joined, MAX_MEMBERS, New, Rank, Refusal, Setting, Settings, view};
use crate::stanza;

/// Groups in one batch query.
const BATCH_LIMIT: usize = 10_000;
/// The code of a participant a change worked for.
const DONE: u16 = 200;

type Result<T = Node> = std::result::Result<T, Refusal>;

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let Some(action) = request.node.children().and_then(<[NodeRef<'_>]>::first) else {
        return refused(request, Refusal::MALFORMED);
    };
    let to = stanza::attr_jid(request.node, "to").filter(|to| !to.user.is_empty());
    let answered = match (&to, request.set) {
        (Some(to), set) => in_group(request, to, action, set),
        (None, true) => set(request, action),
        (None, false) => get(request, action),
    };
    match answered {
        Some(Ok(node)) => request.result(node),
        Some(Err(refusal)) => refused(request, refusal),
        None => request.unknown(),
    }
}

fn refused(request: &Request<'_>, refusal: Refusal) -> Answer {
    request.error(refusal.code, refusal.text)
}

/// What concerns no group, or one that only a code or a child names. `None` is a request nobody here knows.
fn set(request: &Request<'_>, action: &NodeRef<'_>) -> Option<Result> {
    match action.tag.as_ref() {
        "create" => create(request, action),
        "leave" => Some(leave(request, action)),
        "invite" => Some(join(request, action)),
        _ => None,
    }
}

fn get(request: &Request<'_>, action: &NodeRef<'_>) -> Option<Result> {
    match action.tag.as_ref() {
        "participating" => Some(Ok(participating(request))),
        "query" => Some(Ok(batch(request, action))),
        "invite" => Some(stanza::attr(action, "code").ok_or(Refusal::MALFORMED).and_then(|code| {
            let group = groups::behind(request.world, &code)?;
            let state = group.state();
            Ok(view::preview(request.world, &group, &state))
        })),
        _ => None,
    }
}

fn in_group(request: &Request<'_>, to: &Jid, action: &NodeRef<'_>, set: bool) -> Option<Result> {
    let Some(group) = groups::id_of(to).and_then(|id| request.world.groups.get(id)) else {
        return Some(Err(Refusal::NO_GROUP));
    };
    let change = Change { world: request.world, group: &group, by: request.account };
    if set { changed(&change, action) } else { looked_at(&change, action) }
}

fn looked_at(change: &Change<'_>, action: &NodeRef<'_>) -> Option<Result> {
    match action.tag.as_ref() {
        // With the hash of an unchanged group the real server leaves the group out; here it is always told in full.
        "query" => {
            let state = change.group.state();
            Some(match state.rank(change.by.phone) {
                Some(_) => Ok(view::info(change.world, change.group, &state)),
                None => Err(Refusal::NOT_A_MEMBER),
            })
        }
        "invite" => Some(change.invite().map(|code| invite(&code))),
        "membership_approval_requests" => Some(change.requests().map(|requests| waiting(change, &requests))),
        _ => communities::looked_at(change, action),
    }
}

fn changed(change: &Change<'_>, action: &NodeRef<'_>) -> Option<Result> {
    if let Some(setting) = setting(action) {
        return Some(setting.and_then(|setting| change.set(setting)).map(|()| action.to_owned()));
    }
    let tag = action.tag.as_ref();
    Some(match tag {
        "subject" => {
            let text = action.content_as_string().unwrap_or_default().to_string();
            change.subject(text).map(|()| stanza::leaf("subject"))
        }
        "description" => describe(change, action),
        "add" => each(change, action, "add", |people| change.add(people)),
        "remove" => {
            let all = stanza::attr_is(action, "linked_groups", "true");
            each(change, action, "remove", |people| remove(change, people, all))
        }
        "promote" => each(change, action, "promote", |people| change.rank(people, Rank::Admin)),
        "demote" => each(change, action, "demote", |people| change.rank(people, Rank::Member)),
        "invite" => change.reset_invite().map(|code| invite(&code)),
        "membership_requests_action" => decide(change, action),
        "cancel_membership_requests" => {
            each(change, action, "cancel_membership_requests", |people| withdraw(change, people))
        }
        "ack" => Ok(stanza::leaf("ack")),
        _ => return communities::changed(change, action),
    })
}

/// One of the settings; `None` when the action is something else.
fn setting(action: &NodeRef<'_>) -> Option<Result<Setting>> {
    Some(Ok(match action.tag.as_ref() {
        "announcement" => Setting::Announce(true),
        "not_announcement" => Setting::Announce(false),
        "locked" => Setting::Locked(true),
        "unlocked" => Setting::Locked(false),
        "not_ephemeral" => Setting::Ephemeral(None),
        "ephemeral" => match ephemeral(action) {
            Some(ephemeral) => Setting::Ephemeral((ephemeral.expiration > 0).then_some(ephemeral)),
            None => return Some(Err(Refusal::MALFORMED)),
        },
        "membership_approval_mode" => match approval(action) {
            Some(on) => Setting::Approval(on),
            None => return Some(Err(Refusal::MALFORMED)),
        },
        "member_add_mode" => match admins_add(action) {
            Some(on) => Setting::AdminsAdd(on),
            None => return Some(Err(Refusal::MALFORMED)),
        },
        _ => return None,
    }))
}

fn ephemeral(node: &NodeRef<'_>) -> Option<Ephemeral> {
    let expiration = stanza::attr(node, "expiration")?.parse().ok()?;
    let trigger = stanza::attr(node, "trigger").and_then(|trigger| trigger.parse().ok());
    Some(Ephemeral { expiration, trigger })
}

fn approval(node: &NodeRef<'_>) -> Option<bool> {
    match stanza::attr(node.get_optional_child("group_join")?, "state")?.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn admins_add(node: &NodeRef<'_>) -> Option<bool> {
    match node.content_as_string()?.as_str() {
        "admin_add" => Some(true),
        "all_member_add" => Some(false),
        _ => None,
    }
}

fn describe(change: &Change<'_>, action: &NodeRef<'_>) -> Result {
    let id = stanza::attr(action, "id").ok_or(Refusal::MALFORMED)?;
    let text = action.get_optional_child("body").and_then(NodeRef::content_as_string);
    if text.is_none() && !stanza::attr_is(action, "delete", "true") {
        return Err(Refusal::MALFORMED);
    }
    let previous = stanza::attr(action, "prev");
    change.description(id, text.map(|text| text.to_string()), previous.as_deref())?;
    Ok(stanza::leaf("description"))
}

fn decide(change: &Change<'_>, action: &NodeRef<'_>) -> Result {
    let (inner, tag, approve) = match (action.get_optional_child("approve"), action.get_optional_child("reject")) {
        (Some(inner), None) => (inner, "approve", true),
        (None, Some(inner)) => (inner, "reject", false),
        _ => return Err(Refusal::MALFORMED),
    };
    let decided = each(change, inner, tag, |people| change.decide(people, approve))?;
    Ok(NodeBuilder::new("membership_requests_action").children([decided]).build())
}

/// Who is removed from a community hears its announcements no more, and with `all` is in none of its groups.
fn remove(change: &Change<'_>, people: &[Arc<Account>], all: bool) -> Result<Vec<u16>> {
    let community = change.group.state().ties.community.is_some();
    if community { change.remove_everywhere(people, all) } else { change.remove(people) }
}

/// People withdraw their own requests only.
fn withdraw(change: &Change<'_>, people: &[Arc<Account>]) -> Result<Vec<u16>> {
    let code = |account: &Arc<Account>| {
        if account.phone != change.by.phone {
            return Refusal::NOT_AN_ADMIN.code;
        }
        change.withdraw().map_or_else(|refusal| refusal.code, |()| DONE)
    };
    Ok(people.iter().map(code).collect())
}

/// Does something to the listed people and answers what came of each, in their order.
fn each(
    change: &Change<'_>,
    action: &NodeRef<'_>,
    tag: &'static str,
    act: impl FnOnce(&[Arc<Account>]) -> Result<Vec<u16>>,
) -> Result {
    let listed = People::listed(change, action)?;
    let codes = act(&listed.known)?;
    Ok(NodeBuilder::new(tag).children(listed.outcomes(change, &codes)).build())
}

/// The people a request names, and the names that belong to nobody.
struct People {
    known: Vec<Arc<Account>>,
    unknown: Vec<Jid>,
}

impl People {
    fn listed(change: &Change<'_>, action: &NodeRef<'_>) -> Result<Self> {
        let people = Self::of(change.world, action);
        if people.known.is_empty() && people.unknown.is_empty() { Err(Refusal::MALFORMED) } else { Ok(people) }
    }

    fn of(world: &crate::world::World, action: &NodeRef<'_>) -> Self {
        let mut people = Self { known: Vec::new(), unknown: Vec::new() };
        for participant in action.get_children_by_tag("participant").take(MAX_MEMBERS) {
            let Some(jid) = stanza::attr_jid(participant, "jid") else { continue };
            match world.directory.locate(&jid) {
                Some(account) => people.known.push(account),
                None => people.unknown.push(jid),
            }
        }
        people
    }

    fn outcomes(&self, change: &Change<'_>, codes: &[u16]) -> Vec<Node> {
        let known = self.known.iter().zip(codes);
        let known = known.filter_map(|(account, code)| view::outcome(change.world, change.group, account.phone, *code));
        known.chain(self.strangers()).collect()
    }

    /// Numbers that are not on WhatsApp.
    fn strangers(&self) -> impl Iterator<Item = Node> {
        let stranger =
            |jid: &Jid| NodeBuilder::new("participant").attr("jid", jid).attr("error", Refusal::NOT_HERE.code).build();
        self.unknown.iter().map(stranger)
    }
}

/// How a new group stands to others: `None` when its community has no number.
fn ties(action: &NodeRef<'_>) -> Option<Ties> {
    let community = action.get_optional_child("parent").map(|parent| Community {
        approval: stanza::attr_is(parent, "default_membership_approval_mode", "request_required"),
        members_make_groups: action.get_optional_child("allow_non_admin_sub_group_creation").is_some(),
    });
    let parent = match action.get_optional_child("linked_parent") {
        Some(linked) => Some(groups::id_of(&stanza::attr_jid(linked, "jid")?)?),
        None => None,
    };
    Some(Ties { community: community.filter(|_| parent.is_none()), parent, ..Ties::default() })
}

/// Answers with the group; participants that could not be added stand in it with their codes.
fn create(request: &Request<'_>, action: &NodeRef<'_>) -> Option<Result> {
    let Some(ties) = ties(action) else { return Some(Err(Refusal::MALFORMED)) };
    let settings = Settings {
        admins_add: action.get_optional_child("member_add_mode").and_then(admins_add).unwrap_or(true),
        approval: action.get_optional_child("membership_approval_mode").and_then(approval).unwrap_or(false),
        ephemeral: action.get_optional_child("ephemeral").and_then(ephemeral).filter(|ephemeral| ephemeral.expiration > 0),
        ..Settings::default()
    };
    let description = action.get_optional_child("description").and_then(|description| {
        let text = description.get_optional_child("body")?.content_as_string()?;
        Some((stanza::attr(description, "id")?, text.to_string()))
    });
    let people = People::of(request.world, action);
    let subject = stanza::attr(action, "subject").unwrap_or_default();
    let new = New { subject, description, participants: people.known.clone(), settings, ties };
    let made = if ties.community.is_some() {
        let general = action.get_optional_child("create_general_chat").is_some();
        community::found(request.world, request.account, new, general)
    } else {
        groups::create(request.world, request.account, new)
    };
    Some(made.map(|(group, codes)| created(request, &group, &people, &codes)))
}

fn created(request: &Request<'_>, group: &Group, people: &People, codes: &[u16]) -> Node {
    let state = group.state();
    let mut node = view::info(request.world, group, &state);
    let failed = people.known.iter().zip(codes).filter(|(_, code)| **code != DONE && **code != Refusal::ALREADY_IN.code);
    let failed = failed.filter_map(|(account, code)| view::outcome(request.world, group, account.phone, *code));
    if let Some(wacore_binary::NodeContent::Nodes(children)) = &mut node.content {
        children.extend(failed.chain(people.strangers()));
    }
    node
}

/// Leaves every named group. One that cannot be left is an error when it is the only one, as clients expect.
fn leave(request: &Request<'_>, action: &NodeRef<'_>) -> Result {
    let mut left = Vec::new();
    let mut refusal = None;
    for named in action.get_children_by_tag("group").take(BATCH_LIMIT) {
        let Some(jid) = stanza::attr_jid(named, "id") else { continue };
        let outcome = match groups::id_of(&jid).and_then(|id| request.world.groups.get(id)) {
            Some(group) => Change { world: request.world, group: &group, by: request.account }.leave(),
            None => Err(Refusal::NO_GROUP),
        };
        let builder = NodeBuilder::new("group").attr("id", &jid);
        left.push(match outcome {
            Ok(()) => builder.build(),
            Err(reason) => {
                refusal = Some(reason);
                builder.attr("error", reason.code).build()
            }
        });
    }
    match (refusal, left.len()) {
        (_, 0) => Err(Refusal::MALFORMED),
        (Some(refusal), 1) => Err(refusal),
        _ => Ok(NodeBuilder::new("leave").children(left).build()),
    }
}

fn join(request: &Request<'_>, action: &NodeRef<'_>) -> Result {
    let code = stanza::attr(action, "code").ok_or(Refusal::MALFORMED)?;
    let (tag, group) = match groups::join(request.world, request.account, &code)? {
        Joined::Member(group) => ("group", group),
        Joined::Waiting(group) => ("membership_approval_request", group),
    };
    Ok(NodeBuilder::new(tag).attr("jid", group.jid()).build())
}

/// The groups of the account. Clients may leave members and descriptions out of the question; they get them anyway.
fn participating(request: &Request<'_>) -> Node {
    let mine = request.world.groups.of_member(request.account.phone);
    let told = mine.iter().map(|group| {
        let state = group.state();
        view::info(request.world, group, &state)
    });
    NodeBuilder::new("groups").children(told).build()
}

fn batch(request: &Request<'_>, action: &NodeRef<'_>) -> Node {
    let told = action.get_children_by_tag("group").take(BATCH_LIMIT).filter_map(|named| {
        let jid = stanza::attr_jid(named, "jid")?;
        let missing = |code: u16| NodeBuilder::new("group").attr("id", &jid).attr("error", code).build();
        let Some(group) = groups::id_of(&jid).and_then(|id| request.world.groups.get(id)) else {
            return Some(missing(Refusal::NO_GROUP.code));
        };
        let state = group.state();
        Some(match state.rank(request.account.phone) {
            Some(_) => view::info(request.world, &group, &state),
            None => missing(Refusal::NOT_A_MEMBER.code),
        })
    });
    NodeBuilder::new("groups").children(told).build()
}

fn invite(code: &str) -> Node {
    NodeBuilder::new("invite").attr("code", code).build()
}

fn waiting(change: &Change<'_>, requests: &[(u64, u64)]) -> Node {
    let listed = requests.iter().filter_map(|(phone, at)| {
        let account = change.world.directory.by_phone(*phone)?;
        let mut builder = NodeBuilder::new("membership_approval_request")
            .attr("jid", account.jid(PHONE, change.group.addressing))
            .attr("request_time", *at);
        if change.group.addressing == Addressing::Lid {
            builder = builder.attr("phone_number", account.jid(PHONE, Addressing::Pn));
        }
        Some(builder.build())
    });
    NodeBuilder::new("membership_approval_requests").children(listed).build()
}
