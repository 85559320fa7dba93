//! Refs that keep what would be lost otherwise: `refs/orch/recovery/<owner>/<number>`.

use anyhow::Result;

use super::{Oid, Repo};

/// Refs that hold what was saved, by owner and number.
const RECOVERY: &str = "refs/orch/recovery";

impl Repo {
    /// Puts a commit under the next free recovery ref of an owner, unless the last one holds the same already;
    /// returns the ref's name.
    ///
    /// # Errors
    ///
    /// A ref cannot be read or written.
    pub fn keep(&self, owner: &str, commit: Oid) -> Result<String> {
        let prefix = format!("{RECOVERY}/{owner}");
        loop {
            let listed = self
                .git()
                .args(["for-each-ref", "--format=%(refname)", &prefix])
                .read()?;
            let number = |name: &str| name.strip_prefix(&prefix)?.get(1..)?.parse::<u64>().ok();
            let last = listed.lines().filter_map(number).max();
            if let Some(last) = last {
                let name = format!("{prefix}/{last}");
                if let Some(kept) = self.read_ref(&name)?
                    && self.holds_same(kept, commit)?
                {
                    return Ok(name);
                }
            }
            let name = format!("{prefix}/{}", last.unwrap_or(0) + 1);
            let created = self
                .git()
                .args(["-c", "core.hooksPath=/dev/null"])
                .args(["-c", "core.fsync=committed"])
                .args(["update-ref", "--create-reflog"])
                .args(["-m", "orch: saved", &name, &commit.to_string()])
                .arg("0".repeat(40))
                .run();
            match created {
                Ok(()) => return Ok(name),
                // Somebody else took the number: take the next.
                Err(_) if self.read_ref(&name)?.is_some() => {}
                Err(error) => return Err(error.context(format!("cannot write {name}"))),
            }
        }
    }

    /// Whether two commits hold the same, whenever they were made.
    fn holds_same(&self, a: Oid, b: Oid) -> Result<bool> {
        if a == b {
            return Ok(true);
        }
        let (a, b) = (self.read_commit(a)?, self.read_commit(b)?);
        Ok(a.tree == b.tree && a.parents == b.parents)
    }
}
