//! `git orch radar`, on real repositories.

use git_orch::assembler::radar::{self, Branch, Reach};
use git_orch::git::{Oid, Repo};
use serde_json::Value;

use super::common::{TestRepo, write_file};

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

/// `main` with a file of nine lines and a directory.
fn project() -> TestRepo {
    TestRepo::new()
        .write("file", LINES)
        .write("dir/a", "a long enough file\nwith several lines\nin it\n")
        .commit("base")
}

/// A branch from `from` that changes files as told.
fn branch(repo: TestRepo, name: &str, from: &str, files: &[(&str, &str)]) -> TestRepo {
    repo.git(["switch", "-q", "-c", name, from]);
    let repo = files
        .iter()
        .fold(repo, |repo, (path, text)| repo.write(path, text))
        .commit(name);
    repo.git(["switch", "-q", "main"]);
    repo
}

/// The nine lines with one of them changed.
fn line(number: usize, text: &str) -> String {
    LINES.replace(&format!("{number}\n"), &format!("{text}\n"))
}

fn see(repo: &TestRepo, args: &[&str]) -> Value {
    let args = ["--json", "radar"].iter().chain(args);
    repo.orch(args).json()
}

fn names(value: &Value) -> Vec<&str> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_str().unwrap()).collect()
}

fn pairs(answer: &Value) -> Vec<Vec<&str>> {
    let pairs = answer["conflicts"].as_array().unwrap().iter();
    pairs.map(|pair| names(&pair["branches"])).collect()
}

