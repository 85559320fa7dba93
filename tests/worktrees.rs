//! Coders' worktrees on real repositories: made, reused, mended, and never at the cost of anyone's work.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use git_orch::git::worktree::{Head, NewWorktree};
use git_orch::git::{Oid, Repo};
use git_orch::model::Attempt;
use git_orch::workspace::{
    Assignment, commit_leftovers, exclude_add, exclude_remove, park, prepare, prepare_cone,
    remove_all, save_leftovers, show_task, uncommitted,
};

use super::common::{TestRepo, write_file};

/// A repository whose worktrees of ours read their own configuration, as `init` sets it up.
fn project() -> TestRepo {
    with_include(
        TestRepo::new()
            .write(".gitignore", "target/\n")
            .commit("ignore"),
    )
}

fn with_include(repo: TestRepo) -> TestRepo {
    let key = "includeIf.gitdir:**/worktrees/orch-*.path";
    repo.git(["config", key, "orch/worktree.gitconfig"]);
    repo
}

fn open(repo: &TestRepo) -> Repo {
    Repo::discover(repo.path()).unwrap()
}

fn oid(repo: &TestRepo, revision: &str) -> Oid {
    Oid::from_hex(repo.git(["rev-parse", revision]).as_bytes()).unwrap()
}

fn assignment(repo: &TestRepo, agent: &str, task: &str) -> Assignment {
    Assignment {
        agent: agent.parse().unwrap(),
        task: task.parse().unwrap(),
        attempt: Attempt(1),
        branch: format!("orch/team-1/{task}"),
        base: oid(repo, "main"),
        run: "demo".to_owned(),
    }
}

/// The worktree is clean, on the branch, known to Git and stays so.
#[track_caller]
fn assert_sound(repo: &TestRepo, dir: &Path, branch: &str) {
    assert_eq!(repo.git_in(dir, ["status", "--porcelain"]), "");
    assert_eq!(repo.git_in(dir, ["branch", "--show-current"]), branch);
    repo.git(["worktree", "prune", "--expire=now"]);
    let list = repo.git(["worktree", "list", "--porcelain"]);
    let line = format!("worktree {}\n", dir.display());
    assert!(list.contains(&line), "{list}");
    assert!(
        !list.contains("prunable") && !list.contains("locked"),
        "{list}"
    );
    repo.git(["fsck", "--strict", "--no-dangling"]);
}

/// Everything below the trash, relative to it; without the notes of why it is there.
fn trash(repo: &TestRepo) -> Vec<String> {
    fn walk(dir: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if dir != top {
                found.push(path.strip_prefix(top).unwrap().display().to_string());
            }
        }
    }
    let top = repo.worktree(".trash");
    let mut found = Vec::new();
    walk(&top, &top, &mut found);
    found.sort();
    found
}

