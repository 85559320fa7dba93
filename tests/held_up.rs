//! Whatever an agent leaves where Git and git-orch read, nobody is held up by it, and it is told.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::common::{Outcome, TestRepo, write_file};
use super::parsers::make_fifo;
use super::sandbox::has_landlock;

/// Time that no command may take, on a machine that is busy; one that waits for somebody at a pipe takes for ever.
const SOON: Duration = Duration::from_secs(60);

fn plan(sandbox: &str, script: &str) -> String {
    format!(
        "[run]\nname = \"trial\"\nretries = 0\n{sandbox}\n[[teams]]\nid = 1\ncoders = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nrun = '''\n{script}\n'''\n\
         [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"Write b\"\nrun = \"echo b >b.txt\"\n"
    )
}

fn project(sandbox: &str, script: &str) -> TestRepo {
    TestRepo::new()
        .write("src/lib.txt", "one\n")
        .commit("second")
        .init()
        .plan(&plan(sandbox, script))
}

#[track_caller]
fn in_time(repo: &TestRepo, words: &[&str]) -> Outcome {
    let begun = Instant::now();
    let outcome = repo.orch(words);
    assert!(begun.elapsed() < SOON, "{words:?}: {:?}", begun.elapsed());
    outcome
}

/// Commands that look at coders' worktrees, and the next run.
const READERS: [&[&str]; 6] = [
    &["worktree", "list"],
    &["wrapup"],
    &["radar"],
    &["status"],
    &["doctor"],
    &["run", "--no-progress"],
];

#[test]
fn a_pipe_in_place_of_a_file_of_the_worktree_is_named() {
    for (script, named) in [
        ("mkfifo .gitignore", ".gitignore"),
        (
            "mkdir deep; mkfifo deep/.gitignore; echo x >deep/x",
            "deep/.gitignore",
        ),
        (
            "rm -f src/.gitattributes; mkfifo src/.gitattributes; echo two >>src/lib.txt",
            "src/.gitattributes",
        ),
        (
            "mkdir -p x/.git/refs x/.git/objects; mkfifo x/.git/HEAD; echo y >x/y",
            "x/.git/HEAD",
        ),
    ] {
        let repo = project("", script);
        let said = in_time(&repo, &["run", "--no-progress"]).stderr();
        assert!(
            said.contains(named) && said.contains("named pipe"),
            "{script}: {said}"
        );
        let left = repo.worktree("1.1").join(named);
        for words in READERS {
            // Whoever comes next clears it away, and keeps what was there.
            if !left.exists() {
                break;
            }
            let _ = in_time(&repo, words);
        }
    }
}

#[test]
fn a_pipe_in_place_of_a_file_of_the_repository_holds_nobody_up() {
    for (place, is_read) in [
        ("--git-dir)/index", true),
        ("--git-common-dir)/packed-refs", true),
        ("--git-common-dir)/info/attributes", true),
        // Git passes over it.
        ("--git-common-dir)/refs/heads/evil", false),
    ] {
        let script =
            format!("echo a >a.txt; f=\"$(git rev-parse {place}\"; rm -f \"$f\"; mkfifo \"$f\"");
        let repo = project("", &script);
        let mut said = in_time(&repo, &["run", "--no-progress"]).stderr();
        for words in READERS {
            let outcome = in_time(&repo, words);
            said += &(outcome.stdout() + &outcome.stderr());
        }
        let is_told = said.contains("named pipe") || said.contains("no regular file");
        assert_eq!(is_told, is_read, "{place}: {said}");
    }
}

#[test]
fn an_executor_that_is_held_up_ends_by_signals() {
    let repo = project(
        "",
        "mkfifo .gitattributes; echo two >>src/lib.txt; : >\"$OUT/made\"; while ! test -e \"$OUT/held\"; do sleep 0.05; done",
    );
    let outside = repo.outside();
    let mut run = repo
        .orch_command(repo.path())
        .args(["run", "--no-progress"])
        .env("OUT", &outside)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + SOON;
    while !outside.join("made").exists() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    // Somebody holds the other end, and never says anything.
    let pipe = repo.worktree("1.1").join(".gitattributes");
    let held = File::options().read(true).write(true).open(pipe).unwrap();
    write_file(&outside.join("held"), "");
    let pid = rustix::process::Pid::from_child(&run);
    while run.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "two signals and more do not end it");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(held);
    assert!(repo.worktree("1.1").join(".gitattributes").exists());
}

#[test]
fn what_takes_too_long_is_ended_and_told() {
    let repo = project("", "true");
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let seat = repo.worktree("1.1");
    write_file(&seat.join("src/lib.txt"), "two\n");
    make_fifo(&seat.join(".gitattributes"));
    let held = File::options()
        .read(true)
        .write(true)
        .open(seat.join(".gitattributes"));
    repo.git(["config", "orch.gitTimeout", "1s"]);
    let told = in_time(&repo, &["worktree", "list"]).ok();
    assert!(told.contains("within 1s"), "{told}");
    drop(held);
}

/// What is left in a repository of the agent's own, by name and by what puts it there.
const LEFT: [(&str, &str); 6] = [
    ("refs/heads/evil", "mkfifo \"$G/refs/heads/evil\""),
    (
        "packed-refs",
        "rm -f \"$G/packed-refs\"; mkfifo \"$G/packed-refs\"",
    ),
    ("HEAD", "rm -f \"$G/HEAD\"; mkfifo \"$G/HEAD\""),
    (
        "alternates",
        "f=\"$G/objects/info/alternates\"; rm -f \"$f\"; mkfifo \"$f\"",
    ),
    ("config", "rm -f \"$G/config\"; mkfifo \"$G/config\""),
    (
        "MERGE_HEAD",
        "mkfifo \"$(git rev-parse --git-dir)/MERGE_HEAD\"",
    ),
];

#[test]
fn a_pipe_in_the_repository_of_a_sandboxed_agent_holds_nobody_up() {
    if !has_landlock() {
        return;
    }
    for (name, does) in LEFT {
        let script = format!(
            "G=$(git rev-parse --git-common-dir); echo a >a.txt; git add .; git commit -qm work\n{does}"
        );
        let repo = project("sandbox = \"landlock\"", &script);
        let said = in_time(&repo, &["run", "--no-progress"]).stderr();
        for words in READERS {
            let outcome = in_time(&repo, words);
            assert!(!outcome.stderr().contains("panicked"), "{name}: {said}");
        }
        // Nothing of it stays in the way of the next task.
        let next = repo.try_git_in(repo.path(), ["show", "orch/team-1/b:b.txt"]);
        assert_eq!(next.stdout(), "b\n", "{name}: {said}");
    }
}
