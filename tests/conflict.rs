//! Conflicts that are kept, shown, and resolved at a second try.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use git_orch::assembler::conflict::{self, Bundle, How, Sides, Whose};
use git_orch::assembler::{resolutions, structured};
use git_orch::git::{Oid, Repo};

use super::common::site::Site;
use super::common::{TestRepo, write_file};

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

fn line(number: usize, text: &str) -> String {
    LINES.replace(&format!("{number}\n"), &format!("{text}\n"))
}

/// `main` says `ours` in line 5 of a file, the branch `feature/x` says `theirs`.
fn apart() -> TestRepo {
    let repo = TestRepo::new().write("src/file", LINES).commit("base");
    repo.git(["switch", "-q", "-c", "feature/x"]);
    let repo = repo.write("src/file", &line(5, "theirs")).commit("theirs");
    repo.git(["switch", "-q", "main"]);
    let message = "ours\n\nOrch-Task: other\nOrch-Agent: 1.3\n";
    repo.write("src/file", &line(5, "ours"))
        .write("clean", "clean\n")
        .commit(message)
}

fn open(repo: &TestRepo) -> Repo {
    Repo::discover(repo.path()).unwrap()
}

fn oid(repo: &TestRepo, revision: &str) -> Oid {
    Oid::from_hex(repo.git(["rev-parse", revision]).as_bytes()).unwrap()
}

fn sides(repo: &TestRepo) -> Sides<'static> {
    Sides {
        target: "main",
        tip: oid(repo, "main"),
        branch: "feature/x",
        head: oid(repo, "feature/x"),
    }
}

fn bundle(repo: &TestRepo, whose: &Whose) -> Bundle {
    conflict::bundle(&open(repo), &sides(repo), whose)
        .unwrap()
        .unwrap()
}

