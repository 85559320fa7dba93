//! One repository, 32 processes, 1,000 tasks: writers that live long and commands that do not, some killed at
//! random, with plain Git moving the ledger in between and the cache being spoilt all the time.
//!
//! `ORCH_CONTENTION=<processes>x<tasks>` sets another size.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use git_orch::ledger::Ledger;
use git_orch::model::*;

use super::common::TestRepo;
use super::common::replay::{Replay, replay};
use super::ledger::{apply, open, plan};

/// Coders of a team, and so processes that want the same tasks.
const PER_TEAM: u32 = 4;

fn size() -> (u32, u32) {
    let text = std::env::var("ORCH_CONTENTION").unwrap_or_else(|_| String::from("32x1000"));
    let (processes, tasks) = text.split_once('x').unwrap();
    (processes.parse().unwrap(), tasks.parse().unwrap())
}

#[test]
fn pain_13_and_15_thirty_two_processes_claim_and_complete_each_task_once() {
    let repo = TestRepo::new().init();
    let (processes, tasks) = size();
    apply(
        &mut open(repo.path()),
        plan(processes / PER_TEAM, PER_TEAM, tasks),
    );
    let over = AtomicBool::new(false);
    let mut by_hand = Vec::new();
    let mut kills = 0;
    std::thread::scope(|scope| {
        // A worker that fails ends the test, not only its own thread.
        let _end = AtEnd(&over);
        let trouble = scope.spawn(|| spoil_the_cache(&repo, &over));
        let (first, won_first) = channel();
        let foreign = scope.spawn(|| move_by_plain_git(&repo, &over, first));
        // Against thirty-two it seldom wins, alone always.
        won_first.recv().unwrap();
        kills = run_workers(&repo, processes);
        over.store(true, Ordering::Release);
        trouble.join().unwrap();
        by_hand = foreign.join().unwrap();
    });
    let told = replay(&repo, repo.path(), "orchestration");
    agrees(&repo, &told, tasks);
    // Nothing that plain Git has put on the ledger was lost, and nobody else has left out the trailers.
    assert_eq!(told.by_hand, by_hand);
    assert!(kills > processes / 2, "only {kills} processes were killed");
    assert!(!by_hand.is_empty(), "plain git won no race");
    // A git that packs for a killed process may still be taking loose objects away: what is missing stays so.
    let whole = || repo.try_git_in(repo.path(), ["fsck", "--strict"]).code() == 0;
    assert!(whole() || whole() || whole());
}

/// Tells the threads that make trouble that it is over, also where this one panics.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Holds log, tree and what a fresh reader makes of it against each other.
fn agrees(repo: &TestRepo, told: &Replay, tasks: u32) {
    let board = open(repo.path()).board().clone();
    assert_eq!(board.tasks.len(), tasks as usize);
    let mut given_back = 0;
    for (id, task) in &board.tasks {
        let id = id.as_str();
        let status = &task.status;
        assert_eq!(
            told.tasks[id],
            (status.state.as_str().to_owned(), status.attempt.0)
        );
        assert_eq!(status.state, State::Submitted, "{id}");
        assert_eq!(told.count("submit", id), 1, "{id}");
        let releases = told.count("release", id);
        assert_eq!(told.count("claim", id), releases + 1, "{id}");
        given_back += releases;
    }
    assert!(given_back > 0, "nobody gave anything back");
}

/// Runs a process per agent until nothing is left, and kills every third one that comes along, again and again.
fn run_workers(repo: &TestRepo, processes: u32) -> u32 {
    let agents: Vec<String> = (0..processes)
        .map(|n| format!("{}.{}", n / PER_TEAM + 1, n % PER_TEAM + 1))
        .collect();
    let mut random = fastrand::Rng::with_seed(3);
    let mut workers: Vec<Option<Child>> = agents
        .iter()
        .map(|agent| Some(worker(repo, agent)))
        .collect();
    let mut kills = 0;
    let most = processes;
    while workers.iter().any(Option::is_some) {
        // How long a process may live, not when another does something.
        std::thread::sleep(Duration::from_millis(random.u64(5..60)));
        for (agent, slot) in agents.iter().zip(&mut workers) {
            let Some(worker) = slot else { continue };
            if let Some(status) = worker.try_wait().unwrap() {
                assert!(status.success(), "the worker for {agent} failed");
                *slot = None;
            }
        }
        let victim = random.usize(0..workers.len());
        if let Some(mut worker_) = workers[victim].take_if(|_| kills < most) {
            kill_group(&mut worker_);
            kills += 1;
            workers[victim] = Some(worker(repo, &agents[victim]));
        }
    }
    kills
}

