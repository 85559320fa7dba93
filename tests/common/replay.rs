//! Goes through a ledger commit by commit with plain Git, and holds what each says against what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use git_orch::model::event::Told;

use super::TestRepo;

/// What a ledger's history amounts to.
#[derive(Debug, Default)]
pub struct Replay {
    /// Commits, the first one first.
    pub commits: Vec<String>,
    /// Operation ids.
    pub ids: BTreeSet<String>,
    /// How often each event was told of each task and attempt.
    pub events: BTreeMap<(String, String, u32), u32>,
    /// Commits that are nobody's transition: made by hand.
    pub by_hand: Vec<String>,
    /// State and attempt of each task at the end.
    pub tasks: BTreeMap<String, (String, u32)>,
    /// Heads that were submitted.
    pub heads: BTreeSet<String>,
    /// Subject lines.
    pub subjects: Vec<String>,
}

impl Replay {
    /// How often an event was told of a task, over all attempts.
    pub fn count(&self, event: &str, task: &str) -> u32 {
        let of = |((e, t, _), n): (&(String, String, u32), &u32)| {
            (e == event && t == task).then_some(*n)
        };
        self.events.iter().filter_map(of).sum()
    }

    /// How often an event was told.
    pub fn total(&self, event: &str) -> u32 {
        let of = |((e, ..), n): (&(String, String, u32), &u32)| (e == event).then_some(*n);
        self.events.iter().filter_map(of).sum()
    }
}

/// One commit as `git log --raw` tells it.
struct Step {
    id: String,
    parents: String,
    told: Told,
    /// Task and blob of each status file that it changes; no blob where the file is gone.
    changed: Vec<(String, Option<String>)>,
    /// Blobs of the status files that it takes away.
    gone: Vec<String>,
    /// Blobs of the status files that it puts into an archive.
    archived: BTreeSet<String>,
}

/// Replays a ledger: the history is linear, every message agrees with what its commit does to the tree, no
/// operation was carried out twice, and no task was claimed or submitted twice in one attempt.
pub fn replay(repo: &TestRepo, dir: &Path, ledger: &str) -> Replay {
    let steps = steps(repo, dir, ledger);
    let blobs = blobs(repo, dir, &steps);
    let mut replay = Replay::default();
    let mut tasks: BTreeMap<String, (String, u32)> = BTreeMap::new();
    // Attempts of closed runs, from which those of tasks of the same ids go on.
    let mut ended: BTreeMap<String, u32> = BTreeMap::new();
    for step in steps {
        assert_eq!(
            step.parents,
            replay.commits.last().cloned().unwrap_or_default(),
            "the history is not linear at {}",
            step.id
        );
        let changes: Vec<_> = step
            .changed
            .iter()
            .map(|(task, blob)| {
                let last = ended.get(task).copied().unwrap_or(0);
                let pending = (String::from("pending"), last);
                let before = tasks.get(task).unwrap_or(&pending).clone();
                let after = blob.as_ref().map_or(pending, |b| blobs[b].clone());
                (task.clone(), before, after)
            })
            .collect();
        if is_close(&step) {
            check_close(&step);
            for (task, (_, attempt)) in std::mem::take(&mut tasks) {
                ended.insert(task, attempt);
            }
        } else {
            check(&step, &changes);
            for (task, _, after) in &changes {
                tasks.insert(task.clone(), after.clone());
            }
        }
        note(&mut replay, step);
    }
    for ((event, task, attempt), times) in &replay.events {
        let once = ["claim", "submit", "start"].contains(&event.as_str());
        assert!(
            !once || *times == 1,
            "{event} {task} attempt {attempt}: {times} times"
        );
    }
    replay.tasks = tasks;
    replay
}

type Standing = (String, u32);

fn is_close(step: &Step) -> bool {
    step.told.get("Event") == Some("close")
}

/// A close takes every record away, and each is in the archive as it was.
fn check_close(step: &Step) {
    let id = &step.id;
    assert!(step.told.get("Archive").is_some(), "{id} names no archive");
    for (task, blob) in &step.changed {
        assert!(blob.is_none(), "{id} closes the run and writes {task}");
    }
    for blob in &step.gone {
        assert!(step.archived.contains(blob), "{id} loses the record {blob}");
    }
}

