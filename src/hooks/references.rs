//! Which refs an agent may move from its worktree, and what it may push.

use std::path::Path;

use anyhow::Result;

use super::seat::Seat;
use crate::error::UserError;
use crate::git::files::read_if_exists;
use crate::git::{Oid, Repo};

/// One line of what Git tells `reference-transaction` or, in another order, `pre-push`.
#[derive(Debug, PartialEq, Eq)]
struct Move<'a> {
    name: &'a str,
    old: &'a str,
    new: &'a str,
}

/// `reference-transaction`: an agent moves its own task's branch, and nothing that others build on.
///
/// # Errors
///
/// The transaction moves a ref that the agent must leave alone.
pub fn check_transaction(seat: &Seat, dir: &Path, lines: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(lines);
    let own = seat.load_branch()?;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let moved = read_move(line).ok_or_else(|| unreadable(line))?;
        let Move { name, new, .. } = moved;
        if judge(&moved, own.as_deref()) != Verdict::Allowed
            && stays(&Repo::discover(dir)?, &moved)?
        {
            continue;
        }
        match judge(&moved, own.as_deref()) {
            Verdict::Allowed => {}
            Verdict::IfNew => {
                let there = Repo::discover(dir)?.read_ref(name)?;
                let same = Oid::from_hex(new.as_bytes()).ok();
                if there.is_some() && there != same {
                    return Err(refuse(seat, own.as_deref(), &moved));
                }
            }
            Verdict::IfItsOwn => require_own_stash(dir, seat)?,
            Verdict::Refused => return Err(refuse(seat, own.as_deref(), &moved)),
        }
    }
    Ok(())
}

/// Returns whether a ref holds the same afterwards: `git pack-refs` and gc write it elsewhere, then take away the file
/// that says the same. Whoever deletes a ref that is packed holds the lock of the packed ones at this point, and whoever
/// only takes its file away does not.
fn stays(repo: &Repo, moved: &Move<'_>) -> Result<bool> {
    let Move { name, old, new } = moved;
    if !is_null(new) {
        let there = repo.read_ref(name)?;
        return Ok(there.is_some() && there == Oid::from_hex(new.as_bytes()).ok());
    }
    let packed = repo.common_dir().join("packed-refs");
    if is_null(old) || repo.common_dir().join("packed-refs.lock").exists() {
        return Ok(false);
    }
    let line = format!("{old} {name}");
    let packed = read_if_exists(&packed)?.unwrap_or_default();
    Ok(packed
        .split(|byte| *byte == b'\n')
        .any(|other| other == line.as_bytes()))
}

/// Reads a line of `reference-transaction`: `<old> <new> <ref>`.
fn read_move(line: &str) -> Option<Move<'_>> {
    let mut words = line.splitn(3, ' ');
    let (old, new, name) = (words.next()?, words.next()?, words.next()?);
    Some(Move { name, old, new })
}

/// Reads a line of `pre-push`: `<local ref> <local id> <remote ref> <remote id>`. What is pushed stands there as it was
/// typed, `HEAD^{/two words}` for example, so that only the last three are words.
fn read_pushed(line: &str) -> Option<Move<'_>> {
    let mut words = line.rsplitn(4, ' ');
    let (old, name, new) = (words.next()?, words.next()?, words.next()?);
    words.next().map(|_| Move { name, old, new })
}

/// What cannot be read cannot be let through.
fn unreadable(line: &str) -> anyhow::Error {
    let shown: String = line.chars().take(200).collect();
    let shown = shown.escape_debug();
    UserError::new(format!("git says `{shown}`, which names no ref to check"))
        .hint("git --version")
        .into()
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// Only where there is no such ref yet.
    IfNew,
    /// Only where nothing in its reflog is anyone else's: the stash is shared by all worktrees.
    IfItsOwn,
    Refused,
}

