//! A command killed between any two of its file operations, or told by the system that one of them failed.
//!
//! `strace` does both, at the first, second, … call of a kind. Where it is not to be had, these tests say so and
//! check nothing. `ORCH_FAULTS=all` takes calls that only read as well.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use git_orch::git::Repo;
use git_orch::git::files::Lock;
use git_orch::model::State;
use rustix::process::{Pid, Signal, kill_process};

use super::common::TestRepo;
use super::common::replay::replay;
use super::common::site::Site;
use super::common::trace::{Bench, CALLS, Point, all, can_trace};

const PLAN: &str = "[run]\nname = \"faults\"\n[[teams]]\nid = 1\nname = \"T\"\n\
    [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\ndeliverables = [\"a.txt\"]\nrun = \"true\"\n\
    [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"B\"\nrun = \"true\"\n";

/// A plan, brought so far by commands.
fn project(commands: &[&[&str]]) -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    for command in commands {
        repo.orch(*command).ok();
    }
    repo
}

const CLAIM: &[&str] = &["claim", "a", "--agent", "1.1", "--no-worktree"];
const ESCALATE: &[&str] = &["escalate", "a", "-m", "look"];

/// Kills a command at each of its calls; after each kill the ledger must be whole, the operation on it at most
/// once, and the command must do its work when it is given again.
///
/// `truth` is the repository whose ledger counts.
fn kill_everywhere(
    bench: &Bench,
    (dir, truth): (&Path, &Path),
    args: &[&str],
    event: &str,
    state: State,
) {
    let points = bench.points(dir, args);
    assert!(points.len() > 10, "{args:?} does nothing: {points:?}");
    let (mut before, mut after, mut missed) = (0, 0, 0);
    for point in points {
        bench.restore();
        let inject = format!("inject={}:signal=KILL:when={}", point.call, point.nth);
        let trace = format!("trace={}", point.call);
        let options = ["-e", trace.as_str(), "-e", inject.as_str()];
        let killed = bench.traced(&options, dir, args).output().unwrap();
        if killed.status.success() {
            // How many directories objects go to differs from time to time, and so do the calls.
            missed += 1;
            continue;
        }
        assert_eq!(killed.status.signal(), Some(9), "{point:?}");
        let told = replay(&bench.repo, truth, "orchestration").count(event, "a");
        assert!(told <= 1, "{point:?}");
        let again = bench.repo.orch_in(dir, args);
        match told {
            0 => {
                before += 1;
                // The push of a killed process may go on without it, and come to its end only then.
                let late = again.code() == 4 && truth != bench.repo.path();
                assert!(again.code() == 0 || late, "{point:?}: {}", again.stderr());
            }
            // It was done and nobody was told; being told now that it is so is right as well.
            _ => {
                after += 1;
                let code = again.code();
                assert!(
                    [0, 1, 3, 4].contains(&code),
                    "{point:?}: {}",
                    again.stderr()
                );
            }
        }
        let told = replay(&bench.repo, truth, "orchestration");
        // An escalation that is given twice stands there twice; anything else does not.
        let most = if event == "escalate" { 2 } else { 1 };
        assert!((1..=most).contains(&told.count(event, "a")), "{point:?}");
        assert_eq!(
            bench.board().tasks[&"a".parse().unwrap()].status.state,
            state,
            "{point:?}"
        );
    }
    assert!(
        before > 0 && after > 0 && missed < 10,
        "{args:?}: {before} before, {after} after, {missed} missed"
    );
    bench.repo.git(["fsck", "--strict"]);
}

#[test]
fn a_claim_killed_between_any_two_file_operations_is_whole_or_not_there() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(project(&[&["dispatch"]]));
    let dir = bench.repo.path();
    kill_everywhere(&bench, (dir, dir), CLAIM, "claim", State::Claimed);
}

#[test]
fn dispatch_and_escalate_killed_anywhere_are_whole_or_not_there() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(project(&[]));
    let dir = bench.repo.path();
    kill_everywhere(&bench, (dir, dir), &["dispatch"], "dispatch", State::Ready);
    bench.restore();
    kill_everywhere(&bench, (dir, dir), ESCALATE, "escalate", State::Pending);
}

/// Two tasks brought in, `a` last or first.
fn brought_in(order: [&str; 2]) -> Bench {
    let site = Site::new("", &[("a", 1, &[]), ("b", 1, &[])]);
    for (coder, task) in order.into_iter().enumerate() {
        site.work(task, &format!("1.{}", coder + 1), &[(task, "x\n")]);
        site.repo.orch(["assemble"]).ok();
    }
    site.repo.git(["switch", "-q", "orch/integration"]);
    Bench::new(site.repo)
}

