//! Commands that talk to a remote, disturbed in one of several clones while the others have answers of their own.
//!
//! Whatever goes wrong, the others' answers stand, nobody gets what another holds, and what comes after works.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::strike::{Point, Strikes};
use crate::checker::read;
use crate::checker::rules::{self, Answer, Word, Words};
use crate::common::trace::Bench;
use crate::common::{Outcome, TestRepo};

/// One command, in one of the clones.
pub struct CloneScene {
    pub name: &'static str,
    pub make: fn() -> TestRepo,
    /// The clone that it is given in.
    pub clone: &'static str,
    pub args: &'static [&'static str],
    /// Other clones, which take part before it or after it.
    pub others: &'static [&'static str],
    /// What it wants of the ledger: event, task, attempt.
    pub wants: Option<(&'static str, &'static str, u32)>,
}

const PLAN: &str = "[run]\nname = \"r\"\n[[teams]]\nid = 1\ncoders = 6\n";

fn planned(home: &TestRepo) {
    let task =
        |id| format!("[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"{id}\"\nrun = \"true\"\n");
    let plan: String = ["t1", "t2", "t3", "t4"].map(task).concat();
    let file = home.outside().join("plan.toml");
    std::fs::write(&file, format!("{PLAN}{plan}")).unwrap();
    home.orch(["plan", "apply", file.to_str().unwrap()]).ok();
    home.orch(["dispatch"]).ok();
}

fn central(home: &TestRepo) {
    let central = home.outside().join("central.git");
    let central = central.to_str().unwrap();
    home.git(["init", "-q", "--bare", "-b", "main", central]);
    home.git(["remote", "add", "origin", central]);
    home.git(["push", "-q", "origin", "main"]);
}

fn cloned(home: &TestRepo, name: &str) {
    std::fs::create_dir(home.outside().join(name)).unwrap();
    let (from, to) = (home.outside().join("central.git"), dir(home, name));
    home.git(["clone", "-q", from.to_str().unwrap(), to.to_str().unwrap()]);
}

fn dir(home: &TestRepo, name: &str) -> PathBuf {
    match name {
        "home" => home.path().to_owned(),
        name => home.outside().join(name).join("repo"),
    }
}

const T1: [&str; 5] = ["claim", "t1", "--agent", "1.1", "--no-worktree"];
const T2: [&str; 5] = ["claim", "t2", "--agent", "1.2", "--no-worktree"];

/// Two clones have claimed since the third has looked; a fourth has not joined.
fn behind() -> TestRepo {
    let home = TestRepo::new();
    central(&home);
    home.orch(["init", "--remote", "origin"]).ok();
    planned(&home);
    for (name, claim) in [("two", T1), ("three", T2)] {
        cloned(&home, name);
        home.orch_in(&dir(&home, name), ["init"]).ok();
        home.orch_in(&dir(&home, name), claim).ok();
    }
    cloned(&home, "four");
    home
}

/// A ledger that no remote has, with a claim on it.
fn alone() -> TestRepo {
    let home = TestRepo::new();
    central(&home);
    home.orch(["init"]).ok();
    planned(&home);
    home.orch(T1).ok();
    cloned(&home, "two");
    home
}

pub fn scenes() -> Vec<CloneScene> {
    let scene = |name, clone, args, wants| CloneScene {
        name,
        make: behind,
        clone,
        args,
        others: &["two", "three"],
        wants,
    };
    vec![
        scene("sync among three", "home", &["sync"], None),
        scene(
            "claim among three",
            "home",
            &["claim", "t3", "--agent", "1.3", "--no-worktree"],
            Some(("claim", "t3", 1)),
        ),
        scene("join among four", "four", &["init"], None),
        CloneScene {
            make: alone,
            others: &["two"],
            ..scene("publish", "home", &["remote", "set", "origin"], None)
        },
    ]
}

/// The scene, ready to be disturbed at its points.
pub struct Struck {
    scene: CloneScene,
    bench: Bench,
    strikes: Strikes,
}

impl Struck {
    pub fn new(scene: CloneScene) -> Self {
        let bench = Bench::new((scene.make)());
        let strikes = Strikes::new(&bench.repo);
        Self {
            scene,
            bench,
            strikes,
        }
    }

    fn dir(&self) -> PathBuf {
        dir(&self.bench.repo, self.scene.clone)
    }

    pub fn points(&self) -> Vec<Point> {
        self.bench.restore();
        self.strikes
            .points(&self.bench, &self.dir(), self.scene.args)
    }