fn recovery(repo: &TestRepo) -> Vec<String> {
    let text = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_new_worktree_is_on_its_branch_and_has_its_identity() {
    let repo = project();
    let dir = prepare(&open(&repo), &assignment(&repo, "1.2", "one")).unwrap();
    assert_eq!(dir, repo.worktree("1.2"));
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert_eq!(oid(&repo, "orch/team-1/one"), oid(&repo, "main"));
    let config = |key: &str| repo.git_in(&dir, ["config", key]);
    assert_eq!(config("orch.agent"), "1.2");
    assert_eq!(config("orch.task"), "one");
    assert_eq!(config("orch.attempt"), "1");
    assert_eq!(config("orch.run"), "demo");
    assert_eq!(config("user.name"), "AGENT-1.2");
    assert!(config("user.email").starts_with("agent-1.2@"));
    let seen = Repo::discover(&dir).unwrap();
    assert_eq!(seen.config("orch.agent").as_deref(), Some("1.2"));
    assert!(seen.is_linked());
    assert!(repo.path().join(".git/worktrees/orch-1.2").is_dir());
    repo.try_git_in(repo.path(), ["config", "orch.agent"])
        .fails(1);
}

#[test]
fn coders_with_names_alike_have_configurations_of_their_own() {
    let repo = project();
    let git = open(&repo);
    for (agent, task) in [("1.2", "a"), ("1.20", "b"), ("11.2", "c")] {
        let dir = prepare(&git, &assignment(&repo, agent, task)).unwrap();
        assert_eq!(
            repo.git_in(&dir, ["config", "--get-all", "orch.agent"]),
            agent
        );
    }
    prepare(&git, &assignment(&repo, "1.2", "d")).unwrap();
    let text = fs::read_to_string(repo.path().join(".git/orch/worktree.gitconfig")).unwrap();
    assert_eq!(text.matches("includeIf").count(), 3, "{text}");
}

#[test]
fn pain_23_the_next_task_keeps_build_caches_and_saves_what_was_left() {
    let repo = project();
    let git = open(&repo);
    let dir = prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    write_file(&dir.join("target/cache"), "warm");
    write_file(&dir.join("new/file.txt"), "untracked");
    write_file(&dir.join("README.md"), "changed\n");
    write_file(&dir.join("staged"), "index");
    repo.git_in(&dir, ["add", "staged"]);
    write_file(&dir.join("staged"), "worktree");
    let head = oid(&repo, "orch/team-1/one");

    let again = prepare(&git, &assignment(&repo, "1.2", "two")).unwrap();
    assert_eq!(again, dir);
    assert_sound(&repo, &dir, "orch/team-1/two");
    assert_eq!(
        fs::read_to_string(dir.join("target/cache")).unwrap(),
        "warm"
    );
    assert!(!dir.join("new").exists());
    assert_eq!(recovery(&repo), ["refs/orch/recovery/1.2/1"]);
    let show = |path: &str| repo.git(["show", &format!("refs/orch/recovery/1.2/1:{path}")]);
    assert_eq!(show("new/file.txt"), "untracked");
    assert_eq!(show("README.md"), "changed");
    assert_eq!(show("staged"), "worktree");
    assert_eq!(
        repo.git(["show", "refs/orch/recovery/1.2/1^2:staged"]),
        "index"
    );
    assert_eq!(oid(&repo, "refs/orch/recovery/1.2/1^1"), head);
    repo.try_git_in(
        repo.path(),
        ["cat-file", "-e", "refs/orch/recovery/1.2/1:target/cache"],
    )
    .fails(128);
    assert_eq!(oid(&repo, "orch/team-1/one"), head);
}

#[test]
fn files_that_the_next_branch_does_not_ignore_are_moved_not_committed() {
    let repo = project();
    let git = open(&repo);
    let dir = prepare(&git, &assignment(&repo, "1.1", "one")).unwrap();
    write_file(&dir.join(".gitignore"), "target/\nsecret\n");
    repo.git_in(&dir, ["commit", "-qam", "ignore more"]);
    write_file(&dir.join("secret"), "key");
    prepare(&git, &assignment(&repo, "1.1", "two")).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/two");
    assert_eq!(trash(&repo), ["1.1-1/secret"]);
}

#[test]
fn an_existing_branch_is_continued_by_another_coder() {
    let repo = project();
    let git = open(&repo);
    let first = prepare(&git, &assignment(&repo, "1.1", "one")).unwrap();
    write_file(&first.join("work"), "half");
    repo.git_in(&first, ["add", "-A"]);
    repo.git_in(&first, ["commit", "-qm", "half"]);
    write_file(&first.join("more"), "uncommitted");
    let tip = oid(&repo, "orch/team-1/one");

    let second = prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    assert_sound(&repo, &second, "orch/team-1/one");
    assert_eq!(oid(&repo, "orch/team-1/one"), tip);
    assert_eq!(fs::read_to_string(second.join("work")).unwrap(), "half");
    // The first coder's worktree is detached where it was, its files untouched.
    assert_eq!(repo.git_in(&first, ["branch", "--show-current"]), "");
    assert_eq!(repo.git_in(&first, ["rev-parse", "HEAD"]), tip.to_string());
    assert_eq!(repo.git_in(&first, ["status", "--porcelain"]), "?? more");
}

#[test]
fn a_branch_in_a_worktree_of_the_users_is_left_there() {
    let repo = project();
    let theirs = repo.outside().join("theirs");
    repo.git([
        "worktree".as_ref(),
        "add".as_ref(),
        "-q".as_ref(),
        "-b".as_ref(),
        "orch/team-1/one".as_ref(),
        theirs.as_os_str(),
    ]);
    let error = prepare(&open(&repo), &assignment(&repo, "1.2", "one")).unwrap_err();
    assert!(
        error.to_string().contains(theirs.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(
        repo.git_in(&theirs, ["branch", "--show-current"]),
        "orch/team-1/one"
    );
}

#[test]
fn parking_frees_the_branch_and_forgets_the_task() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    write_file(&dir.join("x"), "x");
    park(&git, work.agent).unwrap();
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "?? x");
    assert_eq!(repo.git_in(&dir, ["config", "orch.agent"]), "1.2");
    repo.try_git_in(&dir, ["config", "orch.task"]).fails(1);
    repo.git(["switch", "-q", "orch/team-1/one"]);
    park(&git, work.agent).unwrap();
    park(&git, "3.3".parse().unwrap()).unwrap();
}

#[test]
fn leftovers_are_committed_in_the_coders_name() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    assert_eq!(commit_leftovers(&git, &dir, &work, "do it").unwrap(), None);
    show_task(&git, &dir, &[("task.md", "do".to_owned())]).unwrap();
    write_file(&dir.join("sub/with space"), "1");
    fs::remove_file(dir.join("README.md")).unwrap();
    assert_eq!(
        uncommitted(&open(&repo), &dir).unwrap(),
        [" D README.md", "?? sub/with space"]
    );
    let commit = commit_leftovers(&git, &dir, &work, "do it")
        .unwrap()
        .unwrap();
    assert_eq!(oid(&repo, "orch/team-1/one"), commit);
    assert_sound(&repo, &dir, "orch/team-1/one");
    let log = |format: &str| repo.git(["log", "-1", format, "orch/team-1/one"]);
    assert_eq!(log("--format=%s"), "[TEAM-1] [AGENT-1.2] do it");
    assert_eq!(log("--format=%an"), "AGENT-1.2");
    assert_eq!(
        log("--format=%(trailers:only,unfold)"),
        "Orch-Task: one\nOrch-Agent: 1.2\nOrch-Attempt: 1\nOrch-Run: demo"
    );
    assert_eq!(
        repo.git(["ls-tree", "-r", "--name-only", "orch/team-1/one"]),
        ".gitignore\nsub/with space"
    );
    assert_eq!(commit_leftovers(&git, &dir, &work, "again").unwrap(), None);
}

