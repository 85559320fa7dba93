//! What was saved is listed, shown, brought back and given up; worktrees go without losing anything.

use serde_json::Value;

use crate::common::{TIME, TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "demo"
[[teams]]
id = 1
coders = 2
[[tasks]]
id = "a"
team = 1
title = "Do a"
run = "true"
[[tasks]]
id = "b"
team = 1
title = "Do b"
run = "true"
"#;

/// A day in seconds.
const DAY: i64 = 86_400;

fn site() -> TestRepo {
    let repo = TestRepo::new();
    let repo = repo.write(".gitignore", "target/\n").commit("second");
    let repo = repo.init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo
}

/// Task `a`, claimed by 1.1 and released with work left in its worktree.
fn with_leftovers() -> TestRepo {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("README.md"), "changed\n");
    write_file(&dir.join("new/untracked"), "untracked\n");
    write_file(&dir.join("target/cache"), "ignored\n");
    repo.orch(["release", "a", "-m", "not now"]).ok();
    repo
}

/// The same, with the worktree taken for the next task.
fn saved() -> TestRepo {
    let repo = with_leftovers();
    repo.orch(["claim", "b", "--agent", "1.1"]).ok();
    repo
}

fn list(repo: &TestRepo, args: &[&str]) -> Vec<Value> {
    let args = [&["recover", "list", "--json"], args].concat();
    let answer = repo.orch(args).json();
    answer["saved"].as_array().unwrap().clone()
}

/// Runs `git orch` some days later.
fn later(repo: &TestRepo, days: i64, args: &[&str]) -> String {
    let now = TIME.parse::<i64>().unwrap() + days * DAY;
    let mut command = repo.orch_command(repo.path());
    let command = command.env("ORCH_TEST_TIME", now.to_string()).args(args);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &stderr
}

#[test]
fn what_was_saved_says_when_why_and_whose_it_is() {
    let repo = saved();
    let all = list(&repo, &[]);
    assert_eq!(all.len(), 1, "{all:#?}");
    let one = &all[0];
    for (key, value) in [
        ("id", "1.1/1"),
        ("ref", "refs/orch/recovery/1.1/1"),
        ("kind", "commit"),
        ("owner", "1.1"),
        ("task", "a"),
        ("branch", "orch/team-1/a"),
        ("reason", "left in the worktree before b attempt 1"),
    ] {
        assert_eq!(one[key], value, "{one:#}");
    }
    assert_eq!(one["saved_at"].to_string(), TIME);
    assert_eq!((&one["number"], &one["files"]), (&1.into(), &2.into()));
    assert_eq!(one["age_seconds"], 0);
    // Plain git tells the same.
    let format = "--format=%(objecttype) %(subject) %(creatordate:unix)";
    let told = repo.git(["for-each-ref", "refs/orch/recovery", format]);
    let reason = "left in the worktree before b attempt 1";
    assert_eq!(told, format!("tag {reason} {TIME}"));
    let tag = repo.git(["cat-file", "tag", "refs/orch/recovery/1.1/1"]);
    assert!(
        tag.ends_with("Orch-Task: a\nOrch-Branch: orch/team-1/a"),
        "{tag}"
    );
    repo.git(["fsck", "--strict"]);
    let text = repo.orch(["recover", "list"]).ok();
    assert!(text.contains("1.1/1") && text.contains("2 files"), "{text}");
    assert_eq!(list(&repo, &["--owner", "undo"]).len(), 0);
    assert_eq!(list(&repo, &["--task", "a"]).len(), 1);
}

#[test]
fn a_saved_state_is_shown_and_named_in_every_way() {
    let repo = saved();
    for name in [
        "1",
        "1.1/1",
        "refs/orch/recovery/1.1/1",
        "orch/recovery/1.1/1",
    ] {
        let text = repo.orch(["recover", "show", name]).ok();
        assert!(text.contains("new/untracked"), "{text}");
        assert!(!text.contains("target/cache"), "{text}");
    }
    let patch = repo.orch(["recover", "show", "1", "--patch"]).ok();
    assert!(patch.contains("+changed"), "{patch}");
    let shown = repo.orch(["recover", "show", "1", "--json"]).json();
    assert_eq!(shown["commits"].as_array().unwrap().len(), 1);
    let error = repo.orch(["recover", "show", "9"]).fails(1);
    assert!(error.contains("nothing is saved as `9`"), "{error}");
}

#[test]
fn it_comes_back_on_a_branch_of_its_own_and_over_nothing() {
    let repo = saved();
    let status = repo.git(["status", "--porcelain", "--branch"]);
    let answer = repo.orch(["recover", "restore", "1.1/1", "--json"]).json();
    assert_eq!(answer["branch"], "recovered/1.1-1");
    let show = |path: &str| repo.git(["show", &format!("recovered/1.1-1:{path}")]);
    assert_eq!(
        (show("README.md"), show("new/untracked")),
        ("changed".into(), "untracked".into())
    );
    assert_eq!(repo.git(["status", "--porcelain", "--branch"]), status);
    // Again is harmless; a branch that went on is not moved.
    repo.orch(["recover", "restore", "1"]).ok();
    repo.git(["branch", "-f", "recovered/1.1-1", "main"]);
    let again = repo.orch(["recover", "restore", "1", "--json"]).json();
    assert_eq!(again["branch"], "recovered/1.1-1-2");
    let error = repo
        .orch(["recover", "restore", "1", "--branch", "main"])
        .fails(1);
    assert!(error.contains("branch main already"), "{error}");
    // The ref stays until it expires.
    assert_eq!(list(&repo, &[]).len(), 1);
}

