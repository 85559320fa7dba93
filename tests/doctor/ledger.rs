//! The ledger's branch: missing, unreadable, checked out.

use std::fs;

use super::super::common::{TestRepo, write_file};
use super::{assert_well, doctor, ids, mends, site};

const STATUS: &str = ".orchestration/teams/1/status/a.toml";

/// Commits changes to the ledger by hand, as a person would in a worktree.
fn edit_ledger(repo: &TestRepo, edits: &[(&str, Option<&str>)]) -> String {
    let dir = repo.outside().join("hand");
    let text = dir.to_str().unwrap();
    repo.git(["worktree", "add", "-q", text, "orchestration"]);
    for (path, content) in edits {
        match content {
            Some(content) => write_file(&dir.join(path), content),
            None => fs::remove_file(dir.join(path)).unwrap(),
        }
    }
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "by hand"]);
    repo.git(["worktree", "remove", "--force", text]);
    repo.git(["rev-parse", "orchestration"])
}

#[test]
fn a_missing_branch_is_made_again_where_git_orch_left_it() {
    let repo = site();
    let tip = repo.git(["rev-parse", "orchestration"]);
    repo.git(["branch", "-q", "-D", "orchestration"]);
    let (_, answer) = doctor(&repo, &[]);
    let command = format!("git branch orchestration {tip}");
    assert!(
        answer["findings"][0]["commands"]
            .as_array()
            .unwrap()
            .contains(&command.into())
    );
    mends(&repo, &["ledger-missing"]);
    assert_eq!(repo.git(["rev-parse", "orchestration"]), tip);
}

#[test]
fn an_empty_ref_after_a_power_cut_is_written_again() {
    let repo = site();
    let tip = repo.git(["rev-parse", "orchestration"]);
    fs::write(repo.path().join(".git/refs/heads/orchestration"), "").unwrap();
    mends(&repo, &["ledger-ref-broken"]);
    assert_eq!(repo.git(["rev-parse", "orchestration"]), tip);
    assert_eq!(repo.orch(["status", "--json"]).json()["run"], "demo");
}

#[test]
fn a_file_that_cannot_be_read_is_put_back_as_it_last_was() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
        .ok();
    let good = repo.git(["show", &format!("orchestration:{STATUS}")]);
    let last_good = repo.git(["rev-parse", "orchestration"]);
    // A second edit by hand leaves the broken file alone: the last good version is two commits back.
    edit_ledger(
        &repo,
        &[(STATUS, Some("state = \"claimed\"\nattempt = \"x\"\n"))],
    );
    let tip = edit_ledger(&repo, &[(".orchestration/notes.md", Some("mine\n"))]);
    repo.orch(["status"]).fails(1);

    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["ledger-broken"]),
        "{answer:#}"
    );
    let finding = &answer["findings"][0];
    assert_eq!(
        (&finding["where"], &finding["fixable"]),
        (&STATUS.into(), &false.into())
    );
    let what = finding["what"].as_str().unwrap();
    assert!(what.contains("line 2, column 11"), "{what}");
    assert!(what.contains(&last_good[..12]), "{what}");
    assert!(what.contains("2 transitions back"), "{what}");
    assert_eq!(
        repo.git(["rev-parse", "orchestration"]),
        tip,
        "a person decides"
    );

    let restore = finding["commands"][0].as_str().unwrap();
    assert_eq!(restore, format!("git orch doctor --restore {STATUS}"));
    repo.orch(["doctor", "--restore", STATUS]).ok();
    assert_well(&repo);
    assert_eq!(repo.git(["show", &format!("orchestration:{STATUS}")]), good);
    // One transition on top of what was there; nothing else of the tree has changed.
    assert_eq!(repo.git(["rev-parse", "orchestration^"]), tip);
    assert_eq!(
        repo.git(["show", "orchestration:.orchestration/notes.md"]),
        "mine"
    );
    assert_eq!(
        repo.git(["diff", "--name-only", &tip, "orchestration"]),
        STATUS
    );
    let log = repo
        .orch(["log", "a", "--kind", "restore", "--json"])
        .json();
    assert_eq!(log[0]["task"], "a");
    assert_eq!(log[0]["run"], "demo");
    repo.orch(["start", "a", "--agent", "1.1", "--attempt", "1"])
        .ok();

    let said = repo.orch(["doctor", "--restore", STATUS]).fails(3);
    assert!(said.contains("is not broken"), "{said}");
}

