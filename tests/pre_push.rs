//! The user's `pre-push` hook is asked about what git-orch sends of coders' work, as `git push` would ask it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::common::machines::Machines;
use super::common::{Outcome, TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "demo"
test = "true"
[agents.default]
preset = "shell"
[[teams]]
id = 1
name = "One"
coders = 1
[[tasks]]
id = "a"
team = 1
title = "Do a"
scope = ["a.txt"]
run = "echo SECRET > a.txt"
"#;

const BRANCH: &str = "refs/heads/orch/team-1/a";

/// Writes a file that can be run.
fn script(path: &Path, text: &str) {
    write_file(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A clone whose ledger's truth is at a remote.
struct Scene(Machines);

impl Scene {
    fn new() -> Self {
        Self(Machines::new(PLAN))
    }

    fn repo(&self) -> &TestRepo {
        &self.0.home
    }

    fn hooks(&self) -> PathBuf {
        self.repo().path().join(".git/hooks")
    }

    /// Writes the user's hook; `body` is behind its first line.
    fn hook(&self, body: &str) {
        script(
            &self.hooks().join("pre-push"),
            &format!("#!/bin/sh\n{body}\n"),
        );
    }

    /// A file beside the repository.
    fn beside(&self, name: &str) -> PathBuf {
        self.repo().outside().join(name)
    }

    /// Has coder 1.1 do its task by hand, up to the commit.
    fn work(&self) -> PathBuf {
        let repo = self.repo();
        repo.orch(["dispatch"]).ok();
        repo.orch(["claim", "a", "--agent", "1.1"]).ok();
        let dir = repo.worktree("1.1");
        write_file(&dir.join("a.txt"), "SECRET\n");
        repo.git_in(&dir, ["add", "a.txt"]);
        repo.git_in(
            &dir,
            ["-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "x"],
        );
        repo.git_in(
            &dir,
            ["commit", "-q", "--amend", "--reset-author", "--no-edit"],
        );
        dir
    }

    fn submit(&self, dir: &Path) -> Outcome {
        self.repo().orch_in(dir, ["submit"])
    }

    /// Refs of coders' work at the remote.
    fn at_remote(&self) -> String {
        let args = ["for-each-ref", "--format=%(refname)", "refs/heads/orch"];
        self.repo().git_in(self.0.hub(), args)
    }
}

/// A hook that notes how it was called.
fn noting(log: &Path) -> String {
    format!("{{ pwd; echo \"$@\"; cat; }} >>'{}'", log.display())
}

#[test]
fn the_hook_is_asked_as_git_push_asks_it_wherever_it_is() {
    for (place, first_line) in [
        (".git/hooks", "#!/bin/sh\n"),
        ("my hooks", "#!/bin/sh\n"),
        ("absolute", "#!/bin/sh\n"),
        (".git/hooks", ""),
    ] {
        let scene = Scene::new();
        let repo = scene.repo();
        let log = scene.beside("log");
        let mut hooks = repo.path().join(place);
        if place == "absolute" {
            hooks = scene.beside("absolute");
        }
        let path = match place {
            "absolute" => hooks.to_str().unwrap(),
            other => other,
        };
        if place != ".git/hooks" {
            repo.git(["config", "core.hooksPath", path]);
        }
        let dir = scene.work();
        script(
            &hooks.join("pre-push"),
            &format!("{first_line}{}\n", noting(&log)),
        );
        repo.git(["push", "-q", "--dry-run", "origin", "orch/team-1/a"]);
        let by_git = read(&log);
        assert!(by_git.contains(BRANCH), "{by_git}");
        std::fs::remove_file(&log).unwrap();
        scene.submit(&dir).ok();
        // Once, and not about the ledger.
        assert_eq!(read(&log), by_git, "{place}");
        assert_eq!(scene.at_remote(), BRANCH, "{place}");
    }
}

#[test]
fn what_the_hook_refuses_stays_here_and_is_told_in_its_words() {
    for (body, how, words) in [
        ("echo 'secret found' >&2; exit 1", "exit 1", "secret found"),
        ("cat; echo 'no such luck'; exit 9", "exit 9", "no such luck"),
        ("echo one; echo two; kill -TERM $$", "signal 15", "one\ntwo"),
    ] {
        let scene = Scene::new();
        scene.hook(body);
        let dir = scene.work();
        let head = scene.repo().git(["rev-parse", BRANCH]);
        let error = scene.submit(&dir).fails(1);
        for told in [
            how,
            words,
            "pre-push refuses orch/team-1/a",
            "git push --dry-run origin",
        ] {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert_eq!(scene.at_remote(), "", "{body}");
        assert_eq!(scene.repo().git(["rev-parse", BRANCH]), head);
        assert_eq!(scene.0.state("a"), "claimed", "{body}");
        scene.hook("exit 0");
        scene.submit(&dir).ok();
        assert_eq!(scene.at_remote(), BRANCH);
    }
}

#[test]
fn an_executor_asks_as_well() {
    let scene = Scene::new();
    scene.hook("git grep -q SECRET $(cut -d' ' -f2) -- a.txt && { echo 'secret found'; exit 1; } || exit 0");
    let repo = scene.repo();
    let outcome = repo.orch(["run", "--assemble", "--no-progress"]);
    let story = outcome.stderr();
    assert_ne!(outcome.code(), 0, "{story}");
    assert!(story.contains("secret found"), "{story}");
    assert_eq!(scene.at_remote(), "");
    // Nothing is lost, and the next attempt knows why.
    assert_eq!(repo.git(["show", &format!("{BRANCH}:a.txt")]), "SECRET");
    let status = repo.orch(["status", "a"]).ok();
    assert!(status.contains("secret found"), "{status}");
}

#[test]
fn a_hook_that_does_not_end_is_ended_and_told_and_costs_nothing() {
    let scene = Scene::new();
    let repo = scene.repo();
    let pid = scene.beside("pid");
    scene.hook(&format!(
        "echo waiting; sleep 1000 & echo $! >'{}'; wait",
        pid.display()
    ));
    repo.git(["config", "orch.hookTimeout", "1s"]);
    let outcome = repo.orch(["run", "--no-progress"]);
    let story = outcome.stderr();
    assert_ne!(outcome.code(), 0, "{story}");
    for told in [
        "was ended after 1s",
        "it said last: waiting",
        "orch.hookTimeout",
    ] {
        assert!(story.contains(told), "{told}: {story}");
    }
    assert_eq!(scene.at_remote(), "");
    let stat = read(Path::new(&format!("/proc/{}/stat", read(&pid).trim())));
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    std::fs::remove_file(scene.hooks().join("pre-push")).unwrap();
    repo.orch(["run", "--no-progress"]).ok();
    assert_eq!(scene.at_remote(), BRANCH);
    // By hand it is told alike.
    let scene = Scene::new();
    scene.hook("sleep 1000");
    scene.repo().git(["config", "orch.hookTimeout", "1s"]);
    let dir = scene.work();
    let error = scene.submit(&dir).fails(1);
    assert!(error.contains("it said nothing"), "{error}");
    assert_eq!(scene.at_remote(), "");
}

#[test]
fn what_the_hook_does_not_let_go_up_is_not_landed_either() {
    let scene = Scene::new();
    let repo = scene.repo();
    scene.hook(
        "grep -q refs/heads/orch/integration && { echo 'not that one' >&2; exit 1; } || exit 0",
    );
    repo.orch(["run", "--no-progress"]).ok();
    let error = repo.orch(["assemble"]).fails(1);
    assert!(error.contains("not that one"), "{error}");
    assert_eq!(scene.0.state("a"), "submitted");
    assert!(!scene.at_remote().contains("integration"));
    let before = repo.git([
        "for-each-ref",
        "--format=%(objectname)",
        "refs/heads/orch/integration",
    ]);
    assert!(
        before.is_empty() || before == repo.git(["rev-parse", "main"]),
        "{before}"
    );
    scene.hook("exit 0");
    repo.orch(["assemble"]).ok();
    assert_eq!(scene.0.state("a"), "merged");
}

#[test]
fn a_person_can_have_it_left_out_which_is_told() {
    let scene = Scene::new();
    scene.hook("exit 1");
    scene.repo().git(["config", "orch.prePush", "false"]);
    let dir = scene.work();
    let outcome = scene.submit(&dir);
    let story = outcome.stderr();
    outcome.ok();
    assert!(
        story.contains("was not asked about orch/team-1/a"),
        "{story}"
    );
    assert_eq!(scene.at_remote(), BRANCH);
}

#[test]
fn contents_of_large_files_go_up_where_no_hook_sends_them() {
    // `git lfs` itself is not needed: what it is called with is all that matters.
    for (hook, code, calls) in [
        (None, 0, 1),
        (Some("exit 0"), 0, 1),
        (Some("git lfs pre-push \"$@\""), 0, 1),
        (None, 2, 1),
    ] {
        let scene = Scene::new();
        let repo = scene.repo();
        let (bin, log) = (scene.beside("bin"), scene.beside("log"));
        let said = "echo 'no room for a.bin' >&2";
        script(
            &bin.join("git-lfs"),
            &format!("#!/bin/sh\n{}; {said}; exit {code}\n", noting(&log)),
        );
        repo.git(["config", "filter.lfs.clean", "cat"]);
        std::fs::create_dir_all(repo.path().join(".git/lfs/objects")).unwrap();
        if let Some(hook) = hook {
            scene.hook(hook);
        }
        let dir = scene.work();
        let mut command = repo.orch_command(&dir);
        let path = std::env::var("PATH").unwrap();
        let ours = Path::new(env!("CARGO_BIN_EXE_git-orch")).parent().unwrap();
        command.env(
            "PATH",
            format!("{}:{}:{path}", bin.display(), ours.display()),
        );
        let outcome = Outcome(command.arg("submit").output().unwrap());
        let told = read(&log);
        assert_eq!(
            told.matches("pre-push origin ").count(),
            calls,
            "{hook:?}: {told}"
        );
        assert_eq!(told.matches(BRANCH).count(), 2 * calls, "{hook:?}: {told}");
        if code == 0 {
            outcome.ok();
            assert_eq!(scene.at_remote(), BRANCH);
        } else {
            let error = outcome.fails(1);
            assert!(error.contains("no room for a.bin"), "{error}");
            assert_eq!(scene.at_remote(), "");
        }
    }
}

#[test]
fn what_a_person_commits_to_integrated_branches_is_asked_about() {
    let scene = Scene::new();
    let repo = scene.repo();
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    let before = repo.git_in(scene.0.hub(), ["rev-parse", "orch/integration"]);
    repo.git(["switch", "-q", "orch/integration"]);
    repo.git(["commit", "-q", "--allow-empty", "-m", "by hand"]);
    repo.git(["switch", "-q", "main"]);
    scene.hook("echo 'not by hand'; exit 1");
    let told = repo.orch(["sync"]).ok();
    assert!(
        told.contains("not sent:") && told.contains("not by hand"),
        "{told}"
    );
    let at = |revision| repo.git_in(scene.0.hub(), ["rev-parse", revision]);
    assert_eq!(at("orch/integration"), before);
    scene.hook("exit 0");
    repo.orch(["sync"]).ok();
    assert_eq!(
        at("orch/integration"),
        repo.git(["rev-parse", "orch/integration"])
    );
}

#[test]
fn a_wrap_up_tells_why_a_branch_did_not_go_up() {
    let scene = Scene::new();
    let repo = scene.repo();
    scene.work();
    scene.hook("echo 'after six nothing goes up'; exit 1");
    let outcome = repo.orch(["wrapup", "--fix"]);
    let told = outcome.stdout();
    assert!(told.contains("was not pushed to origin"), "{told}");
    assert!(told.contains("after six nothing goes up"), "{told}");
    assert_eq!(scene.at_remote(), "");
}
