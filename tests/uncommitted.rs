//! What an agent keeps git from seeing in its worktree is work all the same: found, saved, and never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use git_orch::git::{Oid, Repo};
use git_orch::model::Attempt;
use git_orch::workspace::{
    Assignment, commit_leftovers, prepare, remove, remove_all, remove_by_force, show_task,
    uncommitted,
};

use super::common::{TestRepo, write_file};

/// What is hidden; of the length of what is committed, for those who look at sizes.
const PRECIOUS: &str = "# PRECIOUS\n";

/// A coder's worktree, to play tricks in.
struct Site {
    repo: TestRepo,
    dir: PathBuf,
}

impl Site {
    fn new() -> Self {
        let repo = TestRepo::new()
            .write(".gitignore", "target/\n*.local\n")
            .write("docs/guide.md", "guide\n")
            .commit("more");
        let key = "includeIf.gitdir:**/worktrees/orch-*.path";
        repo.git(["config", key, "orch/worktree.gitconfig"]);
        let site = Self {
            dir: repo.worktree("1.2"),
            repo,
        };
        prepare(&site.open(), &site.assignment("one")).unwrap();
        site
    }

    fn open(&self) -> Repo {
        Repo::discover(self.repo.path()).unwrap()
    }

    fn assignment(&self, task: &str) -> Assignment {
        let base = self.repo.git(["rev-parse", "main"]);
        Assignment {
            agent: "1.2".parse().unwrap(),
            task: task.parse().unwrap(),
            attempt: Attempt(1),
            branch: format!("orch/team-1/{task}"),
            base: Oid::from_hex(base.as_bytes()).unwrap(),
            run: String::from("demo"),
        }
    }

    fn git<const N: usize>(&self, args: [&str; N]) -> String {
        self.repo.git_in(&self.dir, args)
    }

