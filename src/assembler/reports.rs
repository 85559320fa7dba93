//! Files in which a test reports what failed, as JUnit writes them, and its log.
//!
//! A report that was there before a run is none of that run's: those that git does not track are taken away before
//! it, also where the worktree keeps what is around them, and tracked ones count only when the run has written them.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use globset::GlobMatcher;

/// Bytes of a log or a report that are read; the rest of a longer one is not looked at.
const MOST_READ: u64 = 64 * 1024 * 1024;

/// Which files are reports.
#[derive(Debug, Clone, Default)]
pub(super) struct Reports {
    globs: Vec<GlobMatcher>,
}

impl Reports {
    /// Reads patterns; those that are none match nothing.
    pub(super) fn new(patterns: &[String]) -> Self {
        let glob = |pattern: &String| Some(globset::Glob::new(pattern).ok()?.compile_matcher());
        Self {
            globs: patterns.iter().filter_map(glob).collect(),
        }
    }

    /// Returns whether a path below the top of the worktree is a report.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.globs.iter().any(|glob| glob.is_match(path))
    }

    /// Returns the texts of the reports below a directory that were written after a file was.
    pub(super) fn written_since(&self, begun: &Path, dir: &Path) -> Vec<String> {
        let when = |meta: &fs::Metadata| (meta.ctime(), meta.ctime_nsec());
        let Ok(begun) = fs::metadata(begun).map(|meta| when(&meta)) else {
            return Vec::new();
        };
        let (mut texts, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
        if self.globs.is_empty() {
            dirs.clear();
        }
        while let Some(at) = dirs.pop() {
            for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
                let (path, Ok(meta)) = (entry.path(), entry.metadata()) else {
                    continue;
                };
                if meta.is_dir() && entry.file_name() != ".git" {
                    dirs.push(path);
                } else if meta.is_file()
                    && when(&meta) >= begun
                    && self.has(path.strip_prefix(dir).unwrap_or(&path))
                {
                    texts.push(read(&path));
                }
            }
        }
        texts
    }
}

/// Reads the beginning of a log or a report; what is no UTF-8 is replaced.
pub(super) fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What cannot be read says nothing.
        let _ = file.take(MOST_READ).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::files;

    #[test]
    fn reports_are_those_written_since_the_test_began() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("tree");
        let put = |path: &str, text: &str| files::replace(&dir.join(path), text.as_bytes());
        put("target/junit/old.xml", "old").unwrap();
        let begun = temp.path().join("begun");
        let when = |path: &Path| fs::metadata(path).map(|meta| (meta.ctime(), meta.ctime_nsec()));
        // The clock of the file system ticks.
        while files::replace(&begun, b"").is_err()
            || when(&begun).unwrap() <= when(&dir.join("target/junit/old.xml")).unwrap()
        {}
        for (path, text) in [
            ("target/junit/a.xml", "new"),
            ("other/b.xml", "no"),
            ("target/junit/c.txt", "no"),
        ] {
            put(path, text).unwrap();
        }
        let reports = Reports::new(&[String::from("target/**/*.xml")]);
        assert_eq!(reports.written_since(&begun, &dir), ["new"]);
        assert!(reports.has(Path::new("target/junit/old.xml")));
        let missing = temp.path().join("missing");
        assert!(reports.written_since(&missing, &dir).is_empty());
        assert!(
            Reports::new(&[String::from("[")])
                .written_since(&begun, &dir)
                .is_empty()
        );
    }
}