#[test]
fn a_change_in_the_second_of_the_checkout_is_seen() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    // Everything about the file but its content is as the index has it, and as old as the index.
    repo.git(["config", "core.trustctime", "false"]);
    let file = dir.join("README.md");
    let index = repo.path().join(".git/worktrees/orch-1.2/index");
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let backdate = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(then).unwrap();
    };
    backdate(&file);
    repo.git_in(&dir, ["update-index", "--refresh"]);
    fs::write(&file, "# A PROJECT\n").unwrap();
    backdate(&file);
    backdate(&index);
    commit_leftovers(&git, &dir, &work, "same size")
        .unwrap()
        .unwrap();
    assert_eq!(
        repo.git(["show", "orch/team-1/one:README.md"]),
        "# A PROJECT"
    );
}

#[test]
fn leftovers_of_a_finished_merge_keep_both_parents() {
    let repo = project().write("b", "b\n").commit("main moves on");
    let git = open(&repo);
    let mut work = assignment(&repo, "1.2", "one");
    work.base = oid(&repo, "main~1");
    let dir = prepare(&git, &work).unwrap();
    write_file(&dir.join("a"), "a");
    commit_leftovers(&git, &dir, &work, "a").unwrap().unwrap();
    repo.git_in(&dir, ["merge", "-q", "--no-commit", "--no-ff", "main"]);
    commit_leftovers(&git, &dir, &work, "merge")
        .unwrap()
        .unwrap();
    assert_eq!(oid(&repo, "orch/team-1/one^2"), oid(&repo, "main"));
    assert!(
        !repo
            .path()
            .join(".git/worktrees/orch-1.2/MERGE_HEAD")
            .exists()
    );
}

#[test]
fn leftovers_off_the_branch_are_saved_and_named() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    repo.git_in(&dir, ["switch", "-q", "--detach"]);
    write_file(&dir.join("lost"), "found");
    let error = commit_leftovers(&git, &dir, &work, "do it").unwrap_err();
    assert!(
        error.to_string().contains("refs/orch/recovery/1.2/1"),
        "{error}"
    );
    assert_eq!(repo.git(["show", "refs/orch/recovery/1.2/1:lost"]), "found");
    assert_eq!(oid(&repo, "orch/team-1/one"), oid(&repo, "main"));
}

#[test]
fn an_unfinished_merge_is_saved_and_ended() {
    let repo = project().write("README.md", "theirs\n").commit("theirs");
    let git = open(&repo);
    let mut work = assignment(&repo, "1.2", "one");
    work.base = oid(&repo, "main~1");
    let dir = prepare(&git, &work).unwrap();
    write_file(&dir.join("README.md"), "ours\n");
    commit_leftovers(&git, &dir, &work, "ours")
        .unwrap()
        .unwrap();
    repo.try_git_in(&dir, ["merge", "-q", "main"]).fails(1);
    let error = commit_leftovers(&git, &dir, &work, "conflict").unwrap_err();
    assert!(error.to_string().contains("unresolved"), "{error}");

    prepare(&git, &work).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert_eq!(recovery(&repo).len(), 1, "the same state is saved once");
    let saved = repo.git(["show", "refs/orch/recovery/1.2/1:README.md"]);
    assert!(
        saved.contains("<<<<<<<") && saved.contains("theirs"),
        "{saved}"
    );
    repo.try_git_in(&dir, ["rev-parse", "-q", "--verify", "MERGE_HEAD"])
        .fails(1);
}

