//! The ledger as seen by plain Git, by many writers, and by whoever kills them.

use std::path::Path;
use std::sync::Barrier;

use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::board::Gate;
use git_orch::model::*;

use super::common::TestRepo;

/// A plan of so many independent tasks over so many teams.
pub fn plan(teams: u32, coders: u32, tasks: u32) -> Plan {
    let mut plan = Plan::default();
    plan.run.name = String::from("billing");
    plan.run.limits.0.clear();
    for team in 1..=teams {
        plan.teams
            .push(toml::from_str(&format!("id = {team}\ncoders = {coders}\n")).unwrap());
    }
    for number in 0..tasks {
        let id = format!("task-{number:04}").parse().unwrap();
        let mut task = TaskSpec::new(
            id,
            TeamId(number % teams + 1),
            format!("Write part {number}"),
        );
        task.scope = vec![format!("src/part{number}/**")];
        plan.tasks.push(task);
    }
    plan
}

/// The ledger of a repository, spoken to directly.
pub fn open(path: &Path) -> Ledger {
    Ledger::open(Repo::discover(path).unwrap(), Actor::Human).unwrap()
}

/// Applies a plan and makes ready what may start.
pub fn apply(ledger: &mut Ledger, plan: Plan) {
    ledger
        .transact(Op::ApplyPlan(Box::new(PlanChange::new(plan))))
        .unwrap();
    ledger.transact(Op::Dispatch(Gate::Submitted)).unwrap();
}

fn claim_op(task: &TaskId, agent: AgentId) -> Op {
    Op::Claim(Box::new(Ask::named(task.clone(), agent, None)))
}

#[test]
fn pain_20_the_ledger_is_an_orphan_branch_that_git_can_read() {
    let repo = TestRepo::new().init();
    let text = repo.git(["show", "orchestration:.orchestration/orch.toml"]);
    assert!(text.contains("base = \"main\""), "{text}");
    assert_eq!(repo.git(["rev-list", "--count", "orchestration"]), "1");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    repo.git(["fsck", "--strict"]);
}

/// Commits a file of the ledger the way a person would, without our help.
fn edit_by_hand(repo: &TestRepo, path: &str, text: &str) {
    let file = repo.outside().join("edited");
    std::fs::write(&file, text).unwrap();
    let script = format!(
        "blob=$(git hash-object -w '{}') && export GIT_INDEX_FILE=$(mktemp -u) && \
         git read-tree orchestration && git update-index --add --cacheinfo 100644,$blob,{path} && \
         git update-ref refs/heads/orchestration \
         $(git commit-tree $(git write-tree) -p orchestration -m 'by hand')",
        file.display()
    );
    assert!(
        repo.command("sh", repo.path())
            .args(["-c", &script])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_hand_edit_that_breaks_a_file_is_refused_with_file_and_line() {
    let repo = TestRepo::new().init();
    edit_by_hand(&repo, ".orchestration/orch.toml", "format = 1\nbase = 7\n");
    let complaint = repo.orch(["dispatch"]).fails(1);
    assert!(
        complaint.contains(".orchestration/orch.toml:2:8"),
        "{complaint}"
    );
    assert_eq!(
        repo.git(["rev-list", "--count", "orchestration"]),
        "2",
        "nothing was written"
    );
}

#[test]
fn hand_edits_are_read_and_unknown_keys_survive() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 3));
    let path = ".orchestration/teams/1/status/task-0000.toml";
    edit_by_hand(&repo, path, "state = \"ready\"\nreviewer = \"ada\"\n");
    let task: TaskId = "task-0000".parse().unwrap();
    ledger
        .transact(claim_op(&task, "1.1".parse().unwrap()))
        .unwrap();
    let text = repo.git(["show", &format!("orchestration:{path}")]);
    assert!(
        text.contains("state = \"claimed\"") && text.contains("reviewer = \"ada\""),
        "{text}"
    );
    edit_by_hand(&repo, ".orchestration/notes.md", "kept\n");
    ledger
        .transact(Op::Escalate(task, String::from("look")))
        .unwrap();
    assert_eq!(
        repo.git(["show", "orchestration:.orchestration/notes.md"]),
        "kept"
    );
    // What a fresh reader makes of the tree is what the writer believes.
    assert_eq!(open(repo.path()).board(), ledger.board());
}

