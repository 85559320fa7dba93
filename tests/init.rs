//! Setting up: in repositories of every kind, with nothing of the user's changed, and undone without a trace.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use git_orch::git::Repo;
use git_orch::model::Attempt;
use git_orch::workspace::{self, Assignment};

use crate::common::{TestRepo, write_file};

/// Everything of the user's that `init` might touch.
#[derive(Debug, PartialEq)]
struct Seen {
    refs: String,
    head: String,
    status: String,
    config: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Looks at a repository; with `ours`, at every file of the Git directory but objects and logs.
fn look(repo: &TestRepo, dir: &Path, with_ours: bool) -> Seen {
    let git_dir = repo.git_in(dir, ["rev-parse", "--absolute-git-dir"]);
    let common = repo.git_in(
        dir,
        ["rev-parse", "--path-format=absolute", "--git-common-dir"],
    );
    let mut files = BTreeMap::new();
    let roots = [dir.to_path_buf(), git_dir.into(), PathBuf::from(&common)];
    for root in &roots {
        collect(root, &mut files);
    }
    let common = Path::new(&common);
    let dropped = |path: &Path| {
        let below = |name: &str| path.starts_with(common.join(name));
        let ours =
            below("orch") || path == common.join("config") || below("refs/heads/orchestration");
        below("objects") || below("logs") || !with_ours && ours
    };
    files.retain(|path, _| !dropped(path));
    let mut refs = repo.git_in(dir, ["for-each-ref", "--format=%(objectname) %(refname)"]);
    if !with_ours {
        let theirs = refs
            .lines()
            .filter(|line| !line.ends_with("refs/heads/orchestration"));
        refs = theirs.collect::<Vec<_>>().join("\n");
    }
    let bare = repo.git_in(dir, ["rev-parse", "--is-bare-repository"]) == "true";
    let status = if bare {
        String::new()
    } else {
        repo.git_in(dir, ["status", "--porcelain", "-uall", "--branch"])
    };
    Seen {
        refs,
        head: std::fs::read_to_string(common.join("HEAD")).unwrap(),
        status,
        config: repo.git_in(dir, ["config", "--list", "--local", "--no-includes"]),
        files,
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // A directory counts by itself: an empty one left behind is a trace, too.
            files.insert(path.clone(), Vec::new());
            collect(&path, files);
        } else if path.file_name().is_none_or(|name| name != "index") {
            // `git status` refreshes the index; what is staged is compared by `status`.
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

/// Sets up and takes away again in `dir`, and compares before, between and after.
#[track_caller]
fn comes_and_goes(repo: &TestRepo, dir: &Path, args: &[&str]) {
    let before = look(repo, dir, true);
    let theirs = look(repo, dir, false);
    let answer = repo.orch_in(dir, [&["init"], args].concat()).json_free();
    assert!(answer.contains("git-orch is set up"), "{answer}");
    let mut between = look(repo, dir, false);
    let include = "includeif.gitdir:**/worktrees/orch-*.path=orch/worktree.gitconfig";
    between.config = between.config.replace(&format!("\n{include}"), "");
    assert_eq!(between, theirs, "init changed something of the user's");
    // Twice is harmless, and says so.
    let all = look(repo, dir, true);
    let again = repo.orch_in(dir, ["init"]).ok();
    assert!(again.contains("was set up already"), "{again}");
    assert_eq!(look(repo, dir, true), all);
    repo.orch_in(dir, ["init", "--undo"]).ok();
    assert_eq!(look(repo, dir, true), before, "undo left a trace");
    repo.orch_in(dir, ["init", "--undo"]).fails(3);
}

trait Answer {
    fn json_free(self) -> String;
}

impl Answer for crate::common::Outcome {
    #[track_caller]
    fn json_free(self) -> String {
        let text = self.ok();
        assert!(!text.starts_with('{'), "{text}");
        text
    }
}

fn executable(path: &Path, text: &str) {
    write_file(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_repository_with_work_in_progress_stays_as_it_is() {
    let repo = TestRepo::new().write("b", "1").commit("second");
    repo.git(["branch", "other"]);
    repo.git(["tag", "v1"]);
    write_file(&repo.path().join("README.md"), "changed");
    write_file(&repo.path().join("staged"), "x");
    write_file(&repo.path().join("new file"), "x");
    repo.git(["add", "staged"]);
    comes_and_goes(&repo, repo.path(), &[]);
}

#[test]
fn a_bare_repository_works() {
    let repo = TestRepo::new();
    let bare = repo.outside().join("bare.git");
    repo.git(["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    comes_and_goes(&repo, &bare, &[]);
}

#[test]
fn hooks_that_are_there_stay_and_run() {
    let repo = TestRepo::new();
    let seen = repo.outside().join("seen");
    executable(
        &repo.path().join(".git/hooks/pre-commit"),
        &format!("#!/bin/sh\necho run >>'{}'\n", seen.display()),
    );
    comes_and_goes(&repo, repo.path(), &[]);
    repo.orch(["init"]).ok();
    write_file(&repo.path().join("x"), "x");
    repo.git(["add", "x"]);
    repo.git(["commit", "-q", "-m", "mine"]);
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "run\n");
    assert_eq!(repo.git(["log", "-1", "--format=%B"]), "mine");
}

#[test]
fn a_hooks_path_of_the_repository_stays() {
    let repo = TestRepo::new();
    repo.git(["config", "core.hooksPath", ".husky/_"]);
    comes_and_goes(&repo, repo.path(), &[]);
    repo.orch(["init"]).ok();
    assert_eq!(repo.git(["config", "core.hooksPath"]), ".husky/_");
}

#[test]
fn a_hooks_path_of_the_user_stays() {
    let repo = TestRepo::new();
    let global = repo.outside().join("home/gitconfig");
    write_file(&global, "[core]\n\thooksPath = ~/my hooks\n");
    let before = std::fs::read(&global).unwrap();
    let mut command = repo.orch_command(repo.path());
    command.env("GIT_CONFIG_GLOBAL", &global).arg("init");
    assert!(command.output().unwrap().status.success());
    assert_eq!(std::fs::read(&global).unwrap(), before);
    let mut git = repo.command("git", repo.path());
    git.env("GIT_CONFIG_GLOBAL", &global);
    let told = git.args(["config", "core.hooksPath"]).output().unwrap();
    assert_eq!(told.stdout, b"~/my hooks\n");
}

#[test]
fn a_subdirectory_and_a_linked_worktree_do_as_well() {
    let repo = TestRepo::new().write("deep/er/file", "x").commit("second");
    let linked = repo.outside().join("linked");
    repo.git([
        "worktree",
        "add",
        "-q",
        "-b",
        "topic",
        linked.to_str().unwrap(),
    ]);
    comes_and_goes(&repo, &linked, &["--base", "main"]);
    let json = repo
        .orch_in(&repo.path().join("deep/er"), ["--json", "init"])
        .json();
    assert_eq!(json["base"], "main");
    assert_eq!(json["created"], true);
    assert_eq!(json["ledger"], "orchestration");
    assert_eq!(json["commit"], repo.git(["rev-parse", "orchestration"]));
}

#[test]
fn a_configuration_without_a_last_line_break_comes_back_byte_by_byte() {
    let repo = TestRepo::new();
    let config = repo.path().join(".git/config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.trim_end()).unwrap();
    comes_and_goes(&repo, repo.path(), &[]);
}

#[test]
fn packed_refs_come_back_byte_by_byte() {
    let repo = TestRepo::new();
    repo.git(["branch", "other"]);
    repo.git(["pack-refs", "--all"]);
    comes_and_goes(&repo, repo.path(), &[]);
}

#[test]
fn without_commits_there_is_nothing_to_start_from() {
    let repo = TestRepo::empty();
    let error = repo.orch(["init"]).fails(1);
    assert!(error.contains("there are no commits yet"), "{error}");
    assert!(error.contains("hint: git commit --allow-empty"), "{error}");
    assert!(!repo.path().join(".git/orch").exists());
}

#[test]
fn a_detached_head_needs_a_base() {
    let repo = TestRepo::new();
    repo.git(["switch", "-q", "--detach"]);
    let error = repo.orch(["init"]).fails(1);
    assert!(error.contains("HEAD is detached"), "{error}");
    assert!(error.contains("hint: git orch init --base main"), "{error}");
    comes_and_goes(&repo, repo.path(), &["--base", "main"]);
    let error = repo.orch(["init", "--base", "nowhere"]).fails(1);
    assert!(error.contains("there is no branch nowhere"), "{error}");
}

#[test]
fn a_second_base_is_refused_and_named() {
    let repo = TestRepo::new().init();
    repo.git(["branch", "other"]);
    let error = repo.orch(["init", "--base", "other"]).fails(1);
    assert!(error.contains("its base branch is main"), "{error}");
}

#[test]
fn a_branch_of_the_ledgers_name_that_is_no_ledger_is_left_alone() {
    let repo = TestRepo::new();
    repo.git(["branch", "orchestration"]);
    let error = repo.orch(["init"]).fails(1);
    assert!(
        error.contains("branch orchestration exists and is no ledger"),
        "{error}"
    );
    assert!(
        error.contains("hint: git config orch.ledger orchestration-ledger"),
        "{error}"
    );
    repo.orch(["init", "--undo"]).fails(1);
    repo.git(["config", "orch.ledger", "orchestration-ledger"]);
    repo.orch(["init"]).ok();
    assert_eq!(
        repo.git(["rev-parse", "main"]),
        repo.git(["rev-parse", "orchestration"])
    );
}

#[test]
fn branches_that_leave_no_room_are_named() {
    for taken in ["orchestration/x", "orch"] {
        let repo = TestRepo::new();
        repo.git(["branch", taken]);
        let error = repo.orch(["init"]).fails(1);
        assert!(
            error.contains(&format!("branch {taken} leaves no room")),
            "{error}"
        );
        assert!(!repo.path().join(".git/orch").exists());
    }
}

#[test]
fn only_a_person_sets_up_and_takes_away() {
    let repo = TestRepo::new().init();
    let mut command = repo.orch_command(repo.path());
    let output = command
        .env("ORCH_AGENT", "1.2")
        .args(["init", "--undo"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("only a person"), "{error}");
}

#[test]
fn what_cannot_be_written_leaves_nothing_half_done() {
    // A file where our directory goes; permissions do not hold back a privileged user.
    let repo = TestRepo::new();
    write_file(&repo.path().join(".git/orch"), "in the way");
    let before = look(&repo, repo.path(), true);
    let error = repo.orch(["init"]).fails(1);
    assert!(error.contains("cannot"), "{error}");
    assert_eq!(look(&repo, repo.path(), true), before);
    // A ledger that cannot be written takes the hooks back as well.
    let repo = TestRepo::new();
    write_file(&repo.path().join(".git/refs/heads/orchestration/keep"), "");
    std::fs::remove_file(repo.path().join(".git/refs/heads/orchestration/keep")).unwrap();
    write_file(
        &repo.path().join(".git/refs/heads/orchestration/x.lock"),
        "",
    );
    let before = look(&repo, repo.path(), true);
    let error = repo.orch(["init"]).fails(1);
    assert!(error.contains("cannot"), "{error}");
    assert_eq!(look(&repo, repo.path(), true), before);
}

#[test]
fn a_read_only_repository_is_told() {
    let repo = TestRepo::new();
    let git_dir = repo.path().join(".git");
    let mode = |mode| std::fs::set_permissions(&git_dir, std::fs::Permissions::from_mode(mode));
    mode(0o555).unwrap();
    let privileged = std::fs::write(git_dir.join("probe"), "").is_ok();
    let outcome = repo.orch(["init"]);
    mode(0o755).unwrap();
    if privileged {
        // Nothing is read-only to this user; the set-up must then be whole.
        outcome.ok();
        assert!(git_dir.join("orch/hooks/pre-commit").exists());
    } else {
        assert!(outcome.fails(1).contains("cannot create"));
        assert!(!git_dir.join("orch").exists());
    }
}

#[test]
fn other_kinds_of_repositories_are_refused_clearly() {
    let repo = TestRepo::new();
    let kinds = [
        ("--object-format=sha256", "sha256"),
        ("--ref-format=reftable", "reftable"),
    ];
    for (option, name) in kinds {
        let dir = repo.outside().join(name);
        let made = repo.try_git_in(repo.path(), ["init", "-q", option, dir.to_str().unwrap()]);
        if made.code() != 0 {
            // A git that cannot make such a repository cannot have one either.
            continue;
        }
        repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "x"]);
        let error = repo.orch_in(&dir, ["init"]).fails(1);
        assert!(
            error.contains("not supported") && error.contains("hint: "),
            "{error}"
        );
        assert!(!dir.join(".git/orch").exists());
    }
}

#[test]
fn undo_refuses_while_work_would_be_lost() {
    let repo = TestRepo::new().init();
    repo.git(["switch", "-q", "-c", "orch/team-1/a"]);
    write_file(&repo.path().join("work"), "x");
    repo.git(["add", "-A"]);
    repo.git(["commit", "-q", "-m", "work"]);
    let before = repo.git(["for-each-ref"]);
    let error = repo.orch(["init", "--undo"]).fails(1);
    assert!(error.contains("not in main: orch/team-1/a"), "{error}");
    // In the base branch it is safe, but a branch that is checked out cannot go.
    repo.git(["branch", "-f", "main", "HEAD"]);
    let error = repo.orch(["init", "--undo"]).fails(1);
    assert!(
        error.contains("branch orch/team-1/a is checked out at"),
        "{error}"
    );
    repo.git(["switch", "-q", "main"]);
    // Saved leftovers are work, too.
    let tree = repo.git(["rev-parse", "HEAD^{tree}"]);
    let saved = repo.git(["commit-tree", "-m", "left", &tree]);
    repo.git(["update-ref", "refs/orch/recovery/1.2/x", &saved]);
    let error = repo.orch(["init", "--undo"]).fails(1);
    assert!(error.contains("refs/orch/recovery/1.2/x"), "{error}");
    assert_ne!(repo.git(["for-each-ref"]), before);
    repo.git(["branch", "kept", "refs/orch/recovery/1.2/x"]);
    // A branch of the user's own below orch/ is not ours.
    repo.git(["branch", "orch/mine"]);
    repo.orch(["init", "--undo"]).ok();
    let left = repo.git(["for-each-ref", "--format=%(refname:short)"]);
    assert_eq!(left, "kept\nmain\norch/mine");
    assert!(!repo.path().join(".git/orch").exists());
}

#[test]
fn undo_carries_on_where_it_was_killed() {
    let repo = TestRepo::new().init();
    // Between deleting the branches and the files, which is the only order that loses nothing.
    repo.git(["update-ref", "-d", "refs/heads/orchestration"]);
    repo.orch(["init", "--undo"]).ok();
    assert!(!repo.path().join(".git/orch").exists());
    let config = std::fs::read_to_string(repo.path().join(".git/config")).unwrap();
    assert!(!config.contains("orch"), "{config}");
}

#[test]
fn undo_takes_coders_worktrees_away_unless_they_hold_work() {
    let repo = TestRepo::new();
    let exclude = repo.path().join(".git/info/exclude");
    std::fs::write(&exclude, "mine").unwrap();
    let before = look(&repo, repo.path(), true);
    let repo = repo.init();
    let handle = Repo::discover(repo.path()).unwrap();
    let assignment = Assignment {
        agent: "1.2".parse().unwrap(),
        task: "auth".parse().unwrap(),
        attempt: Attempt(1),
        branch: String::from("orch/team-1/auth"),
        base: handle.resolve_commit("main").unwrap(),
        run: String::new(),
    };
    let dir = workspace::prepare(&handle, &assignment).unwrap();
    write_file(&dir.join("work"), "x");
    let error = repo.orch(["init", "--undo"]).fails(1);
    assert!(error.contains("coder 1.2 has uncommitted work"), "{error}");
    assert!(dir.join("work").exists());
    // Setting up again while coders are at work keeps what makes their worktrees theirs.
    repo.orch(["init"]).ok();
    let path = repo.path().display().to_string();
    assert_eq!(repo.git_in(&dir, ["config", "orch.agent"]), "1.2");
    assert_eq!(
        repo.git_in(&dir, ["config", "core.hooksPath"]),
        format!("{path}/.git/orch/hooks")
    );
    std::fs::remove_file(dir.join("work")).unwrap();
    repo.orch(["init", "--undo"]).ok();
    assert!(!dir.exists());
    assert!(!repo.outside().join("repo.orch").exists());
    assert_eq!(look(&repo, repo.path(), true), before, "undo left a trace");
}

#[test]
fn pain_19_a_whole_run_leaves_the_work_and_nothing_else() {
    let repo = TestRepo::new();
    let before = look(&repo, repo.path(), true);
    let repo = repo.init().plan(
        "[run]\nname = \"trial\"\ntest = \"test -e a\"\n\n[[teams]]\nid = 1\ncoders = 1\n\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nrun = \"echo a > a\"\n",
    );
    repo.orch(["run"]).ok();
    let error = repo.orch(["init", "--undo"]).fails(1);
    assert!(error.contains("not in main: orch/team-1/a"), "{error}");
    repo.orch(["assemble"]).ok();
    repo.orch(["approve"]).ok();
    repo.orch(["init", "--undo"]).ok();
    assert_eq!(
        repo.git(["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main"
    );
    assert_eq!(
        std::fs::read_to_string(repo.path().join("a")).unwrap(),
        "a\n"
    );
    assert!(!repo.outside().join("repo.orch").exists());
    let mut after = look(&repo, repo.path(), true);
    assert_eq!(after.config, before.config);
    let main = repo.path().join(".git/refs/heads/main");
    after.files.remove(&repo.path().join("a"));
    after.files.remove(&repo.path().join(".git/ORIG_HEAD"));
    let mut files = before.files;
    files.insert(main.clone(), after.files[&main].clone());
    assert_eq!(
        after.files.keys().collect::<Vec<_>>(),
        files.keys().collect::<Vec<_>>()
    );
    assert_eq!(after.files, files);
}