#[test]
fn it_comes_back_into_a_directory_that_was_empty() {
    let repo = saved();
    let dir = repo.outside().join("back");
    write_file(&dir.join("mine"), "mine");
    let to = dir.to_str().unwrap();
    let error = repo.orch(["recover", "restore", "1", "--to", to]).fails(1);
    assert!(error.contains("there is something in"), "{error}");
    let branches = repo.git(["branch", "--list", "recovered/*"]);
    assert_eq!(branches, "", "nothing was made before it was refused");
    std::fs::remove_file(dir.join("mine")).unwrap();
    repo.orch(["recover", "restore", "1", "--to", to]).ok();
    let text = std::fs::read_to_string(dir.join("new/untracked")).unwrap();
    assert_eq!(text, "untracked\n");
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    assert_eq!(
        repo.git_in(&dir, ["branch", "--show-current"]),
        "recovered/1.1-1"
    );
}

#[test]
fn files_that_fit_in_no_commit_come_back_from_the_trash() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    repo.git(["init", "-q", dir.join("inner").to_str().unwrap()]);
    write_file(&dir.join("inner/file"), "inner\n");
    repo.orch(["release", "a", "-m", "not now"]).ok();
    repo.orch(["claim", "b", "--agent", "1.1"]).ok();
    let all = list(&repo, &[]);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (&all[0]["id"], &all[0]["kind"]),
        (&"trash/1.1-1".into(), &"files".into())
    );
    assert_eq!(all[0]["saved_at"].to_string(), TIME);
    assert!(
        all[0]["reason"]
            .as_str()
            .unwrap()
            .contains("no commit could hold it")
    );
    let shown = repo.orch(["recover", "show", "trash/1.1-1"]).ok();
    assert!(shown.contains("inner/file"), "{shown}");
    let error = repo.orch(["recover", "restore", "1"]).fails(1);
    assert!(error.contains("need a directory"), "{error}");
    let to = repo.outside().join("new/back");
    let to = to.to_str().unwrap();
    repo.orch(["recover", "restore", "1", "--to", to, "--branch", "x"])
        .fails(2);
    repo.orch(["recover", "restore", "1", "--to", to]).ok();
    let text = std::fs::read_to_string(format!("{to}/inner/file")).unwrap();
    assert_eq!(text, "inner\n");
    assert_eq!(list(&repo, &[]).len(), 0);
    assert!(!repo.worktree(".trash").exists(), "an empty trash goes");
}

#[test]
fn what_is_old_is_given_up_and_nothing_else() {
    let repo = saved();
    repo.orch(["recover", "prune"]).ok();
    assert_eq!(list(&repo, &[]).len(), 1);
    let told = later(&repo, 30, &["recover", "prune"]);
    assert!(
        told.contains("nothing that is older than 30 days"),
        "{told}"
    );
    let told = later(&repo, 31, &["recover", "prune", "--dry-run"]);
    assert!(told.contains("1.1/1"), "{told}");
    assert_eq!(list(&repo, &[]).len(), 1);
    repo.git(["config", "orch.recoveryExpiry", "never"]);
    later(&repo, 1000, &["recover", "prune"]);
    assert_eq!(list(&repo, &[]).len(), 1);
    // Of what nobody knows the age of, only a name gives it up.
    repo.git([
        "-c",
        "core.logAllRefUpdates=false",
        "update-ref",
        "refs/orch/recovery/x/1",
        "main",
    ]);
    let told = later(&repo, 31, &["recover", "prune", "--older-than", "4w"]);
    assert!(told.contains("1 state given up"), "{told}");
    let left = list(&repo, &[]);
    assert_eq!((left.len(), &left[0]["id"]), (1, &"x/1".into()));
    repo.orch(["recover", "prune", "x/1"]).ok();
    assert_eq!(repo.git(["for-each-ref", "refs/orch/recovery"]), "");
    repo.orch(["recover", "prune", "--older-than", "30"])
        .fails(2);
}

#[test]
fn a_run_gives_up_what_is_old_at_its_end() {
    let repo = saved();
    repo.git(["branch", "x", "main"]);
    let assemble = ["assemble", "--onto", "main", "--no-test", "x"];
    later(&repo, 29, &assemble);
    assert_eq!(list(&repo, &[]).len(), 1);
    // A setting that cannot be read gives up nothing.
    repo.git(["config", "orch.recoveryExpiry", "soon"]);
    let told = later(&repo, 1000, &assemble);
    assert!(
        told.contains("orch.recoveryExpiry is no duration"),
        "{told}"
    );
    assert_eq!(list(&repo, &[]).len(), 1);
    repo.git(["config", "orch.recoveryExpiry", "30 days"]);
    let told = later(&repo, 31, &assemble);
    assert!(told.contains("1 saved state given up"), "{told}");
    assert_eq!(list(&repo, &[]).len(), 0);
}

