//! The index of events: whatever becomes of its files, the answers are those of the commits.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use git_orch::git::Repo;
use git_orch::ledger::{Entry, Ledger};
use git_orch::model::event::Told;
use git_orch::model::{Actor, EventKind};
use git_orch::report::story::{Filter, Kind, Row};

use super::common::TestRepo;

/// More commits than are read without an index being made.
const MANY: usize = 600;

/// A repository with a ledger of so many more commits, worded in every way that there is.
fn grown(random: &mut fastrand::Rng, commits: usize) -> TestRepo {
    let repo = TestRepo::new().init();
    grow(&repo, random, commits);
    repo
}

fn grow(repo: &TestRepo, random: &mut fastrand::Rng, commits: usize) {
    let mut stream = Vec::new();
    for number in 0..commits {
        let message = message(random);
        let name = random.choice(["AGENT-1.2", "Jürgen", "x"]).unwrap();
        let time = 1_763_700_000 - random.u32(0..1000);
        write!(
            stream,
            "commit refs/heads/orchestration\nauthor {name} <a@b> 5 +0100\n\
             committer C <c@d> {time} -0300\ndata {}\n{message}\n",
            message.len()
        )
        .unwrap();
        if number == 0 {
            stream.extend(b"from refs/heads/orchestration^0\n\n");
        }
    }
    let mut import = repo.command("git", repo.path());
    let import = import.args(["fast-import", "--quiet", "--force"]);
    let mut import = import.stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&stream).unwrap();
    assert!(import.wait().unwrap().success());
}

/// What a transition, a person or nobody in their right mind writes.
fn message(random: &mut fastrand::Rng) -> String {
    let (team, coder, task) = (random.u32(1..6), random.u32(0..3), random.u32(0..40));
    let kind = random.choice(EventKind::ALL).unwrap().as_str();
    let all: String = (0..random.u32(0..30))
        .map(|n| format!("Orch-Task: t-{n}\n"))
        .collect();
    match random.u32(0..12) {
        0 => String::new(),
        1 => format!("mend [TEAM-0{team}] by hand\n"),
        2 => format!("[TEAM-{team}]\nand [TEAM-+{coder}] more\n\nwords [AGENT-{team}.{coder}]"),
        3 => format!(
            "[TEAM-{team}] ESCALATION t-{task}: help\n\nOrch-Event: escalate\nOrch-Task: t-{task}\n"
        ),
        4 => format!("[TEAM-1] [TEAM-{team}] dispatch\n\nOrch-Event: dispatch\n{all}"),
        5 => format!("x\n\nno ESCALATION\n\nOrch-Event: {kind}\nOrch-Own: a: b\nOrch-Task: \n"),
        6 => format!(
            "é {}\n\n\n\nOrch-Event: neverheard\n",
            "long ".repeat(random.usize(0..900))
        ),
        _ => format!(
            "[TEAM-{team}] [AGENT-{team}.{coder}] {kind} t-{task}: Write it\n\nOrch-Event: {kind}\n\
             Orch-Run: r\nOrch-Task: t-{task}\nOrch-State: ready -> claimed\nOrch-Id: {}\n",
            random.u64(..)
        ),
    }
}

fn open(repo: &TestRepo) -> Ledger {
    Ledger::open(Repo::discover(repo.path()).unwrap(), Actor::Human).unwrap()
}

/// The history as the commits tell it.
fn walked(ledger: &Ledger) -> Vec<Entry> {
    let mut next = ledger.tip();
    let mut found = Vec::new();
    while let Some(commit) = next {
        let data = ledger.repo().read_commit(commit).unwrap();
        next = data.parents.first().copied();
        found.push(Entry {
            commit,
            time: data.time,
            author: data.author,
            told: Told::parse(&data.message),
        });
    }
    found
}

fn files(repo: &TestRepo) -> [PathBuf; 2] {
    ["events.index", "events.text"].map(|name| repo.path().join(".git/orch").join(name))
}

/// Compares the whole history with that of the commits; returns how many of them had to be read.
#[track_caller]
fn same(ledger: &Ledger) -> usize {
    same_as(ledger, &walked(ledger))
}