/// Kills a process and all that it has started.
fn kill_group(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    child.wait().unwrap();
}

fn worker(repo: &TestRepo, agent: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command: Command = repo.command(program.to_str().unwrap(), repo.path());
    command
        .args(["--exact", "contention::child", "--ignored", "--quiet"])
        // What it complains of is seen.
        .arg("--nocapture")
        .env("ORCH_TEST_CHILD", agent)
        .stdout(Stdio::null())
        .process_group(0);
    command.spawn().unwrap()
}

/// Body of a worker process; does nothing when run by itself.
#[test]
#[ignore = "runs in processes that other tests start"]
fn child() {
    let Ok(text) = std::env::var("ORCH_TEST_CHILD") else {
        return;
    };
    let agent: AgentId = text.parse().unwrap();
    let dir = std::env::current_dir().unwrap();
    let mut random = fastrand::Rng::new();
    let mut ledger = open(&dir);
    // One in eight works by commands, as a person or a script would.
    let by_commands = agent.number == 1 && agent.team.0.is_multiple_of(2);
    let parent = std::os::unix::process::parent_id();
    while work(&dir, &mut ledger, agent, by_commands, &mut random) {
        // A test that was ended leaves nobody behind.
        if std::os::unix::process::parent_id() != parent {
            return;
        }
    }
}

/// Brings this agent's task one step on; returns whether there was any.
fn work(
    dir: &Path,
    ledger: &mut Ledger,
    agent: AgentId,
    by_commands: bool,
    random: &mut fastrand::Rng,
) -> bool {
    ledger.refresh().unwrap();
    let Some(held) = ledger.board().held_by(agent).cloned() else {
        if by_commands {
            let (code, complaint) = command(dir, &["claim", "--no-worktree"], agent);
            let said_before = code == 1 && moved_on(ledger, agent, None);
            let expected = [0, 3, 4].contains(&code) || said_before;
            assert!(expected, "claim exits with {code}: {complaint}");
            return code != 3;
        }
        let base = CommitId(ledger.repo().resolve_commit("main").unwrap().to_string());
        let wish = Wish::of(agent);
        // What was begun before is known by its own base.
        let begun = ledger.board().tasks.values();
        let begun = begun.filter(|task| wish.fits(task) && task.status.attempt.0 > 0);
        let ask = Ask {
            bases: begun.map(|task| (task.id.clone(), base.clone())).collect(),
            starts: [(agent.team, base)].into(),
            wish,
            ..Ask::default()
        };
        return match ledger
            .try_transact(Actor::Executor, Op::Claim(Box::new(ask)))
            .unwrap()
        {
            Ok(_) => true,
            Err(refusal) => refusal.kind != RefusalKind::Nothing,
        };
    };
    let claim = Claim {
        task: held.id.clone(),
        agent,
        attempt: held.status.attempt,
    };
    let op = match held.status.state {
        State::Claimed if by_commands => {
            let attempt = claim.attempt.to_string();
            let args = ["start", held.id.as_str(), "--attempt", &attempt];
            let (code, complaint) = command(dir, &args, agent);
            assert!(
                code == 0 || moved_on(ledger, agent, Some(&held)),
                "{complaint}"
            );
            return true;
        }
        State::Claimed if random.u32(0..20) == 0 => Op::Release(claim, String::from("no time")),
        State::Claimed => Op::Start(claim),
        _ => submit(claim),
    };
    if let Err(refusal) = ledger.try_transact(Actor::Executor, op).unwrap() {
        assert!(moved_on(ledger, agent, Some(&held)), "{refusal:?}");
    }
    true
}

