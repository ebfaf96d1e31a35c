//! Bytes of the object store for the library, which reads in blocking tasks: in the clear, and encrypted as WhatsApp's
//! media hosts take them.
//!
//! An upload reads its file twice: once for the hashes that name it, once to send it. The same key gives the same
//! ciphertext, so that nothing is kept in between, on no disk and not in memory.

use bytes::{Buf, Bytes};
use futures::StreamExt;
use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wacore::{
    download::MediaType,
    upload::{MediaEncryptor, UploadSource},
};
use warren_ports::objects::{Bytestream, ObjectName, Objects};

/// How long the object store may take for a piece.
const IDLE: Duration = Duration::from_secs(60);
/// Plain bytes encrypted at once.
const PIECE: usize = 16 * 1024;

/// A file of the object store. Its readers belong in blocking tasks.
#[derive(Clone)]
pub(super) struct Plain {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) name: ObjectName,
    pub(super) runtime: Handle,
    /// Ends readers that are under way: whoever wanted the bytes is gone.
    pub(super) ended: CancellationToken,
}

impl Plain {
    /// The file from its beginning.
    ///
    /// # Errors
    /// `NotFound` if it is not there; what the store says.
    pub(super) fn reader(&self) -> io::Result<PlainReader> {
        let found = self.runtime.block_on(self.objects.get(self.name, 0)).map_err(io::Error::other)?;
        let stream = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(PlainReader { stream, piece: Bytes::new(), runtime: self.runtime.clone(), ended: self.ended.clone() })
    }
}

/// Reads a file of the object store.
pub(super) struct PlainReader {
    stream: Bytestream,
    piece: Bytes,
    runtime: Handle,
    ended: CancellationToken,
}

impl Read for PlainReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.ended.cancelled() => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                    next = tokio::time::timeout(IDLE, self.stream.next()) => {
                        next.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the object store stands still"))
                    }
                }
            })?;
            match next {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(into.len());
        self.piece.copy_to_slice(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The same file as it is sent.
pub(super) struct Encrypted {
    pub(super) plain: Plain,
    pub(super) key: [u8; 32],
    pub(super) media_type: MediaType,
    /// Bytes of the ciphertext.
    pub(super) length: u64,
}

impl UploadSource for Encrypted {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let encryptor = MediaEncryptor::with_key(self.key, self.media_type).map_err(io::Error::other)?;
        let mut reader = Encrypting { plain: self.plain.reader()?, encryptor: Some(encryptor), ready: Vec::new(), taken: 0 };
        // Cipher blocks are chained: what the host has already is made again and dropped.
        let skipped = io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        if skipped < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Box::new(reader))
    }
}

struct Encrypting {
    plain: PlainReader,
    /// `None` once the end of the file is encrypted.
    encryptor: Option<MediaEncryptor>,
    ready: Vec<u8>,
    taken: usize,
}

impl Encrypting {
    fn encrypt_more(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        let mut piece = [0; PIECE];
        let count = self.plain.read(&mut piece)?;
        match piece.get(..count) {
            Some(read) if count > 0 => {
                if let Some(encryptor) = &mut self.encryptor {
                    encryptor.update(read, &mut self.ready);
                }
            }
            _ => {
                if let Some(encryptor) = self.encryptor.take() {
                    encryptor.finalize(&mut self.ready).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }
}

impl Read for Encrypting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.ready.len() && self.encryptor.is_some() {
            self.encrypt_more()?;
        }
        let mut rest = self.ready.get(self.taken..).unwrap_or_default();
        let count = rest.read(into)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use wacore::upload::encrypt_media_streaming_with_key;
    use warren_domain::{MediaId, Result, TenantId};
    use warren_ports::objects::Stored;

    /// One object, in pieces of odd sizes.
    struct One(Bytes);

    #[async_trait]
    impl Objects for One {
        async fn put(&self, _name: ObjectName, _bytes: Bytestream) -> Result<Stored> {
            unreachable!("nothing is stored here")
        }

        async fn get(&self, _name: ObjectName, from: u64) -> Result<Option<Bytestream>> {
            let rest = self.0.slice(usize::try_from(from).unwrap()..);
            let pieces: Vec<_> = rest.chunks(1_013).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            Ok(Some(futures::stream::iter(pieces).boxed()))
        }

        async fn delete(&self, _name: ObjectName) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_ciphertext_is_the_same_from_every_offset() {
        let bytes: Vec<u8> = (0..100_003_u32).map(|place| place.to_le_bytes()[0]).collect();
        let plain = Plain {
            objects: Arc::new(One(bytes.clone().into())),
            name: ObjectName { tenant: TenantId::generate(), media: MediaId::generate() },
            runtime: Handle::current(),
            ended: CancellationToken::new(),
        };
        tokio::task::spawn_blocking(move || {
            let (key, media_type) = ([7; 32], MediaType::Video);
            let mut whole = Vec::new();
            encrypt_media_streaming_with_key(bytes.as_slice(), &mut whole, media_type, Some(&key), None).unwrap();
            let source = Encrypted { plain: plain.clone(), key, media_type, length: whole.len() as u64 };
            for offset in [0, 1, 16, 50_000, whole.len() - 1, whole.len()] {
                let mut read = Vec::new();
                source.reader_from(offset as u64).unwrap().read_to_end(&mut read).unwrap();
                assert!(read == whole[offset..], "from {offset}");
            }
            assert!(source.reader_from(whole.len() as u64 + 1).is_err());
            plain.ended.cancel();
            assert!(source.reader_from(16).is_err(), "nobody wants it any more");
        })
        .await
        .unwrap();
    }
}
