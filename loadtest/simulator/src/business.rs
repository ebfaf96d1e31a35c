//! Business accounts: a verified name that people see beside the number, and a profile with where and what it is.

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::Message as _;
use waproto::whatsapp::VerifiedNameCertificate;
use waproto::whatsapp::verified_name_certificate::Details;

use crate::account::Account;
use crate::stanza;

/// Bytes of one text of a profile, and websites in it. Limits of the simulator's own.
const TEXT_LIMIT: usize = 2_048;
const WEBSITE_LIMIT: usize = 8;
/// Who vouches for the names of small businesses; the other is `ent:wa`.
const ISSUER: &str = "smb:wa";

/// What a business says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Business {
    /// The name WhatsApp vouches for; the account's own without it.
    pub(crate) verified_name: Option<String>,
    pub(crate) description: String,
    pub(crate) category: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) websites: Vec<String>,
}

impl Business {
    pub(crate) fn fits(&self) -> bool {
        let optional = [&self.verified_name, &self.category, &self.address, &self.email];
        let texts = optional.into_iter().flatten().chain([&self.description]).chain(&self.websites);
        self.websites.len() <= WEBSITE_LIMIT && texts.into_iter().all(|text| text.len() <= TEXT_LIMIT)
    }
}

/// `<profile>` of a business, under the name it was asked for; `None` of everybody else.
pub(crate) fn profile(account: &Account, jid: &Jid) -> Option<Node> {
    let business = account.state().profile.business.clone()?;
    // As bytes: a text with an `@` would be written as an address.
    let text = |tag: &'static str, text: &str| stanza::bytes(tag, text);
    let mut children = vec![text("description", &business.description)];
    children.extend(business.address.as_deref().map(|address| text("address", address)));
    children.extend(business.email.as_deref().map(|email| text("email", email)));
    children.extend(business.websites.iter().map(|website| text("website", website)));
    if let Some(category) = &business.category {
        let category = NodeBuilder::new("category").attr("id", "1").bytes(category.as_bytes()).build();
        children.push(NodeBuilder::new("categories").children([category]).build());
    }
    Some(NodeBuilder::new("profile").attr("jid", jid).children(children).build())
}

/// `<business>` of a contact query: the certificate of the name. Its signatures are left out; clients do not look at them.
pub(crate) fn verified_name(account: &Account) -> Option<Node> {
    let (name, serial) = {
        let state = account.state();
        let business = state.profile.business.as_ref()?;
        (business.verified_name.clone().unwrap_or_else(|| state.name.clone()), u64::from(state.raw_id))
    };
    let details =
        Details { serial: Some(serial), issuer: Some(ISSUER.to_owned()), verified_name: Some(name), ..Default::default() };
    let certificate = VerifiedNameCertificate { details: Some(details.encode_to_vec()), ..Default::default() };
    let name = NodeBuilder::new("verified_name")
        .attr("serial", serial)
        .attr("verified_level", "unknown")
        .attr("v", "1")
        .bytes(certificate.encode_to_vec())
        .build();
    Some(NodeBuilder::new("business").children([name]).build())
}
