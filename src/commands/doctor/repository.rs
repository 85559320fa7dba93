//! Is this a git that we can work with, and a repository that says where its files are?

use anyhow::Result;

use super::finding::Finding;
use crate::git::Repo;

/// The oldest git that is supported: the first with `merge-tree --write-tree` (README.md).
const OLDEST: (u32, u32) = (2, 38);

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let said = repo.git().arg("version").read()?;
    let old = version(&said).filter(|version| *version < OLDEST);
    let old = old.map(|_| {
        let (major, minor) = OLDEST;
        let what = format!("git-orch needs git {major}.{minor} or newer, and this is {said}");
        Finding::new("git-too-old", "git", what)
    });
    let place = repo.common_dir().display().to_string();
    let lost = repo.require_main_worktree().err();
    let lost = lost.map(|error| Finding::of_error("main-worktree-unclear", place, &error));
    Ok(old.into_iter().chain(lost).collect())
}

/// Reads what `git version` says.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split(' ').nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_makers_are_read() {
        assert_eq!(version("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("git version 2.53.0.windows.1"), Some((2, 53)));
        assert_eq!(version("something else"), None);
        assert!((2, 9) < OLDEST && (3, 0) > OLDEST);
    }
}
