//! `git orch log` about a team and about a task against `git log --grep` for the same, on a long history.
//!
//! `cargo bench --bench log -- 100000` makes the history of that many events; without it a million.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use common::{ORCH, command, git, interleaved, orch, report, tell, time};
use git_orch::model::board::Gate;
use git_orch::model::{
    Actor, AgentId, Attempt, CommitId, Event, EventKind, Intent, MachineId, Op, OpId, State,
    TeamId, Timestamp,
};

const EVENTS: u64 = 1_000_000;
const TEAMS: u64 = 50;
const CODERS: u64 = 4;

/// What a task goes through.
const LIFE: [(EventKind, State, State); 6] = [
    (EventKind::Dispatch, State::Pending, State::Ready),
    (EventKind::Claim, State::Ready, State::Claimed),
    (EventKind::Start, State::Claimed, State::InProgress),
    (EventKind::Submit, State::InProgress, State::Submitted),
    (EventKind::Merge, State::Submitted, State::Merged),
    (EventKind::Escalate, State::Merged, State::Merged),
];

/// How much of the time of `git log --grep` an answer may take.
const TARGET: f64 = 0.02;

fn main() {
    let asked = std::env::args().filter_map(|word| word.parse().ok()).next();
    let events = asked.unwrap_or(EVENTS);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("repo");
    std::fs::create_dir(&dir).unwrap();
    git(&dir, ["init", "-q", "-b", "main"]);
    git(&dir, ["commit", "-q", "--allow-empty", "-m", "first"]);
    orch(&dir, ["init"]);
    let made = time(|| make_history(&dir, events));
    println!("{events} events made in {made:.1?}");
    // The rival at its best.
    git(&dir, ["commit-graph", "write", "--reachable"]);

    let walk = time(|| orch(&dir, ["log", "-n", "1", "--quiet", "--kind", "init"]));
    println!("the first question, which reads all commits and makes the index: {walk:.2?}");
    for name in ["events.index", "events.text"] {
        let len = std::fs::metadata(dir.join(".git/orch").join(name)).map_or(0, |file| file.len());
        println!("{name}: {} bytes an event", len / events);
    }
    let task = task_of(7, events / TEAMS / 12);
    let questions: [(&str, &[&str], &[&str]); 4] = [
        ("a team of 50", &["7", "--json"], &["-F", "--grep=[TEAM-7]"]),
        (
            "a task",
            &[&task, "--json"],
            &["-F", &format!("--grep=Orch-Task: {task}")],
        ),
        (
            "a word, by --grep",
            &["--grep", &task, "--json"],
            &["-F", &format!("--grep={task}")],
        ),
        ("the newest 20", &["-n", "20", "--json"], &["-n", "20"]),
    ];
    for (what, ours, theirs) in questions {
        let found = (count_ours(&dir, ours), count_theirs(&dir, theirs));
        assert!(found.0 > 0 && found.0 <= found.1, "{what}: {found:?}");
        let (us, them) = interleaved(
            7,
            1,
            || assert_eq!(count_ours(&dir, ours), found.0),
            || assert_eq!(count_theirs(&dir, theirs), found.1),
        );
        let what = format!("log of {events}: {what} ({}), vs git log", found.0);
        if what.contains("newest") {
            tell(&what, us, them);
        } else {
            report(&what, us, them, TARGET);
        }
    }
}

/// Asks `git orch log` and returns how many events it tells.
fn count_ours(dir: &Path, args: &[&str]) -> usize {
    let output = command(ORCH, dir).arg("log").args(args).output().unwrap();
    assert!(output.status.success());
    lines(&output.stdout, |line| line.starts_with(b"    \"commit\":"))
}

fn count_theirs(dir: &Path, args: &[&str]) -> usize {
    let output = command("git", dir)
        .args(["log", "--format=%H"])
        .args(args)
        .arg("orchestration")
        .output()
        .unwrap();
    assert!(output.status.success());
    lines(&output.stdout, |line| !line.is_empty())
}

fn lines(text: &[u8], wanted: impl Fn(&[u8]) -> bool) -> usize {
    text.split(|byte| *byte == b'\n')
        .filter(|line| wanted(line))
        .count()
}

/// Adds so many transitions to the ledger, a commit each, as our own writer words them.
fn make_history(dir: &Path, events: u64) {
    let mut child = command("git", dir)
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = std::io::BufWriter::new(child.stdin.take().unwrap());
    for number in 0..events {
        let (event, time) = (event(number), 1_763_700_000 + number);
        let intent = Intent {
            id: OpId(format!(
                "{:011x}-{:016x}",
                time * 1000,
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )),
            time: Timestamp(i64::try_from(time).unwrap()),
            actor: event.agent.map_or(Actor::Human, Actor::Agent),
            machine: MachineId(String::from("build-7")),
            op: Op::Dispatch(Gate::default()),
        };
        let message = event.message(&intent, "billing");
        let author = event
            .agent
            .map_or(String::from("Bench"), |agent| format!("AGENT-{agent}"));
        write!(
            stream,
            "commit refs/heads/orchestration\nauthor {author} <a@example.com> {time} +0000\n\
             committer Bench <b@example.com> {time} +0000\ndata {}\n{message}\n",
            message.len()
        )
        .unwrap();
        if number == 0 {
            stream
                .write_all(b"from refs/heads/orchestration^0\n\n")
                .unwrap();
        }
    }
    drop(stream.into_inner().unwrap());
    assert!(child.wait().unwrap().success());
}

/// One event of one of the teams, which take turns; each works on its tasks one after the other.
fn event(number: u64) -> Event {
    let (team, step) = (number % TEAMS + 1, number / TEAMS);
    let (task, part) = (
        step / LIFE.len() as u64,
        (step % LIFE.len() as u64) as usize,
    );
    let (kind, from, to) = LIFE[part];
    let mut event = Event::new(
        kind,
        format!("Write part {task} of what team {team} is for"),
    );
    let team_id = TeamId(u32::try_from(team).unwrap());
    event.teams = vec![team_id];
    event.tasks = vec![task_of(team, task).parse().unwrap()];
    event.states = Some((from, to));
    if kind != EventKind::Dispatch {
        event.agent = Some(AgentId {
            team: team_id,
            number: u32::try_from(task % CODERS).unwrap() + 1,
        });
        event.attempt = Some(Attempt(1));
    }
    if matches!(kind, EventKind::Submit | EventKind::Merge) {
        event.head = Some(CommitId(format!("{number:040x}")));
    }
    if kind == EventKind::Escalate {
        event.body = format!("Who decides about part {task}?");
    }
    event
}

fn task_of(team: u64, number: u64) -> String {
    format!("team{team}-part{number:05}")
}
