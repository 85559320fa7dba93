//! Sixteen worktrees of 5,000 files against `git worktree add` in sequence, and whether any is ever lost.
//!
//! Every round works in fresh directories, and all are deleted at the end: after mass deletion ext4 creates
//! files slowly for minutes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use common::{command, git, median, report, time};
use git_orch::git::Repo;
use git_orch::model::Attempt;
use git_orch::workspace::{Assignment, prepare, prepare_cone};

const ROUNDS: usize = 3;
const WORKTREES: u32 = 16;
const FILES: u32 = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, word, dir, agent] = args.as_slice()
        && word == "prepare"
    {
        let repo = Repo::discover(Path::new(dir)).unwrap();
        prepare(&repo, &assignment(&repo, agent)).unwrap();
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    speed(temp.path());
    reuse(temp.path());
    losses(temp.path());
}

/// Creation, one after another and all at once, whole and in part.
fn speed(temp: &Path) {
    let (mut rival, mut sequence, mut at_once, mut cone) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let fresh = |name: &str| project(&temp.join(format!("{name}-{round}")), FILES);
        let dir = fresh("git");
        rival.push(time(|| {
            for number in 1..=WORKTREES {
                let path = format!("../git.orch/{number}");
                let branch = format!("b{number}");
                git(&dir, ["worktree", "add", "-q", "-b", &branch, &path]);
            }
        }));
        let dir = fresh("sequence");
        sequence.push(time(|| {
            let repo = Repo::discover(&dir).unwrap();
            for number in 1..=WORKTREES {
                prepare(&repo, &assignment(&repo, &format!("1.{number}"))).unwrap();
            }
        }));
        assert_clean(&dir);
        let dir = fresh("at-once");
        at_once.push(time(|| {
            std::thread::scope(|scope| {
                for number in 1..=WORKTREES {
                    let dir = &dir;
                    scope.spawn(move || {
                        let repo = Repo::discover(dir).unwrap();
                        prepare(&repo, &assignment(&repo, &format!("1.{number}"))).unwrap();
                    });
                }
            });
        }));
        assert_clean(&dir);
        let dir = fresh("cone");
        cone.push(time(|| {
            let repo = Repo::discover(&dir).unwrap();
            for number in 1..=WORKTREES {
                let work = assignment(&repo, &format!("1.{number}"));
                prepare_cone(&repo, &work, &[format!("d{}", number % 8)]).unwrap();
            }
        }));
        assert_clean(&dir);
        let last = |times: &[Duration]| times.last().map_or(0, Duration::as_millis);
        println!(
            "round {round}: git {} ms, one by one {} ms, all at once {} ms, an eighth each {} ms",
            last(&rival),
            last(&sequence),
            last(&at_once),
            last(&cone),
        );
    }
    let rival = median(rival);
    let what = |how: &str| format!("{WORKTREES} worktrees of {FILES} files, {how}");
    report(&what("one by one"), median(sequence), rival, 0.65);
    report(&what("all at once"), median(at_once), rival, 0.65);
    report(&what("an eighth each"), median(cone), rival, 0.2);
}

/// The next task in a warm worktree, against a new one by git.
fn reuse(temp: &Path) {
    let dir = project(&temp.join("reuse"), FILES);
    let repo = Repo::discover(&dir).unwrap();
    let (mut ours, mut rival) = (vec![], vec![]);
    let mut work = assignment(&repo, "1.1");
    prepare(&repo, &work).unwrap();
    for round in 0..ROUNDS {
        work.branch = format!("orch/team-1/next-{round}");
        // Files as old as the index are read again by git; agents take longer than a second.
        std::thread::sleep(Duration::from_millis(1_100));
        ours.push(time(|| drop(prepare(&repo, &work).unwrap())));
        let (path, branch) = (format!("../new/{round}"), format!("new-{round}"));
        rival.push(time(|| {
            git(&dir, ["worktree", "add", "-q", "-b", &branch, &path]);
        }));
    }
    let what = format!("the next task in a worktree of {FILES} files");
    report(&what, median(ours), median(rival), 0.65);
}