/// One process speaks for an agent at a time, so nothing it says comes late, but for one case: the last word
/// of a process that was killed lay in the spool and was carried out after its successor had looked. Returns
/// whether the agent's task is another, or in another state, than it was seen in.
fn moved_on(ledger: &mut Ledger, agent: AgentId, seen: Option<&Task>) -> bool {
    ledger.refresh().unwrap();
    let now = ledger.board().held_by(agent);
    now.map(|task| (&task.id, task.status.state)) != seen.map(|task| (&task.id, task.status.state))
}

/// A result as its executor hands it in.
pub fn submit(claim: Claim) -> Op {
    let handoff: Handoff = serde_json::from_value(serde_json::json!({
        "task_id": claim.task, "status": "completed", "summary": "done",
    }))
    .unwrap();
    let head = CommitId(format!("head-of-{}-{}", claim.task, claim.attempt));
    Op::Submit(claim, head, Box::new(handoff))
}

/// Runs a command; returns its exit code and what it said.
fn command(dir: &Path, args: &[&str], agent: AgentId) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_git-orch"))
        .current_dir(dir)
        .args(args)
        .args(["--agent", &agent.to_string()])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), complaint)
}

/// Deletes the cache, or leaves garbage, a part of it or an old one in its place.
fn spoil_the_cache(repo: &TestRepo, over: &AtomicBool) {
    let path = repo.path().join(".git/orch/snapshot");
    let mut random = fastrand::Rng::with_seed(5);
    let mut stale = Vec::new();
    while !over.load(Ordering::Acquire) {
        let now = std::fs::read(&path).unwrap_or_default();
        let new = match random.u32(0..4) {
            0 => None,
            1 => Some(b"garbage".to_vec()),
            2 => Some(now[..now.len() / 2].to_vec()),
            _ => Some(std::mem::replace(&mut stale, now)),
        };
        // As a whole, the way the cache itself is written: a file that changes under its reader is no cache.
        let _ = match new {
            None => std::fs::remove_file(&path),
            Some(bytes) => {
                let beside = path.with_extension("spoilt");
                std::fs::write(&beside, bytes).unwrap();
                std::fs::rename(beside, &path)
            }
        };
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Moves the ledger with `git commit-tree` and `git update-ref`; returns the commits that have won their race.
fn move_by_plain_git(repo: &TestRepo, over: &AtomicBool, first: Sender<()>) -> Vec<String> {
    let won = Mutex::new(Vec::new());
    let file = repo.outside().join("by-hand");
    let mut count = 0_u32;
    while !over.load(Ordering::Acquire) {
        count += 1;
        // A file of nobody's business, and a change of what a task says.
        let (path, edit) = match count % 2 {
            0 => (
                String::from(".orchestration/notes.md"),
                format!("echo {count}"),
            ),
            _ => {
                let task = format!("task-{:04}", count % 8);
                let team = count % 8 % (size().0 / PER_TEAM) + 1;
                let listed = repo.git(["ls-tree", "-r", "--name-only", "orchestration"]);
                let path = listed.lines().find(|path| {
                    path.contains(&format!("teams/{team}/tasks/"))
                        && path.ends_with(&format!("{task}.toml"))
                });
                let path = path.unwrap().to_owned();
                let edit =
                    format!("git show $tip:{path} | sed 's/^title = .*/title = \"Edit {count}\"/'");
                (path, edit)
            }
        };
        let script = format!(
            "tip=$(git rev-parse orchestration) && blob=$({edit} | git hash-object -w --stdin) && \
             export GIT_INDEX_FILE='{}' && git read-tree $tip && \
             git update-index --add --cacheinfo 100644,$blob,{path} && \
             new=$(git commit-tree $(git write-tree) -p $tip -m 'by hand {count}') && \
             git update-ref refs/heads/orchestration $new $tip 2>/dev/null && echo $new",
            file.display()
        );
        let output = repo
            .command("sh", repo.path())
            .args(["-c", &script])
            .output()
            .unwrap();
        if output.status.success() {
            let new = String::from_utf8(output.stdout).unwrap();
            won.lock().unwrap().push(new.trim().to_owned());
            // Heard once.
            let _ = first.send(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    won.into_inner().unwrap()
}
