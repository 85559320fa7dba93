//! Four clones of one remote, three agents in each, and whatever can happen to their commands.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::read;
use super::rules::{self, Answer, Word, Words};
use crate::common::machines::Machines;
use crate::common::{Outcome, TIME, write_file};

const CLONES: usize = 4;
const AGENTS: usize = 3;
const TASKS: usize = 8;

/// Commands that each agent gives, besides those by which it looks.
const ACTIONS: usize = 6;

/// Seconds that each clone's clock is ahead of the first one's.
const SKEW: [i64; CLONES] = [0, 3600, -7200, 86_400];

/// How long a claim holds that nobody renews, in milliseconds.
const LEASE: u64 = 60_000;

struct Fleet {
    machines: Machines,
    clones: Vec<PathBuf>,
    /// How long each clone's machine has been up; goes on by what its commands are said to take.
    uptimes: Vec<AtomicU64>,
    words: Mutex<Vec<Word>>,
}

/// Lets a fleet work under everything that a seed says, and returns what is wrong with what it has left.
pub fn run(seed: u64) -> Vec<String> {
    let fleet = Fleet::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let trouble = scope.spawn(|| fleet.outages(seed, &over));
        let agents: Vec<_> = (0..CLONES * AGENTS)
            .map(|n| {
                let fleet = &fleet;
                scope
                    .spawn(move || fleet.agent(n, fastrand::Rng::with_seed(seed * 1000 + n as u64)))
            })
            .collect();
        for agent in agents {
            agent.join().unwrap();
        }
        over.store(true, Ordering::Release);
        trouble.join().unwrap();
    });
    fleet.judge()
}

impl Fleet {
    fn new() -> Self {
        let tasks = (0..TASKS).map(|n| {
            format!("[[tasks]]\nid = \"t{n}\"\nteam = 1\ntitle = \"T{n}\"\nscope = [\"t{n}\"]\nrun = \"true\"\n")
        });
        let plan = format!(
            "[run]\nname = \"r\"\nlease = \"{}s\"\n[[teams]]\nid = 1\ncoders = {}\n{}",
            LEASE / 1000,
            CLONES * AGENTS,
            tasks.collect::<String>()
        );
        let machines = Machines::new(&plan);
        machines.home.orch(["dispatch"]).ok();
        let clones = (0..CLONES).map(|n| {
            let clone = machines.machine(&format!("m{n}"));
            machines
                .home
                .git_in(&clone, ["config", "orch.machine", &format!("m{n}")]);
            clone
        });
        Self {
            clones: clones.collect(),
            machines,
            uptimes: (1..=CLONES as u64)
                .map(|n| AtomicU64::new(n * 10_000_000))
                .collect(),
            words: Mutex::default(),
        }
    }