#[test]
fn an_agent_brings_nothing_back_and_gives_nothing_up() {
    let repo = saved();
    let dir = repo.worktree("1.1");
    repo.orch_in(&dir, ["recover", "list"]).ok();
    for verb in ["restore", "prune"] {
        let error = repo.orch_in(&dir, ["recover", verb, "1"]).fails(1);
        assert!(error.contains("agent 1.1 may not"), "{error}");
    }
    let error = repo.orch_in(&dir, ["worktree", "remove", "1.1"]).fails(1);
    assert!(error.contains("agent 1.1 may not"), "{error}");
    assert_eq!(list(&repo, &[]).len(), 1);
}

#[test]
fn a_worktree_with_work_goes_by_force_only_and_can_be_recovered() {
    let repo = with_leftovers();
    let dir = repo.worktree("1.1");
    let listed = repo.orch(["worktree", "list", "--json"]).json();
    let row = &listed["worktrees"][0];
    assert_eq!(row["agent"], "1.1");
    assert_eq!(row["uncommitted"].as_array().unwrap().len(), 2, "{row:#}");
    let error = repo.orch(["worktree", "remove", "1.1"]).fails(1);
    assert!(
        error.contains("git orch worktree remove 1.1 --force"),
        "{error}"
    );
    assert!(dir.join("new/untracked").exists());
    let told = repo.orch(["worktree", "remove", "1.1", "--force"]);
    assert!(told.stderr().contains("target/"), "{}", told.stderr());
    told.ok();
    assert!(!dir.exists());
    assert!(!repo.git(["worktree", "list"]).contains("1.1"));
    repo.orch(["recover", "restore", "1.1/1"]).ok();
    assert_eq!(
        repo.git(["show", "recovered/1.1-1:new/untracked"]),
        "untracked"
    );
    assert_eq!(repo.git(["show", "recovered/1.1-1:README.md"]), "changed");
    repo.orch(["worktree", "remove", "1.1"]).fails(1);
    repo.orch(["claim", "b", "--agent", "1.1"]).ok();
}

#[test]
fn a_worktree_whose_commits_are_not_in_goes_by_force_only_and_its_branch_stays() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    let error = repo.orch(["worktree", "remove", "1.1", "--force"]).fails(1);
    assert!(error.contains("agent 1.1 works on task a"), "{error}");
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "work"]);
    let work = repo.git(["rev-parse", "orch/team-1/a"]);
    repo.orch(["release", "a", "-m", "not now"]).ok();
    let error = repo.orch(["worktree", "remove", "1.1"]).fails(1);
    assert!(error.contains("1 commit of agent 1.1"), "{error}");
    repo.orch(["worktree", "remove", "1.1", "--force"]).ok();
    assert_eq!(repo.git(["rev-parse", "orch/team-1/a"]), work);
}

#[test]
fn a_locked_worktree_stays_even_by_force() {
    let repo = with_leftovers();
    let dir = repo.worktree("1.1");
    repo.git(["worktree", "lock", dir.to_str().unwrap()]);
    let error = repo.orch(["worktree", "remove", "1.1", "--force"]).fails(1);
    assert!(error.contains("is locked"), "{error}");
    assert!(dir.join("new/untracked").exists());
}

#[test]
fn a_worktree_with_a_repository_inside_goes_to_the_trash_as_it_was() {
    let repo = with_leftovers();
    let dir = repo.worktree("1.1");
    repo.git(["init", "-q", dir.join("inner").to_str().unwrap()]);
    write_file(&dir.join("inner/file"), "inner\n");
    let gone = repo
        .orch(["worktree", "remove", "1.1", "--force", "--json"])
        .json();
    assert_eq!(gone["removed"][0]["in_trash"], true);
    let kinds: Vec<_> = list(&repo, &[])
        .iter()
        .map(|row| row["kind"].clone())
        .collect();
    assert_eq!(kinds, ["commit", "files"]);
    let text = std::fs::read_to_string(repo.worktree(".trash").join("1.1-1/inner/file"));
    assert_eq!(text.unwrap(), "inner\n");
}

#[test]
fn nothing_is_left_behind_where_git_orch_was_never_set_up() {
    let repo = TestRepo::new();
    let tree = repo.git(["rev-parse", "main^{tree}"]);
    let saved = repo.git(["commit-tree", "-m", "saved", &tree]);
    repo.git(["update-ref", "refs/orch/recovery/undo/1", &saved]);
    let dir = repo.outside().join("back");
    let to = dir.to_str().unwrap();
    let all = list(&repo, &[]);
    assert_eq!(
        (&all[0]["reason"], &all[0]["owner"]),
        (&"saved".into(), &"undo".into())
    );
    repo.orch(["recover", "restore", "undo/1", "--to", to]).ok();
    assert_eq!(repo.git_in(&dir, ["rev-parse", "HEAD"]), saved);
    assert!(!repo.path().join(".git/orch").exists());
}