#[test]
fn the_guides_greps_give_right_answers() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(11, 1, 11));
    for (task, agent) in [("task-0000", "1.1"), ("task-0010", "11.1")] {
        ledger
            .transact(claim_op(&task.parse().unwrap(), agent.parse().unwrap()))
            .unwrap();
    }
    ledger
        .transact(Op::Escalate(
            "task-0010".parse().unwrap(),
            String::from("stuck"),
        ))
        .unwrap();
    let count = |args: &[&str]| {
        let mut all = vec!["log", "--all", "--format=%s"];
        all.extend(args);
        repo.git(all).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let team1 = count(&["--grep=\\[TEAM-1\\]", "--grep=claim", "--all-match"]);
    assert_eq!(
        team1,
        ["[TEAM-1] [AGENT-1.1] claim task-0000: Write part 0"]
    );
    assert_eq!(count(&["--grep=\\[AGENT"]).len(), 3);
    assert_eq!(
        count(&["--grep=ESCALATION"]),
        ["[TEAM-11] [AGENT-11.1] ESCALATION task-0010: stuck"]
    );
    let states = repo.git([
        "log",
        "orchestration",
        "--format=%(trailers:key=Orch-State,valueonly)",
    ]);
    assert_eq!(
        states
            .lines()
            .filter(|line| *line == "ready -> claimed")
            .count(),
        2
    );
}

#[test]
fn pain_13_and_15_many_writers_claim_each_task_once_and_lose_nothing() {
    let repo = TestRepo::new().init();
    let (writers, tasks) = (8, 80);
    apply(&mut open(repo.path()), plan(writers, 1, tasks));
    let begin = Barrier::new(writers as usize);
    std::thread::scope(|scope| {
        for team in 1..=writers {
            let (repo, begin) = (&repo, &begin);
            scope.spawn(move || {
                let mut ledger = open(repo.path());
                let agent: AgentId = format!("{team}.1").parse().unwrap();
                begin.wait();
                for number in (0..tasks).filter(|number| number % writers + 1 == team) {
                    let task: TaskId = format!("task-{number:04}").parse().unwrap();
                    // Everybody tries for the task; only its own team may have it.
                    ledger.transact(claim_op(&task, agent)).unwrap();
                    let attempt = ledger.board().tasks[&task].status.attempt;
                    let claim = Claim {
                        task,
                        agent,
                        attempt,
                    };
                    ledger
                        .transact(Op::Release(claim, String::from("done")))
                        .unwrap();
                }
            });
        }
    });
    let subjects = repo.git([
        "log",
        "--format=%(trailers:key=Orch-Event,valueonly)",
        "orchestration",
    ]);
    let count = |kind: &str| subjects.lines().filter(|line| *line == kind).count();
    assert_eq!(
        (count("claim"), count("release")),
        (tasks as usize, tasks as usize)
    );
    assert_eq!(
        repo.git(["rev-list", "--count", "--min-parents=2", "orchestration"]),
        "0"
    );
    let board = open(repo.path()).board().clone();
    assert!(
        board
            .tasks
            .values()
            .all(|task| task.status.attempt == Attempt(1))
    );
    repo.git(["fsck", "--strict"]);
}