    /// Disturbs the command at a point; then the others go on, and so does this clone.
    pub fn strike(&self, point: &Point) {
        self.bench.restore();
        let what = format!("{}: {point}", self.scene.name);
        let tip = self.central_tip();
        let output = self
            .strikes
            .strike(&self.bench, &self.dir(), self.scene.args, point);
        let mut words = vec![word("claim", "t1", 1, Answer::Done)];
        if self.scene.others.contains(&"three") {
            words.push(word("claim", "t2", 1, Answer::Done));
        }
        if let Some((event, task, attempt)) = self.scene.wants {
            words.push(word(event, task, attempt, answer(&output)));
        }
        if self.scene.name == "publish" {
            self.goes_on_alone(&mut words, &what);
        } else {
            self.goes_on(&mut words, &what);
        }
        self.judge(tip.as_deref(), &words, &what);
    }

    fn orch(&self, clone: &str, args: &[&str]) -> Outcome {
        let repo = &self.bench.repo;
        repo.orch_in(&dir(repo, clone), args)
    }

    /// The others' claims hold, this clone gets none of them, and what is free it gets.
    fn goes_on(&self, words: &mut Vec<Word>, what: &str) {
        let clone = self.scene.clone;
        if clone == "four" {
            self.does(clone, &["init"], what);
        }
        let start = ["start", "t1", "--agent", "1.1", "--attempt", "1"];
        self.does("two", &start, what);
        words.push(word("start", "t1", 1, Answer::Done));
        let theirs = ["claim", "t1", "--agent", "1.4", "--no-worktree"];
        let outcome = self.orch(clone, &theirs);
        assert_ne!(outcome.code(), 0, "{what}: it gets what another holds");
        let free = ["claim", "t4", "--agent", "1.5", "--no-worktree"];
        self.does(clone, &free, what);
        words.push(word("claim", "t4", 1, Answer::Done));
        if self.scene.wants.is_some() {
            let code = self.orch(clone, self.scene.args).code();
            assert!([0, 1, 3, 4].contains(&code), "{what}: {code}");
        }
    }

    /// Whatever is answered before the remote is asked again is there afterwards.
    fn goes_on_alone(&self, words: &mut Vec<Word>, what: &str) {
        let start = ["start", "t1", "--agent", "1.1", "--attempt", "1"];
        self.does("home", &start, what);
        words.push(word("start", "t1", 1, Answer::Done));
        self.does("home", self.scene.args, what);
        self.does("two", &["init"], what);
        self.does("two", &T2, what);
        words.push(word("claim", "t2", 1, Answer::Done));
    }

    fn does(&self, clone: &str, args: &[&str], what: &str) {
        let outcome = self.orch(clone, args);
        assert_eq!(
            outcome.code(),
            0,
            "{what}: {args:?} in {clone}: {}",
            outcome.stderr()
        );
    }

    fn central(&self) -> PathBuf {
        self.bench.repo.outside().join("central.git")
    }

    fn central_tip(&self) -> Option<String> {
        let found = self.tip(&self.central());
        (found.code() == 0).then(|| found.stdout().trim().to_owned())
    }

    fn tip(&self, dir: &Path) -> Outcome {
        let rev = ["rev-parse", "--verify", "-q", "refs/heads/orchestration"];
        self.bench.repo.try_git_in(dir, rev)
    }

    /// All clones come together on one history that goes on from what there was, and all that was answered is in it.
    fn judge(&self, before: Option<&str>, words: &[Word], what: &str) {
        let repo = &self.bench.repo;
        let clones = || [&[self.scene.clone], self.scene.others].concat();
        for clone in clones() {
            self.does(clone, &["sync"], what);
        }
        let now = self.tip(&self.central()).stdout();
        for clone in clones() {
            let here = self.tip(&dir(repo, clone)).stdout();
            assert_eq!(here, now, "{what}: {clone} is elsewhere");
        }
        if let Some(before) = before {
            let ancestor = ["merge-base", "--is-ancestor", before, now.trim()];
            let outcome = repo.try_git_in(&self.central(), ancestor);
            assert_eq!(outcome.code(), 0, "{what}: transitions were thrown away");
        }
        let steps = read::steps(repo, &self.central());
        let wrong = rules::check(&steps, &Words(words.to_vec()));
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    }
}

fn word(event: &str, task: &str, attempt: u32, answer: Answer) -> Word {
    Word {
        event: event.to_owned(),
        task: task.to_owned(),
        attempt: Some(attempt),
        answer,
    }
}

fn answer(output: &Output) -> Answer {
    match output.status.code() {
        Some(0) => Answer::Done,
        _ => Answer::Unknown,
    }
}
