//! What an account lets others see of it and do with it.
//!
//! Contacts here are those it has exchanged messages with: the simulator knows no address books.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::account::Account;
use crate::blocklist;

/// Every category with the value of a fresh account, and the values it takes (`wacore::iq::privacy`).
const CATEGORIES: [(&str, &str, &[&str]); 9] = [
    ("readreceipts", "all", &["all", "none"]),
    ("profile", "all", &["all", "contacts", "contact_blacklist", "none"]),
    ("status", "all", &["all", "contacts", "contact_blacklist", "none"]),
    ("online", "all", &["all", "match_last_seen"]),
    ("last", "all", &["all", "contacts", "contact_blacklist", "none"]),
    ("groupadd", "all", &["all", "contacts", "contact_blacklist", "none"]),
    ("calladd", "all", &["all", "known", "contacts"]),
    ("messages", "all", &["all", "contacts"]),
    ("defense", "off", &["off", "on_standard"]),
];
/// People excepted in one category.
const EXCEPTED_LIMIT: usize = 1_024;

/// The settings of one account; what is not in it has its first value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Privacy {
    values: BTreeMap<String, String>,
    /// Who is meant by `contact_blacklist`: phone numbers.
    excepted: BTreeMap<String, BTreeSet<u64>>,
    /// Seconds for which messages of new chats stay; 0 is for good.
    pub(crate) disappearing: u32,
    /// When that was set, in Unix seconds.
    pub(crate) disappearing_set: u64,
}

/// A setting that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSuchSetting;

/// What somebody wants to see or do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matter {
    Picture,
    About,
    Presence,
    GroupAdd,
    Call,
}

impl Matter {
    fn category(self) -> &'static str {
        match self {
            Self::Picture => "profile",
            Self::About => "status",
            Self::Presence => "last",
            Self::GroupAdd => "groupadd",
            Self::Call => "calladd",
        }
    }
}

impl Privacy {
    fn value(&self, category: &str) -> &str {
        let first = || CATEGORIES.iter().find(|(name, ..)| *name == category).map_or("all", |(_, first, _)| *first);
        self.values.get(category).map_or_else(first, String::as_str)
    }

    /// Sets one; `added` and `removed` are the people excepted from now on, and no longer.
    pub(crate) fn set(&mut self, category: &str, value: &str, added: &[u64], removed: &[u64]) -> Result<(), NoSuchSetting> {
        let (name, _, values) = CATEGORIES.iter().find(|(name, ..)| *name == category).ok_or(NoSuchSetting)?;
        if !values.contains(&value) {
            return Err(NoSuchSetting);
        }
        self.values.insert((*name).to_owned(), value.to_owned());
        if value == "contact_blacklist" {
            let excepted = self.excepted.entry((*name).to_owned()).or_default();
            excepted.extend(added.iter().take(EXCEPTED_LIMIT.saturating_sub(excepted.len())));
            excepted.retain(|phone| !removed.contains(phone));
        }
        Ok(())
    }

    /// `<privacy>` with every category.
    pub(crate) fn node(&self) -> Node {
        let categories = CATEGORIES
            .iter()
            .map(|(name, ..)| NodeBuilder::new("category").attr("name", *name).attr("value", self.value(name)).build());
        NodeBuilder::new("privacy").children(categories).build()
    }
}

/// Whether `owner` lets `other` see or do something.
pub(crate) fn allows(owner: &Account, other: &Account, matter: Matter) -> bool {
    if owner.phone == other.phone {
        return true;
    }
    if blocklist::between(owner, other) {
        return false;
    }
    let state = owner.state();
    let known = state.chats.knows(other.phone);
    let category = matter.category();
    match state.privacy.value(category) {
        "none" => false,
        "contacts" | "known" => known,
        "contact_blacklist" => {
            known && !state.privacy.excepted.get(category).is_some_and(|excepted| excepted.contains(&other.phone))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_settings_are_taken() {
        let mut privacy = Privacy::default();
        assert_eq!(privacy.value("last"), "all");
        assert_eq!(privacy.set("last", "sometimes", &[], &[]), Err(NoSuchSetting));
        assert_eq!(privacy.set("shoe size", "all", &[], &[]), Err(NoSuchSetting));
        assert_eq!(privacy.set("last", "contact_blacklist", &[7, 8], &[]), Ok(()));
        assert_eq!(privacy.set("last", "contact_blacklist", &[], &[8]), Ok(()));
        assert_eq!(privacy.excepted.get("last"), Some(&BTreeSet::from([7])));
    }
}