/// Refs outside the named groups belong to one worktree (`HEAD`, `refs/bisect/`, `refs/rewritten/`,
/// `refs/worktree/`), or are an agent's to use (`refs/remotes/`, `refs/stash`, `refs/notes/`).
fn judge(moved: &Move<'_>, own: Option<&str>) -> Verdict {
    let name = moved.name;
    if Some(name) == own {
        return if is_null(moved.new) {
            Verdict::Refused
        } else {
            Verdict::Allowed
        };
    }
    // What is kept stays what it is: only a person gives it up.
    if name.starts_with("refs/tags/") || name.starts_with("refs/orch/recovery/") {
        return Verdict::IfNew;
    }
    if name == "refs/stash" && is_null(moved.new) {
        return Verdict::IfItsOwn;
    }
    // A replacement object would change what everyone, the gate included, sees in a commit.
    let kept = [
        "refs/heads/",
        "refs/orch/",
        "refs/replace/",
        "main-worktree/",
        "worktrees/",
    ];
    if kept.iter().any(|start| name.starts_with(start)) {
        return Verdict::Refused;
    }
    Verdict::Allowed
}

/// Refuses to clear a stash that holds entries of others.
///
/// Git asks no hook when one entry is dropped; when it was the last one, its reflog is empty by then.
fn require_own_stash(dir: &Path, seat: &Seat) -> Result<()> {
    let log = Repo::discover(dir)?.common_dir().join("logs/refs/stash");
    let log = read_if_exists(&log)?.unwrap_or_default();
    let own = format!(" AGENT-{} <", seat.agent);
    let log = String::from_utf8_lossy(&log);
    if log.lines().all(|line| line.contains(&own)) {
        return Ok(());
    }
    let error = format!(
        "agent {} must not clear the stash: there are entries of others in it",
        seat.agent
    );
    Err(UserError::new(error).hint("git stash list").into())
}

