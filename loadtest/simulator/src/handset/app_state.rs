//! What a phone writes into its account's app state: its name, and the salt of its tokens.

use rand::Rng as _;
use wacore::appstate::encode::encode_record;
use wacore::appstate::expand_app_state_keys;
use wacore::appstate::hash::generate_patch_mac;
use wacore::appstate::schemas::{self, Schema};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::sync_action_value::{NctSaltSyncAction, PushNameSetting};
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{KeyId, SyncActionValue, SyncdPatch};

use crate::account::Account;
use crate::app_state;
use crate::stanza;
use crate::tokens;
use crate::world::World;

/// Before the first companion gets the key, there is something to read with it.
pub(super) fn begin(world: &World, account: &Account) {
    let (name, salted, begun) = {
        let state = account.state();
        let begun = state.collections.get("critical_block").is_some_and(|block| block.version() > 0);
        (state.name.clone(), state.traits.salt_in_app_state.done, begun)
    };
    if begun {
        return;
    }
    write_name(world, account, &name);
    if salted {
        write_salt(world, account);
    }
}

/// The account is called something else now; its companions learn of it, if there were ever any.
pub(super) fn rename(world: &World, account: &Account, name: &str) {
    let begun = account.state().collections.get("critical_block").is_some_and(|block| block.version() > 0);
    if begun {
        write_name(world, account, name);
    }
}

fn write_name(world: &World, account: &Account, name: &str) {
    let setting = PushNameSetting { name: Some(name.to_owned()) };
    let value = SyncActionValue { push_name_setting: MessageField::some(setting), ..Default::default() };
    write(world, account, &schemas::SETTING_PUSH_NAME, value);
}

fn write_salt(world: &World, account: &Account) {
    let action = NctSaltSyncAction { salt: Some(tokens::salt(account).to_vec()) };
    let value = SyncActionValue { nct_salt_sync_action: MessageField::some(action), ..Default::default() };
    write(world, account, &schemas::NCT_SALT_SYNC, value);
}

/// Sets the value of an action that has no further index, as a companion would: encrypted, and with the hashes that
/// prove it to whoever has the key.
fn write(world: &World, account: &Account, schema: &Schema, mut value: SyncActionValue) {
    value.timestamp = i64::try_from(stanza::unix_millis()).ok();
    let name = schema.collection.as_str();
    let key = account.handset().app_state_key.clone();
    let keys = expand_app_state_keys(&key.secret);
    let index = format!("[\"{}\"]", schema.name);
    let mut iv = [0_u8; 16];
    rand::rng().fill_bytes(&mut iv);
    let version = i32::try_from(schema.version).unwrap_or(1);
    let (mutation, _) = encode_record(SyncdOperation::SET, index.as_bytes(), &value, &keys, &key.id, &iv, version);
    let written = {
        let mut state = account.state();
        let collection = state.collections.entry(name.to_owned()).or_default();
        let mut hash = collection.hash();
        hash.version += 1;
        let mutations = vec![mutation];
        let (_, hashed) = hash.update_hash(&mutations, |index_mac, _| Ok(collection.value_mac(index_mac)));
        let mut patch = SyncdPatch {
            mutations,
            snapshot_mac: Some(hash.generate_snapshot_mac(name, &keys.snapshot_mac)),
            key_id: MessageField::some(KeyId { id: Some(key.id.clone()) }),
            device_index: Some(0),
            ..Default::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, name, &keys.patch_mac, hash.version));
        hashed.is_ok() && collection.append(&world.media, &patch.encode_to_vec()).is_ok()
    };
    if written {
        let version = account.state().collections.get(name).map_or(0, app_state::Collection::version);
        app_state::announce(world, account, None, name, version);
        account.touch();
    }
}