#[track_caller]
fn same_as(ledger: &Ledger, expected: &[Entry]) -> usize {
    let mut history = ledger.history();
    let found: Vec<Entry> = history.by_ref().map(Result::unwrap).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    usize::try_from(history.commits_read()).unwrap()
}

/// Every sort of question.
fn filters() -> Vec<Filter> {
    let about = |target: &str| Filter {
        target: Some(target.parse().unwrap()),
        ..Filter::default()
    };
    let grep = |pattern: &str| Filter {
        grep: Some(pattern.parse().unwrap()),
        ..Filter::default()
    };
    let kinds = |kinds: &[Kind]| Filter {
        kinds: kinds.to_vec(),
        ..Filter::default()
    };
    let escalations = Filter {
        escalations: true,
        ..Filter::default()
    };
    let mut all: Vec<Filter> = ["1", "2", "5", "9", "1.2", "4.0", "t-3", "t-29", "gone"]
        .map(about)
        .into();
    all.extend(["t-1", "^é", "(?i)WRITE it$", "Orch", "^$", "[^z]*help"].map(grep));
    all.extend(Kind::all().map(|kind| kinds(&[kind])));
    all.push(kinds(&[Kind::Edit, Kind::Event(EventKind::Claim)]));
    all.push(Filter {
        target: Some("3".parse().unwrap()),
        ..kinds(&[Kind::Event(EventKind::Dispatch)])
    });
    all.push(Filter {
        escalations: true,
        ..grep("help")
    });
    all.push(escalations);
    all
}

#[track_caller]
fn same_answers(ledger: &Ledger) {
    let all = walked(ledger);
    let mut found = 0;
    for filter in filters() {
        let wants = |entry: &Entry| filter.wants(&Row::new(entry), &entry.told);
        let expected: Vec<Entry> = all.iter().filter(|entry| wants(entry)).cloned().collect();
        let answer = ledger.search(filter.query()).map(Result::unwrap);
        let answer: Vec<Entry> = answer.filter(|entry| wants(entry)).collect();
        assert!(answer == expected, "{filter:?}");
        found += answer.len();
    }
    assert!(found > all.len());
}

#[test]
fn every_question_is_answered_as_by_the_commits() {
    let mut random = fastrand::Rng::with_seed(1);
    let repo = grown(&mut random, 20);
    for commits in [3, MANY, 1, 300, 40, 1000] {
        grow(&repo, &mut random, commits);
        same_answers(&open(&repo));
    }
    assert_eq!(same(&open(&repo)), 0);
}

#[test]
fn only_the_commits_that_the_index_does_not_have_are_read() {
    let mut random = fastrand::Rng::with_seed(2);
    let repo = grown(&mut random, MANY);
    assert_eq!(same(&open(&repo)), MANY + 1);
    assert_eq!(same(&open(&repo)), 0);
    grow(&repo, &mut random, 7);
    assert_eq!(same(&open(&repo)), 7);
    grow(&repo, &mut random, MANY);
    assert_eq!(same(&open(&repo)), MANY + 7);
    assert_eq!(same(&open(&repo)), 0);
    let ledger = open(&repo);
    let mut newest = ledger.history();
    assert!(newest.by_ref().take(3).all(|entry| entry.is_ok()));
    assert_eq!(newest.commits_read(), 0);
}

#[test]
fn a_short_history_is_read_without_an_index_and_a_beginning_makes_none() {
    let mut random = fastrand::Rng::with_seed(3);
    let repo = grown(&mut random, 100);
    assert_eq!(same(&open(&repo)), 101);
    grow(&repo, &mut random, MANY);
    let _ = repo.orch(["log", "-n", "300"]).ok();
    assert!(files(&repo).iter().all(|file| !file.exists()));
    let _ = repo.orch(["log"]).ok();
    assert!(files(&repo).iter().all(|file| file.exists()));
}