    fn write(&self, path: &str, text: &str) {
        write_file(&self.dir.join(path), text);
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(path)).ok()
    }

    /// Everything that is saved, as lines of all its files.
    fn saved(&self) -> String {
        let refs = self
            .repo
            .git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
        let content = |name: &str| self.repo.git(["grep", "-h", "", name]);
        refs.lines().map(content).collect()
    }

    /// Whether a file with this text lies somewhere in the trash.
    fn is_in_trash(&self, text: &str) -> bool {
        fn any(dir: &Path, text: &str) -> bool {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.into_iter().any(|entry| match entry.path() {
                path if path.is_dir() => any(&path, text),
                path => fs::read_to_string(path).is_ok_and(|found| found.contains(text)),
            })
        }
        any(&self.repo.worktree(".trash"), text)
    }

    /// An edit of `README.md` that `git status` does not show is found, keeps the worktree from being removed, and
    /// is saved before the next task, which begins as its branch says.
    #[track_caller]
    fn assert_never_lost(&self) {
        assert_eq!(self.read("README.md").as_deref(), Some(PRECIOUS));
        let repo = self.open();
        let found = uncommitted(&repo, &self.dir).unwrap();
        let names = found.iter().any(|line| line.starts_with(" M README.md"));
        assert!(names, "{found:?}");
        let agent = "1.2".parse().unwrap();
        let refused = remove(&repo, agent).unwrap_err().to_string();
        assert!(refused.contains("README.md"), "{refused}");
        remove_all(&repo).unwrap_err();
        assert_eq!(self.read("README.md").as_deref(), Some(PRECIOUS));
        prepare(&repo, &self.assignment("two")).unwrap();
        assert!(self.saved().contains(PRECIOUS), "{}", self.saved());
        assert_eq!(self.read("README.md").as_deref(), Some("# a project\n"));
        assert_eq!(self.read("docs/guide.md").as_deref(), Some("guide\n"));
        let tags = self.git(["ls-files", "-v"]);
        assert!(tags.lines().all(|line| line.starts_with("H ")), "{tags}");
        let left = uncommitted(&repo, &self.dir).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_edit_that_is_assumed_away_is_saved() {
    let site = Site::new();
    site.git(["update-index", "--assume-unchanged", "README.md"]);
    site.write("README.md", PRECIOUS);
    assert_eq!(site.git(["status", "--porcelain"]), "");
    site.assert_never_lost();
}

#[test]
fn an_edit_of_a_skipped_file_is_saved() {
    let site = Site::new();
    site.git(["update-index", "--skip-worktree", "README.md"]);
    site.write("README.md", PRECIOUS);
    assert_eq!(site.git(["status", "--porcelain"]), "");
    site.assert_never_lost();
}

#[test]
fn an_edit_that_is_hidden_twice_is_saved() {
    let site = Site::new();
    site.git(["update-index", "--assume-unchanged", "README.md"]);
    site.git(["update-index", "--skip-worktree", "README.md"]);
    site.write("README.md", PRECIOUS);
    site.assert_never_lost();
}

#[test]
fn an_edit_outside_a_sparse_checkout_is_saved() {
    let site = Site::new();
    site.git(["config", "sparse.expectFilesOutsideOfPatterns", "true"]);
    site.git(["sparse-checkout", "set", "--no-cone", "/docs/"]);
    assert_eq!(site.read("README.md"), None);
    // What is not there for that reason is no change.
    let found = uncommitted(&site.open(), &site.dir).unwrap();
    assert!(found.is_empty(), "{found:?}");
    site.write("README.md", PRECIOUS);
    assert_eq!(site.git(["status", "--porcelain"]), "");
    site.assert_never_lost();
}

#[test]
fn an_edit_after_git_was_told_to_ignore_stat_data_is_saved() {
    let site = Site::new();
    site.git(["rm", "-q", "-r", "."]);
    site.git(["-c", "core.ignoreStat=true", "reset", "-q", "--hard"]);
    site.write("README.md", PRECIOUS);
    assert_eq!(site.git(["status", "--porcelain"]), "");
    site.assert_never_lost();
}

#[test]
fn an_edit_with_the_times_of_before_is_saved() {
    let site = Site::new();
    for (key, value) in [("core.checkStat", "minimal"), ("core.trustctime", "false")] {
        site.git(["config", key, value]);
    }
    let path = site.dir.join("README.md");
    let file = |path: &Path| fs::File::options().write(true).open(path).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    file(&path).set_modified(long_ago).unwrap();
    site.git(["update-index", "--refresh"]);
    let committed = fs::read_to_string(&path).unwrap();
    let forged = format!("{:<1$}\n", "# PRECIOUS", committed.len() - 1);
    // As editors save: another file takes its place.
    let other = site.repo.outside().join("other");
    fs::write(&other, &forged).unwrap();
    file(&other).set_modified(long_ago).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(site.git(["status", "--porcelain"]), "");
    let repo = site.open();
    let found = uncommitted(&repo, &site.dir).unwrap();
    assert_eq!(found, [" M README.md"]);
    prepare(&repo, &site.assignment("two")).unwrap();
    assert!(site.saved().contains("# PRECIOUS"), "{}", site.saved());
}

#[test]
fn an_edit_that_a_file_system_monitor_keeps_quiet_about_is_saved() {
    let site = Site::new();
    let hook = site.repo.outside().join("monitor");
    write_file(&hook, "#!/bin/sh\nprintf 'token\\0'\n");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    site.git(["config", "core.fsmonitor", hook.to_str().unwrap()]);
    site.git(["update-index", "--fsmonitor"]);
    site.git(["status"]);
    site.write("README.md", PRECIOUS);
    assert_eq!(site.git(["status", "--porcelain"]), "");
    site.assert_never_lost();
}

#[test]
fn a_file_that_was_hidden_and_deleted_is_there_for_the_next_task() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let site = Site::new();
        site.git(["update-index", flag, "README.md"]);
        fs::remove_file(site.dir.join("README.md")).unwrap();
        prepare(&site.open(), &site.assignment("two")).unwrap();
        let text = site.read("README.md");
        assert_eq!(text.as_deref(), Some("# a project\n"), "{flag}");
    }
}

