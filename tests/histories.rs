//! Real histories, merged again: the standalone queue against plain `git merge`, one branch after another.
//!
//! Needs a repository: `ORCH_HISTORY=/path/to/repository cargo test -- --nocapture histories`; without one it
//! says so and checks nothing. The history's newest merges of two parents along its first parents, 50 unless
//! `ORCH_HISTORY_MERGES` says otherwise, are brought in once more from where the oldest of them began.

use std::path::Path;
use std::time::Instant;

use super::common::TestRepo;
use super::common::site::assemble;

/// What plain Git made of one branch.
#[derive(Debug, PartialEq)]
enum Merged {
    /// The tree.
    Tree(String),
    Conflict,
    Nothing,
}

#[test]
fn histories_merged_again_come_out_as_git_merges_them() {
    let Some(source) = std::env::var_os("ORCH_HISTORY") else {
        eprintln!("SKIPPED: ORCH_HISTORY names no repository");
        return;
    };
    let from = Path::new(&source).to_str().unwrap();
    let repo = TestRepo::empty();
    let names = branches_of(&repo, from);

    let begun = Instant::now();
    let plain = merge_one_by_one(&repo, &names);
    let plain_took = begun.elapsed();

    let begun = Instant::now();
    let options = ["assemble", "--json", "--onto", "queue", "--test", "true"];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_, report) = assemble(&repo, &[&options[..], &names].concat());
    let took = begun.elapsed();

    let rows = report["train"].as_array().unwrap();
    assert_eq!(rows.len(), plain.len());
    let mut count = [0; 3];
    for (row, plain) in rows.iter().zip(&plain) {
        let ours = match (row["verdict"].as_str().unwrap(), row["commit"].as_str()) {
            ("merged", Some(commit)) => {
                Merged::Tree(repo.git(["rev-parse", &format!("{commit}^{{tree}}")]))
            }
            ("conflict", _) => Merged::Conflict,
            _ => Merged::Nothing,
        };
        assert_eq!(&ours, plain, "{row}");
        count[match ours {
            Merged::Tree(_) => 0,
            Merged::Conflict => 1,
            Merged::Nothing => 2,
        }] += 1;
    }
    assert_eq!(
        repo.git(["rev-parse", "queue^{tree}"]),
        repo.git(["rev-parse", "plain^{tree}"])
    );
    let [merged, conflicts, nothing] = count;
    eprintln!(
        "{from}: {merged} merged with git's trees, {conflicts} conflicts as git has them, {nothing} in already; \
         {:.1} s, plain git {:.1} s",
        took.as_secs_f64(),
        plain_took.as_secs_f64()
    );
}

/// Makes a branch of each merge's second parent, oldest first, and `queue` and `plain` where they begin.
fn branches_of(repo: &TestRepo, from: &str) -> Vec<String> {
    let most = std::env::var("ORCH_HISTORY_MERGES").unwrap_or_else(|_| String::from("50"));
    // Objects are read where they are; nothing is written there.
    let objects = repo.git([
        "-C",
        from,
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "objects",
    ]);
    let alternates = repo.path().join(".git/objects/info/alternates");
    std::fs::write(alternates, objects + "\n").unwrap();
    repo.git([
        "branch",
        "history",
        &repo.git(["-C", from, "rev-parse", "HEAD"]),
    ]);
    let line = repo.git([
        "log",
        "--first-parent",
        "--min-parents=2",
        "--max-parents=2",
        "-n",
        &most,
        "--format=%H %P",
        "history",
    ]);
    let merges: Vec<Vec<&str>> = line.lines().map(|line| line.split(' ').collect()).collect();
    assert!(merges.len() > 1, "{from} has no merges");
    repo.git(["branch", "queue", merges.last().unwrap()[1]]);
    repo.git(["branch", "plain", "queue"]);
    let mut names = Vec::new();
    for (i, merge) in merges.iter().rev().enumerate() {
        let name = format!("branch-{i:04}");
        repo.git(["branch", &name, merge[2]]);
        names.push(name);
    }
    names
}

/// Merges branches in a worktree, as a person would.
fn merge_one_by_one(repo: &TestRepo, names: &[String]) -> Vec<Merged> {
    let dir = repo.outside().join("plain");
    repo.git(["worktree", "add", "-q", dir.to_str().unwrap(), "plain"]);
    let merge = |name: &String| {
        let before = repo.git_in(&dir, ["rev-parse", "HEAD"]);
        let outcome = repo.try_git_in(&dir, ["merge", "-q", "--no-ff", "--no-edit", name]);
        if outcome.code() != 0 {
            // Histories that have nothing in common are refused before there is anything to abort.
            repo.git_in(&dir, ["reset", "-q", "--hard"]);
            return Merged::Conflict;
        }
        let now = repo.git_in(&dir, ["rev-parse", "HEAD", "HEAD^{tree}"]);
        let (now, tree) = now.split_once('\n').unwrap();
        if now == before {
            Merged::Nothing
        } else {
            Merged::Tree(tree.to_owned())
        }
    };
    names.iter().map(merge).collect()
}