/// Puts a program in the place of mergiraf.
fn stand_in(repo: &TestRepo, script: &str) -> PathBuf {
    let path = repo.outside().join("stand-in");
    write_file(&path, &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.git(["config", "orch.mergiraf", path.to_str().unwrap()]);
    path
}

#[test]
fn a_bundle_has_both_sides_and_whose_work_it_is() {
    let repo = apart();
    repo.git(["config", "orch.mergiraf", "false"]);
    let whose = Whose {
        task: Some("mine".parse().unwrap()),
        agent: Some("1.2".parse().unwrap()),
    };
    let bundle = bundle(&repo, &whose);
    assert_eq!(bundle.name(), "mine");
    assert_eq!(
        bundle.bases,
        [repo.git(["merge-base", "main", "feature/x"])]
    );
    let [file] = bundle.files.as_slice() else {
        panic!("{:?}", bundle.files);
    };
    assert_eq!((bundle.total, file.path.as_str()), (1, "src/file"));
    assert_eq!(
        file.ours.as_ref().unwrap().id,
        repo.git(["rev-parse", "main:src/file"])
    );
    assert_eq!(
        file.base.as_ref().unwrap().id,
        repo.git(["rev-parse", "main~:src/file"])
    );
    assert_eq!(file.theirs.as_ref().unwrap().mode, "100644");
    assert!(file.ours_changed.contains("\n-5\n+ours\n"), "{file:?}");
    assert!(file.theirs_changed.contains("\n-5\n+theirs\n"), "{file:?}");
    assert!(file.hunks[0].starts_with("<<<<<<< main\n"), "{file:?}");
    let [landed] = bundle.landed.as_slice() else {
        panic!("{:?}", bundle.landed);
    };
    assert_eq!(
        (landed.tasks.as_slice(), landed.agent.as_str()),
        (&["other".to_owned()][..], "1.3")
    );
    assert_eq!(bundle.proposal, None);
}

#[test]
fn a_bundle_is_kept_read_by_plain_git_and_dropped() {
    let repo = apart();
    repo.git(["config", "orch.mergiraf", "false"]);
    let git = open(&repo);
    let kept = bundle(&repo, &Whose::default());
    conflict::keep(&git, &kept).unwrap();
    // Once more, and beside a name that would be a directory of it.
    conflict::keep(&git, &kept).unwrap();
    let mut other = kept.clone();
    other.branch = String::from("feature");
    conflict::keep(&git, &other).unwrap();
    assert_eq!(conflict::load(&git, "feature/x").unwrap(), Some(kept));
    assert_eq!(conflict::list(&git).unwrap().len(), 2);
    let below = "refs/orch/conflict/feature%2Fx";
    let show = |path: &str| repo.git(["show", &format!("{below}:{path}")]);
    assert!(show("bundle.json").contains("\"branch\": \"feature/x\""));
    assert!(show("conflicted/src/file").contains("<<<<<<<"));
    assert_eq!(show("sides/00.theirs"), line(5, "theirs").trim_end());
    // It stays whole without the branch.
    repo.git(["branch", "-q", "-D", "feature/x"]);
    repo.git(["reflog", "expire", "--expire=now", "--all"]);
    repo.git(["gc", "-q", "--prune=now"]);
    assert_eq!(show("sides/00.theirs"), line(5, "theirs").trim_end());
    assert!(conflict::drop(&git, "feature/x").unwrap());
    assert!(!conflict::drop(&git, "feature/x").unwrap());
    assert_eq!(conflict::load(&git, "feature/x").unwrap(), None);
    assert_eq!(conflict::list(&git).unwrap().len(), 1);
}

#[test]
fn conflicts_are_listed_and_shown_for_people_and_machines() {
    let repo = apart();
    repo.git(["config", "orch.mergiraf", "false"]);
    assert_eq!(
        repo.orch(["conflict", "list"]).ok(),
        "no conflict is kept\n"
    );
    let fresh = repo
        .orch(["--json", "conflict", "show", "feature/x"])
        .json();
    assert_eq!(fresh["files"][0]["path"], "src/file");
    let text = repo.orch(["conflict", "show", "feature/x"]).ok();
    for part in [
        "feature/x at ",
        "does not merge into main",
        "ours (task other by 1.3)",
        "what main did:",
        "  +ours\n",
        "what feature/x did:",
        "where they meet:",
        "`git switch feature/x`, `git merge main`",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    conflict::keep(&open(&repo), &bundle(&repo, &Whose::default())).unwrap();
    let rows = repo.orch(["--json", "conflict", "list"]).json();
    assert_eq!(rows[0]["name"], "feature/x");
    assert_eq!(
        (&rows[0]["current"], &rows[0]["files"][0]),
        (&true.into(), &"src/file".into())
    );
    // What is kept is shown also when the branch has moved and merges.
    repo.git(["branch", "-q", "-f", "feature/x", "main"]);
    let text = repo.orch(["conflict", "list"]).ok();
    assert!(text.contains("the branch has moved since"), "{text}");
    repo.orch(["conflict", "show", "feature/x"]).ok();
    let error = repo
        .orch(["conflict", "show", "feature/x", "--onto", "main"])
        .fails(3);
    assert!(
        error.contains("feature/x does not conflict with main"),
        "{error}"
    );
    let error = repo.orch(["conflict", "show", "nowhere"]).fails(1);
    assert!(error.contains("no task and no branch nowhere"), "{error}");
}

#[test]
fn a_merge_by_syntax_gives_a_tree_if_every_file_resolves() {
    let repo = apart();
    // It is called as mergiraf is: merge base left right, and where the result goes.
    stand_in(
        &repo,
        "test \"$1\" = merge && grep -q '^5$' \"$2\" && grep -q ours \"$3\" && grep -q theirs \"$4\" || exit 2
         for word; do case $word in --output=*) out=${word#--output=};; --path-name=*) name=${word#*=};; esac; done
         test \"$name\" = src/file || exit 2
         sed 's/^ours$/ours and theirs/' \"$3\" > \"$out\"",
    );
    let git = open(&repo);
    let tree = structured::attempt(&git, &sides(&repo)).unwrap().unwrap();
    let show = |path: &str| repo.git(["show", &format!("{tree}:{path}")]);
    assert_eq!(show("src/file"), line(5, "ours and theirs").trim_end());
    assert_eq!(show("clean"), "clean");
    let bundle = bundle(&repo, &Whose::default());
    let proposal = bundle.proposal.as_ref().unwrap();
    assert_eq!(
        (proposal.how, &proposal.tree),
        (How::Structured, &tree.to_string())
    );
    let text = repo.orch(["conflict", "show", "feature/x"]).ok();
    assert!(text.contains("from a merge by syntax"), "{text}");
}

#[test]
fn a_merge_by_syntax_that_fails_or_lies_gives_nothing() {
    let repo = apart();
    let out = "for word; do case $word in --output=*) out=${word#--output=};; esac; done;";
    for script in [
        "exit 1".to_owned(),
        format!("{out} echo x > \"$out\"; exit 1"),
        String::from("exit 0"),
        format!("{out} printf '<<<<<<< a\\n' > \"$out\""),
        String::from("kill -9 $$"),
    ] {
        stand_in(&repo, &script);
        let tree = structured::attempt(&open(&repo), &sides(&repo)).unwrap();
        assert_eq!(tree, None, "{script}");
    }
    stand_in(&repo, &format!("{out} echo x > \"$out\""));
    assert!(
        structured::attempt(&open(&repo), &sides(&repo))
            .unwrap()
            .is_some()
    );
    repo.git(["config", "orch.mergiraf", "false"]);
    let tree = structured::attempt(&open(&repo), &sides(&repo)).unwrap();
    assert_eq!(tree, None);
}

#[test]
fn what_only_people_can_decide_is_left_to_them() {
    let repo = apart();
    repo.git(["switch", "-q", "feature/x"]);
    repo.git(["rm", "-q", "src/file"]);
    repo.git(["commit", "-q", "-m", "remove"]);
    repo.git(["switch", "-q", "main"]);
    let called = repo.outside().join("called");
    stand_in(&repo, &format!("touch '{}'", called.display()));
    let found = bundle(&repo, &Whose::default());
    assert_eq!(found.files[0].kind, "CONFLICT (modify/delete)");
    assert_eq!(found.files[0].theirs, None);
    assert_eq!(found.proposal, None);
    assert!(!called.exists());
}

#[test]
fn a_decision_that_landed_is_proposed_again() {
    let repo = apart();
    repo.git(["config", "orch.mergiraf", "false"]);
    let before = sides(&repo);
    let git = open(&repo);
    assert_eq!(resolutions::propose(&git, &before).unwrap(), None);
    // The coder merges, decides, changes something else as well, and it lands.
    repo.git(["switch", "-q", "-c", "resolved", "feature/x"]);
    let merge = repo.try_git_in(repo.path(), ["merge", "-q", "main"]);
    assert_eq!(merge.code(), 1);
    let decided = line(5, "both").replace("9\n", "nine\n");
    let repo = repo.write("src/file", &decided).commit("decided");
    assert_eq!(
        resolutions::learn(&git, &before, oid(&repo, "resolved")).unwrap(),
        1
    );
    let tree = resolutions::propose(&git, &before).unwrap().unwrap();
    let file = repo.git(["show", &format!("{tree}:src/file")]);
    assert_eq!(file, line(5, "both").trim_end());
    // The same the other way round.
    let turned = Sides {
        tip: before.head,
        head: before.tip,
        ..before
    };
    let tree = resolutions::propose(&git, &turned).unwrap().unwrap();
    let file = repo.git(["show", &format!("{tree}:src/file")]);
    assert_eq!(file, line(5, "both").trim_end());
    assert_eq!(
        conflict::second_try(&git, &before).unwrap().unwrap().0,
        How::Remembered
    );
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_file_that_may_be_run_stays_so() {
    let repo = apart();
    for branch in ["main", "feature/x"] {
        repo.git(["switch", "-q", branch]);
        repo.git(["update-index", "--chmod=+x", "src/file"]);
        repo.git(["commit", "-q", "-m", "mode"]);
        repo.git(["reset", "-q", "--hard"]);
    }
    repo.git(["switch", "-q", "main"]);
    stand_in(
        &repo,
        "for word; do case $word in --output=*) out=${word#--output=};; esac; done; echo x > \"$out\"",
    );
    let tree = structured::attempt(&open(&repo), &sides(&repo))
        .unwrap()
        .unwrap();
    let entry = repo.git(["ls-tree", &tree.to_string(), "src/"]);
    assert!(entry.starts_with("100755 "), "{entry}");
}

#[test]
fn a_kept_conflict_that_cannot_be_read_hides_no_other() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("file", "a\n")]);
    site.work("b", "1.2", &[("file", "b\n")]);
    assert_eq!(site.assemble().0, 1);
    let tree = site.rev("HEAD^{tree}");
    site.repo
        .git(["update-ref", "refs/orch/conflict/broken", &tree]);
    let outcome = site.repo.orch(["conflict", "list"]);
    let told = outcome.stderr();
    assert!(
        told.contains("git update-ref -d refs/orch/conflict/broken"),
        "{told}"
    );
    let listed = outcome.ok();
    assert!(
        listed.contains("b with orch/integration in file"),
        "{listed}"
    );
}