#[test]
fn pairs_that_conflict_are_told_with_file_kind_and_order() {
    let repo = project();
    let repo = branch(repo, "b1", "main", &[("file", &line(1, "one"))]);
    let repo = branch(
        repo,
        "b2",
        "main",
        &[("file", &line(1, "uno")), ("new", "x\n")],
    );
    let repo = branch(repo, "b3", "main", &[("file", &line(9, "nine"))]);
    let repo = branch(repo, "b4", "main", &[("new", "y\n")]);
    let objects = repo.git(["count-objects"]);
    let answer = see(&repo, &[]);
    assert_eq!(answer["onto"], "main");
    assert_eq!(pairs(&answer), [["b1", "b2"], ["b2", "b4"]]);
    let first = &answer["conflicts"][0];
    assert_eq!(first["files"][0]["path"], "file");
    assert_eq!(first["files"][0]["kind"], "CONFLICT (contents)");
    assert_eq!(answer["conflicts"][1]["files"][0]["path"], "new");
    assert_eq!(
        answer["conflicts"][1]["files"][0]["kind"],
        "CONFLICT (contents)"
    );
    assert_eq!(names(&answer["order"]), ["b1", "b3", "b4", "b2"]);
    assert_eq!(
        (&answer["comes_in"], &answer["exact"]),
        (&3.into(), &true.into())
    );
    assert_eq!(names(&answer["branches"][1]["files"]), ["file", "new"]);
    let text = repo.orch(["radar"]).ok();
    for part in [
        "b1 and b2 in file (contents)",
        "order: b1, b3, b4; left over: b2",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // The repository is as it was: no directory of ours, no object.
    assert!(!repo.path().join(".git/orch").exists());
    assert_eq!(repo.git(["count-objects"]), objects);
}

#[test]
fn a_conflict_with_the_target_itself_is_told_apart() {
    let repo = project();
    let repo = branch(repo, "old", "main", &[("file", &line(1, "one"))]);
    let repo = branch(repo, "fine", "main", &[("file", &line(9, "nine"))]);
    let repo = repo.write("file", &line(1, "uno")).commit("main moves");
    let answer = see(&repo, &["fine", "old"]);
    assert_eq!(answer["branches"][0]["verdict"], "clean");
    assert_eq!(answer["branches"][1]["verdict"], "conflict");
    assert_eq!(answer["branches"][1]["conflicts"][0]["path"], "file");
    assert!(pairs(&answer).is_empty());
    assert_eq!(names(&answer["order"]), ["fine", "old"]);
    assert_eq!(answer["comes_in"], 1);
}

#[test]
fn what_is_settled_on_the_target_raises_no_alarm() {
    // What `b1` does came to the target as another commit, and `b2` goes on from there: by their own history
    // the two conflict, on the target `b1` has nothing to say any more.
    let repo = project();
    let repo = branch(repo, "b1", "main", &[("file", &line(1, "one"))]);
    let repo = repo.write("file", &line(1, "one")).commit("the same");
    let repo = branch(repo, "b2", "main", &[("file", &line(1, "uno"))]);
    let args = ["merge-tree", "--write-tree", "b1", "b2"];
    assert_eq!(repo.try_git_in(repo.path(), args).code(), 1);
    let answer = see(&repo, &["b1", "b2"]);
    assert_eq!(answer["branches"][0]["verdict"], "empty");
    assert_eq!(answer["branches"][1]["verdict"], "clean");
    assert!(pairs(&answer).is_empty(), "{answer}");
    // Without names what is in already is not in flight.
    let answer = see(&repo, &[]);
    assert_eq!(names(&answer["order"]), ["b1", "b2"]);
    repo.git(["merge", "-q", "--ff-only", "b2"]);
    assert_eq!(names(&see(&repo, &[])["order"]), ["b1"]);
}

#[test]
fn a_branch_cut_from_another_does_not_conflict_with_it() {
    let repo = project();
    let repo = branch(repo, "below", "main", &[("file", &line(1, "one"))]);
    let repo = branch(repo, "above", "below", &[("file", &line(1, "eins"))]);
    let repo = branch(repo, "apart", "main", &[("file", &line(1, "uno"))]);
    let answer = see(&repo, &["below", "above", "apart"]);
    assert_eq!(pairs(&answer), [["below", "apart"], ["above", "apart"]]);
}

#[test]
fn renames_and_directories_are_followed() {
    let repo = project();
    repo.git(["switch", "-q", "-c", "moved"]);
    repo.git(["mv", "dir", "folder"]);
    repo.git(["commit", "-q", "-m", "move"]);
    repo.git(["switch", "-q", "main"]);
    let repo = branch(repo, "adds", "main", &[("dir/new", "new\n")]);
    let text = "a long enough file\nwith several lines\nin it, changed\n";
    let repo = branch(repo, "edits", "main", &[("dir/a", text)]);
    repo.git(["switch", "-q", "-c", "shadows"]);
    repo.git(["rm", "-q", "-r", "dir"]);
    let repo = repo.write("dir", "a file\n").commit("shadow");
    repo.git(["switch", "-q", "main"]);
    let answer = see(&repo, &["moved", "adds", "edits", "shadows"]);
    let found = pairs(&answer);
    // A new file in a directory that was renamed is a question to people; a change to a moved file is not.
    assert!(found.contains(&vec!["moved", "adds"]), "{answer}");
    assert!(!found.contains(&vec!["moved", "edits"]), "{answer}");
    assert!(found.contains(&vec!["adds", "shadows"]), "{answer}");
    assert!(found.contains(&vec!["edits", "shadows"]), "{answer}");
    // The same by merging one after the other.
    for (one, other, clean) in [("moved", "edits", true), ("moved", "adds", false)] {
        repo.git(["switch", "-q", "--detach", one]);
        let args = [
            "-c",
            "merge.directoryRenames=conflict",
            "merge",
            "-q",
            "--no-edit",
            other,
        ];
        let outcome = repo.try_git_in(repo.path(), args);
        assert_eq!(outcome.code() == 0, clean, "{one} {other}");
        repo.git(["reset", "-q", "--hard"]);
    }
}

#[test]
fn unrelated_branches_do_not_stop_the_others() {
    let repo = project();
    let repo = branch(repo, "b1", "main", &[("file", &line(1, "one"))]);
    let repo = branch(repo, "b2", "main", &[("file", &line(1, "uno"))]);
    repo.git(["switch", "-q", "--orphan", "alien"]);
    let repo = repo.write("z", "z\n").commit("alien");
    repo.git(["switch", "-q", "main"]);
    let answer = see(&repo, &["b1", "alien", "b2"]);
    assert_eq!(answer["branches"][1]["verdict"], "unrelated");
    assert_eq!(pairs(&answer), [["b1", "b2"]]);
    assert!(
        repo.orch(["radar", "b1", "alien"])
            .ok()
            .contains("no history")
    );
}

#[test]
fn uncommitted_work_counts_unless_it_is_left_out() {
    let repo = project();
    let repo = branch(repo, "b1", "main", &[("file", &line(1, "one"))]);
    repo.git(["worktree", "add", "-q", "-b", "b2", "../b2"]);
    let b2 = repo.outside().join("b2");
    write_file(&b2.join("file"), &line(1, "uno"));
    write_file(&b2.join("new file"), "new\n");
    let status = || repo.git_in(&b2, ["status", "--porcelain"]);
    let before = status();
    let answer = see(&repo, &["b1", "b2"]);
    assert_eq!(pairs(&answer), [["b1", "b2"]]);
    assert_eq!(answer["branches"][1]["uncommitted"], true);
    assert_eq!(names(&answer["branches"][1]["files"]), ["file", "new file"]);
    assert_eq!(answer["conflicts"][0]["warn"], "b2");
    assert_eq!(status(), before);
    let answer = see(&repo, &["--committed", "b1", "b2"]);
    assert!(pairs(&answer).is_empty());
    let text = repo.orch(["radar", "--committed", "b1", "b2"]).ok();
    assert!(text.contains("committed work only"), "{text}");
}

#[test]
fn names_and_patterns_are_looked_up() {
    let repo = project();
    let repo = branch(repo, "feature/one", "main", &[("a", "a\n")]);
    let repo = branch(repo, "feature/two/deep", "main", &[("b", "b\n")]);
    let repo = branch(repo, "other", "main", &[("c", "c\n")]);
    let answer = see(&repo, &["--from-pattern", "feature/*"]);
    assert_eq!(names(&answer["order"]), ["feature/one", "feature/two/deep"]);
    let answer = see(&repo, &["--onto", "other", "feature/one", "feature/one"]);
    assert_eq!(
        (&answer["onto"], names(&answer["order"])),
        (&"other".into(), vec!["feature/one"])
    );
    let error = repo.orch(["radar", "nowhere"]).fails(1);
    assert!(error.contains("there is no branch nowhere"), "{error}");
    let error = repo.orch(["radar", "--from-pattern", "nothing/*"]).fails(3);
    assert!(error.contains("no branch is in flight"), "{error}");
    let error = repo.orch(["radar", "--from-pattern", "a[b"]).fails(1);
    assert!(error.contains("is no pattern"), "{error}");
}

const PLAN: &str = r#"
[run]
name = "demo"
[[teams]]
id = 1
coders = 4
[[tasks]]
id = "first"
team = 1
title = "First"
run = "true"
[[tasks]]
id = "second"
team = 1
title = "Second"
run = "true"
[[tasks]]
id = "third"
team = 1
title = "Third"
run = "true"
"#;

/// Claims a task and changes a file in its worktree, without a commit.
fn work(repo: &TestRepo, task: &str, agent: &str, files: &[(&str, &str)]) {
    repo.orch(["claim", task, "--agent", agent]).ok();
    let dir = repo.worktree(agent);
    repo.orch_in(&dir, ["start", task]).ok();
    for (path, text) in files {
        write_file(&dir.join(path), text);
    }
}

#[test]
fn a_runs_tasks_are_in_flight_from_claim_to_merge() {
    let repo = project().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    assert!(
        repo.orch(["radar"])
            .fails(3)
            .contains("no branch is in flight")
    );
    work(&repo, "first", "1.1", &[("file", &line(1, "one"))]);
    work(&repo, "second", "1.2", &[("file", &line(1, "uno"))]);
    let dir = repo.worktree("1.1");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "one"]);
    repo.orch_in(&dir, ["submit", "first"]).ok();
    let answer = see(&repo, &[]);
    assert_eq!(answer["branches"][0]["task"], "first");
    assert_eq!(answer["branches"][0]["state"], "submitted");
    assert_eq!(answer["branches"][1]["agent"], "1.2");
    assert_eq!(answer["conflicts"][0]["tasks"][1], "second");
    assert_eq!(answer["conflicts"][0]["warn"], "orch/team-1/second");
    let text = repo.orch(["radar"]).ok();
    assert!(text.contains("second should hear of it"), "{text}");
    repo.orch(["assemble", "--test", "true"]).ok();
    let answer = see(&repo, &[]);
    assert_eq!(answer["onto"], "orch/integration");
    assert_eq!(answer["branches"][0]["verdict"], "conflict");
}

