//! `warren export` and `warren import`: a store of one process moves into a cluster, with every account still paired.
//!
//! The file is JSON, an object a line: what it is, then rows of tables, then how many there were. Without that last line it is
//! not whole, and is not taken. What is sealed in it stays sealed: the cluster needs the same sealing key.

use crate::args;
use crate::compose::cluster::Client;
use crate::compose::{self, cluster, local};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::settings::{self, Settings};
use crate::{sealing_key, serve};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::sync::mpsc;
use warren_domain::{Error, MediaId, TenantId};
use warren_objects::ObjectStorage;
use warren_ports::moving::{Chunk, Export, Import, Moved};
use warren_ports::objects::{ObjectName, Objects};

/// The version of the file.
const VERSION: u32 = 1;
/// Chunks that wait between who reads and who writes.
const AHEAD: usize = 4;
/// The longest line that is read, bytes: five hundred rows, each with a stanza or a session of some kilobytes.
const LONGEST_LINE: u64 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first: what this is.
    WarrenExport { version: u32 },
    /// Rows.
    Rows(Chunk),
    /// The last.
    End(Moved),
}

/// Writes what the store in the data folder holds.
pub(crate) async fn export(arguments: args::Export) -> Result<(), Failure> {
    let settings = settings::load(&arguments.common)?.config;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    if !local::has_store(&settings.store.data_dir) {
        return Err(Failure::config(format!("there is no store in {}", settings.store.data_dir.display())));
    }
    // Nobody writes meanwhile.
    let _folder = DataFolder::take(&settings.store.data_dir)?;
    let (store, _) = local::open_existing(&settings, false).await?;
    let unwritable = |error| Failure::config(format!("{} cannot be written: {error}", arguments.file.display()));
    let moved = write(&store, &arguments.file).await;
    store.close().await;
    let moved = moved?.map_err(unwritable)?;
    serve::say(&format!(
        "{} rows: {} instances of {} tenants, {} messages still to be sent\n\
         The cluster needs this store's sealing key (WARREN_SEALING_KEY) and, for files of messages, --files {}\n",
        moved.rows,
        moved.instances,
        moved.tenants,
        moved.open_messages,
        settings.store.data_dir.join("media").display(),
    ));
    Ok(())
}

/// Only a whole file gets its name.
async fn write(store: &impl Export, path: &Path) -> Result<std::io::Result<Moved>, Failure> {
    let partial = path.with_extension("partial");
    // Nobody else reads it: it holds the hashes of keys, and numbers.
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let file = match opened {
        Ok(file) => tokio::fs::File::from_std(file),
        Err(error) => return Ok(Err(error)),
    };
    let (chunks, mut received) = mpsc::channel(AHEAD);
    let writing = async {
        let mut file = BufWriter::new(file);
        put(&mut file, &Line::WarrenExport { version: VERSION }).await?;
        while let Some(chunk) = received.recv().await {
            put(&mut file, &Line::Rows(chunk)).await?;
        }
        Ok::<_, std::io::Error>(file)
    };
    let (exported, written) = tokio::join!(store.export(chunks), writing);
    let mut file = match written {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let moved = exported?;
    let finished = async {
        put(&mut file, &Line::End(moved)).await?;
        file.flush().await?;
        file.get_ref().sync_all().await?;
        tokio::fs::rename(&partial, path).await?;
        Ok(moved)
    };
    Ok(finished.await)
}

async fn put(file: &mut BufWriter<tokio::fs::File>, line: &Line) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text).await
}

/// Takes what was exported into the cluster's empty database, and copies files into its object store.
pub(crate) async fn import(arguments: args::Import) -> Result<(), Failure> {
    let settings = settings::load(&arguments.common)?.config;
    warren_runtime::log::start(&settings.log.filter, settings.log.format).map_err(Failure::config)?;
    let store = cluster::open_store(&settings, Client::Command("warren import"), None, None, false).await?;
    let (chunks, received) = mpsc::channel(AHEAD);
    let mut reader = Reader { settings: &settings, files: Vec::new() };
    let (imported, ()) = tokio::join!(store.import(received), reader.feed(&arguments.file, chunks));
    store.close().await;
    let moved = imported.map_err(|error| Failure::config(format!("{}: {}", arguments.file.display(), error.detail)))?;
    let copied = match &arguments.files {
        Some(folder) => copy_files(&settings, folder, &reader.files).await?,
        None => 0,
    };
    serve::say(&format!(
        "{} rows: {} instances of {} tenants, {} messages still to be sent, {copied} of {} files copied\n",
        moved.rows,
        moved.instances,
        moved.tenants,
        moved.open_messages,
        reader.files.len(),
    ));
    Ok(())
}

