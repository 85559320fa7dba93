//! The commands that are disturbed, each in a repository with things of the user's and work of an agent in it.

use std::path::{Path, PathBuf};

use crate::common::site::Site;
use crate::common::{TestRepo, write_file};

/// Work of an agent that must never be lost: committed on its branch, uncommitted, untracked.
pub const PRECIOUS: [&str; 3] = ["committed work\n", "uncommitted work\n", "untracked work\n"];

/// One command, and where it is given.
pub struct Scene {
    pub name: &'static str,
    pub make: fn() -> TestRepo,
    pub dir: fn(&TestRepo) -> PathBuf,
    pub args: fn(&TestRepo) -> Vec<String>,
    /// What of the user's it is meant to move: parts of the fingerprint's keys.
    pub moves: &'static [&'static str],
    /// What goes on with it, where the command itself, given again, is refused with a hint.
    pub or: Option<fn() -> Vec<String>>,
    /// Whether there is work in the repository.
    pub has_work: bool,
}

fn top(repo: &TestRepo) -> PathBuf {
    repo.path().to_owned()
}

fn seat(repo: &TestRepo) -> PathBuf {
    repo.worktree("1.2")
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Things of the user's: a branch of their own, changed and untracked files, a stash, a hook, configuration.
fn with_users(repo: TestRepo) -> TestRepo {
    let repo = repo.write("notes.txt", "one\n").commit("notes");
    repo.git(["switch", "-q", "-c", "mine"]);
    let repo = repo.write("stashed.txt", "stashed\n");
    repo.git(["stash", "push", "-q", "--include-untracked"]);
    repo.git(["config", "user.note", "mine"]);
    write_file(
        &repo.path().join(".git/hooks/post-commit"),
        "#!/bin/sh\nexit 0\n",
    );
    repo.write("notes.txt", "two\n")
        .write("meine Notizen ü.txt", "three\n")
}

/// A plan under way: `a` and `c` are handed in, `b` is worked on by 1.2, `d` is free.
fn fleet() -> TestRepo {
    let tasks: &[(&str, u32, &[&str])] =
        &[("a", 1, &[]), ("b", 1, &[]), ("c", 2, &[]), ("d", 1, &[])];
    let site = Site::new("true", tasks);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("c", "2.1", &[("c", "c\n")]);
    let repo = with_users(site.repo);
    repo.orch(["claim", "b", "--agent", "1.2"]).ok();
    let dir = seat(&repo);
    repo.orch_in(&dir, ["start"]).ok();
    write_file(&dir.join("work.txt"), PRECIOUS[0]);
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "some of it"]);
    write_file(&dir.join("work.txt"), PRECIOUS[1]);
    write_file(&dir.join("new.txt"), PRECIOUS[2]);
    repo
}

/// The same, with all of `b` committed.
fn committed() -> TestRepo {
    let repo = fleet();
    let dir = seat(&repo);
    for message in ["more", "rest"] {
        repo.git_in(&dir, ["add", "work.txt"]);
        repo.git_in(&dir, ["commit", "-q", "-m", message, "--allow-empty"]);
    }
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "all of it"]);
    repo
}

/// The same after some commands.
fn after(repo: TestRepo, commands: &[&str]) -> TestRepo {
    for command in commands {
        repo.orch(words(command)).ok();
    }
    repo
}

fn scene(name: &'static str, make: fn() -> TestRepo, args: fn(&TestRepo) -> Vec<String>) -> Scene {
    Scene {
        name,
        make,
        dir: top,
        args,
        moves: &[],
        or: None,
        has_work: true,
    }
}

impl Scene {
    fn in_seat(mut self) -> Self {
        self.dir = seat;
        self
    }

    fn moving(mut self, moves: &'static [&'static str]) -> Self {
        self.moves = moves;
        self
    }

    fn or(mut self, or: fn() -> Vec<String>) -> Self {
        self.or = Some(or);
        self
    }

    fn without_work(mut self) -> Self {
        self.has_work = false;
        self
    }
}

