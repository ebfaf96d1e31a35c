//! The device: identity, noise and ADV keys, account, and whom it trusts.

use super::{SessionStore, decode, encode, keys};
use async_trait::async_trait;
use std::sync::PoisonError;
use wacore::store::{
    Device,
    device::{CachedNoiseCert, CachedServerCertChain},
    error::Result,
    traits::DeviceStore,
};
use wacore_binary::Jid;
use warren_ports::ledger::RecordKind;

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

#[async_trait]
impl DeviceStore for SessionStore {
    async fn save(&self, device: &Device) -> Result<()> {
        self.put(RecordKind::Device, keys::text(KEY), &encode(device)?, 0).await
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