#[test]
fn an_unfinished_rebase_gives_its_branch_to_the_next_coder() {
    let repo = project().write("README.md", "theirs\n").commit("theirs");
    let git = open(&repo);
    let mut work = assignment(&repo, "1.1", "one");
    work.base = oid(&repo, "main~1");
    let dir = prepare(&git, &work).unwrap();
    write_file(&dir.join("README.md"), "ours\n");
    let tip = commit_leftovers(&git, &dir, &work, "ours")
        .unwrap()
        .unwrap();
    repo.try_git_in(&dir, ["rebase", "-q", "main"]).fails(1);
    work.agent = "1.2".parse().unwrap();
    let second = prepare(&git, &work).unwrap();
    assert_sound(&repo, &second, "orch/team-1/one");
    assert_eq!(oid(&repo, "orch/team-1/one"), tip);
    assert_eq!(recovery(&repo), ["refs/orch/recovery/1.1/1"]);
}

#[test]
fn saving_leaves_the_worktree_as_it_is() {
    let repo = project();
    let git = open(&repo);
    let dir = prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    assert_eq!(save_leftovers(&git, &dir, "nothing").unwrap(), None);
    write_file(&dir.join("README.md"), "changed\n");
    repo.git_in(&dir, ["add", "README.md"]);
    write_file(&dir.join("x"), "x");
    let before = repo.git_in(&dir, ["status", "--porcelain"]);
    let saved = save_leftovers(&git, &dir, "look").unwrap();
    assert_eq!(saved.as_deref(), Some("refs/orch/recovery/1.2/1"));
    assert_eq!(save_leftovers(&git, &dir, "look").unwrap(), saved);
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), before);
    write_file(&dir.join("x"), "y");
    let next = save_leftovers(&git, &dir, "look").unwrap();
    assert_eq!(next.as_deref(), Some("refs/orch/recovery/1.2/2"));
}

#[test]
fn a_commit_on_a_detached_head_is_kept() {
    let repo = project();
    let git = open(&repo);
    let dir = prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    repo.git_in(&dir, ["switch", "-q", "--detach"]);
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "adrift"]);
    let adrift = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    prepare(&git, &assignment(&repo, "1.2", "two")).unwrap();
    assert_eq!(
        repo.git(["rev-parse", "refs/orch/recovery/1.2/1^{commit}"]),
        adrift
    );
}

#[test]
fn a_repository_inside_the_worktree_is_moved_not_lost() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    let inner = dir.join("vendor/inner");
    fs::create_dir_all(&inner).unwrap();
    repo.git_in(&inner, ["init", "-q"]);
    write_file(&inner.join("code"), "precious");
    assert_eq!(commit_leftovers(&git, &dir, &work, "x").unwrap(), None);
    assert_eq!(
        uncommitted(&open(&repo), &dir).unwrap(),
        ["?? vendor/inner/"]
    );
    prepare(&git, &assignment(&repo, "1.2", "two")).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/two");
    assert!(trash(&repo).contains(&"1.2-1/vendor/inner/code".to_owned()));
}

