//! One configuration file by itself: read without its includes, edited under Git's own lock.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::files::{self, Lock};
use super::refs::remove_dead_lock;
use crate::error::UserError;
use crate::model::shared::Settings;

/// How often a lock held by someone else is tried; `git config` holds one for a few milliseconds.
const MOST_TRIES: u64 = 60;

/// The values of one file.
#[derive(Debug)]
pub struct ConfigFile(gix::config::File);

impl ConfigFile {
    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no Git configuration.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        Ok(load(path)?.map(Self))
    }

    /// Returns the last value of a key.
    pub fn value(&self, key: &str) -> Option<String> {
        self.0.string(key).map(|value| value.to_string())
    }

    /// Returns all values by their keys, in the order in which they stand there. A key without a value says `true`.
    pub fn settings(&self) -> Settings {
        let mut found = Settings::new();
        for section in self.0.sections() {
            let header = section.header();
            let mut start = header.name().to_string().to_ascii_lowercase();
            if let Some(subsection) = header.subsection_name() {
                start = format!("{start}.{subsection}");
            }
            let names = section.value_names().map(|name| name.to_ascii_lowercase());
            for name in names.collect::<BTreeSet<String>>() {
                let values = section.values(&name).into_iter();
                let values: Vec<String> = values.map(|value| value.to_string()).collect();
                let all = found.entry(format!("{start}.{name}")).or_default();
                match values.is_empty() {
                    true => all.push(String::from("true")),
                    false => all.extend(values),
                }
            }
        }
        found
    }
}

/// Reads a file as gix keeps it; `None` where there is none.
pub(super) fn load(path: &Path) -> Result<Option<gix::config::File>> {
    let Some(bytes) = files::read_if_exists(path)? else {
        return Ok(None);
    };
    let from = gix::config::file::Metadata::from(gix::config::Source::Local).at(path);
    let read = gix::config::File::from_bytes_no_includes(&bytes, from, Default::default());
    match read {
        Ok(file) => Ok(Some(file)),
        Err(error) => Err(anyhow::anyhow!("{error}"))
            .with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Changes a configuration file as `git config` does: under `<file>.lock`, read behind the lock, replaced
/// whole. Returns whether the file changed; `change` returns `None` to leave it as it is.
///
/// The lock is a hard link to a scratch file of ours, so that one left behind by a killed process is known
/// by its inode and taken away, and anyone else's is left alone.
///
/// # Errors
///
/// The file cannot be written, or someone else keeps it locked; it is then as it was.
pub fn edit(
    path: &Path,
    scratch: &Path,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<bool> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut lock = real.clone().into_os_string();
    lock.push(".lock");
    let lock = Path::new(&lock);
    let _alone = Lock::wait(&scratch.with_extension("alone"))?;
    remove_dead_lock(scratch, lock)?;
    let mut file = File::create_new(scratch)
        .with_context(|| format!("cannot create {}", scratch.display()))?;
    if let Err(error) = take(scratch, lock) {
        let _ = fs::remove_file(scratch);
        return Err(error);
    }
    let write = || -> Result<bool> {
        let old = files::read_if_exists(&real)?;
        let Some(new) = change(old.as_deref().unwrap_or_default()) else {
            return Ok(false);
        };
        file.write_all(&new)?;
        if let Ok(meta) = fs::metadata(&real) {
            file.set_permissions(meta.permissions())?;
        }
        file.sync_all()?;
        fs::rename(lock, &real)?;
        Ok(true)
    };
    let written = write().with_context(|| format!("cannot write {}", path.display()));
    let is_gone = matches!(written, Ok(true)) || fs::remove_file(lock).is_ok();
    // By the scratch file a lock that stays is known as ours, and taken away by the next edit.
    if is_gone {
        let _ = fs::remove_file(scratch);
    }
    written
}

/// Makes the lock, waiting a little for whoever holds it.
fn take(scratch: &Path, lock: &Path) -> Result<()> {
    for attempt in 0..MOST_TRIES {
        match fs::hard_link(scratch, lock) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                std::thread::sleep(Duration::from_millis(2 + attempt));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", lock.display()));
            }
        }
    }
    Err(
        UserError::new(format!("{} is locked by someone else", lock.display()))
            .hint(format!(
                "rm '{}' if no git process is running",
                lock.display()
            ))
            .into(),
    )
}

/// Returns a value as a configuration file writes it: in quotes, with what is special escaped.
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\t' => out.extend(b"\\t"),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