fn is_null(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

fn refuse(seat: &Seat, own: Option<&str>, moved: &Move<'_>) -> anyhow::Error {
    let agent = seat.agent;
    let does = if is_null(moved.new) { "delete" } else { "move" };
    let name = short(moved.name);
    let Some(own) = own else {
        return UserError::new(format!(
            "agent {agent} works on no task here, so it must not {does} {name}"
        ))
        .hint(format!("git orch claim --agent {agent}"))
        .into();
    };
    UserError::new(format!(
        "agent {agent} must not {does} {name}: from its worktree it moves {} only",
        short(own)
    ))
    .hint(format!("git switch {}", short(own)))
    .into()
}

fn short(name: &str) -> &str {
    name.strip_prefix("refs/heads/").unwrap_or(name)
}

/// `pre-push`: an agent pushes its own task's branch to the branch of that name, and nothing else.
///
/// # Errors
///
/// The push would change something else.
pub fn check_push(seat: &Seat, lines: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(lines);
    let own = seat.load_branch()?;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let Move { name, new, .. } = read_pushed(line).ok_or_else(|| unreadable(line))?;
        if Some(name) == own.as_deref() && !is_null(new) {
            continue;
        }
        let does = if is_null(new) { "delete" } else { "push" };
        let (agent, name) = (seat.agent, short(name));
        let Some(own) = own.as_deref().map(short) else {
            return Err(UserError::new(format!(
                "agent {agent} works on no task here, so it has nothing to push"
            ))
            .hint(format!("git orch claim --agent {agent}"))
            .into());
        };
        return Err(UserError::new(format!(
            "agent {agent} must not {does} {name}: it pushes its task's branch {own} only"
        ))
        .hint(format!("git push origin {own}"))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NULL: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn what_is_pushed_may_be_named_by_several_words() {
        let id = "1".repeat(40);
        let seat = Seat::at_work("1.2".parse().unwrap(), "a".parse().unwrap());
        let pushed = |local: &str, name: &str| {
            check_push(&seat, format!("{local} {id} {name} {NULL}\n").as_bytes())
        };
        for local in [
            "refs/heads/x",
            "HEAD^{/fix the bug}",
            "(delete)",
            "HEAD^{/a\n}",
        ] {
            assert!(pushed(local, "refs/heads/main").is_err(), "{local}");
        }
        for local in ["refs/heads/x", "HEAD^{/fix the bug}"] {
            assert!(pushed(local, "refs/heads/orch/team-1/a").is_ok(), "{local}");
        }
        assert!(check_push(&seat, b"").is_ok());
        assert!(check_push(&seat, b"one two three\n").is_err());
        let dir = Path::new("/nowhere");
        assert!(check_transaction(&seat, dir, b"one two\n").is_err());
        assert!(check_transaction(&seat, dir, b"\n").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_git_says_is_read_or_refused(noise in any::<Vec<u8>>(), words in "[01 a-z/\n]{0,80}") {
            let seat = Seat::at_work("1.2".parse().unwrap(), "a".parse().unwrap());
            for lines in [noise.as_slice(), words.as_bytes()] {
                let own = b"refs/heads/orch/team-1/a";
                let names_own = lines.windows(own.len()).any(|part| part == own);
                let is_empty = String::from_utf8_lossy(lines).lines().all(str::is_empty);
                // An agent pushes its own branch and nothing else, so that noise never passes.
                prop_assert!(check_push(&seat, lines).is_err() || is_empty || names_own);
            }
        }

        #[test]
        fn what_git_writes_is_read_back(
            local in "[^\n]{1,30}", new in "[0-9a-f]{40}", name in "refs/[!-~]{1,30}", old in "[0-9a-f]{40}",
        ) {
            let moved = Move { name: &name, old: &old, new: &new };
            let line = format!("{local} {new} {name} {old}");
            prop_assert_eq!(read_pushed(&line), Some(moved));
            let moved = Move { name: &name, old: &old, new: &new };
            let line = format!("{old} {new} {name}");
            prop_assert_eq!(read_move(&line), Some(moved));
        }
    }

    #[test]
    fn an_agent_moves_its_own_branch_and_nothing_shared() {
        let own = Some("refs/heads/orch/team-1/a");
        let id = "1".repeat(40);
        let null = "0".repeat(40);
        let judged = |name: &str, new: &str| {
            judge(
                &Move {
                    name,
                    old: NULL,
                    new,
                },
                own,
            )
        };
        for name in [
            "HEAD",
            "ORIG_HEAD",
            "AUTO_MERGE",
            "refs/heads/orch/team-1/a",
            "refs/remotes/origin/main",
            "refs/stash",
            "refs/bisect/bad",
            "refs/rewritten/onto",
            "refs/worktree/x",
            "refs/notes/commits",
        ] {
            assert_eq!(judged(name, &id), Verdict::Allowed, "{name}");
        }
        for name in [
            "refs/heads/main",
            "refs/heads/orchestration",
            "refs/heads/orch/integration",
            "refs/heads/orch/team-1/integration",
            "refs/heads/orch/team-1/ab",
            "refs/orch/lease/x",
            "refs/replace/1",
            "main-worktree/HEAD",
        ] {
            assert_eq!(judged(name, &id), Verdict::Refused, "{name}");
        }
        assert_eq!(judged("refs/heads/orch/team-1/a", &null), Verdict::Refused);
        assert_eq!(judged("refs/tags/v1", &id), Verdict::IfNew);
        let kept = "refs/orch/recovery/1.2/1";
        assert_eq!(judged(kept, &id), Verdict::IfNew);
        assert_eq!(judged(kept, &null), Verdict::IfNew);
        assert_eq!(judged("refs/stash", &null), Verdict::IfItsOwn);
        let between = judge(
            &Move {
                name: "refs/heads/orch/team-1/a",
                old: NULL,
                new: &id,
            },
            None,
        );
        assert_eq!(between, Verdict::Refused);
    }
}
