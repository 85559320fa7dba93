//! Everything bad that may happen to an assembly, on real repositories: histories, tests, files, other people.

mod broken;
mod files;
mod histories;
mod hostile;
mod second;
mod together;

use std::path::Path;

use super::common::TestRepo;
use super::common::site::{assemble, branch, verdicts};

/// A repository with branches of one file each, called after them.
fn with_branches(names: &[&str]) -> TestRepo {
    let repo = TestRepo::new();
    for name in names {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    repo
}

/// Assembles branches onto `main`; returns exit code, verdicts and the report.
fn onto_main(repo: &TestRepo, test: &str, rest: &[&str]) -> (i32, Vec<String>, serde_json::Value) {
    let mut args = vec!["assemble", "--json", "--onto", "main", "--test", test];
    args.extend(rest);
    let (code, report) = assemble(repo, &args);
    (code, verdicts(&report), report)
}

/// Fails unless a worktree has exactly what its HEAD has.
#[track_caller]
fn clean(repo: &TestRepo, dir: &Path) {
    assert_eq!(repo.git_in(dir, ["status", "--porcelain"]), "");
}

/// Whether `main` has a file.
fn has(repo: &TestRepo, path: &str) -> bool {
    let at = format!("main:{path}");
    repo.try_git_in(repo.path(), ["cat-file", "-e", &at]).code() == 0
}