/// Kills an undo everywhere; whatever was killed last, files and branches agree, and only the other task's
/// work is there.
fn kill_undo_everywhere(order: [&str; 2]) {
    if !can_trace() {
        return;
    }
    let bench = brought_in(order);
    let dir = bench.repo.path();
    kill_everywhere(&bench, (dir, dir), &["undo", "a"], "undo", State::Ready);
    assert_eq!(bench.repo.git(["status", "--porcelain"]), "");
    assert!(!dir.join("a").exists() && dir.join("b").exists());
}

#[test]
fn an_undo_that_moves_back_killed_anywhere_is_whole_or_not_there() {
    kill_undo_everywhere(["b", "a"]);
}

#[test]
fn an_undo_that_reverts_killed_anywhere_is_whole_or_not_there() {
    kill_undo_everywhere(["a", "b"]);
}

#[test]
fn a_submit_killed_anywhere_is_whole_or_not_there() {
    if !can_trace() {
        return;
    }
    let repo = project(&[&["dispatch"], &["claim", "a", "--agent", "1.1"]]);
    let dir = repo.worktree("1.1");
    repo.orch_in(&dir, ["start"]).ok();
    super::common::write_file(&dir.join("a.txt"), "done\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "done"]);
    let bench = Bench::new(repo);
    let truth = bench.repo.path();
    kill_everywhere(
        &bench,
        (&dir, truth),
        &["submit"],
        "submit",
        State::Submitted,
    );
}

/// A ledger whose truth is at a bare repository beside it.
fn remote_project() -> TestRepo {
    let repo = TestRepo::new();
    let central = repo.outside().join("central.git");
    let central = central.to_str().unwrap();
    repo.git(["init", "-q", "--bare", central]);
    repo.git(["remote", "add", "origin", central]);
    repo.git(["push", "-q", "origin", "main"]);
    repo.orch(["init", "--remote", "origin"]).ok();
    let repo = repo.plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo
}

#[test]
fn a_claim_at_a_remote_killed_anywhere_is_there_once_or_not_at_all() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(remote_project());
    let repo = &bench.repo;
    let central = repo.outside().join("central.git");
    kill_everywhere(
        &bench,
        (repo.path(), &central),
        CLAIM,
        "claim",
        State::Claimed,
    );
    // The push of a killed process may have gone on without it, and been taken for lost: never twice.
    repo.orch(["sync"]).ok();
    let told = replay(repo, &central, "orchestration");
    assert_eq!(told.total("claim"), 1);
    assert_eq!(
        repo.git(["rev-parse", "orchestration"]),
        repo.git_in(&central, ["rev-parse", "orchestration"])
    );
}

/// Waits until so many intents lie in the spool.
fn await_spool(repo: &TestRepo, wanted: usize, writer: &mut Child) {
    let spool = repo.path().join(".git/orch/spool");
    loop {
        let listing = std::fs::read_dir(&spool).into_iter().flatten().flatten();
        let whole = listing.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        // One that was killed before it came there will not come.
        if whole.count() >= wanted || writer.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::yield_now();
    }
}

/// Two writers wait for a lock that is held; the first to get it is the one that is traced, and serves both.
fn serve_two(bench: &Bench, options: &[&str]) -> (Child, Child) {
    let repo = &bench.repo;
    let path = Repo::discover(repo.path()).unwrap().orch_dir().join("lock");
    let lock = Lock::wait(&path).unwrap();
    let mut escalate = repo.orch_command(repo.path());
    escalate.args(["escalate", "b", "-m", "served"]);
    let mut waiter = escalate
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    await_spool(repo, 1, &mut waiter);
    // It keeps its place in the spool, and leaves the lock to the other.
    kill_process(Pid::from_child(&waiter), Signal::STOP).unwrap();
    let mut server = bench
        .traced(options, repo.path(), ESCALATE)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    await_spool(repo, 2, &mut server);
    drop(lock);
    (server, waiter)
}