/// What a process killed at some moment, or a person, may leave behind.
#[test]
fn half_made_worktrees_are_made_anew() {
    type Break = fn(&Path, &Path);
    let cases: [(&str, Break); 9] = [
        ("no administrative directory", |_, admin| {
            fs::remove_dir_all(admin).unwrap();
        }),
        ("no directory", |dir, _| fs::remove_dir_all(dir).unwrap()),
        ("no index", |_, admin| {
            fs::remove_file(admin.join("index")).unwrap()
        }),
        ("broken index", |_, admin| {
            fs::write(admin.join("index"), "DIRC garbage").unwrap();
        }),
        ("being made", |dir, admin| {
            fs::write(admin.join("locked"), "initializing").unwrap();
            fs::remove_file(admin.join("index")).unwrap();
            fs::remove_file(dir.join("README.md")).unwrap();
        }),
        ("no HEAD", |_, admin| {
            fs::remove_file(admin.join("HEAD")).unwrap()
        }),
        ("no link", |dir, _| {
            fs::remove_file(dir.join(".git")).unwrap()
        }),
        ("dead locks", |_, admin| {
            fs::write(admin.join("index.lock"), "").unwrap();
            fs::write(admin.join("HEAD.lock"), "").unwrap();
        }),
        ("an empty directory", |dir, admin| {
            fs::remove_dir_all(admin).unwrap();
            fs::remove_dir_all(dir).unwrap();
            fs::create_dir(dir).unwrap();
        }),
    ];
    for (name, break_it) in cases {
        for keep in [false, true] {
            let repo = project();
            let git = open(&repo);
            let work = assignment(&repo, "1.2", "one");
            let dir = prepare(&git, &work).unwrap();
            let admin = repo.path().join(".git/worktrees/orch-1.2");
            if keep {
                write_file(&dir.join("unknown"), "keep me");
            }
            break_it(&dir, &admin);
            let expected = keep && dir.join("unknown").exists();
            assert_eq!(prepare(&git, &work).unwrap(), dir, "{name}");
            assert_sound(&repo, &dir, "orch/team-1/one");
            let in_trash = trash(&repo)
                .iter()
                .any(|path| path.starts_with("1.2-") && path.ends_with("/unknown"));
            let saved = recovery(&repo).iter().any(|name| {
                let spec = format!("{name}:unknown");
                repo.try_git_in(repo.path(), ["cat-file", "-e", &spec])
                    .code()
                    == 0
            });
            assert_eq!(in_trash || saved, expected, "{name}");
        }
    }
}

#[test]
fn a_directory_of_somebody_elses_is_moved_aside_whole() {
    let repo = project();
    let theirs = repo.worktree("1.2");
    fs::create_dir_all(&theirs).unwrap();
    repo.git_in(&theirs, ["init", "-q"]);
    write_file(&theirs.join("code"), "theirs");
    let dir = prepare(&open(&repo), &assignment(&repo, "1.2", "one")).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert!(trash(&repo).contains(&"1.2-1/code".to_owned()));
}

#[test]
fn repository_and_worktrees_may_be_moved_together() {
    let repo = project();
    let dir = prepare(&open(&repo), &assignment(&repo, "1.2", "one")).unwrap();
    write_file(&dir.join("target/cache"), "warm");
    let to = repo.outside().join("elsewhere");
    fs::create_dir(&to).unwrap();
    fs::rename(repo.path(), to.join("repo")).unwrap();
    fs::rename(repo.outside().join("repo.orch"), to.join("repo.orch")).unwrap();
    let moved = Repo::discover(&to.join("repo")).unwrap();
    let mut work = Assignment {
        agent: "1.2".parse().unwrap(),
        task: "one".parse().unwrap(),
        attempt: Attempt(2),
        branch: "orch/team-1/one".to_owned(),
        base: moved.resolve_commit("main").unwrap(),
        run: String::new(),
    };
    let dir = prepare(&moved, &work).unwrap();
    assert_eq!(dir, to.join("repo.orch/1.2"));
    assert!(dir.join("target/cache").exists());
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");

    // A copy of the repository must not touch the worktrees of the original.
    let copy = repo.outside().join("copy");
    let copied = repo
        .command("cp", &to)
        .arg("-r")
        .arg("repo")
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    work.task = "two".parse().unwrap();
    work.branch = "orch/team-1/two".to_owned();
    let second = prepare(&Repo::discover(&copy).unwrap(), &work).unwrap();
    assert_eq!(second, repo.outside().join("copy.orch/1.2"));
    assert_eq!(
        repo.git_in(&dir, ["branch", "--show-current"]),
        "orch/team-1/one"
    );
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
}

#[test]
fn a_worktree_that_a_person_moved_is_named() {
    let repo = project();
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    let to = repo.outside().join("moved");
    repo.git([
        "worktree".as_ref(),
        "move".as_ref(),
        dir.as_os_str(),
        to.as_os_str(),
    ]);
    let error = prepare(&git, &work).unwrap_err();
    assert!(error.to_string().contains(to.to_str().unwrap()), "{error}");
}