/// Sixteen processes at the same time, again and again.
fn losses(temp: &Path) {
    let (mut lost_ours, mut lost_rival) = (0, 0);
    let (mut ours, mut rival): (Vec<Duration>, Vec<Duration>) = (vec![], vec![]);
    let rounds = 25;
    for round in 0..rounds {
        let dir = project(&temp.join(format!("ours-{round}")), 50);
        let program = std::env::current_exe().unwrap();
        ours.push(time(|| {
            all(|number| {
                command(program.to_str().unwrap(), &dir)
                    .args(["prepare", dir.to_str().unwrap(), &format!("1.{number}")])
                    .spawn()
                    .unwrap()
            });
        }));
        lost_ours += lost(&dir);
        let dir = project(&temp.join(format!("rival-{round}")), 50);
        rival.push(time(|| {
            all(|number| {
                let (path, branch) = (format!("../git.orch/{number}"), format!("b{number}"));
                command("git", &dir)
                    .args(["worktree", "add", "-q", "-b", &branch, &path])
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            });
        }));
        lost_rival += lost(&dir);
    }
    let of = rounds * WORKTREES;
    println!(
        "lost of {of} worktrees, {WORKTREES} processes at a time: ours {lost_ours} in {:.1} ms a round, \
         git worktree add {lost_rival} in {:.1} ms",
        median(ours).as_secs_f64() * 1e3,
        median(rival).as_secs_f64() * 1e3,
    );
    assert_eq!(lost_ours, 0, "a worktree was lost");
}

fn all(mut start: impl FnMut(u32) -> Child) {
    let mut children: Vec<Child> = (1..=WORKTREES).map(&mut start).collect();
    for child in &mut children {
        child.wait().unwrap();
    }
}

/// Worktrees that git does not list, or in which something is missing.
fn lost(dir: &Path) -> u32 {
    WORKTREES - u32::try_from(clean_worktrees(dir)).unwrap()
}

fn assert_clean(dir: &Path) {
    assert_eq!(clean_worktrees(dir), WORKTREES as usize);
}

fn clean_worktrees(dir: &Path) -> usize {
    let list = git(dir, ["worktree", "list", "--porcelain"]);
    let paths = list
        .lines()
        .filter_map(|line| line.strip_prefix("worktree "));
    let is_clean = |path: &&str| {
        let output = command("git", Path::new(path))
            .args(["status", "--porcelain"])
            .output()
            .unwrap();
        output.status.success() && output.stdout.is_empty()
    };
    paths
        .filter(|path| Path::new(path) != dir && Path::new(path).exists())
        .filter(is_clean)
        .count()
}

fn assignment(repo: &Repo, agent: &str) -> Assignment {
    Assignment {
        agent: agent.parse().unwrap(),
        task: format!("task-{agent}").parse().unwrap(),
        attempt: Attempt(1),
        branch: format!("orch/team-1/task-{agent}"),
        base: repo.resolve_commit("main").unwrap(),
        run: String::from("bench"),
    }
}

/// A repository of many files of some kilobytes in eight directories, packed as a clone is.
fn project(temp: &Path, files: u32) -> PathBuf {
    let dir = temp
        .canonicalize()
        .unwrap_or(temp.to_path_buf())
        .join("repo");
    for number in 0..files {
        let below = dir.join(format!("d{}/s{}", number % 8, number % 80));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join(format!("f{number}.txt")), text(number)).unwrap();
    }
    git(&dir, ["init", "-q", "-b", "main"]);
    git(&dir, ["add", "-A"]);
    git(&dir, ["commit", "-q", "-m", "files"]);
    git(&dir, ["repack", "-adq"]);
    git(
        &dir,
        [
            "config",
            "includeIf.gitdir:**/worktrees/orch-*.path",
            "orch/worktree.gitconfig",
        ],
    );
    dir
}

/// A text of some kilobytes that shares words with others and no lines, as source files do.
fn text(number: u32) -> String {
    const WORDS: [&str; 16] = [
        "let", "value", "return", "state", "match", "error", "(", ")", "{", "}", "name", "=",
        "index", "self.", "result", "const",
    ];
    let mut random = fastrand::Rng::with_seed(u64::from(number));
    let mut text = String::new();
    for _ in 0..20 + random.usize(..200) {
        for _ in 0..random.usize(2..9) {
            text.push_str(WORDS[random.usize(..WORDS.len())]);
            text.push(' ');
        }
        text.push_str(&format!("{:x}\n", random.u16(..)));
    }
    text
}
