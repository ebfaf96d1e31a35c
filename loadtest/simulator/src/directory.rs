//! Every account, found by phone number or by LID.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rand::RngExt as _;
use wacore_binary::Jid;

use crate::account::{Account, State};
use crate::address::{self, Addressing};
use crate::handset::Handset;
use crate::trust;

/// Accounts one simulator holds at most.
const MAX_ACCOUNTS: usize = 200_000;

/// No more accounts fit.
#[derive(Debug, thiserror::Error)]
#[error("the simulator holds its limit of {MAX_ACCOUNTS} accounts")]
pub(crate) struct Full;

#[derive(Default)]
struct Index {
    by_phone: HashMap<u64, Arc<Account>>,
    by_lid: HashMap<u64, Arc<Account>>,
    /// Phones that scanned a client because of the name it registered under.
    by_registration: HashMap<String, Arc<Account>>,
}

/// The accounts. Looking one up takes a read lock for the time of a hash lookup.
#[derive(Default)]
pub(crate) struct Directory {
    index: RwLock<Index>,
}

impl Directory {
    pub(crate) fn by_phone(&self, phone: u64) -> Option<Arc<Account>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_phone.get(&phone).cloned()
    }

    /// The account of a number as somebody may dial it: WhatsApp finds the numbers of some countries in either of the
    /// two forms they are written in.
    pub(crate) fn by_number(&self, phone: u64) -> Option<Arc<Account>> {
        self.by_phone(phone).or_else(|| self.by_phone(address::other_form(phone)?))
    }

    /// Whose device a JID names. The device itself need not exist.
    pub(crate) fn locate(&self, jid: &Jid) -> Option<Arc<Account>> {
        let user: u64 = jid.user_base().parse().ok()?;
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        match Addressing::of(jid)? {
            Addressing::Pn => index.by_phone.get(&user).cloned(),
            Addressing::Lid => index.by_lid.get(&user).cloned(),
        }
    }

    /// All accounts, by phone number.
    pub(crate) fn all(&self) -> Vec<Arc<Account>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = index.by_phone.values().cloned().collect();
        all.sort_unstable_by_key(|account| account.phone);
        all
    }

    /// Accounts that a companion was linked to at some time, in no order.
    pub(crate) fn paired(&self) -> Vec<Arc<Account>> {
        let all: Vec<_> = self.index.read().unwrap_or_else(PoisonError::into_inner).by_phone.values().cloned().collect();
        all.into_iter().filter(|account| account.state().paired).collect()
    }

    pub(crate) fn len(&self) -> usize {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_phone.len()
    }

    /// Adds a loaded account.
    pub(crate) fn insert(&self, account: Account) {
        let account = Arc::new(account);
        let registered_as = account.state().registered_as.clone();
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = registered_as {
            index.by_registration.insert(name, Arc::clone(&account));
        }
        index.by_lid.insert(account.lid, Arc::clone(&account));
        index.by_phone.insert(account.phone, account);
    }

    /// The account whose phone scans every client that registers under this name; a fresh one the first time.
    pub(crate) fn registered(&self, name: &str, lid_migrated: bool) -> Result<Arc<Account>, Full> {
        let known = |index: &Index| index.by_registration.get(name).cloned();
        if let Some(account) = known(&self.index.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(account);
        }
        let made = self.obtain(None, Some(name.to_owned()), lid_migrated)?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Of two that come at the same time, the first one counts; the other one's account stays a person.
        if let Some(account) = known(&index) {
            return Ok(account);
        }
        index.by_registration.insert(name.to_owned(), Arc::clone(&made));
        drop(index);
        let mut state = made.state();
        state.registered_as = Some(name.to_owned());
        // This phone scans codes and lies in a drawer: what its companions did not get, nobody got.
        state.habits.auto_receipt = false;
        drop(state);
        Ok(made)
    }

    /// The account of this number, created if it is not there yet; without a number, a fresh one.
    pub(crate) fn obtain(&self, phone: Option<u64>, name: Option<String>, lid_migrated: bool) -> Result<Arc<Account>, Full> {
        if let Some(existing) = phone.and_then(|number| self.by_phone(number)) {
            return Ok(existing);
        }
        // Key generation stays outside the lock.
        let identity = trust::generate();
        let handset = Handset::new(identity.clone());
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if index.by_phone.len() >= MAX_ACCOUNTS {
            return Err(Full);
        }
        let phone = match phone {
            Some(number) => {
                if let Some(existing) = index.by_phone.get(&number) {
                    return Ok(Arc::clone(existing));
                }
                number
            }
            None => unused(&index.by_phone, || 62_800_000_000_000 + rand::rng().random_range(0..100_000_000_000)),
        };
        let lid = unused(&index.by_lid, || rand::rng().random_range(100_000_000_000_000..999_999_999_999_999));
        let name = name.unwrap_or_else(|| format!("Sandbox {:04}", phone % 10_000));
        let state = State::new(name, rand::rng().random_range(1..i32::MAX.unsigned_abs()), lid_migrated);
        let account = Arc::new(Account::new(phone, lid, identity, state, handset));
        index.by_lid.insert(lid, Arc::clone(&account));
        index.by_phone.insert(phone, Arc::clone(&account));
        Ok(account)
    }
}

/// A number nobody has. The ranges are a million times larger than the directory, so this ends soon.
fn unused(taken: &HashMap<u64, Arc<Account>>, draw: impl Fn() -> u64) -> u64 {
    loop {
        let number = draw();
        if !taken.contains_key(&number) {
            return number;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn clients_that_register_under_one_name_belong_to_one_phone() {
        let directory = Directory::default();
        let first = directory.registered("Budi", false).unwrap();
        let again = directory.registered("Budi", false).unwrap();
        let other = directory.registered("restricted:Siti", false).unwrap();
        assert_eq!(first.phone, again.phone);
        assert_ne!(first.phone, other.phone);
        assert!(!first.state().habits.auto_receipt, "a phone in a drawer");
        assert!(other.state().traits.restricted);
    }
}