#[test]
fn what_is_known_is_not_merged_again() {
    let repo = project().init();
    let repo = (0..8).fold(repo, |repo, number| {
        let (name, text) = (format!("b{number}"), line(1, &format!("x{number}")));
        branch(repo, &name, "main", &[("file", &text)])
    });
    // So that what the branches merge to is in no branch.
    let repo = repo.write("elsewhere", "x\n").commit("main moves");
    let names: Vec<String> = (0..8).map(|number| format!("b{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = see(&repo, &names);
    assert_eq!(first["conflicts"].as_array().unwrap().len(), 28);
    assert_eq!(first["merges"], 8 + 28);
    let again = see(&repo, &names);
    assert_eq!(again["merges"], 0);
    assert_eq!(again["conflicts"], first["conflicts"]);
    repo.git(["switch", "-q", "b3"]);
    let repo = repo.write("file", &line(9, "nine")).commit("moved away");
    repo.git(["switch", "-q", "main"]);
    let moved = see(&repo, &names);
    assert_eq!(moved["merges"], 1 + 7);
    assert_eq!(moved["conflicts"].as_array().unwrap().len(), 28 - 7);
    // What is kept may be damaged, and may go at any moment.
    let kept = repo.path().join(".git/orch/radar");
    let objects = kept.join(repo.git(["rev-parse", "main"])).join("objects");
    for entry in std::fs::read_dir(&objects).unwrap().flatten() {
        if entry.file_name() != "info" {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let again = repo.git(["commit-tree", "b3^{tree}", "-p", "b3", "-m", "again"]);
    repo.git(["branch", "-q", "-f", "b3", &again]);
    assert_eq!(pairs(&see(&repo, &names)).len(), 28 - 7);
    assert!(!objects.exists());
    assert_eq!(see(&repo, &names)["merges"], 8 + 28);
    assert!(kept.is_dir());
    std::fs::remove_dir_all(kept).unwrap();
    assert_eq!(see(&repo, &names)["conflicts"], moved["conflicts"]);
    repo.git(["fsck", "--strict"]);
}

#[test]
fn the_library_tells_order_and_footprints() {
    let repo = project();
    let repo = branch(repo, "b1", "main", &[("file", &line(1, "one"))]);
    let repo = branch(repo, "b2", "main", &[("file", &line(1, "uno"))]);
    let oid = |name: &str| Oid::from_hex(repo.git(["rev-parse", name]).as_bytes()).unwrap();
    let branches = ["b1", "b2"].map(|name| Branch::new(name, oid(name)));
    let open = Repo::discover(repo.path()).unwrap();
    let found = radar::scan(&open, oid("main"), &branches).unwrap();
    assert_eq!(found.clashes.len(), 1);
    assert_eq!(found.clashes[0].warn, 1);
    assert_eq!(found.order().order, [0, 1]);
    let Reach::Clean(footprint) = &found.seen[0].reach else {
        panic!("{:?}", found.seen[0]);
    };
    assert_eq!(footprint.changed, [b"file".to_vec()]);
}
