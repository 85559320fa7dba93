//! Where a child's output goes: a log file with an upper bound, and the tail that is kept in memory.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Most bytes of one child's output that are kept on disk; an agent that loops must not fill it.
pub(super) const MOST_LOGGED: u64 = 64 << 20;

/// Most bytes of output that are kept in memory.
pub(super) const MOST_KEPT: usize = 16 << 10;

/// Takes a child's output.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    file: File,
    room: u64,
    recent: Vec<u8>,
    cut: bool,
}

impl Output {
    /// Opens the log, to append to it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)
                .with_context(|| format!("cannot make directory {}", dir.display()))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self {
            file: file.with_context(|| format!("cannot open {}", path.display()))?,
            path: path.to_owned(),
            room: MOST_LOGGED,
            recent: Vec::new(),
            cut: false,
        })
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.keep(bytes);
        if self.room == 0 {
            return Ok(());
        }
        let fits = usize::try_from(self.room)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let write = |file: &mut File, bytes: &[u8]| {
            file.write_all(bytes)
                .with_context(|| format!("cannot write {}", self.path.display()))
        };
        write(&mut self.file, &bytes[..fits])?;
        self.room -= fits as u64;
        if self.room == 0 {
            let note = format!(
                "\n[git-orch: what follows after {} MiB is left out]\n",
                MOST_LOGGED >> 20
            );
            write(&mut self.file, note.as_bytes())?;
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let news = &bytes[bytes.len().saturating_sub(MOST_KEPT)..];
        self.recent.extend_from_slice(news);
        // Cut seldom, so that output byte by byte costs no copy each.
        if self.recent.len() > 4 * MOST_KEPT {
            let old = self.recent.len() - MOST_KEPT;
            self.recent.drain(..old);
            self.cut = true;
        }
    }

    /// Returns the last whole lines, at most [`MOST_KEPT`] bytes.
    pub(super) fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.recent);
        if !self.cut && text.len() <= MOST_KEPT {
            return text.into_owned();
        }
        let mut start = text.len().saturating_sub(MOST_KEPT);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let last = &text[start..];
        // Half a line misleads; a single line that is too long is better than none.
        match last.split_once('\n') {
            Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
            _ => last.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(&dir.path().join("deep/log")).unwrap();
        output.take(b"first\n").unwrap();
        assert_eq!(output.tail(), "first\n");
        for n in 0..20_000 {
            output.take(format!("line {n}\n").as_bytes()).unwrap();
        }
        let tail = output.tail();
        assert!(tail.len() <= MOST_KEPT && tail.len() > MOST_KEPT - 20);
        assert!(tail.starts_with("line ") && tail.ends_with("line 19999\n"));
    }

    #[test]
    fn bytes_that_are_no_text_stay_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(&dir.path().join("log")).unwrap();
        output.take(&[0xff; 3 * MOST_KEPT]).unwrap();
        assert!(output.tail().len() <= MOST_KEPT);
    }
}