#[test]
fn processes_that_race_for_one_task_have_one_winner() {
    let repo = TestRepo::new().init();
    apply(&mut open(repo.path()), plan(1, 8, 1));
    let racers: Vec<_> = (1..=8)
        .map(|number| {
            let agent = format!("1.{number}");
            let args = ["claim", "task-0000", "--no-worktree", "--agent", &agent];
            repo.orch_command(repo.path())
                .args(args)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut codes: Vec<i32> = racers
        .into_iter()
        .map(|mut racer| racer.wait().unwrap().code().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4, 4, 4, 4, 4, 4, 4]);
}

#[test]
fn pain_21_a_foreign_writer_between_reading_and_writing_is_never_overwritten() {
    let repo = TestRepo::new().init();
    let mut ours = open(repo.path());
    apply(&mut ours, plan(1, 2, 2));
    let mut other = open(repo.path());
    other
        .transact(claim_op(
            &"task-0000".parse().unwrap(),
            "1.1".parse().unwrap(),
        ))
        .unwrap();
    edit_by_hand(&repo, ".orchestration/notes.md", "by hand\n");
    ours.transact(claim_op(
        &"task-0001".parse().unwrap(),
        "1.2".parse().unwrap(),
    ))
    .unwrap();
    assert!(
        ours.board()
            .tasks
            .values()
            .all(|task| task.status.state == State::Claimed)
    );
    assert_eq!(
        repo.git(["show", "orchestration:.orchestration/notes.md"]),
        "by hand"
    );
}

#[test]
fn a_lock_that_a_killed_writer_left_is_taken_away_and_anyone_elses_is_not() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 1));
    let lock = repo.path().join(".git/refs/heads/orchestration.lock");
    let ours = repo
        .path()
        .join(".git/orch/ref:refs:heads:orchestration.new");
    // As left behind by a kill between locking the ref and renaming the lock.
    std::fs::write(&ours, "0000\n").unwrap();
    std::fs::hard_link(&ours, &lock).unwrap();
    let task: TaskId = "task-0000".parse().unwrap();
    ledger
        .transact(Op::Escalate(task.clone(), String::from("one")))
        .unwrap();
    assert!(!lock.exists() && !ours.exists());
    // As left behind by a kill between renaming the lock and tidying up.
    std::fs::hard_link(repo.path().join(".git/refs/heads/orchestration"), &ours).unwrap();
    ledger
        .transact(Op::Escalate(task.clone(), String::from("two")))
        .unwrap();
    std::fs::write(&lock, "someone's\n").unwrap();
    let error = ledger
        .transact(Op::Escalate(task, String::from("three")))
        .unwrap_err();
    assert!(
        error.to_string().contains("locked by someone else"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), "someone's\n");
}

#[test]
fn packed_refs_being_rewritten_do_not_stop_the_ledger() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 1));
    repo.git(["pack-refs", "--all"]);
    std::fs::write(repo.path().join(".git/packed-refs.lock"), "").unwrap();
    let task: TaskId = "task-0000".parse().unwrap();
    ledger
        .transact(claim_op(&task, "1.1".parse().unwrap()))
        .unwrap();
    assert_eq!(
        open(repo.path()).board().tasks[&task].status.state,
        State::Claimed
    );
}

#[test]
fn the_ledger_does_not_move_under_a_worktree_that_has_it_checked_out() {
    let repo = TestRepo::new().init();
    repo.git(["worktree", "add", "-q", "../by hand", "orchestration"]);
    let complaint = repo.orch(["dispatch"]).fails(3);
    assert!(
        complaint.contains("nothing can be made ready"),
        "{complaint}"
    );
    let mut ledger = open(repo.path());
    let plan = plan(1, 1, 1);
    let op = || Op::ApplyPlan(Box::new(PlanChange::new(plan.clone())));
    let error = ledger.transact(op()).unwrap_err().to_string();
    assert!(
        error.contains("is checked out at") && error.contains("by hand"),
        "{error}"
    );
    repo.git_in(
        &repo.outside().join("by hand"),
        ["switch", "-q", "--detach"],
    );
    ledger.transact(op()).unwrap();
}

#[test]
fn the_snapshot_cache_may_be_deleted_or_garbage_or_stale() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(2, 2, 120));
    let cache = repo.path().join(".git/orch/snapshot");
    let stale = std::fs::read(&cache).expect("120 tasks are worth a cache");
    assert_eq!(open(repo.path()).board(), ledger.board());
    ledger
        .transact(claim_op(
            &"task-0003".parse().unwrap(),
            "2.1".parse().unwrap(),
        ))
        .unwrap();
    for content in [
        Some(stale),
        Some(b"garbage".to_vec()),
        Some(Vec::new()),
        None,
    ] {
        match content {
            Some(bytes) => std::fs::write(&cache, bytes).unwrap(),
            None => std::fs::remove_file(&cache).unwrap(),
        }
        assert_eq!(open(repo.path()).board(), ledger.board());
    }
}