#[test]
fn a_ledger_that_went_back_or_was_written_anew_is_indexed_anew() {
    let mut random = fastrand::Rng::with_seed(4);
    let repo = grown(&mut random, MANY);
    same(&open(&repo));
    let tip = repo.git(["rev-parse", "orchestration"]);
    repo.git(["update-ref", "refs/heads/orchestration", "orchestration~5"]);
    same_answers(&open(&repo));
    assert_eq!(same(&open(&repo)), 0);
    // Back where it was: what was lost and found again is read again.
    repo.git(["update-ref", "refs/heads/orchestration", &tip]);
    assert_eq!(same(&open(&repo)), 5);
    repo.git([
        "update-ref",
        "refs/heads/orchestration",
        "orchestration~300",
    ]);
    grow(&repo, &mut random, 400);
    same_answers(&open(&repo));
    assert_eq!(same(&open(&repo)), 0);
}

#[test]
fn a_file_damaged_anywhere_is_noticed_and_made_anew() {
    let mut random = fastrand::Rng::with_seed(5);
    let repo = grown(&mut random, MANY);
    let ledger = open(&repo);
    let all = walked(&ledger);
    same_as(&ledger, &all);
    let good = files(&repo).map(|file| fs::read(file).unwrap());
    let mut noticed = 0;
    for round in 0..120 {
        for (file, good) in files(&repo).iter().zip(&good) {
            fs::write(file, good).unwrap();
        }
        let which = round % 2;
        let mut bytes = good[which].clone();
        let at = match round / 2 % 3 {
            0 => random.usize(..70),
            _ => random.usize(..bytes.len()),
        };
        match random.u32(0..5) {
            0 => bytes.truncate(at),
            1 => bytes[at..].fill(0),
            2 => bytes[at..]
                .iter_mut()
                .for_each(|byte| *byte = random.u8(..)),
            3 => drop(bytes.splice(at..at, [b'x'; 40])),
            _ => bytes[at] ^= 1 << random.u32(0..8),
        }
        fs::write(&files(&repo)[which], &bytes).unwrap();
        if bytes == good[which] {
            continue;
        }
        if round % 20 < 2 {
            same_answers(&ledger);
        }
        // Bytes behind those that count may be anything.
        noticed += usize::from(same_as(&ledger, &all) > 0);
        // Once for damage that is only found on the way, which is when the index goes.
        // A process that another test is just starting may hold its lock for a moment.
        let healed = (0..100).any(|_| same_as(&ledger, &all) == 0);
        assert!(healed, "round {round}");
    }
    assert!(noticed > 80, "{noticed}");
}

#[test]
fn files_that_vanish_are_cut_off_or_belong_to_others_are_no_loss() {
    let mut random = fastrand::Rng::with_seed(6);
    let (repo, other) = (grown(&mut random, 7000), grown(&mut random, MANY));
    let ledger = open(&repo);
    let all = walked(&ledger);
    same_as(&ledger, &all);
    same(&open(&other));
    for missing in files(&repo) {
        fs::remove_file(missing).unwrap();
        same_as(&ledger, &all);
        assert_eq!(same_as(&ledger, &all), 0);
    }
    // In the middle of reading: taken away, then cut off where it lies.
    for cut in [None, Some(0), Some(1)] {
        let mut history = ledger.history();
        let mut found: Vec<Entry> = history.by_ref().take(10).map(Result::unwrap).collect();
        match cut {
            None => files(&repo)
                .iter()
                .for_each(|file| fs::remove_file(file).unwrap()),
            Some(file) => {
                let file = OpenOptions::new().write(true).open(&files(&repo)[file]);
                file.unwrap().set_len(70).unwrap();
            }
        }
        found.extend(history.by_ref().map(Result::unwrap));
        assert!(found == all, "{cut:?}");
        assert_eq!(history.commits_read() > 0, cut.is_some());
        drop(history);
        same_as(&ledger, &all);
        same_as(&ledger, &all);
        assert_eq!(same_as(&ledger, &all), 0);
    }
    // One file of another pair, then both.
    for file in [0, 1] {
        fs::copy(&files(&other)[file], &files(&repo)[file]).unwrap();
        assert_eq!(same_as(&ledger, &all), all.len());
        fs::copy(&files(&other)[0], &files(&repo)[0]).unwrap();
        fs::copy(&files(&other)[1], &files(&repo)[1]).unwrap();
        same_answers(&ledger);
        assert_eq!(same_as(&ledger, &all), 0);
    }
}

