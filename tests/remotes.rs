//! Many clones and one bare repository behind `git daemon`: each task once, whatever happens to anybody.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use git_orch::ledger::{Ledger, Unreachable};
use git_orch::model::*;
use rustix::process::{Pid, Signal, kill_process_group};

use super::common::replay::replay;
use super::common::{Outcome, TIME, TestRepo};
use super::ledger::{apply, open, plan};

const CLONES: u32 = 8;

/// The repository that all clones share, and who serves it.
struct Central {
    repo: TestRepo,
    port: u16,
    daemon: Option<Child>,
}

impl Central {
    /// A bare repository that is served, and a ledger of which it is the truth.
    fn new(plan: Plan) -> Self {
        let repo = TestRepo::new();
        // Free in this moment, which the listener ends with its statement.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let mut central = Self {
            repo,
            port,
            daemon: None,
        };
        let bare = central.bare();
        let repo = &central.repo;
        repo.git(["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        let url = format!("git://127.0.0.1:{port}/central.git");
        repo.git(["remote", "add", "origin", &url]);
        central.start();
        let repo = &central.repo;
        repo.git(["push", "-q", "origin", "main"]);
        repo.orch(["init", "--remote", "origin"]).ok();
        apply(&mut open(repo.path()), plan);
        central
    }

    fn bare(&self) -> PathBuf {
        self.repo.outside().join("central.git")
    }

    fn start(&mut self) {
        let base = self.repo.outside();
        let daemon = self
            .repo
            .command("git", &base)
            .args(["daemon", "--reuseaddr", "--listen=127.0.0.1"])
            .args(["--export-all", "--enable=receive-pack"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--base-path={}", base.display()))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let daemon = self.daemon.as_mut().unwrap();
            assert_eq!(daemon.try_wait().unwrap(), None, "the daemon has ended");
            std::thread::yield_now();
        }
    }

    /// Stops the daemon and whom it has started, the way a machine that is shut down does.
    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process_group(Pid::from_child(&daemon), Signal::TERM);
            let _ = daemon.wait();
        }
    }

    /// A clone that takes part, of a machine of its own.
    fn join(&self, name: &str) -> PathBuf {
        let dir = self.repo.outside().join(name).join("repo");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        let url = format!("git://127.0.0.1:{}/central.git", self.port);
        let parent = dir.parent().unwrap();
        self.repo.git_in(parent, ["clone", "-q", &url, "repo"]);
        self.repo.git_in(&dir, ["config", "orch.machine", name]);
        self.repo.orch_in(&dir, ["init"]).ok();
        dir
    }

    /// Runs `git orch` in a clone at a moment of its machine's clock, in seconds.
    fn orch_at(&self, dir: &Path, uptime: u64, args: &[&str]) -> Outcome {
        let mut command = self.repo.orch_command(dir);
        command.env("ORCH_TEST_UPTIME", (uptime * 1000).to_string());
        Outcome(command.args(args).output().unwrap())
    }

    fn tip(&self) -> String {
        self.repo
            .git_in(&self.bare(), ["rev-parse", "orchestration"])
    }
}