fn serve_two_killed_everywhere(bench: &Bench, dir: &Path) {
    let trace = format!("trace={CALLS}");
    let (mut server, mut waiter) = serve_two(bench, &["-e", &trace]);
    assert!(server.wait().unwrap().success());
    kill_process(Pid::from_child(&waiter), Signal::CONT).unwrap();
    assert!(waiter.wait().unwrap().success());
    let text = std::fs::read_to_string(bench.trace()).unwrap();
    let mut seen: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut points = Vec::new();
    for line in text.lines().filter(|line| line.contains('(')) {
        let call = line.split('(').next().unwrap();
        let nth = seen.entry(call).or_default();
        *nth += 1;
        let reads = call == "openat" && !line.contains("O_CREAT") && !line.contains("O_RDWR");
        if !reads && !line.starts_with("write(1,") {
            points.push((call, *nth));
        }
    }
    let (mut alone, mut served) = (0, 0);
    for (call, nth) in points {
        bench.restore();
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let trace = format!("trace={call}");
        let options = ["-e", trace.as_str(), "-e", inject.as_str()];
        // Killed before it waits, it serves nobody: that is for the other tests.
        if !reaches_the_lock(&text, call, nth) {
            continue;
        }
        let (mut server, waiter) = serve_two(bench, &options);
        server.wait().unwrap();
        let told = replay(&bench.repo, dir, "orchestration");
        match told.count("escalate", "b") {
            0 => alone += 1,
            _ => served += 1,
        }
        kill_process(Pid::from_child(&waiter), Signal::CONT).unwrap();
        let output = waiter.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{call} {nth}: {complaint}");
        let told = replay(&bench.repo, dir, "orchestration");
        assert_eq!(told.count("escalate", "b"), 1, "{call} {nth}");
        assert!(told.count("escalate", "a") <= 1, "{call} {nth}");
    }
    assert!(
        alone > 0 && served > 0,
        "all kills came on one side: {alone} {served}"
    );
}

/// Whether a call comes after the one that waits for the lock.
fn reaches_the_lock(trace: &str, call: &str, nth: usize) -> bool {
    let waits = trace
        .lines()
        .position(|line| line.starts_with("flock(") && line.contains("LOCK_EX)"))
        .unwrap();
    // The first such call locks the letter in the spool; the next one is the ledger's.
    let waits = trace
        .lines()
        .enumerate()
        .skip(waits + 1)
        .find(|(_, line)| line.starts_with("flock(") && line.contains("LOCK_EX)"))
        .map_or(waits, |(at, _)| at);
    let prefix = format!("{call}(");
    let mut calls = trace
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with(&prefix));
    calls.nth(nth - 1).is_some_and(|(at, _)| at > waits)
}

#[test]
fn whom_a_killed_writer_has_served_is_served_once() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(project(&[]));
    let dir = bench.repo.path().to_owned();
    serve_two_killed_everywhere(&bench, &dir);
}

#[test]
fn whom_a_killed_writer_has_served_at_a_remote_is_served_once() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(remote_project());
    let central = bench.repo.outside().join("central.git");
    serve_two_killed_everywhere(&bench, &central);
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_and_lose_nothing() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(project(&[&["dispatch"]]));
    let dir = bench.repo.path();
    let points = bench.points(dir, CLAIM);
    let (mut refused, mut done) = (0, 0);
    for point in points {
        let errors: &[&str] = match point.call.as_str() {
            "write" | "pwrite64" | "ftruncate" => &["ENOSPC", "EIO"],
            "flock" => &["ENOLCK"],
            _ => &["EROFS", "EACCES", "ENOSPC"],
        };
        for error in &errors[..if all() { errors.len() } else { 1 }] {
            bench.restore();
            let inject = format!("inject={}:error={error}:when={}", point.call, point.nth);
            let trace = format!("trace={}", point.call);
            let options = ["-e", trace.as_str(), "-e", inject.as_str()];
            let output = bench.traced(&options, dir, CLAIM).output().unwrap();
            let told = replay(&bench.repo, dir, "orchestration").total("claim");
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => {
                    done += 1;
                    assert_eq!(told, 1, "{point:?} {error}");
                }
                Some(1) => {
                    refused += 1;
                    assert_eq!(told, 0, "{point:?} {error}: {stderr}");
                    assert!(stderr.starts_with("error: "), "{point:?} {error}: {stderr}");
                    bench.repo.orch(CLAIM).ok();
                }
                code => panic!("{point:?} {error}: {code:?} {stderr}"),
            }
            let state = bench.board().tasks[&"a".parse().unwrap()].status.state;
            assert_eq!(state, State::Claimed, "{point:?} {error}");
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {done}");
    bench.repo.git(["fsck", "--strict"]);
}

#[test]
fn an_object_store_that_cannot_be_written_stops_writers_and_not_readers() {
    if !can_trace() {
        return;
    }
    let bench = Bench::new(project(&[&["dispatch"]]));
    let dir = bench.repo.path();
    let points = bench.points(dir, CLAIM);
    let in_store = |point: &&Point| {
        point.call == "openat" && point.line.contains("/objects/") && point.line.contains("O_CREAT")
    };
    let first = points.iter().find(in_store).unwrap();
    bench.restore();
    let inject = format!("inject=openat:error=EACCES:when={}+", first.nth);
    let options = ["-e", "trace=openat", "-e", inject.as_str()];
    let output = bench.traced(&options, dir, CLAIM).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("to the object store"), "{stderr}");
    let read = bench.traced(&options, dir, &["status", "--json"]);
    assert!({ read }.output().unwrap().status.success());
    bench.repo.orch(CLAIM).ok();
}