/// Holds a message against the change of the tree.
fn check(step: &Step, changes: &[(String, Standing, Standing)]) {
    let (id, told) = (&step.id, &step.told);
    let named: BTreeSet<&str> = told.all("Task").collect();
    if told.get("Event").is_none() {
        for (task, before, after) in changes {
            assert_eq!(before, after, "{id}, made by hand, moves {task}");
        }
        return;
    }
    for (task, before, after) in changes {
        // A plan that uses an id again writes from where its attempts go on.
        let goes_on = before == after && ["plan", "add"].contains(&told.get("Event").unwrap_or(""));
        assert!(
            goes_on || named.contains(task.as_str()),
            "{id} changes {task} and does not say so: {}",
            told.subject
        );
        assert!(after.1 >= before.1, "{id} takes {task} back to an attempt");
    }
    if let Some(states) = told.get("State") {
        let [(task, before, after)] = changes else {
            panic!("{id} tells of one state and changes {}", changes.len());
        };
        assert_eq!(
            states,
            format!("{} -> {}", before.0, after.0),
            "{id} {task}"
        );
        let attempt = told.get("Attempt").map_or(0, |text| text.parse().unwrap());
        assert_eq!(attempt, after.1, "{id} {task}");
        if told.get("Event") == Some("claim") {
            assert_eq!(
                (before.0.as_str(), after.1),
                ("ready", before.1 + 1),
                "{id}"
            );
        }
    }
}

fn note(replay: &mut Replay, step: Step) {
    match (step.told.get("Event"), step.told.get("Id")) {
        (Some(event), Some(id)) => {
            assert!(
                replay.ids.insert(id.to_owned()),
                "operation {id} was carried out twice, again by {}",
                step.id
            );
            let attempt = step.told.get("Attempt").map_or(0, |a| a.parse().unwrap());
            for task in step.told.all("Task") {
                let key = (event.to_owned(), task.to_owned(), attempt);
                *replay.events.entry(key).or_default() += 1;
            }
            if event == "submit" {
                replay
                    .heads
                    .extend(step.told.get("Head").map(str::to_owned));
            }
        }
        _ => replay.by_hand.push(step.id.clone()),
    }
    replay.subjects.push(step.told.subject.clone());
    replay.commits.push(step.id);
}

fn steps(repo: &TestRepo, dir: &Path, ledger: &str) -> Vec<Step> {
    let log = repo.git_in(
        dir,
        [
            "log",
            "--reverse",
            "--topo-order",
            "--root",
            "--raw",
            "-r",
            "--no-abbrev",
            "--no-renames",
            "--format=%x01%H%x02%P%x02%B%x02",
            ledger,
            "--",
        ],
    );
    log.split('\u{1}').skip(1).map(step).collect()
}

fn step(text: &str) -> Step {
    let mut parts = text.splitn(4, '\u{2}');
    let (id, parents, message, raw) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let is_none = |blob: &str| blob.bytes().all(|byte| byte == b'0');
    let (mut gone, mut archived) = (Vec::new(), BTreeSet::new());
    let changed = raw.lines().filter(|line| line.starts_with(':'));
    let changed = changed.filter_map(|line| {
        let (modes, path) = line.split_once('\t').unwrap();
        let (old, blob) = {
            let mut words = modes.split(' ').skip(2);
            (words.next().unwrap(), words.next().unwrap())
        };
        let is_status = path.contains("/status/");
        if is_status && path.starts_with(".orchestration/archive/") && !is_none(blob) {
            archived.insert(blob.to_owned());
        }
        let below = path
            .strip_prefix(".orchestration/teams/")?
            .split_once("/status/")?
            .1;
        let task = below.rsplit('/').next()?.strip_suffix(".toml")?;
        if is_none(blob) {
            gone.push(old.to_owned());
        }
        Some((task.to_owned(), (!is_none(blob)).then(|| blob.to_owned())))
    });
    let changed: Vec<_> = changed.collect();
    Step {
        id: id.to_owned(),
        parents: parents.to_owned(),
        told: Told::parse(message),
        changed,
        gone,
        archived,
    }
}

/// Reads state and attempt from all status files that ever were.
fn blobs(repo: &TestRepo, dir: &Path, steps: &[Step]) -> BTreeMap<String, Standing> {
    let wanted: BTreeSet<&String> = steps
        .iter()
        .flat_map(|step| step.changed.iter().filter_map(|(_, blob)| blob.as_ref()))
        .collect();
    let mut child = repo
        .command("git", dir)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let asked: String = wanted.iter().map(|blob| format!("{blob}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let mut rest = output.as_slice();
    let mut read = BTreeMap::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let mut words = head.split(' ');
        let (id, length) = (words.next().unwrap(), words.nth(1).unwrap());
        let length: usize = length.parse().unwrap();
        let text = std::str::from_utf8(&rest[end + 1..end + 1 + length]).unwrap();
        let file: toml::Table = toml::from_str(text).unwrap();
        let state = file.get("state").map_or("pending", |s| s.as_str().unwrap());
        let number = |key: &str| file.get(key).map_or(0, |n| n.as_integer().unwrap());
        let attempt = number("attempt").max(number("earlier_attempts"));
        read.insert(
            id.to_owned(),
            (state.to_owned(), u32::try_from(attempt).unwrap()),
        );
        rest = &rest[end + 1 + length + 1..];
    }
    read
}