#[test]
fn beyond_a_hundred_tasks_a_team_gets_a_second_level_of_directories() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 1, 300));
    let names = repo.git([
        "ls-tree",
        "--name-only",
        "orchestration:.orchestration/teams/1/tasks",
    ]);
    assert!(names.lines().all(|name| name.len() == 2), "{names}");
    assert_eq!(open(repo.path()).board().tasks.len(), 300);
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_writer_killed_at_any_moment_leaves_a_ledger_that_goes_on() {
    let repo = TestRepo::new().init();
    apply(&mut open(repo.path()), plan(1, 1, 1));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut told, mut lost) = (0, 0);
    for round in 0..60u64 {
        let text = format!("round {round} ends");
        let mut writer = repo
            .orch_command(repo.path())
            .args(["escalate", "task-0000", "-m", &text])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere between not begun and long done, later and later.
        std::thread::sleep(std::time::Duration::from_micros(
            random.u64(0..=round * 800),
        ));
        let _ = writer.kill();
        let _ = writer.wait();
        let log = repo.git(["log", "--format=%s", "orchestration"]);
        let with = log.lines().filter(|line| line.ends_with(&text)).count();
        assert!(with <= 1, "{text} was written {with} times");
        told += with;
        lost += 1 - with;
        open(repo.path());
    }
    repo.orch(["escalate", "task-0000", "-m", "the end"]).ok();
    repo.git(["fsck", "--strict"]);
    assert!(
        told > 0 && lost > 0,
        "all kills came on one side of the write: {told} and {lost}"
    );
}

#[test]
fn git_reads_objects_of_every_size_as_they_were_written() {
    let repo = TestRepo::new();
    let ours = Repo::discover(repo.path()).unwrap();
    // Around the size from which on objects are compressed, and where the checksum's sums begin anew.
    for length in [0, 1, 63, 3000, 4031, 4032, 4033, 5552, 5553, 70_000] {
        let bytes: Vec<u8> = (0..length).map(|i: u32| (i % 251) as u8 | 0x80).collect();
        let id = ours.write_blob(&bytes).unwrap();
        assert_eq!(ours.read_blob(id).unwrap(), bytes);
        // A second time its file is renewed.
        assert_eq!(ours.write_blob(&bytes).unwrap(), id);
        let size = repo.git(["cat-file", "-s", &id.to_string()]);
        assert_eq!(size.trim(), length.to_string());
    }
    repo.git(["fsck", "--strict"]);
    let left = std::fs::read_dir(repo.path().join(".git/objects")).unwrap();
    let mut names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| !name.starts_with("tmp_obj_")));
}

#[test]
fn objects_are_written_while_git_takes_empty_directories_away() {
    let repo = TestRepo::new();
    let ours = Repo::discover(repo.path()).unwrap();
    let objects = repo.path().join(".git/objects");
    let over = std::sync::atomic::AtomicBool::new(false);
    let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As `git prune-packed` does, all the time.
            let dirs: Vec<_> = (0..256).map(|i| objects.join(format!("{i:02x}"))).collect();
            while !is_over() {
                for dir in &dirs {
                    let _ = std::fs::remove_dir(dir);
                }
            }
        });
        let written = (0..1000_u32).try_for_each(|number| {
            // Some are written by us, some by the library.
            let length = if number % 2 == 0 { 8 } else { 5000 };
            let id = ours.write_blob(&number.to_le_bytes().repeat(length / 4))?;
            let hex = id.to_string();
            std::fs::remove_file(objects.join(&hex[..2]).join(&hex[2..]))?;
            anyhow::Ok(())
        });
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        written.unwrap();
    });
}