#[test]
fn several_broken_files_are_all_told_and_one_that_is_new_is_taken_out() {
    let repo = site();
    let new = ".orchestration/teams/1/status/b c.toml";
    let settings = ".orchestration/orch.toml";
    edit_ledger(&repo, &[(new, Some("x")), (settings, None)]);
    let (code, answer) = doctor(&repo, &[]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["ledger-broken"; 2]),
        "{answer:#}"
    );
    assert_eq!(answer["findings"][0]["where"], settings);
    let what = answer["findings"][1]["what"].as_str().unwrap();
    assert!(what.contains("it was not there before"), "{what}");
    // The leading directory may be left out.
    repo.orch(["doctor", "--restore", "orch.toml"]).ok();
    repo.orch(["doctor", "--restore", new]).ok();
    assert_well(&repo);
    let listed = repo.git(["ls-tree", "-r", "--name-only", "orchestration"]);
    assert!(
        !listed.contains("b c.toml") && listed.contains(settings),
        "{listed}"
    );
}

#[test]
fn a_ledger_that_is_checked_out_is_named() {
    let repo = site();
    let dir = repo.outside().join("there");
    let text = dir.to_str().unwrap();
    repo.git(["worktree", "add", "-q", text, "orchestration"]);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (1, vec!["ledger-checked-out"]));
    let command = answer["findings"][0]["commands"][0].as_str().unwrap();
    assert!(command.ends_with("switch --detach"), "{command}");
    repo.git_in(&dir, ["switch", "-q", "--detach"]);
    assert_well(&repo);
}

/// Records that the board does not hold are read, told and put back like those that it does.
#[test]
fn a_broken_wrap_up_report_or_archived_file_is_told_and_put_back() {
    let plan =
        "[run]\nname = \"demo\"\n[[tasks]]\nid = \"a\"\ntitle = \"Do a\"\nrun = \"echo a >a\"\n";
    let repo = TestRepo::new().init().plan(plan);
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    repo.orch(["approve"]).ok();
    repo.orch(["wrapup"]).ok();
    repo.orch(["close"]).ok();
    assert_well(&repo);
    let listed = repo.git(["ls-tree", "-r", "--name-only", "orchestration"]);
    let of = |part: &str| {
        let path = listed.lines().find(|path| path.contains(part));
        path.unwrap_or_else(|| panic!("no {part} in {listed}"))
    };
    let paths = [
        of("/archive/demo/teams/1/status/"),
        of("/archive/demo/teams/1/tasks/"),
        of("/archive/demo/teams/1/handoffs/"),
        of("/archive/demo/orch.toml"),
        of("/assemblies/"),
        of("/syncs/wrapup-"),
    ];
    let before = repo.git(["rev-parse", "orchestration^{tree}"]);
    let edits = paths.map(|path| (path, Some("x = \n")));
    edit_ledger(&repo, &edits);
    // Nothing that is asked of the run depends on them.
    repo.orch(["status"]).ok();
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (1, vec!["ledger-broken"; 6]));
    for path in paths {
        repo.orch(["doctor", "--restore", path]).ok();
    }
    assert_well(&repo);
    assert_eq!(repo.git(["rev-parse", "orchestration^{tree}"]), before);
    let log = repo.orch(["log", "--kind", "restore"]).ok();
    assert!(log.contains("/syncs/wrapup-"), "{log}");
}
