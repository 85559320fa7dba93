//! What a command is started with: directory, standard output, and what the environment says of repositories.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Outcome, TestRepo, write_file};

/// A repository with a plan, and another one beside it.
fn two() -> (TestRepo, TestRepo) {
    let plan = "[run]\nname = \"demo\"\n[[teams]]\nid = 1\n[[tasks]]\nid = \"a\"\nteam = 1\n\
                title = \"Do a\"\nrun = \"true\"\n";
    (TestRepo::new().init().plan(plan), TestRepo::new())
}

fn run(mut command: Command) -> Outcome {
    Outcome(command.output().unwrap())
}

#[test]
fn a_repository_that_the_environment_names_is_meant_or_the_command_refuses() {
    let (ours, other) = two();
    let git_dir = other.path().join(".git");
    for (name, value) in [
        ("GIT_DIR", git_dir.as_path()),
        ("GIT_WORK_TREE", other.path()),
    ] {
        for words in [&["status"][..], &["init"], &["doctor", "--fix"]] {
            let mut command = ours.orch_command(ours.path());
            command.args(words).env(name, value);
            let outcome = run(command);
            let said = format!("{}{}", outcome.stdout(), outcome.stderr());
            assert_eq!(outcome.code(), 1, "{said}");
            assert!(said.contains(&format!("{name} names")), "{said}");
        }
    }
    let refs = "--format=%(refname)";
    assert!(!other.git(["for-each-ref", refs]).contains("orchestration"));
    // Through Git, from a directory of no repository at all, and by a directory that we are told ourselves.
    let git_dir = format!("--git-dir={}", git_dir.display());
    for dir in [ours.path(), &ours.outside()] {
        let said = ours.try_git_in(dir, [&git_dir, "orch", "init"]).fails(1);
        assert!(said.contains("GIT_DIR names"), "{said}");
    }
    let there = ours.path().to_str().unwrap();
    let words = [&git_dir, "orch", "-C", there, "task", "list"];
    let told = ours.try_git_in(&ours.outside(), words).ok();
    assert!(told.contains("Do a"), "{told}");
}

#[test]
fn a_repository_named_as_git_names_it_to_its_hooks_is_this_one() {
    let (ours, _) = two();
    ours.orch(["dispatch"]).ok();
    ours.orch(["claim", "a", "--agent", "1.1"]).ok();
    let worktree = ours.worktree("1.1");
    let link = std::fs::read_to_string(worktree.join(".git")).unwrap();
    let admin = link.trim().strip_prefix("gitdir: ").unwrap();
    for (dir, git_dir) in [
        (ours.path(), ".git"),
        (ours.path(), admin),
        (&worktree, admin),
        (&worktree, ".git"),
    ] {
        let mut command = ours.orch_command(dir);
        command.args(["task", "list"]).env("GIT_DIR", git_dir);
        assert!(run(command).ok().contains("Do a"), "{git_dir}");
    }
}

/// A command that starts in a directory which is gone by then.
fn nowhere(repo: &TestRepo, words: &[&str]) -> Outcome {
    let gone = repo.outside().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let orch = env!("CARGO_BIN_EXE_git-orch");
    let mut command = repo.command("sh", &gone);
    command.args(["-c", "rmdir ../gone; exec \"$@\"", "sh", orch]);
    command.args(words);
    run(command)
}

#[test]
fn a_directory_that_is_gone_is_told_and_another_one_can_be_named() {
    let (ours, _) = two();
    let said = nowhere(&ours, &["status"]).fails(1);
    assert!(said.contains("started in is gone"), "{said}");
    let said = nowhere(&ours, &["-C", "../repo", "status"]).fails(1);
    assert!(said.contains("started in is gone"), "{said}");
    let top = ours.path().to_str().unwrap();
    nowhere(&ours, &["-C", top, "status"]).ok();
    nowhere(&ours, &["-C", top, "dispatch"]).ok();
    nowhere(&ours, &["-C", top, "claim", "a", "--agent", "1.1"]).ok();
}

fn into(repo: &TestRepo, words: &[&str], stdout: Stdio) -> Outcome {
    let mut command = repo.orch_command(repo.path());
    command.args(words).stdout(stdout).stderr(Stdio::piped());
    run(command)
}

const ANSWERS: [&[&str]; 11] = [
    &["status"],
    &["status", "--json"],
    &["log"],
    &["log", "--json"],
    &["plan", "show"],
    &["task", "list", "--json"],
    &["doctor"],
    &["help"],
    &["status", "--help"],
    &["man"],
    &["completions", "bash"],
];

#[test]
fn an_answer_that_has_no_room_is_an_error() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let (ours, _) = two();
    for words in ANSWERS {
        let full = File::options().write(true).open(full).unwrap();
        let said = into(&ours, words, full.into()).fails(1);
        assert!(said.contains("cannot be written"), "{words:?}: {said}");
    }
    // What it did stands, and says so on the next asking.
    ours.orch(["dispatch"]).ok();
    let full = File::options().write(true).open(full).unwrap();
    into(
        &ours,
        &["claim", "a", "--agent", "1.1", "--json"],
        full.into(),
    )
    .fails(1);
    assert!(ours.orch(["task", "list"]).ok().contains("claimed"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (ours, _) = two();
    for words in ANSWERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = into(&ours, words, writer.into());
        let said = outcome.fails(0);
        assert!(!said.contains("error"), "{words:?}: {said}");
    }
}

#[test]
fn a_plan_with_another_editors_line_ends_runs() {
    let plan = "[run]\nname = \"demo\"\ntest = \"\"\"\ntest -f README.md\n\"\"\"\n[[teams]]\nid = 1\n[[tasks]]\n\
                id = \"a\"\nteam = 1\ntitle = \"Do a\"\nscope = [\"a.txt\"]\nrun = '''\nif true; then\n\
                echo a > a.txt\nfi\n'''\nsuccess = [\"\"\"\ntest -s a.txt\ntest -f README.md\n\"\"\"]\n";
    let repo = TestRepo::new().init();
    let file = repo.outside().join("windows.toml");
    write_file(&file, &format!("\u{feff}{}", plan.replace('\n', "\r\n")));
    let file = file.to_str().unwrap();
    repo.orch(["plan", "check", file]).ok();
    repo.orch(["plan", "apply", file]).ok();
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    assert_eq!(repo.git(["show", "orch/integration:a.txt"]), "a");
    // It is the same plan as without them.
    let repo = repo.plan(plan);
    let log = repo.git(["log", "-1", "--format=%s", "orchestration"]);
    assert!(!log.contains("plan"), "{log}");
}