impl Drop for Central {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn pain_14_eight_clones_claim_and_complete_each_task_once_through_kills_and_an_outage() {
    let tasks = 32;
    let mut central = Central::new(plan(4, 4, tasks));
    let clones: Vec<PathBuf> = (0..CLONES)
        .map(|n| central.join(&format!("m{n}")))
        .collect();
    let agents: Vec<String> = (0..CLONES * 2)
        .map(|n| format!("{}.{}", n % 4 + 1, n / 4 + 1))
        .collect();
    let mut workers: Vec<Option<Child>> = (0..agents.len())
        .map(|n| Some(worker(&central, &clones, n, &agents[n])))
        .collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut kills = 0;
    while workers.iter().any(Option::is_some) {
        // How long a process may live, not when another does something.
        std::thread::sleep(Duration::from_millis(random.u64(50..200)));
        for (n, slot) in workers.iter_mut().enumerate() {
            let Some(worker) = slot else { continue };
            if let Some(status) = worker.try_wait().unwrap() {
                assert!(status.success(), "the worker for {} failed", agents[n]);
                *slot = None;
            }
        }
        let victim = random.usize(0..workers.len());
        if let Some(mut old) = workers[victim].take_if(|_| kills < 24) {
            kill_process_group(Pid::from_child(&old), Signal::KILL).unwrap();
            old.wait().unwrap();
            kills += 1;
            workers[victim] = Some(worker(&central, &clones, victim, &agents[victim]));
        }
        if kills == 8 && central.repo.outside().join("outage").metadata().is_err() {
            outage(&mut central);
        }
    }
    for clone in &clones {
        central.repo.orch_in(clone, ["sync"]).ok();
        let tip = central.repo.git_in(clone, ["rev-parse", "orchestration"]);
        assert_eq!(tip, central.tip());
        assert_eq!(open(clone).board(), open(&clones[0]).board());
    }
    all_is_there(&central, tasks);
    assert!(kills > 8, "only {kills} kills");
}

/// Stops the remote until somebody has noticed.
fn outage(central: &mut Central) {
    central.stop();
    let noticed = central.repo.outside().join("outage");
    while noticed.metadata().is_err() {
        std::thread::yield_now();
    }
    central.start();
}

/// Each task was claimed and handed in once, and its commit is where the ledger says.
fn all_is_there(central: &Central, tasks: u32) {
    let (repo, bare) = (&central.repo, central.bare());
    let told = replay(repo, &bare, "orchestration");
    assert_eq!(told.by_hand, Vec::<String>::new());
    assert_eq!((told.total("claim"), told.total("submit")), (tasks, tasks));
    for (id, (state, attempt)) in &told.tasks {
        assert_eq!((state.as_str(), *attempt), ("submitted", 1), "{id}");
    }
    repo.orch(["sync"]).ok();
    let mut heads = 0;
    for task in open(repo.path()).board().tasks.values() {
        let branch = task.status.branch.as_ref().unwrap();
        let head = task.status.head.as_ref().unwrap();
        let there = repo.git_in(&bare, ["rev-parse", &format!("refs/heads/{branch}")]);
        assert_eq!(there, head.0, "{branch}");
        heads += 1;
    }
    assert_eq!(heads, tasks);
    repo.git_in(&bare, ["fsck", "--strict"]);
}

fn worker(central: &Central, clones: &[PathBuf], n: usize, agent: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let clone = n % clones.len();
    // The first machine's clock is an hour ahead of everybody's.
    let time: i64 = TIME.parse().unwrap();
    let ahead = if clone == 0 { 3600 } else { 0 };
    let mut command: Command = central
        .repo
        .command(program.to_str().unwrap(), &clones[clone]);
    command
        .args(["--exact", "remotes::child", "--ignored", "--quiet"])
        .env("ORCH_TEST_CHILD", agent)
        .env("ORCH_TEST_TIME", (time + ahead).to_string())
        .env("ORCH_TEST_OUTAGE", central.repo.outside().join("outage"))
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
    let mut ledger = open(&dir);
    loop {
        match work(&dir, &mut ledger, agent) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                assert!(error.is::<Unreachable>(), "{error:#}");
                std::fs::write(std::env::var("ORCH_TEST_OUTAGE").unwrap(), "").unwrap();
                // As an executor does: later it may be there again.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Brings this agent's task one step on; returns whether there was any.
fn work(dir: &Path, ledger: &mut Ledger, agent: AgentId) -> anyhow::Result<bool> {
    ledger.refresh()?;
    let Some(held) = ledger.board().held_by(agent).cloned() else {
        let base = ledger.repo().resolve_commit("main")?.to_string();
        let ask = Ask {
            wish: Wish::of(agent),
            starts: [(agent.team, CommitId(base))].into(),
            ..Ask::default()
        };
        let claimed = ledger.try_transact(Actor::Executor, Op::Claim(Box::new(ask)))?;
        let over = |refusal: &Refusal| refusal.kind == RefusalKind::Nothing;
        return Ok(!claimed.is_err_and(|refusal| over(&refusal)));
    };
    let claim = Claim {
        task: held.id.clone(),
        agent,
        attempt: held.status.attempt,
    };
    let op = match held.status.state {
        State::Claimed => Op::Start(claim),
        _ => {
            let message = format!("[TEAM-{}] [AGENT-{agent}] do {}", agent.team, held.id);
            let output = Command::new("git")
                .current_dir(dir)
                .args(["commit-tree", "main^{tree}", "-p", "main", "-m", &message])
                .output()?;
            let head = String::from_utf8(output.stdout)?.trim().to_owned();
            match super::contention::submit(claim) {
                Op::Submit(claim, _, handoff) => Op::Submit(claim, CommitId(head), handoff),
                other => other,
            }
        }
    };
    // What a killed process before this one has said of it may be on the remote and not here yet.
    let said = ledger.try_transact(Actor::Executor, op)?;
    let late = |refusal: &Refusal| refusal.kind == RefusalKind::Lost;
    assert!(said.as_ref().err().is_none_or(late), "{said:?}");
    Ok(true)
}

#[test]
fn a_remote_that_was_set_back_is_followed_by_nobody() {
    let central = Central::new(plan(1, 2, 2));
    let (a, b) = (central.join("a"), central.join("b"));
    let repo = &central.repo;
    let before = central.tip();
    let claim = ["claim", "task-0000", "--agent", "1.1", "--no-worktree"];
    repo.orch_in(&a, claim).ok();
    repo.orch_in(&b, ["sync"]).ok();
    repo.git_in(
        &central.bare(),
        ["update-ref", "refs/heads/orchestration", &before],
    );
    for clone in [&a, &b] {
        let tip = repo.git_in(clone, ["rev-parse", "orchestration"]);
        let other = ["claim", "task-0001", "--agent", "1.2", "--no-worktree"];
        for args in [&["sync"][..], &other] {
            let complaint = repo.orch_in(clone, args).fails(1);
            assert!(
                complaint.contains("was set back or rewritten") && complaint.contains("doctor"),
                "{complaint}"
            );
        }
        assert_eq!(repo.git_in(clone, ["rev-parse", "orchestration"]), tip);
    }
    assert_eq!(central.tip(), before);
}

#[test]
fn a_commit_made_by_hand_in_a_clone_goes_up() {
    let central = Central::new(plan(1, 2, 2));
    let (a, b) = (central.join("a"), central.join("b"));
    let repo = &central.repo;
    let script = "new=$(git commit-tree orchestration^{tree} -p orchestration -m 'by hand') && \
                  git update-ref refs/heads/orchestration $new && echo $new";
    let by_hand = || {
        let output = repo.command("sh", &a).args(["-c", script]).output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    let first = by_hand();
    let synced = repo.orch_in(&a, ["sync", "--json"]).json();
    assert_eq!(synced["sent"], true);
    assert_eq!(central.tip(), first);
    // A transition takes what stands below it along.
    let second = by_hand();
    let claim = ["claim", "task-0000", "--agent", "1.1", "--no-worktree"];
    repo.orch_in(&a, claim).ok();
    repo.orch_in(&b, ["sync"]).ok();
    let told = replay(repo, &b, "orchestration");
    assert_eq!(told.by_hand, [first, second]);
}

#[test]
fn a_remote_that_refuses_is_told_and_nothing_is_claimed() {
    let central = Central::new(plan(1, 2, 2));
    let clone = central.join("a");
    let hook = central.bare().join("hooks/pre-receive");
    super::common::write_file(&hook, "#!/bin/sh\necho 'closed for repairs' >&2\nexit 1\n");
    let repo = &central.repo;
    repo.git_in(&central.bare(), ["config", "core.hooksPath", "hooks"]);
    let chmod = repo
        .command("chmod", repo.path())
        .arg("+x")
        .arg(&hook)
        .status();
    assert!(chmod.unwrap().success());
    let before = central.tip();
    let claim = ["claim", "task-0000", "--agent", "1.1", "--no-worktree"];
    let complaint = repo.orch_in(&clone, claim).fails(1);
    assert!(
        complaint.contains("does not take the ledger") && complaint.contains("closed for repairs"),
        "{complaint}"
    );
    assert_eq!(central.tip(), before);
    assert_eq!(repo.git_in(&clone, ["rev-parse", "orchestration"]), before);
    std::fs::remove_file(hook).unwrap();
    repo.orch_in(&clone, claim).ok();
}

/// Lets a machine look until it has seen the others' leases unmoved for the whole time; looks on the way take
/// nothing from anybody. Returns its clock.
fn outwait(central: &Central, dir: &Path, mut now: u64) -> u64 {
    let lease = open(dir).board().run().lease.as_secs();
    let taken = |answer: serde_json::Value| answer["expired"].as_array().unwrap().len();
    let look = |now| taken(central.orch_at(dir, now, &["sync", "--json"]).json());
    assert_eq!(look(now), 0);
    for _ in 0..2 {
        now += lease / 3;
        assert_eq!(look(now), 0, "taken over too early");
    }
    now += lease / 3 + 1;
    assert_eq!(look(now), 1, "not taken over in time");
    now
}

#[test]
fn a_silent_machine_loses_its_claim_and_keeps_its_work() {
    let central = Central::new(plan(1, 3, 1));
    let (a, b) = (central.join("a"), central.join("b"));
    let repo = &central.repo;
    let lines = |dir: &Path, args: &[&str]| central.orch_at(dir, 1000, args);
    lines(&a, &["claim", "task-0000", "--agent", "1.1"]).ok();
    let worktree = a.with_file_name("repo.orch").join("1.1");
    lines(&worktree, &["start"]).ok();
    std::fs::create_dir_all(worktree.join("src/part0")).unwrap();
    std::fs::write(worktree.join("src/part0/mod.rs"), "late\n").unwrap();
    repo.git_in(&worktree, ["add", "-A"]);
    repo.git_in(&worktree, ["commit", "-q", "-m", "late work"]);
    let head = repo.git_in(&worktree, ["rev-parse", "HEAD"]);

    // A sign of life in between begins the wait anew.
    let look = |now| central.orch_at(&b, now, &["sync", "--json"]).json();
    look(0);
    look(600);
    central.orch_at(&a, 1600, &["sync"]).ok();
    let now = outwait(&central, &b, 1000);
    let claim = ["claim", "task-0000", "--no-worktree", "--agent", "1.2"];
    central.orch_at(&b, now, &claim).ok();

    let complaint = lines(&worktree, &["submit"]).fails(4);
    assert!(
        complaint.contains("taken over by 1.2 (attempt 2) on b")
            && complaint.contains("orch/team-1/task-0000"),
        "{complaint}"
    );
    assert_eq!(
        repo.git_in(&a, ["rev-parse", "orch/team-1/task-0000"]),
        head
    );

    // The second holder falls silent as well, and so does the third.
    let now = outwait(&central, &a, 5000);
    let again = ["claim", "task-0000", "--no-worktree", "--agent", "1.3"];
    central.orch_at(&a, now, &again).ok();
    let now = outwait(&central, &b, 9000);
    let task = &open(&b).board().tasks[&"task-0000".parse().unwrap()].clone();
    assert_eq!(
        (task.status.state, task.status.agent),
        (State::Blocked, None)
    );
    let told = replay(repo, &central.bare(), "orchestration");
    let alarm = told.subjects.last().unwrap();
    assert!(alarm.contains("ESCALATION task-0000"), "{alarm}");
    central.orch_at(&b, now, &claim).fails(1);
    let open_up = ["release", "task-0000", "-m", "the machines are mended"];
    central.orch_at(&b, now, &open_up).ok();
    central.orch_at(&b, now, &claim).ok();
}