#[test]
fn paths_with_spaces_quotes_and_unicode_work() {
    let repo = project();
    let odd = repo.outside().join("sp ace ü 'q\" [x]/re*po");
    fs::create_dir_all(odd.parent().unwrap()).unwrap();
    fs::rename(repo.path(), &odd).unwrap();
    let git = Repo::discover(&odd).unwrap();
    let work = Assignment {
        agent: "1.2".parse().unwrap(),
        task: "one".parse().unwrap(),
        attempt: Attempt(1),
        branch: "orch/team-1/one".to_owned(),
        base: git.resolve_commit("main").unwrap(),
        run: "a \"run\"".to_owned(),
    };
    let dir = prepare(&git, &work).unwrap();
    assert_eq!(repo.git_in(&dir, ["config", "orch.run"]), "a \"run\"");
    write_file(&dir.join("ü \"x\"\n[*]"), "1");
    commit_leftovers(&git, &dir, &work, "odd").unwrap().unwrap();
    write_file(&dir.join("ä"), "1");
    prepare(&git, &work).unwrap();
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    assert_eq!(
        repo.git_in(&dir, ["for-each-ref", "refs/orch/recovery"])
            .lines()
            .count(),
        1
    );
    remove_all(&git).unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_bare_repository_works() {
    let repo = project();
    let bare = repo.outside().join("bare.git");
    repo.git(["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let git = Repo::discover(&bare).unwrap();
    let mut work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    assert_eq!(dir, repo.outside().join("bare.orch/1.2"));
    write_file(&dir.join("x"), "x");
    commit_leftovers(&git, &dir, &work, "x").unwrap().unwrap();
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    work.task = "two".parse().unwrap();
    work.branch = "orch/team-1/two".to_owned();
    prepare(&git, &work).unwrap();
    assert!(!dir.join("x").exists());
    remove_all(&git).unwrap();
    assert_eq!(repo.git_in(&bare, ["worktree", "list"]).lines().count(), 1);
    assert!(!repo.outside().join("bare.orch").exists());
}

#[test]
fn line_ends_modes_links_and_submodules_are_as_git_makes_them() {
    let repo = project().write(".gitattributes", "*.bat text eol=crlf\n*.id ident\n");
    write_file(&repo.path().join("run.bat"), "one\r\ntwo\r\n");
    write_file(&repo.path().join("a.id"), "$Id$\n");
    write_file(&repo.path().join("tool"), "#!/bin/sh\n");
    let tool = repo.path().join("tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("tool", repo.path().join("link")).unwrap();
    symlink("nowhere/at/all", repo.path().join("dangling")).unwrap();
    let inner = repo.outside().join("inner");
    repo.git(["clone", "-q", ".", inner.to_str().unwrap()]);
    let allow = "protocol.file.allow=always";
    let inner = inner.to_str().unwrap();
    repo.git(["-c", allow, "submodule", "--quiet", "add", inner, "sub"]);
    let repo = repo.commit("all kinds");
    let dir = prepare(&open(&repo), &assignment(&repo, "1.2", "one")).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert_eq!(fs::read(dir.join("run.bat")).unwrap(), b"one\r\ntwo\r\n");
    assert!(
        fs::read_to_string(dir.join("a.id"))
            .unwrap()
            .starts_with("$Id: ")
    );
    assert_eq!(
        fs::metadata(dir.join("tool")).unwrap().permissions().mode() & 0o111,
        0o111
    );
    assert_eq!(
        fs::read_link(dir.join("link")).unwrap(),
        PathBuf::from("tool")
    );
    assert!(
        fs::symlink_metadata(dir.join("dangling"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_dir(dir.join("sub")).unwrap().count(), 0);
    repo.git_in(&dir, ["diff", "--exit-code", "HEAD"]);
}

#[test]
fn a_cone_checks_out_some_directories_and_may_change() {
    let mut repo = project();
    for name in ["top", "a/one", "a/deep/two", "b/three", "c/four"] {
        repo = repo.write(name, name);
    }
    let repo = repo.commit("tree");
    let git = open(&repo);
    let work = assignment(&repo, "1.2", "one");
    let cone = ["a/deep".to_owned()];
    let dir = prepare_cone(&git, &work, &cone).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    let has = |path: &str| dir.join(path).exists();
    assert!(has("top") && has("a/one") && has("a/deep/two") && !has("b") && !has("c"));
    assert_eq!(repo.git_in(&dir, ["sparse-checkout", "list"]), "a/deep");
    write_file(&dir.join("b/outside"), "the cone");
    commit_leftovers(&git, &dir, &work, "outside")
        .unwrap()
        .unwrap();
    assert_eq!(repo.git(["show", "orch/team-1/one:b/outside"]), "the cone");
    assert_eq!(repo.git(["show", "orch/team-1/one:c/four"]), "c/four");

    prepare_cone(&git, &work, &["b".to_owned()]).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert!(has("b/three") && !has("a"));
    prepare(&git, &work).unwrap();
    assert_sound(&repo, &dir, "orch/team-1/one");
    assert!(has("a/deep/two") && has("b/three") && has("c/four"));
    repo.try_git_in(&dir, ["config", "core.sparseCheckout"])
        .fails(1);
    repo.try_git_in(repo.path(), ["config", "extensions.worktreeConfig"])
        .fails(1);
}

#[test]
fn a_detached_worktree_can_be_made_by_any_name() {
    let repo = project();
    let git = open(&repo);
    let dir = repo.outside().join("tests one");
    let head = Head::Detached(oid(&repo, "main"));
    git.add_worktree(&NewWorktree {
        name: "orch-test-1",
        dir: &dir,
        head: &head,
        cone: &[],
    })
    .unwrap();
    assert_sound(&repo, &dir, "");
    let again = NewWorktree {
        name: "orch-test-2",
        dir: &dir,
        head: &head,
        cone: &[],
    };
    git.add_worktree(&again).unwrap_err();
    assert_eq!(git.linked_worktrees().unwrap().len(), 1);
}

#[test]
fn the_view_is_excluded_and_leaves_the_users_lines_alone() {
    let repo = project();
    let git = open(&repo);
    let exclude = repo.path().join(".git/info/exclude");
    fs::write(&exclude, "mine").unwrap();
    fs::set_permissions(&exclude, fs::Permissions::from_mode(0o640)).unwrap();
    let work = assignment(&repo, "1.2", "one");
    let dir = prepare(&git, &work).unwrap();
    let files = [
        ("task.toml", "id = 1".to_owned()),
        ("contracts/a.md", "A".to_owned()),
    ];
    show_task(&git, &dir, &files).unwrap();
    assert_eq!(
        fs::read_to_string(dir.join(".orchestration/contracts/a.md")).unwrap(),
        "A"
    );
    show_task(&git, &dir, &[("../escape", String::new())]).unwrap_err();
    for nested in [
        ".claude/worktrees/x/f",
        ".gemini/worktrees/f",
        ".qwen/worktrees/f",
    ] {
        write_file(&dir.join(nested), "agent's own");
    }
    assert_eq!(
        uncommitted(&open(&repo), &dir).unwrap(),
        Vec::<String>::new()
    );
    exclude_add(&git).unwrap();
    let text = fs::read_to_string(&exclude).unwrap();
    assert!(text.starts_with("mine\n"), "{text}");
    assert_eq!(text.matches("/.orchestration/").count(), 1);
    // The next task does not see what the one before was shown.
    prepare(&git, &assignment(&repo, "1.2", "two")).unwrap();
    assert!(!dir.join(".orchestration").exists());
    exclude_remove(&git).unwrap();
    exclude_remove(&git).unwrap();
    assert_eq!(fs::read_to_string(&exclude).unwrap(), "mine");
    let mode = fs::metadata(&exclude).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn pain_03_cleanup_never_deletes_dirty_or_untracked_work() {
    let repo = project();
    let git = open(&repo);
    let dir = prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    let other = prepare(&git, &assignment(&repo, "1.3", "two")).unwrap();
    let refused = |what: &str| {
        let error = remove_all(&git).unwrap_err().to_string();
        assert!(error.contains("1.2") && error.contains(what), "{error}");
        assert!(
            dir.exists() && other.exists(),
            "nothing is removed when one holds work"
        );
    };
    write_file(&dir.join("untracked"), "work");
    refused("untracked");
    fs::remove_file(dir.join("untracked")).unwrap();
    write_file(&dir.join("README.md"), "dirty\n");
    refused("README.md");
    repo.git_in(&dir, ["add", "-A"]);
    refused("README.md");
    repo.git_in(&dir, ["switch", "-q", "--detach"]);
    repo.git_in(&dir, ["commit", "-qm", "adrift"]);
    refused("no branch reaches");
    repo.git_in(&dir, ["switch", "-q", "-c", "kept"]);
    repo.git(["worktree".as_ref(), "lock".as_ref(), dir.as_os_str()]);
    refused("locked");
    repo.git(["worktree".as_ref(), "unlock".as_ref(), dir.as_os_str()]);

    remove_all(&git).unwrap();
    assert!(!repo.outside().join("repo.orch").exists());
    assert_eq!(repo.git(["worktree", "list"]).lines().count(), 1);
    assert!(!repo.path().join(".git/worktrees").exists());
    assert_eq!(repo.git(["log", "-1", "--format=%s", "kept"]), "adrift");
    repo.git(["fsck", "--strict"]);
    remove_all(&git).unwrap();
}

#[test]
fn removing_leaves_worktrees_of_the_users_and_files_set_aside() {
    let repo = project();
    let git = open(&repo);
    let theirs = repo.outside().join("orch-9.9");
    repo.git([
        "worktree".as_ref(),
        "add".as_ref(),
        "-q".as_ref(),
        "--detach".as_ref(),
        theirs.as_os_str(),
    ]);
    write_file(&repo.worktree("1.2").join("found"), "before");
    prepare(&git, &assignment(&repo, "1.2", "one")).unwrap();
    remove_all(&git).unwrap();
    assert_eq!(trash(&repo), ["1.2-1/found"]);
    assert!(theirs.join("README.md").exists());
    repo.git_in(&theirs, ["status"]);
}

/// Body of a process of its own for the tests below; does nothing when run by itself.
#[test]
#[ignore = "runs in processes that other tests start"]
fn child() {
    let Ok(text) = std::env::var("ORCH_TEST_CHILD") else {
        return;
    };
    let (dir, agent) = text.split_once('\n').unwrap();
    let git = Repo::discover(Path::new(dir)).unwrap();
    let task = format!("task-{agent}");
    let work = Assignment {
        agent: agent.parse().unwrap(),
        branch: format!("orch/team-1/{task}"),
        task: task.parse().unwrap(),
        attempt: Attempt(1),
        base: git.resolve_commit("main").unwrap(),
        run: String::new(),
    };
    prepare(&git, &work).unwrap();
}

fn child_command(repo: &TestRepo, agent: &str) -> std::process::Command {
    let program = std::env::current_exe().unwrap();
    let mut command = repo.command(program.to_str().unwrap(), repo.path());
    command
        .args(["--exact", "worktrees::child", "--ignored", "--quiet"])
        .env(
            "ORCH_TEST_CHILD",
            format!("{}\n{agent}", repo.path().display()),
        )
        .stdout(std::process::Stdio::null());
    command
}

fn wide_project(files: usize) -> TestRepo {
    let repo = project();
    for number in 0..files {
        let path = format!("d{}/f{number}", number % 16);
        write_file(&repo.path().join(path), &format!("{number}\n").repeat(20));
    }
    repo.commit("wide")
}

#[test]
fn pain_16_parallel_creation_loses_no_worktree() {
    let repo = wide_project(100);
    let agents: Vec<String> = (1..=16).map(|n| format!("{}.{n}", n % 4 + 1)).collect();
    for round in 0..3 {
        let mut children: Vec<_> = agents
            .iter()
            .map(|agent| child_command(&repo, agent).spawn().unwrap())
            .collect();
        for child in &mut children {
            assert!(child.wait().unwrap().success(), "round {round}");
        }
        let list = repo.git(["worktree", "list", "--porcelain"]);
        assert_eq!(
            list.matches("worktree ").count(),
            17,
            "round {round}: {list}"
        );
        for agent in &agents {
            let dir = repo.worktree(agent);
            assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
            assert_eq!(repo.git_in(&dir, ["config", "orch.agent"]), *agent);
        }
        repo.git(["worktree", "prune", "--expire=now"]);
        assert_eq!(repo.git(["worktree", "list"]).lines().count(), 17);
        // The second round reuses all of them, the third makes them anew.
        if round == 1 {
            remove_all(&open(&repo)).unwrap();
        }
    }
}

#[test]
fn pain_16_threads_with_handles_of_their_own_lose_no_worktree() {
    let repo = project();
    std::thread::scope(|scope| {
        for number in 1..=16 {
            let repo = &repo;
            scope.spawn(move || {
                let work = assignment(repo, &format!("1.{number}"), &format!("t{number}"));
                prepare(&Repo::discover(repo.path()).unwrap(), &work).unwrap();
            });
        }
    });
    for number in 1..=16 {
        let dir = repo.worktree(&format!("1.{number}"));
        assert_sound(&repo, &dir, &format!("orch/team-1/t{number}"));
    }
}

#[test]
fn a_process_killed_while_preparing_is_carried_on() {
    let repo = wide_project(400);
    let git = open(&repo);
    let mut work = assignment(&repo, "1.1", "task-1.1");
    let admin = repo.path().join(".git/worktrees/orch-1.1");
    for round in 0..6 {
        // Each round ends it at another moment: later and later after its first visible step.
        let mut child = child_command(&repo, "1.1").spawn().unwrap();
        while !admin.exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        for _ in 0..round * 6 {
            let _ = fs::read_dir(&admin).map(Iterator::count);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        work.base = oid(&repo, "main");
        let dir = prepare(&git, &work).unwrap();
        assert_sound(&repo, &dir, "orch/team-1/task-1.1");
        remove_all(&git).unwrap();
    }
    assert_eq!(recovery(&repo), Vec::<String>::new());
}