    /// Takes the remote away now and then.
    fn outages(&self, seed: u64, over: &AtomicBool) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !over.load(Ordering::Acquire) {
            // How long nothing happens, and how long an outage takes.
            std::thread::sleep(Duration::from_millis(random.u64(200..1500)));
            self.machines.away(true);
            std::thread::sleep(Duration::from_millis(random.u64(20..200)));
            self.machines.away(false);
        }
    }

    /// One agent: claims, begins, hands in, gives back, and looks after every answer that it did not get.
    fn agent(&self, n: usize, mut random: fastrand::Rng) {
        let (clone, agent) = (n % CLONES, format!("1.{}", n + 1));
        let mut held = None;
        for _ in 0..ACTIONS {
            if random.u32(0..8) == 0 {
                self.assemble(clone, &mut random);
            }
            let Some((task, attempt, state)) = held.take() else {
                self.claim(clone, &agent, &mut random);
                held = self.look(clone, &agent);
                continue;
            };
            let claim: [&str; 5] = [&task, "--agent", &agent, "--attempt", &attempt];
            let event = match state.as_str() {
                _ if random.u32(0..8) == 0 => "release",
                "claimed" => "start",
                _ => "submit",
            };
            let mut args = vec![event];
            args.extend(claim);
            match event {
                "release" => args.extend(["-m", "later"]),
                "submit" if !self.commit(clone, &agent, &task, &attempt) => continue,
                _ => {}
            }
            let (answer, _) = self.disturbed(clone, &args, &mut random);
            self.say(event, &task, attempt.parse().ok(), answer);
            held = self.look(clone, &agent);
        }
    }

    fn claim(&self, clone: usize, agent: &str, random: &mut fastrand::Rng) {
        let (answer, outcome) =
            self.disturbed(clone, &["claim", "--agent", agent, "--json"], random);
        if answer == Answer::Done {
            let claim = outcome.unwrap().json();
            let attempt = claim["attempt"]
                .as_u64()
                .and_then(|k| u32::try_from(k).ok());
            self.say("claim", claim["task"].as_str().unwrap(), attempt, answer);
        }
    }

    fn assemble(&self, clone: usize, random: &mut fastrand::Rng) {
        let (_, outcome) = self.disturbed(clone, &["assemble", "--json"], random);
        let report = outcome.and_then(|outcome| serde_json::from_str(&outcome.stdout()).ok());
        let report: serde_json::Value = report.unwrap_or_default();
        for row in report["train"].as_array().into_iter().flatten() {
            if let (Some(task), "merged") = (row["task"].as_str(), row["verdict"].as_str().unwrap())
            {
                self.say("merge", task, None, Answer::Done);
            }
        }
    }

    /// Makes a commit in an agent's worktree, which a killed command may have left without one.
    fn commit(&self, clone: usize, agent: &str, task: &str, attempt: &str) -> bool {
        let again = ["claim", task, "--agent", agent, "--attempt", attempt];
        let there = self.command(clone, &again).output().unwrap();
        let dir = self.clones[clone].with_file_name("repo.orch").join(agent);
        if !there.status.success() {
            return false;
        }
        let home = &self.machines.home;
        write_file(&dir.join(task), &format!("{task} {attempt} by {agent}\n"));
        let message = format!("do {task}");
        for args in [
            &["add", "-A"][..],
            &["commit", "-q", "--allow-empty", "-m", &message],
        ] {
            let outcome = home.try_git_in(&dir, args);
            if outcome.code() != 0 {
                return false;
            }
        }
        true
    }

    /// Returns the task that an agent holds, its attempt and its state, as the clone knows it.
    fn look(&self, clone: usize, agent: &str) -> Option<(String, String, String)> {
        let output = self.command(clone, &["status", "--json"]).output().unwrap();
        let status = Outcome(output).json();
        let mut tasks = status["tasks"].as_array().unwrap().iter();
        let of_agent = |task: &&serde_json::Value| {
            let is_held = matches!(task["status"].as_str(), Some("claimed" | "in_progress"));
            is_held && task["agent"] == agent
        };
        let task = tasks.find(of_agent)?;
        let text = |key: &str| task[key].as_str().unwrap().to_owned();
        Some((text("id"), task["attempt"].to_string(), text("status")))
    }

    fn say(&self, event: &str, task: &str, attempt: Option<u32>, answer: Answer) {
        self.words.lock().unwrap().push(Word {
            event: event.to_owned(),
            task: task.to_owned(),
            attempt,
            answer,
        });
    }

    fn command(&self, clone: usize, args: &[&str]) -> std::process::Command {
        let took = fastrand::u64(0..3000);
        let uptime = self.uptimes[clone].fetch_add(took, Ordering::Relaxed);
        let time: i64 = TIME.parse().unwrap();
        let mut command = self.machines.home.orch_command(&self.clones[clone]);
        command
            .args(args)
            .env("ORCH_TEST_UPTIME", uptime.to_string())
            .env("ORCH_TEST_TIME", (time + SKEW[clone]).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Gives a command, which may be killed, or stopped until everybody takes its claims for lost.
    fn disturbed(
        &self,
        clone: usize,
        args: &[&str],
        random: &mut fastrand::Rng,
    ) -> (Answer, Option<Outcome>) {
        let child = self.command(clone, args).spawn().unwrap();
        let fate = random.u32(0..100);
        // How long it may live until then, a process of the size that these are.
        let life = Duration::from_millis(random.u64(0..250));
        match fate {
            0..25 => {
                std::thread::sleep(life);
                signal(&child, Signal::KILL);
            }
            25..30 => {
                std::thread::sleep(life);
                signal(&child, Signal::STOP);
                self.outwait((clone + 1) % CLONES);
                signal(&child, Signal::CONT);
            }
            _ => {}
        }
        let outcome = Outcome(child.wait_with_output().unwrap());
        let told = outcome.stderr();
        assert!(!told.contains("panicked"), "{args:?}: {told}");
        match outcome.code() {
            0 => (Answer::Done, Some(outcome)),
            3 | 4 => (Answer::Refused, Some(outcome)),
            _ => (Answer::Unknown, Some(outcome)),
        }
    }

    /// Lets a clone look for longer than a lease.
    fn outwait(&self, clone: usize) {
        for _ in 0..4 {
            self.uptimes[clone].fetch_add(LEASE / 3 + 1000, Ordering::Relaxed);
            // Cut off from its remote, it sees nothing, and takes nothing from anybody.
            let _ = self.command(clone, &["sync"]).output().unwrap();
        }
    }

    /// Brings all clones together and holds what they have against what was answered.
    fn judge(self) -> Vec<String> {
        let home = &self.machines.home;
        let tip = |dir: &Path| home.git_in(dir, ["rev-parse", "orchestration"]);
        let mut wrong = Vec::new();
        // A push of a killed command may come to its end late: the second round has seen it.
        for _ in 0..2 {
            for clone in 0..CLONES {
                let synced = Outcome(self.command(clone, &["sync"]).output().unwrap());
                if synced.code() != 0 {
                    wrong.push(format!("m{clone} cannot sync: {}", synced.stderr()));
                }
            }
        }
        for (n, clone) in self.clones.iter().enumerate() {
            if tip(clone) != tip(self.machines.hub()) {
                wrong.push(format!("m{n} has another ledger than the remote"));
            }
        }
        let steps = read::steps(home, self.machines.hub());
        let words = self.words.into_inner().unwrap();
        let (kills, done) = (
            words
                .iter()
                .filter(|word| word.answer == Answer::Unknown)
                .count(),
            words
                .iter()
                .filter(|word| word.answer == Answer::Done)
                .count(),
        );
        eprintln!(
            "{} transitions, {done} answers, {kills} cut short",
            steps.len()
        );
        wrong.extend(rules::check(&steps, &Words(words)));
        for (task, record) in steps.iter().flat_map(|step| &step.changed) {
            let Some(head) = record.as_ref().and_then(|record| record.head.as_ref()) else {
                continue;
            };
            let args = ["for-each-ref", "--count=1", "--contains", head.as_str()];
            let held = home.try_git_in(self.machines.hub(), args);
            if held.code() != 0 || held.stdout().is_empty() {
                wrong.push(format!(
                    "the remote lacks {head}, which was handed in for {task}"
                ));
            }
        }
        wrong.dedup();
        home.git_in(self.machines.hub(), ["fsck", "--strict", "--no-dangling"]);
        wrong
    }
}

fn signal(child: &Child, signal: Signal) {
    // Gone already is as good.
    let _ = kill_process(Pid::from_child(child), signal);
}
