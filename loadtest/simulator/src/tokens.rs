//! The tokens by which an account lets people write to it, look at its picture, or learn whether it is there.
//!
//! A trusted-contact token (`<tctoken>`) is given to somebody by the account itself; a salted one (`<cstoken>`) is made by a
//! stranger of a salt of his own, which the server knows, and of the LID of the account (`wacore::iq::tctoken`). Both are
//! derived here instead of kept: whoever shows the right bytes was given them. That a restricted account refuses everything
//! without one is the contract of the client library's end-to-end suite; when WhatsApp restricts an account is not known.

use wacore::iq::tctoken::compute_cs_token;
use wacore_binary::NodeRef;
use wacore_libsignal::crypto::hmac_sha256;

use crate::account::Account;
use crate::address::{Addressing, PHONE};

/// Bytes of a token; clients treat it as opaque.
const TOKEN_BYTES: usize = 16;
/// The error of a message that shows no token to an account that demands one.
pub(crate) const MISSING: u16 = 463;

/// The salt that an account's companions make their tokens of.
pub(crate) fn salt(account: &Account) -> [u8; 32] {
    derived(account, b"salt")
}

/// What `issuer` gives to the account with this number.
pub(crate) fn trusted(issuer: &Account, holder: u64) -> Vec<u8> {
    let token = derived(issuer, &[b"trusted".as_slice(), &holder.to_be_bytes()].concat());
    token.first_chunk::<TOKEN_BYTES>().map(|token| token.to_vec()).unwrap_or_default()
}

fn derived(account: &Account, purpose: &[u8]) -> [u8; 32] {
    hmac_sha256(account.identity.private_key.serialize().as_slice(), purpose)
}

/// Whether an account takes what `from` asks of it, with the tokens that are children of `shown`.
pub(crate) fn admit(target: &Account, from: &Account, shown: &NodeRef<'_>) -> bool {
    let traits = target.state().traits;
    if !traits.restricted || target.phone == from.phone {
        return true;
    }
    let token = |tag: &str| shown.get_optional_child(tag).and_then(NodeRef::content_bytes);
    let trusted = traits.takes_trusted && token("tctoken").is_some_and(|shown| shown == trusted(target, from.phone));
    trusted || traits.takes_salted && token("cstoken").is_some_and(|shown| shown == salted(from, target))
}

fn salted(maker: &Account, target: &Account) -> Vec<u8> {
    compute_cs_token(&salt(maker), &target.jid(PHONE, Addressing::Lid).to_string())
}
