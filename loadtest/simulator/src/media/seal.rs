//! Media of people: encrypted the way a phone does it, and stored.

use std::io::{self, BufWriter, Read, Write as _};

use wacore::download::MediaType;
use wacore::upload::{EncryptedMediaInfo, MediaEncryptor};

use super::{Error, FILE_LIMIT, Name, Store};

/// An encrypted and stored file, with what the message has to say about it.
pub(crate) struct Sealed {
    pub(crate) info: EncryptedMediaInfo,
    pub(crate) direct_path: String,
    pub(crate) url: String,
}

impl Store {
    /// Encrypts and stores. Reads and writes files: not for the runtime's threads.
    ///
    /// # Errors
    /// When the source is larger than a file may be, or the store cannot be written.
    pub(crate) fn seal(&self, media_type: MediaType, source: &mut impl Read) -> Result<Sealed, Error> {
        let written = self.scratch();
        let sealed = self.encrypt(media_type, source, &written);
        let info = match sealed {
            Ok(info) => info,
            Err(error) => {
                let _ = std::fs::remove_file(&written);
                return Err(error);
            }
        };
        let name = Name::of_hash(media_type.mms_type(), &info.file_enc_sha256);
        self.admit(&written, name.clone())?;
        let direct_path = name.direct_path();
        let url = format!("https://{}{direct_path}", self.host.for_client(None));
        Ok(Sealed { info, direct_path, url })
    }

    fn encrypt(
        &self,
        media_type: MediaType,
        source: &mut impl Read,
        path: &std::path::Path,
    ) -> Result<EncryptedMediaInfo, Error> {
        let sidecar = matches!(media_type, MediaType::Audio | MediaType::Video);
        let failed = |error: anyhow::Error| Error::Encryption(error.to_string());
        let mut encryptor = MediaEncryptor::new_with_sidecar(media_type, sidecar).map_err(failed)?;
        let mut file = BufWriter::new(Self::create(path)?);
        let mut buffer = vec![0_u8; 64 * 1024];
        let mut total = 0_u64;
        loop {
            let count = source.read(&mut buffer)?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
            total += read.len() as u64;
            if total > FILE_LIMIT {
                return Err(Error::TooLarge);
            }
            encryptor.update_to_writer(read, &mut file)?;
        }
        let info = encryptor.finalize_to_writer(&mut file).map_err(failed)?;
        file.flush()?;
        Ok(info)
    }
}

/// So many made-up bytes, always the same ones for a size.
pub(crate) struct Pattern {
    left: u64,
    state: u64,
}

impl Pattern {
    pub(crate) fn new(size: u64) -> Self {
        Self { left: size, state: size ^ 0x9E37_79B9_7F4A_7C15 | 1 }
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for bytes in buffer.get_mut(..count).unwrap_or_default().chunks_mut(8) {
            // Xorshift64: it only has to look like no other file, not be hard to guess.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            bytes.copy_from_slice(self.state.to_le_bytes().get(..bytes.len()).unwrap_or_default());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use wacore::download::DownloadUtils;

    use super::*;
    use crate::media::Host;

    #[test]
    fn what_was_sealed_opens_again() {
        let store = Store::open(None, 1_000_000, Host::fixed("localhost")).unwrap();
        let mut plain = Vec::new();
        Pattern::new(100_001).read_to_end(&mut plain).unwrap();
        assert_eq!(plain.len(), 100_001);
        let sealed = store.seal(MediaType::Video, &mut plain.as_slice()).unwrap();
        assert!(sealed.info.streaming_sidecar.is_some());
        let file = store.open_path(&sealed.direct_path).unwrap();
        assert_eq!(DownloadUtils::decrypt_stream(file, &sealed.info.media_key, MediaType::Video).unwrap(), plain);
    }
}