pub fn life() -> Vec<Scene> {
    vec![
        scene("claim", fleet, |_| words("claim d --agent 1.1"))
            .or(|| words("claim d --agent 1.1 --attempt 1")),
        scene(
            "start",
            || after(fleet(), &["claim d --agent 1.1"]),
            |_| words("start d --agent 1.1 --attempt 1"),
        ),
        scene("block", fleet, |_| words("block -m waits")).in_seat(),
        scene(
            "unblock",
            || after(fleet(), &["block b --agent 1.2 --attempt 1 -m waits"]),
            |_| words("unblock"),
        )
        .in_seat(),
        scene("release", fleet, |_| words("release -m later")).in_seat(),
        scene("fail", fleet, |_| words("fail -m cannot")).in_seat(),
        scene("submit", committed, |_| words("submit")).in_seat(),
        scene("cancel", fleet, |_| words("cancel b -m unwanted")),
        scene("claim after a conflict", conflicting, |_| {
            words("claim d --agent 1.1")
        })
        .or(|| words("claim d --agent 1.1 --attempt 2")),
        scene("retry", given_up, |_| words("retry b")).or(|| words("status b")),
        scene(
            "claim what begins anew",
            || after(given_up(), &["retry b"]),
            |_| words("claim b --agent 1.2"),
        )
        .or(|| words("claim b --agent 1.2 --attempt 2")),
        scene("take another task", fleet_released, |_| {
            words("claim d --agent 1.2")
        })
        .or(|| words("claim d --agent 1.2 --attempt 1")),
    ]
}

/// `d` has come back to 1.1 because it conflicts with what has landed.
fn conflicting() -> TestRepo {
    let site = Site { repo: fleet() };
    site.work("d", "1.1", &[("a", "d\n")]);
    site.repo.orch(["assemble"]).fails(1);
    site.repo
}

/// `b` was given up with its work on its branch and in its worktree.
fn given_up() -> TestRepo {
    let text = "retries = 0\n";
    let repo = fleet();
    let path = repo.outside().join("fewer.toml");
    let plan = repo.orch(["plan", "show"]).ok();
    std::fs::write(&path, plan.replacen("retries = 1\n", text, 1)).unwrap();
    repo.orch(["plan", "apply", path.to_str().unwrap()]).ok();
    after(
        repo,
        &["fail b --agent 1.2 --attempt 1 -m cannot", "dispatch"],
    )
}

/// 1.2 has given `b` back, and its worktree still has the work in it.
fn fleet_released() -> TestRepo {
    after(fleet(), &["release b --agent 1.2 --attempt 1 -m later"])
}

/// A run that has come to its end, with work of 1.2's left in its worktree and on its branch.
fn over() -> TestRepo {
    let cancelled = ["cancel b -m unwanted", "cancel d -m unwanted"];
    let repo = after(fleet(), &["assemble"]);
    let repo = after(repo, &cancelled);
    after(repo, &["approve"])
}

fn plan_file(repo: &TestRepo) -> PathBuf {
    let path = repo.outside().join("more.toml");
    if !path.exists() {
        let text = repo.orch(["plan", "show"]).ok();
        let more = "\n[[tasks]]\nid = \"e\"\nteam = 2\ntitle = \"Do e\"\nrun = \"true\"\n";
        std::fs::write(&path, text + more).unwrap();
    }
    path
}

fn apply(path: &Path) -> Vec<String> {
    vec![
        String::from("plan"),
        String::from("apply"),
        path.to_str().unwrap().to_owned(),
    ]
}

pub fn plans() -> Vec<Scene> {
    vec![
        scene("plan apply", fleet, |repo| apply(&plan_file(repo))),
        scene("task add", fleet, |_| {
            words("task add --id e --team 2 --title e --run true")
        }),
        scene(
            "dispatch",
            || after(fleet(), &["task add --id e --team 2 --title e --run true"]),
            |_| words("dispatch"),
        ),
        scene("pause", fleet, |_| words("pause 2.1 -m slow")),
        scene(
            "resume",
            || after(fleet(), &["pause 2.1 -m slow"]),
            |_| words("resume 2.1"),
        ),
        scene("pack", fleet, |_| words("pack")),
        scene("close", over, |_| words("close")).or(|| words("status")),
        scene(
            "plan apply after close",
            || {
                let repo = over();
                // Written while there is a plan to begin from.
                plan_file(&repo);
                after(repo, &["close"])
            },
            |repo| apply(&plan_file(repo)),
        ),
    ]
}

/// `b` is given back, and its worktree taken away with the work that was in it.
fn taken_away() -> TestRepo {
    let repo = fleet_released();
    after(repo, &["worktree remove 1.2 --force"])
}

impl Scene {
    /// Whether a wrap-up tells that it kept the work under a recovery ref, since it could not commit it.
    pub fn is_kept_instead(&self, output: &std::process::Output) -> bool {
        let told = String::from_utf8_lossy(&output.stdout);
        self.name == "wrapup --fix" && told.contains(" is kept as refs/orch/recovery/")
    }
}

