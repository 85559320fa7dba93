//! The hooks that were there before ours: found, and run with what Git gave to ours.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use super::seat::Place;
use crate::config;
use crate::error::UserError;
use crate::git::complaint::complaint;
use crate::git::files::read_whole;
use crate::process::inherit;

/// File beside our scripts that tells them the directory of the previous hooks, so that they need not ask.
const RECORD: &str = ".previous";

/// Younger than this, a configuration file may change again without a younger time.
const RACY: Duration = Duration::from_secs(2);

/// The directory that Git would take hooks from if it were not for ours.
#[derive(Debug, Clone)]
pub struct Previous {
    dir: PathBuf,
}

impl Previous {
    /// Returns the directory that is on record while that holds, as `hooks/previous.sh` does; else asks Git.
    ///
    /// # Errors
    ///
    /// As [`Previous::find`].
    pub fn recall(place: &Place, dir: &Path) -> Result<Self> {
        match recorded(&place.common_dir) {
            Some(dir) => Ok(Self { dir }),
            None => Self::find(place, dir),
        }
    }

    /// Finds the directory, asking Git anew, and notes it for the scripts.
    ///
    /// # Errors
    ///
    /// Git's configuration cannot be read.
    pub fn find(place: &Place, dir: &Path) -> Result<Self> {
        // In a sandbox it is reached by a link.
        let ours = place.common_dir.join("orch/hooks");
        let ours = ours.canonicalize().unwrap_or(ours);
        // Before the configuration is read, so that any later change of it is younger than the record.
        let mut note = tempfile::Builder::new()
            .prefix(".orch-")
            .tempfile_in(&ours)
            .ok();
        let args = ["config", "--type=path", "-z", "--get-all", "core.hooksPath"];
        let output = place.git(dir).args(args).output()?;
        let values = match output.status.code() {
            Some(0 | 1) => output.stdout,
            _ => {
                let failure = complaint(&output.stderr);
                return Err(
                    UserError::new(format!("cannot read core.hooksPath: {failure}")).into(),
                );
            }
        };
        let found = values
            .split(|byte| *byte == 0)
            .filter(|value| !value.is_empty())
            .map(|value| PathBuf::from(OsString::from_vec(value.to_vec())))
            .rfind(|value| *value != ours && value.canonicalize().ok().as_ref() != Some(&ours));
        let previous = Self {
            dir: found.unwrap_or_else(|| place.common_dir.join("hooks")),
        };
        if let Some(note) = note.take() {
            previous.note(&place.common_dir, &ours.join(RECORD), note);
        }
        Ok(previous)
    }

    /// Writes the record that `hooks/previous.sh` reads. Without one the scripts ask us, so that failing to
    /// write it costs time and nothing else.
    fn note(&self, common_dir: &Path, record: &Path, mut file: tempfile::NamedTempFile) {
        let (said, mut sources) = config::outer_config();
        sources.push(common_dir.join("config"));
        let lines = [self.dir.as_os_str(), &said].map(OsStr::as_bytes);
        let text = lines.join(&b'\n');
        let youngest = sources.iter().filter_map(|path| modified(path)).max();
        let holds = read_whole(record).is_ok_and(|old| old.strip_suffix(b"\n") == Some(&text))
            && modified(record) >= youngest;
        if holds {
            return;
        }
        let begun = modified(file.path());
        let settled = begun.zip(youngest).is_some_and(|(begun, youngest)| {
            begun.duration_since(youngest).is_ok_and(|age| age > RACY)
        });
        let one_line = !lines.iter().any(|line| line.contains(&b'\n'));
        if let Some(begun) = begun.filter(|_| settled && one_line)
            && file.write_all(&text).is_ok()
            && file.write_all(b"\n").is_ok()
            && file.as_file().set_modified(begun).is_ok()
            && file.persist(record).is_ok()
        {
            return;
        }
        let _ = fs::remove_file(record);
    }

    /// Returns the path of a hook that can be run.
    fn hook(&self, dir: &Path, name: &str) -> Option<PathBuf> {
        let path = self.dir.join(name);
        let meta = fs::metadata(dir.join(&path)).ok()?;
        (meta.is_file() && meta.permissions().mode() & 0o111 != 0).then_some(path)
    }

    /// Runs a hook if there is one, and goes on only if it agrees; returns whether there was one.
    ///
    /// # Errors
    ///
    /// It exits with another code than zero, or cannot be started.
    pub fn run(&self, dir: &Path, name: &str, args: &[OsString]) -> Result<bool> {
        let Some(path) = self.hook(dir, name) else {
            return Ok(false);
        };
        match inherit::run(&path, args, None)? {
            0 => Ok(true),
            code => {
                let path = path.display();
                Err(UserError::new(format!("the hook {path} refused this (exit {code})")).into())
            }
        }
    }

    /// Becomes a hook, so that its exit code is ours; returns where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn turn_into(
        &self,
        dir: &Path,
        name: &str,
        args: &[OsString],
        stdin: Option<&[u8]>,
    ) -> Result<()> {
        let Some(path) = self.hook(dir, name) else {
            return Ok(());
        };
        let stdin = stdin.map(replay).transpose()?;
        inherit::turn_into(&path, args, stdin)
    }
}

/// Returns what the record says, unless a configuration file is younger or the environment names others.
fn recorded(common_dir: &Path) -> Option<PathBuf> {
    let record = common_dir.join("orch/hooks").join(RECORD);
    let written = modified(&record)?;
    let (said, mut sources) = config::outer_config();
    sources.push(common_dir.join("config"));
    if sources.iter().any(|path| modified(path) > Some(written)) {
        return None;
    }
    let text = read_whole(&record).ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let (dir, seen) = (lines.next()?, lines.next()?);
    (seen == said.as_bytes()).then(|| PathBuf::from(OsStr::from_bytes(dir)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Returns a file without a name that reads as what was read before.
fn replay(bytes: &[u8]) -> Result<File> {
    let write = || -> std::io::Result<File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    };
    write().context("cannot keep what a hook is to read")
}
