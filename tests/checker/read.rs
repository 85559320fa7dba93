//! A ledger's commits, by plain git and by our own reading of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::common::TestRepo;

/// A task's record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub state: String,
    pub attempt: u32,
    pub agent: Option<String>,
    pub machine: Option<String>,
    pub head: Option<String>,
}

/// One commit of the ledger.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: String,
    pub parents: Vec<String>,
    pub event: Option<String>,
    pub op: Option<String>,
    /// Tasks that it names.
    pub tasks: Vec<String>,
    /// Tasks whose records it changes, and what they are then; none where a record is gone.
    pub changed: Vec<(String, Option<Record>)>,
}

/// Reads a ledger, the first commit first.
pub fn steps(repo: &TestRepo, dir: &Path) -> Vec<Step> {
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
            "orchestration",
            "--",
        ],
    );
    let commits: Vec<Vec<&str>> = log
        .split('\u{1}')
        .skip(1)
        .map(|text| text.splitn(4, '\u{2}').collect())
        .collect();
    let changes: Vec<Vec<(String, Option<String>)>> =
        commits.iter().map(|parts| changes(parts[3])).collect();
    let wanted = changes
        .iter()
        .flatten()
        .filter_map(|(_, blob)| blob.clone());
    let blobs = blobs(repo, dir, &wanted.collect());
    let read = |(parts, changes): (&Vec<&str>, &Vec<(String, Option<String>)>)| {
        let trailer = |key: &str| {
            let start = format!("Orch-{key}: ");
            let lines = parts[2]
                .lines()
                .filter_map(move |line| line.strip_prefix(start.as_str()).map(str::to_owned));
            lines.collect::<Vec<String>>()
        };
        Step {
            id: parts[0].to_owned(),
            parents: parts[1].split_whitespace().map(str::to_owned).collect(),
            event: trailer("Event").pop(),
            op: trailer("Id").pop(),
            tasks: trailer("Task"),
            changed: changes
                .iter()
                .map(|(task, blob)| (task.clone(), blob.as_ref().map(|blob| blobs[blob].clone())))
                .collect(),
        }
    };
    commits.iter().zip(&changes).map(read).collect()
}

/// Tasks whose records a commit changes, with the records' blobs.
fn changes(raw: &str) -> Vec<(String, Option<String>)> {
    let change = |line: &str| {
        let (modes, path) = line.strip_prefix(':')?.split_once('\t')?;
        let blob = modes.split(' ').nth(3)?;
        let below = path
            .strip_prefix(".orchestration/teams/")?
            .split_once("/status/")?
            .1;
        let task = below.rsplit('/').next()?.strip_suffix(".toml")?;
        let is_gone = blob.bytes().all(|byte| byte == b'0');
        Some((task.to_owned(), (!is_gone).then(|| blob.to_owned())))
    };
    raw.lines().filter_map(change).collect()
}

/// Reads records out of all blobs that ever were.
fn blobs(repo: &TestRepo, dir: &Path, wanted: &BTreeSet<String>) -> BTreeMap<String, Record> {
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
    let text = String::from_utf8(output).unwrap();
    let mut rest = text.as_str();
    let mut read = BTreeMap::new();
    while let Some((head, body)) = rest.split_once('\n') {
        let words: Vec<&str> = head.split(' ').collect();
        let length: usize = words[2].parse().unwrap();
        read.insert(words[0].to_owned(), record(&body[..length]));
        rest = &body[length + 1..];
    }
    read
}

/// Reads the keys of a record that matter here.
fn record(text: &str) -> Record {
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    Record {
        state: value("state").unwrap_or_else(|| String::from("pending")),
        attempt: value("attempt").map_or(0, |text| text.parse().unwrap()),
        agent: value("agent"),
        machine: value("machine"),
        head: value("head"),
    }
}
