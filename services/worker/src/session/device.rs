//! The device: identity, noise and ADV keys, account, name, and whom it trusts.
//!
//! The library takes a copy of the device and then asks to store it, from several tasks and without an order: a copy that is
//! taken first may be handed over last, and would take back what was stored meanwhile. So one is stored at a time, and always
//! the device as it is by then. (whatsapp-rust 0.7: `PersistenceManager::save_to_disk`.)

use super::{SessionStore, decode, encode, keys};
use async_trait::async_trait;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use wacore::store::{
    Device,
    device::{CachedNoiseCert, CachedServerCertChain},
    error::Result,
    traits::DeviceStore,
};
use wacore_binary::Jid;
use warren_ports::ledger::RecordKind;
use whatsapp_rust::store::persistence_manager::PersistenceManager;

const KEY: &str = "device";
/// 2096: the pinned key of a simulator does not expire.
const FAR_FUTURE: i64 = 4_000_000_000;

/// What a session starts from that has no device yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewDevice {
    /// The simulator's static key, in simulator mode only.
    pub(super) trust: Option<[u8; 32]>,
}

impl NewDevice {
    /// A fresh device. In simulator mode it trusts the simulator's pinned key and carries the placeholder number 1: the
    /// library then uses the IK handshake, which trusts the cached key instead of WhatsApp's certificate root, so that no
    /// build needs to skip a check. The placeholder is overwritten at pairing. (whatsapp-rust 0.7: `select_pattern`.)
    fn make(self) -> Device {
        let mut device = Device::new();
        if let Some(key) = self.trust {
            let cert = CachedNoiseCert { key, not_before: 0, not_after: FAR_FUTURE };
            device.pn = Some(Jid::pn_device("1", 0));
            device.server_cert_chain = Some(CachedServerCertChain { leaf: cert.clone(), intermediate: cert });
        }
        device
    }
}

/// The client's device, to be stored.
#[derive(Default)]
pub(super) struct LiveDevice {
    /// Who has it; known once the client is built.
    manager: OnceLock<Weak<PersistenceManager>>,
    storing: tokio::sync::Mutex<()>,
}

impl LiveDevice {
    fn now(&self) -> Option<Device> {
        let manager = self.manager.get()?.upgrade()?;
        Some(manager.get_device_snapshot().to_serializable())
    }
}

impl SessionStore {
    /// From now on the device is stored as this manager has it.
    pub(crate) fn follow_device(&self, manager: &Arc<PersistenceManager>) {
        // A client is built once.
        let _ = self.live_device.manager.set(Arc::downgrade(manager));
    }

    /// Stores the device as it is now. The library's own flush may return while a task of the library still stores it.
    pub(crate) async fn store_device(&self) -> Result<()> {
        let _turn = self.live_device.storing.lock().await;
        match self.live_device.now() {
            Some(device) => self.put_device(&device).await,
            None => Ok(()),
        }
    }

    async fn put_device(&self, device: &Device) -> Result<()> {
        self.put(RecordKind::Device, keys::text(KEY), &encode(device)?, 0).await
    }
}

#[async_trait]
impl DeviceStore for SessionStore {
    async fn save(&self, device: &Device) -> Result<()> {
        let _turn = self.live_device.storing.lock().await;
        self.put_device(&self.live_device.now().unwrap_or_else(|| device.clone())).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        let loaded = self.loaded_device.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stored = match loaded {
            Some(device) => Some(device),
            None => self.get(RecordKind::Device, keys::text(KEY)).await?,
        };
        match stored {
            Some(bytes) => decode(&bytes).map(Some),
            None => {
                let device = self.new_device.make();
                self.save(&device).await?;
                Ok(Some(device))
            }
        }
    }

    async fn exists(&self) -> Result<bool> {
        // `load` makes one where there is none.
        Ok(true)
    }

    async fn create(&self) -> Result<i32> {
        Ok(1)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use whatsapp_rust::store::commands::DeviceCommand;
    use whatsapp_rust::wacore::store::InMemoryBackend;

    #[tokio::test]
    async fn a_copy_from_before_the_name_does_not_take_it_back() {
        let live = LiveDevice::default();
        assert!(live.now().is_none(), "no client is built yet");
        let manager = Arc::new(PersistenceManager::new(Arc::new(InMemoryBackend::default())).await.unwrap());
        live.manager.set(Arc::downgrade(&manager)).unwrap();
        let copy = live.now().unwrap();
        manager.process_command(DeviceCommand::SetPushName("Toko".to_owned())).await;
        assert_eq!((copy.push_name.as_str(), live.now().unwrap().push_name.as_str()), ("", "Toko"));
        drop(manager);
        assert!(live.now().is_none(), "the client is gone");
    }
}