#[test]
fn the_executor_commits_what_was_hidden_as_any_other_edit() {
    let site = Site::new();
    site.git(["update-index", "--skip-worktree", "README.md"]);
    site.write("README.md", PRECIOUS);
    site.write("new.txt", "new\n");
    let repo = site.open();
    let assignment = site.assignment("one");
    commit_leftovers(&repo, &site.dir, &assignment, "work").unwrap();
    assert_eq!(
        site.git(["show", "--name-status", "--format=", "HEAD"]),
        "M\tREADME.md\nA\tnew.txt"
    );
    let left = uncommitted(&repo, &site.dir).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn files_and_directories_that_took_each_others_place_are_saved_as_they_are() {
    let site = Site::new();
    fs::remove_file(site.dir.join("README.md")).unwrap();
    site.write("README.md/inside", "inside\n");
    fs::remove_dir_all(site.dir.join("docs")).unwrap();
    site.write("docs", "a file\n");
    let repo = site.open();
    prepare(&repo, &site.assignment("two")).unwrap();
    let saved = "refs/orch/recovery/1.2/1";
    let files = site.repo.git(["ls-tree", "-r", "--name-only", saved]);
    assert_eq!(files, ".gitignore\nREADME.md/inside\ndocs");
    assert_eq!(site.read("README.md").as_deref(), Some("# a project\n"));
    assert_eq!(site.read("docs/guide.md").as_deref(), Some("guide\n"));
}

#[test]
fn files_where_a_submodule_would_be_are_kept() {
    let site = Site::new();
    let commit = site.git(["rev-parse", "HEAD"]);
    let entry = format!("160000,{commit},lib");
    site.git(["update-index", "--add", "--cacheinfo", &entry]);
    site.git(["commit", "-q", "-m", "a submodule"]);
    let repo = site.open();
    fs::create_dir_all(site.dir.join("lib")).unwrap();
    assert!(uncommitted(&repo, &site.dir).unwrap().is_empty());
    site.write("lib/own.txt", "hand-made\n");
    assert_eq!(site.git(["status", "--porcelain"]), "");
    assert_eq!(uncommitted(&repo, &site.dir).unwrap(), ["?? lib/"]);
    let agent = "1.2".parse().unwrap();
    remove(&repo, agent).unwrap_err();
    prepare(&repo, &site.assignment("two")).unwrap();
    assert!(site.is_in_trash("hand-made"));
}

#[test]
fn a_directory_that_cannot_be_read_keeps_its_worktree() {
    // Nobody keeps the superuser from reading.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let site = Site::new();
    site.write("secret/notes", "notes\n");
    let secret = site.dir.join("secret");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    fs::set_permissions(&secret, closed).unwrap();
    let repo = site.open();
    let error = uncommitted(&repo, &site.dir).unwrap_err().to_string();
    assert!(error.contains("secret cannot be read"), "{error}");
    let agent = "1.2".parse().unwrap();
    remove(&repo, agent).unwrap_err();
    prepare(&repo, &site.assignment("two")).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let aside = site.repo.worktree(".trash/1.2-1/secret");
    fs::set_permissions(&aside, open).unwrap();
    assert_eq!(fs::read_to_string(aside.join("notes")).unwrap(), "notes\n");
}

#[test]
fn removing_by_force_saves_what_was_hidden() {
    let site = Site::new();
    site.git(["update-index", "--assume-unchanged", "README.md"]);
    site.write("README.md", PRECIOUS);
    let removed = remove_by_force(&site.open(), "1.2".parse().unwrap()).unwrap();
    assert!(removed.saved.is_some());
    assert!(site.saved().contains(PRECIOUS));
    assert!(!site.dir.exists());
}

#[test]
fn ignored_files_make_way_for_those_of_the_next_branch_and_are_kept() {
    let site = Site::new();
    let others = [
        ("app.local", "theirs\n"),
        ("same.local", "same\n"),
        ("made.local/of/parts", "theirs\n"),
        ("one.local", "theirs\n"),
    ];
    for (path, text) in others {
        write_file(&site.repo.path().join(path), text);
        site.repo.git(["add", "--force", path]);
    }
    site.repo
        .git(["commit", "-q", "-m", "files that are ignored elsewhere"]);
    site.write("app.local", "mine, edited\n");
    site.write("same.local", "same\n");
    site.write("made.local", "mine, a file\n");
    site.write("one.local/of/parts", "mine, a directory\n");
    site.write("kept.local", "in nobody's way\n");
    let repo = site.open();
    assert!(uncommitted(&repo, &site.dir).unwrap().is_empty());
    prepare(&repo, &site.assignment("two")).unwrap();
    for (path, text) in others {
        assert_eq!(site.read(path).as_deref(), Some(text), "{path}");
    }
    for text in ["mine, edited", "mine, a file", "mine, a directory"] {
        assert!(site.is_in_trash(text), "{text}");
    }
    assert!(!site.is_in_trash("same"));
    assert_eq!(
        site.read("kept.local").as_deref(),
        Some("in nobody's way\n")
    );
}

#[test]
fn a_file_that_was_taken_out_of_the_index_and_ignored_is_kept() {
    let site = Site::new();
    site.git(["rm", "-q", "--cached", "README.md"]);
    site.write(".gitignore", "README.md\n");
    site.write("README.md", PRECIOUS);
    prepare(&site.open(), &site.assignment("two")).unwrap();
    assert_eq!(site.read("README.md").as_deref(), Some("# a project\n"));
    assert!(site.is_in_trash(PRECIOUS));
}

#[test]
fn what_an_agent_puts_beside_its_task_is_kept_and_what_it_was_shown_goes() {
    let site = Site::new();
    let shown = [
        ("task.toml", "the task\n".to_owned()),
        ("handoffs/a.toml", "a\n".to_owned()),
    ];
    show_task(&site.open(), &site.dir, &shown).unwrap();
    show_task(
        &site.open(),
        &site.dir,
        &[("conflicts.md", "later\n".to_owned())],
    )
    .unwrap();
    site.write(".orchestration/notes/plan.md", "an agent's own\n");
    prepare(&site.open(), &site.assignment("two")).unwrap();
    assert!(!site.dir.join(".orchestration").exists());
    assert!(site.is_in_trash("an agent's own"));
    for text in ["the task", "later"] {
        assert!(!site.is_in_trash(text), "{text}");
    }
}

#[test]
fn a_view_without_anything_of_an_agents_leaves_nothing_behind() {
    let site = Site::new();
    show_task(
        &site.open(),
        &site.dir,
        &[("task.toml", "the task\n".to_owned())],
    )
    .unwrap();
    prepare(&site.open(), &site.assignment("two")).unwrap();
    assert!(!site.dir.join(".orchestration").exists());
    assert!(!site.repo.worktree(".trash").exists());
}

#[test]
fn ignored_files_that_no_tool_builds_again_are_kept_when_their_worktree_goes() {
    let site = Site::new();
    let rules = site.repo.path().join(".git/info/exclude");
    let old = fs::read_to_string(&rules).unwrap_or_default();
    write_file(
        &rules,
        &format!("{old}\n/ignored/\n/cache-of-a-tool/\n__pycache__/\n.env\n"),
    );
    site.write("ignored/handoff.md", "notes\n");
    site.write("docs/.env", "secret\n");
    site.write("target/debug/app", "built\n");
    site.write("docs/__pycache__/a.pyc", "built\n");
    site.write(
        "cache-of-a-tool/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    show_task(
        &site.open(),
        &site.dir,
        &[("task.toml", "the task\n".to_owned())],
    )
    .unwrap();
    site.write(".orchestration/notes.md", "beside its task\n");
    let removed = remove(&site.open(), "1.2".parse().unwrap()).unwrap();
    assert!(!site.dir.exists());
    assert_eq!(
        removed.kept,
        ["docs/.env", "ignored/", ".orchestration/notes.md"]
    );
    assert_eq!(
        removed.left_out,
        ["cache-of-a-tool/", "docs/__pycache__/", "target/"]
    );
    let place = removed.kept_in.unwrap();
    for (path, text) in [
        ("ignored/handoff.md", "notes\n"),
        ("docs/.env", "secret\n"),
        (".orchestration/notes.md", "beside its task\n"),
    ] {
        let kept = fs::read_to_string(place.join(path)).unwrap();
        assert_eq!(kept, text, "{path}");
    }
}

#[test]
fn undoing_everything_keeps_what_was_ignored_too() {
    let site = Site::new();
    site.write("notes.local", "notes\n");
    let removed = remove_all(&site.open()).unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].kept, ["notes.local"]);
    assert!(site.is_in_trash("notes"));
}

#[test]
fn files_that_git_does_not_know_are_kept_whole_when_everything_goes() {
    let site = Site::new();
    fs::remove_file(site.dir.join(".git")).unwrap();
    site.write("work.txt", "work\n");
    let removed = remove_all(&site.open()).unwrap();
    assert!(removed[0].aside);
    assert!(site.is_in_trash("work"));
}
