//! A claim by us, by crosslink and by Backlog.md, as their users call it: whole commands, side by side.
//!
//! Only what is installed is measured: `cargo install crosslink --version 0.9.0-beta.1 --locked` and
//! `npm install --global backlog.md`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rivals from outside"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::run::begin_with;
use common::{command, git, interleaved, orch, report};

const CLAIMS: u32 = 15;

fn main() {
    let temp = tempfile::tempdir().unwrap();
    for (name, target) in [("crosslink", 1.0 / 20.0), ("backlog", 1.0 / 20.0)] {
        let Some(program) = installed(name) else {
            println!("not installed: {name}");
            continue;
        };
        let ours = temp.path().join(format!("ours-{name}"));
        drop(begin_with(&ours, 1, 64, 100));
        let theirs = temp.path().join(name);
        std::fs::create_dir(&theirs).unwrap();
        git(&theirs, ["init", "-q", "-b", "main"]);
        git(&theirs, ["commit", "-q", "--allow-empty", "-m", "first"]);
        for args in begin(name) {
            run(&program, &theirs, &args);
        }
        let (mut mine, mut next) = (0, 0);
        let (a, b) = interleaved(
            3,
            CLAIMS as usize / 3,
            || {
                mine += 1;
                let agent = format!("1.{mine}");
                orch(&ours, ["claim", "--no-worktree", "--agent", &agent]);
            },
            || {
                next += 1;
                run(&program, &theirs, &claim(name, next));
            },
        );
        report(&format!("a claim, whole command, vs {name}"), a, b, target);
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// How each begins: a project with as many tasks as will be claimed.
fn begin(name: &str) -> Vec<Vec<String>> {
    let (first, each) = match name {
        "crosslink" => (
            vec!["init --defaults", "agent init bench --no-key"],
            "issue create part",
        ),
        _ => (vec!["init bench --defaults"], "task create part"),
    };
    let mut lines: Vec<Vec<String>> = first.into_iter().map(words).collect();
    lines.extend((0..CLAIMS).map(|_| words(each)));
    lines
}

fn claim(name: &str, number: u32) -> Vec<String> {
    match name {
        "crosslink" => words(&format!("locks claim {number}")),
        _ => {
            let mut args = words(&format!("task edit {number} -s"));
            args.push(String::from("In Progress"));
            args.extend(words("-a @bench"));
            args
        }
    }
}

fn run(program: &Path, dir: &Path, args: &[String]) {
    let status = command(program.to_str().unwrap(), dir)
        .env("HOME", dir)
        .args(args)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{} {args:?}", program.display());
}
