//! What a repository amounts to: what would be missed if it were not so.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::TestRepo;

/// States of tasks, trees of branches, worktrees, by what they are; nothing that differs between two runs that
/// come to the same.
pub fn essence(repo: &TestRepo) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let refs = repo.git([
        "for-each-ref",
        "--format=%(refname) %(objectname)",
        "refs/heads",
    ]);
    let mut is_home = false;
    for line in refs.lines() {
        let (name, id) = line.split_once(' ').unwrap();
        if name == "refs/heads/orchestration" {
            is_home = true;
            continue;
        }
        let tree = repo.git(["rev-parse", &format!("{id}^{{tree}}")]);
        found.insert(format!("tree of {name}"), tree);
    }
    if is_home {
        let ledger = crate::ledger::open(repo.path());
        for task in ledger.board().tasks.values() {
            let status = &task.status;
            let held = status.agent.filter(|_| status.state.is_held());
            let held = held.map(|agent| format!(" by {agent}")).unwrap_or_default();
            found.insert(
                format!("task {}", task.id),
                format!("{}{held}", status.state),
            );
        }
        for archive in &ledger.board().archives {
            let path = format!("orchestration:.orchestration/archive/{archive}/teams");
            let files = repo.git(["ls-tree", "-r", "--name-only", &path]);
            found.insert(format!("archive {archive}"), files);
        }
        for lock in &ledger.board().locks {
            found.insert(format!("lock {}", lock.id), format!("{lock:?}"));
        }
        for (agent, record) in &ledger.board().agents {
            found.insert(format!("agent {agent}"), format!("{record:?}"));
        }
    }
    let coders = std::fs::read_dir(repo.path().with_file_name("repo.orch"));
    for entry in coders.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Where tests run is made again when it is needed, and so is the place for what was removed.
        if !name.starts_with('.') && !name.starts_with("assembler") {
            let admin = repo.path().join(format!(".git/worktrees/orch-{name}"));
            let merging = std::fs::read_to_string(admin.join("MERGE_HEAD"));
            found.insert(format!("worktree {name}"), merging.unwrap_or_default());
        }
    }
    found
}

/// Whether a text is still somewhere: in a file of a worktree, or of the trash, or in something that a ref reaches.
pub fn is_kept(repo: &TestRepo, text: &str) -> bool {
    fn below(dir: &Path, text: &str) -> bool {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| {
            if path.is_dir() {
                below(&path, text)
            } else {
                std::fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes())
            }
        })
    }
    if below(&repo.path().with_file_name("repo.orch"), text) {
        return true;
    }
    let file = repo.outside().join("looked-for");
    std::fs::write(&file, text).unwrap();
    let id = repo.git(["hash-object", file.to_str().unwrap()]);
    let all = repo.git(["rev-list", "--all", "--reflog", "--objects"]);
    all.lines().any(|line| line.starts_with(&id))
}