/// Reads a file, checking what only the whole can tell.
struct Reader<'a> {
    settings: &'a Settings,
    /// Files of messages whose bytes are still kept.
    files: Vec<ObjectName>,
}

impl Reader<'_> {
    /// Sends its rows; whatever is wrong is sent too, and undoes everything.
    async fn feed(&mut self, path: &PathBuf, chunks: mpsc::Sender<Result<Chunk, Error>>) {
        if let Err(error) = self.read(path, &chunks).await {
            // Whoever takes has ended by itself, with an error of its own.
            let _ = chunks.send(Err(error)).await;
        }
    }

    async fn read(&mut self, path: &PathBuf, chunks: &mpsc::Sender<Result<Chunk, Error>>) -> Result<(), Error> {
        let unreadable = |error: std::io::Error| bad(format!("It cannot be read: {error}."));
        let mut file = BufReader::new(tokio::fs::File::open(path).await.map_err(unreadable)?);
        let mut rows = 0;
        let mut is_first = true;
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = (&mut file).take(LONGEST_LINE).read_until(b'\n', &mut text).await.map_err(unreadable)?;
            if length == 0 {
                return Err(bad("It ends too early: the export did not finish."));
            }
            let line = serde_json::from_slice(&text).map_err(|_| bad("It is no file of `warren export`."))?;
            match line {
                Line::WarrenExport { version: VERSION } if is_first => is_first = false,
                Line::WarrenExport { version } => {
                    return Err(bad(format!("It has version {version}, this binary {VERSION}.")));
                }
                _ if is_first => return Err(bad("It is no file of `warren export`.")),
                Line::Rows(chunk) => {
                    rows += chunk.rows.len() as u64;
                    self.look(&chunk)?;
                    if chunks.send(Ok(chunk)).await.is_err() {
                        return Ok(());
                    }
                }
                Line::End(moved) if moved.rows == rows => return Ok(()),
                Line::End(moved) => return Err(bad(format!("It has {rows} rows of {}.", moved.rows))),
            }
        }
    }

    fn look(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let bytes = |row: &serde_json::Map<String, Value>, name: &str| {
            hex::decode(row.get(name)?.as_str()?.strip_prefix("\\x")?).ok()
        };
        match chunk.table.as_str() {
            "meta" => {
                let check =
                    chunk.rows.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(sealing_key::CHECK));
                let check = check.and_then(|row| bytes(row, "value"));
                sealing_key::compare(self.settings.store.sealing_key.as_ref(), check.as_deref()).map_err(|failure| {
                    bad(format!("{failure}. Set WARREN_SEALING_KEY to the key of the store that was exported."))
                })
            }
            "media" => {
                for row in &chunk.rows {
                    let number = |name: &str| row.get(name).and_then(Value::as_i64);
                    let (tenant, media) = (bytes(row, "tenant_id"), bytes(row, "id"));
                    if let (Some(tenant), Some(media), Some(1), Some(0)) =
                        (tenant, media, number("state"), number("bytes_gone"))
                        && let (Ok(tenant), Ok(media)) = (tenant.try_into(), media.try_into())
                    {
                        self.files
                            .push(ObjectName { tenant: TenantId::from_bytes(tenant), media: MediaId::from_bytes(media) });
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn bad(detail: impl Into<String>) -> Error {
    Error::invalid("bad_export", detail)
}

/// Copies the bytes that are there; a file whose bytes are not is answered like one that expired.
async fn copy_files(settings: &Settings, folder: &Path, files: &[ObjectName]) -> Result<usize, Failure> {
    let from = ObjectStorage::folder(folder).await.map_err(|error| Failure::config(format!("--files: {error}")))?;
    let to = compose::objects(settings).await?;
    let mut copied = 0;
    for name in files {
        if let Some(bytes) = from.get(*name, 0).await? {
            to.put(*name, bytes).await?;
            copied += 1;
        }
    }
    Ok(copied)
}
