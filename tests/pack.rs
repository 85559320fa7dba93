//! The ledger's objects on the disk: packed beside everything else, and nothing else touched.

use git_orch::git::Repo;
use git_orch::git::files::Lock;
use git_orch::ledger::Ledger;
use git_orch::ledger::pack;
use git_orch::model::*;

use super::common::TestRepo;
use super::ledger::{apply, open, plan};

const LEDGER: &str = "refs/heads/orchestration";

fn task() -> TaskId {
    "task-0000".parse().unwrap()
}

/// Claims the task and gives it back: two transitions.
fn claim_and_release(ledger: &mut Ledger) {
    let agent: AgentId = "1.1".parse().unwrap();
    ledger
        .transact(Op::Claim(Box::new(Ask::named(task(), agent, None))))
        .unwrap();
    let claim = Claim {
        task: task(),
        agent,
        attempt: ledger.board().tasks[&task()].status.attempt,
    };
    ledger
        .transact(Op::Release(claim, String::from("next")))
        .unwrap();
}

fn loose(repo: &TestRepo) -> usize {
    let count = repo.git(["count-objects"]);
    count.split(' ').next().unwrap().parse().unwrap()
}

/// Packs; a process that another test is just starting may hold a copy of the lock for a moment.
fn pack_now(repo: &Repo) -> pack::Packing {
    let pack = || pack::pack(repo, LEDGER).unwrap();
    (0..1000).find_map(|_| pack()).expect("nobody else packs")
}

#[test]
fn a_ledger_that_is_open_goes_on_while_others_pack() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(2, 2, 40));
    let mut reader = open(repo.path());
    let other = Repo::discover(repo.path()).unwrap();
    let mut merged = 0;
    for _ in 0..40 {
        claim_and_release(&mut ledger);
        let packing = pack_now(&other);
        assert_eq!(packing.problems, Vec::<String>::new());
        merged += u32::from(packing.merged);
        assert!(packing.packs.1 < 20, "{packing:?}");
        reader.refresh().unwrap();
        assert_eq!(reader.board(), ledger.board());
        assert_eq!(reader.spec(&task()).unwrap().id, task());
    }
    assert!(merged >= 2, "packs were merged {merged} times");
    assert!(loose(&repo) <= 3, "the first commit, its tree and its file");
    assert_eq!(open(repo.path()).board(), ledger.board());
    assert_eq!(reader.history().filter_map(Result::ok).count(), 83);
    repo.git(["fsck", "--strict"]);
    repo.git(["commit-graph", "verify"]);
}

#[test]
fn packing_leaves_alone_what_is_not_the_ledgers() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 3));
    let file = repo.outside().join("unreachable");
    std::fs::write(&file, "nobody points here\n").unwrap();
    let lost = repo.git(["hash-object", "-w", file.to_str().unwrap()]);
    let config = std::fs::read(repo.path().join(".git/config")).unwrap();
    for _ in 0..20 {
        claim_and_release(&mut ledger);
        pack_now(ledger.repo());
    }
    assert_eq!(repo.git(["cat-file", "blob", &lost]), "nobody points here");
    assert_eq!(
        std::fs::read(repo.path().join(".git/config")).unwrap(),
        config
    );
    repo.git(["fsck", "--strict"]);
}

#[test]
fn one_process_packs_at_a_time_and_a_note_that_makes_no_sense_costs_nothing() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 3));
    let orch = repo.path().join(".git/orch");
    let held = Lock::take(&orch.join("pack.lock")).unwrap();
    assert_eq!(pack::pack(ledger.repo(), LEDGER).unwrap(), None);
    drop(held);
    let gone = "1234567890123456789012345678901234567890 0\n";
    for note in ["", "nonsense\n", gone] {
        std::fs::write(orch.join("packed"), note).unwrap();
        claim_and_release(&mut ledger);
        let packing = pack_now(ledger.repo());
        assert!(packing.packs.1 > packing.packs.0, "{packing:?}");
    }
    repo.git(["fsck", "--strict"]);
}

#[test]
fn transitions_notice_that_packing_is_due_and_it_is_not_afterwards() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(1, 2, 3));
    for _ in 0..10 {
        claim_and_release(&mut ledger);
    }
    assert!(!ledger.take_due(), "there are few objects");
    // What is unreachable is not ours to pack, but it is noticed, once.
    let objects = repo.path().join(".git/objects/17");
    std::fs::create_dir_all(&objects).unwrap();
    for number in 0..25 {
        std::fs::write(objects.join(format!("{number:038}")), "").unwrap();
    }
    // One transition in 32 looks.
    let noticed = (0..500).any(|_| {
        claim_and_release(&mut ledger);
        ledger.take_due()
    });
    assert!(noticed);
    for number in 0..25 {
        std::fs::remove_file(objects.join(format!("{number:038}"))).unwrap();
    }
    repo.orch(["pack"]).ok();
    assert!(!pack::is_due(ledger.repo()));
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_packing_that_is_killed_leaves_a_ledger_that_is_whole() {
    let repo = TestRepo::new().init();
    let mut ledger = open(repo.path());
    apply(&mut ledger, plan(2, 2, 40));
    for kill in 0..20 {
        claim_and_release(&mut ledger);
        let mut packing = repo.orch_command(repo.path()).arg("pack").spawn().unwrap();
        // Later each time, so that every step is met; what the process has reached by then does not matter.
        std::thread::sleep(std::time::Duration::from_millis(kill * 4));
        packing.kill().unwrap();
        packing.wait().unwrap();
        assert_eq!(open(repo.path()).board(), ledger.board());
    }
    // What the killed ones have started may still be at it.
    let packed = (0..20).any(|_| {
        repo.orch(["pack"]).ok();
        loose(&repo) <= 3
    });
    assert!(packed, "the first commit, its tree and its file");
    repo.git(["fsck", "--strict"]);
}