#[test]
fn where_nothing_can_be_written_the_commits_answer() {
    let mut random = fastrand::Rng::with_seed(7);
    let repo = grown(&mut random, MANY);
    let ledger = open(&repo);
    for name in ["events.lock", "events.new", "events.text", "events.index"] {
        let path = repo.path().join(".git/orch").join(name);
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(same(&ledger), MANY + 1, "{name}");
        }
        assert_eq!(repo.orch(["log"]).stderr(), "");
        fs::remove_dir(&path).unwrap();
    }
    same(&ledger);
    assert_eq!(same(&ledger), 0);
}

fn asking(repo: &TestRepo) -> Child {
    let mut command = repo.orch_command(repo.path());
    let command = command.args(["log", "--json"]).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn many_may_ask_at_once() {
    let mut random = fastrand::Rng::with_seed(8);
    let repo = grown(&mut random, MANY);
    for _ in 0..3 {
        let askers: Vec<Child> = (0..6).map(|_| asking(&repo)).collect();
        let answers = askers
            .into_iter()
            .map(|child| child.wait_with_output().unwrap().stdout);
        let answers: Vec<Vec<u8>> = answers.collect();
        let rows: Vec<Row> = walked(&open(&repo)).iter().map(Row::new).collect();
        let expected = serde_json::to_string_pretty(&rows).unwrap();
        for answer in answers {
            assert_eq!(String::from_utf8(answer).unwrap().trim_end(), expected);
        }
        assert_eq!(same(&open(&repo)), 0);
        grow(&repo, &mut random, 300);
    }
}

#[test]
fn a_writer_killed_at_any_moment_leaves_an_index_that_tells_the_truth() {
    let mut random = fastrand::Rng::with_seed(9);
    let repo = grown(&mut random, MANY);
    for round in 0..40 {
        if round % 2 == 0 {
            files(&repo)
                .iter()
                .for_each(|file| drop(fs::remove_file(file)));
        } else {
            grow(&repo, &mut random, 300);
        }
        let mut child = asking(&repo);
        std::thread::sleep(std::time::Duration::from_micros(random.u64(0..40_000)));
        let _ = child.kill();
        let _ = child.wait();
        same(&open(&repo));
    }
    assert_eq!(same(&open(&repo)), 0);
}

#[test]
fn what_a_killed_writer_leaves_behind_each_of_its_steps_does_not_count() {
    let mut random = fastrand::Rng::with_seed(10);
    let repo = grown(&mut random, MANY);
    same(&open(&repo));
    let [index, text] = files(&repo);
    let old = [&index, &text].map(|file| fs::read(file).unwrap());
    grow(&repo, &mut random, MANY);
    same(&open(&repo));
    let new = [&index, &text].map(|file| fs::read(file).unwrap());
    assert!(new[0].len() > old[0].len() && new[1].starts_with(&old[1]));
    // Text added; rows added as well, whole and in part; the header last, which is when all of it counts.
    for (rows, header, read) in [
        (old[0].len(), &old[0], MANY),
        (new[0].len() - 900, &old[0], MANY),
        (new[0].len(), &old[0], MANY),
        (new[0].len(), &new[0], 0),
    ] {
        fs::write(&text, &new[1]).unwrap();
        fs::write(&index, &new[0][..rows]).unwrap();
        let file = OpenOptions::new().write(true).open(&index).unwrap();
        file.write_all_at(&header[..64], 0).unwrap();
        assert_eq!(same(&open(&repo)), read);
        assert_eq!(same(&open(&repo)), 0);
        same_answers(&open(&repo));
    }
    // A new text file in its place and the index not yet.
    fs::remove_file(&index).unwrap();
    same(&open(&repo));
    fs::write(&index, &new[0]).unwrap();
    assert_eq!(same(&open(&repo)), 2 * MANY + 1);
    same_answers(&open(&repo));
}