pub fn keeping() -> Vec<Scene> {
    vec![
        scene("lock set", fleet, |_| {
            words("lock set api --path work.txt --assertion stays")
        }),
        scene(
            "lock remove",
            || {
                let commands = ["lock set api --path work.txt --assertion stays"];
                after(fleet(), &commands)
            },
            |_| words("lock remove api"),
        ),
        scene("worktree remove", fleet_released, |_| {
            words("worktree remove 1.2 --force")
        }),
        scene("recover restore", taken_away, |_| {
            words("recover restore 1.2/1 --branch back")
        })
        .moving(&["heads/back"]),
        scene("wrapup --fix", fleet, |_| words("wrapup --fix")).in_seat(),
    ]
}

pub fn set_up() -> Vec<Scene> {
    vec![
        scene("init", || with_users(TestRepo::new()), |_| words("init")).without_work(),
        scene(
            "init --undo",
            || {
                after(
                    with_users(TestRepo::new()).init(),
                    &["assemble --onto main --no-test mine"],
                )
            },
            |_| words("init --undo"),
        )
        .without_work(),
        scene("doctor --fix", damaged, |_| words("doctor --fix")),
    ]
}

/// Left by somebody who was killed: a worktree of a free coder that is half there.
fn damaged() -> TestRepo {
    let commands = [
        "claim d --agent 1.1",
        "release d --agent 1.1 --attempt 1 -m later",
    ];
    let repo = after(fleet(), &commands);
    std::fs::remove_file(repo.worktree("1.1").join(".git")).unwrap();
    repo
}

pub fn assembler() -> Vec<Scene> {
    vec![
        scene("assemble", fleet, |_| words("assemble")),
        scene("assemble --gate batch", fleet, |_| {
            words("assemble --gate batch --jobs 2")
        }),
        scene("assemble --team", fleet, |_| words("assemble --team 1")),
        scene(
            "assemble teams' branches",
            || after(fleet(), &["assemble --team 1"]),
            |_| words("assemble"),
        ),
        scene(
            "approve",
            || after(fleet(), &["assemble"]),
            |_| words("approve"),
        )
        .moving(&["heads/main"]),
        scene(
            "undo",
            || after(fleet(), &["assemble"]),
            |_| words("undo c"),
        ),
        scene("assemble --onto", with_target, |_| {
            words("assemble --onto target --test true orch/team-1/a orch/team-2/c")
        })
        .moving(&["heads/target"]),
        scene("test", committed, |_| words("test")).in_seat(),
    ]
}

fn with_target() -> TestRepo {
    let repo = fleet();
    repo.git(["branch", "target", "main"]);
    repo
}

pub fn executor() -> Vec<Scene> {
    fn planned() -> TestRepo {
        let plan = "[run]\nname = \"r\"\ntest = \"true\"\n[[teams]]\nid = 1\nname = \"T\"\ncoders = 2\n\
            [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\nrun = \"echo a >a\"\n\
            [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"B\"\nrun = \"echo b >b\"\n";
        with_users(TestRepo::new().init().plan(plan))
    }
    vec![
        scene("run", planned, |_| words("run --no-progress")).without_work(),
        scene("run --assemble", planned, |_| {
            words("run --assemble --no-progress")
        })
        .without_work(),
    ]
}

pub fn remote() -> Vec<Scene> {
    /// A ledger whose truth is at a bare repository beside it.
    fn at_remote() -> TestRepo {
        let repo = with_users(TestRepo::new());
        let central = repo.outside().join("central.git");
        let central = central.to_str().unwrap();
        repo.git(["init", "-q", "--bare", central]);
        repo.git(["remote", "add", "origin", central]);
        repo.git(["push", "-q", "origin", "main"]);
        repo.orch(["init", "--remote", "origin"]).ok();
        let plan = "[run]\nname = \"r\"\n[[teams]]\nid = 1\nname = \"T\"\n\
            [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\nrun = \"true\"\n";
        after(repo.plan(plan), &["dispatch"])
    }
    vec![
        scene("claim at a remote", at_remote, |_| {
            words("claim a --agent 1.1")
        })
        .or(|| words("claim a --agent 1.1 --attempt 1"))
        .moving(&["remotes/origin/orchestration"])
        .without_work(),
        scene("sync", at_remote, |_| words("sync"))
            .moving(&["remotes/origin/orchestration"])
            .without_work(),
        scene("leave the remote", at_remote, |_| words("remote set local"))
            .moving(&["remotes/origin/orchestration"])
            .without_work(),
    ]
}
