//! What lies in the spool is carried out as it was left, or not at all.

use proptest::prelude::*;

use super::*;
use crate::model::state::Status;
use crate::model::{
    Actor, Attempt, Claim, CommitId, Earlier, MachineId, Op, OpId, Plan, PlanChange, TaskSpec,
    TeamId, Timestamp,
};

fn op() -> impl Strategy<Value = Op> {
    let claim = || {
        ("[a-z][a-z0-9-]{0,9}", 1..9_u32, any::<u32>()).prop_map(|(task, number, attempt)| Claim {
            task: task.parse().unwrap(),
            agent: format!("1.{number}").parse().unwrap(),
            attempt: Attempt(attempt),
        })
    };
    let commit = || any::<String>().prop_map(CommitId);
    prop_oneof![
        any::<String>().prop_map(Op::Authority),
        claim().prop_map(Op::Start),
        (claim(), any::<String>()).prop_map(|(claim, why)| Op::Block(claim, why)),
        (claim(), any::<String>(), any::<Option<String>>())
            .prop_map(|(claim, why, found)| Op::Fail(claim, why, found)),
        (claim(), commit(), commit())
            .prop_map(|(claim, head, new)| Op::Merge(claim.task, head, new)),
        (claim(), any::<String>(), any::<String>(), any::<u64>()).prop_map(
            |(claim, title, why, digest)| {
                let mut plan = Plan::default();
                plan.tasks
                    .push(TaskSpec::new(claim.task.clone(), TeamId(1), title));
                Op::ApplyPlan(Box::new(PlanChange {
                    plan,
                    digests: vec![digest],
                    earlier: Earlier {
                        archives: [why].into(),
                        attempts: [(claim.task, claim.attempt)].into(),
                    },
                }))
            }
        ),
    ]
}

fn letter() -> impl Strategy<Value = Letter> {
    let of = (
        "[0-9a-f]{11}-[0-9a-f]{16}",
        any::<i64>(),
        any::<String>(),
        any::<String>(),
        op(),
    );
    of.prop_map(|(id, time, machine, seen, op)| Letter {
        seen,
        intent: Intent {
            id: OpId(id),
            time: Timestamp(time),
            actor: Actor::Human,
            machine: MachineId(machine),
            op,
        },
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let failed = (any::<String>(), any::<Vec<String>>(), any::<bool>());
    prop_oneof![
        (any::<String>(), any::<bool>()).prop_map(|(subject, has_status)| {
            Answer::Done(Box::new(Done {
                commit: None,
                subject,
                tasks: vec!["a".parse().unwrap()],
                status: has_status.then(Status::default),
            }))
        }),
        any::<String>().prop_map(|message| Answer::Refused(Refusal::denied(message))),
        failed.prop_map(|(message, hints, unreachable)| Answer::Failed {
            message,
            hints,
            unreachable
        }),
    ]
}

fn spool() -> (tempfile::TempDir, Spool) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("spool");
    fs::create_dir(&dir).unwrap();
    (temp, Spool { dir })
}

/// Puts a file into the spool whose writer waits, and returns its handle.
fn put(spool: &Spool, bytes: &[u8]) -> File {
    let path = spool.dir.join("0-x");
    files::replace(&path, bytes).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_letter_and_its_answer_arrive(letter in letter(), answer in answer()) {
        let (_temp, spool) = spool();
        let mut waiting = spool.leave(&letter).unwrap();
        prop_assert!(waiting.answer().unwrap().is_none());
        let mut waiters = spool.waiters();
        prop_assert_eq!(waiters.len(), 1);
        let waiter = waiters.remove(0);
        prop_assert_eq!(&waiter.letter.intent, &letter.intent);
        prop_assert_eq!(&waiter.letter.seen, &letter.seen);
        waiter.answer(&answer).unwrap();
        let told = waiting.answer().unwrap().unwrap();
        prop_assert_eq!(serde_json::to_value(&told).unwrap(), serde_json::to_value(&answer).unwrap());
        prop_assert!(spool.waiters().is_empty());
    }

    #[test]
    fn what_is_no_letter_is_not_carried_out(
        letter in letter(), noise in any::<Vec<u8>>(), at in any::<usize>(), to in any::<usize>(), byte in any::<u8>(),
    ) {
        let mut whole = serde_json::to_vec(&letter).unwrap();
        whole.push(b'\n');
        let (at, to) = (at % whole.len(), to % whole.len());
        let mut flipped = whole.clone();
        flipped[at] = byte;
        let mut swapped = whole.clone();
        swapped.swap(at, to);
        let cut = whole[..at].to_vec();
        let doubled = [&whole[..at.max(to)], &whole[at.min(to)..]].concat();
        for (bytes, is_whole) in [(noise, false), (cut, false), (flipped, true), (swapped, true), (doubled, true)] {
            let (_temp, spool) = spool();
            let writer = put(&spool, &bytes);
            let found = spool.waiters();
            prop_assert!(found.len() <= usize::from(is_whole));
            for waiter in found {
                prop_assert!(serde_json::to_vec(&waiter.letter).is_ok());
            }
            // Whose writer is gone is cleared away, whatever it is.
            drop(writer);
            prop_assert!(spool.waiters().is_empty());
            prop_assert!(spool.dead().is_empty());
        }
    }

    #[test]
    fn an_answer_that_is_none_is_told(noise in any::<Vec<u8>>()) {
        let (_temp, spool) = spool();
        let mut file = put(&spool, b"letter\n");
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&noise).unwrap();
        let mut waiting = Waiting { file, length: 7 };
        match waiting.answer() {
            Ok(answer) => prop_assert!(answer.is_none() && noise.last() != Some(&b'\n')),
            Err(error) => prop_assert!(error.to_string().contains("another version")),
        }
    }
}

#[test]
fn what_is_no_file_or_too_large_holds_nobody_up() {
    let (_temp, spool) = spool();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        spool.dir.join("1-fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    fs::create_dir(spool.dir.join("2-dir")).unwrap();
    let file = put(&spool, b"");
    file.set_len(MOST_OWN as u64 + 1).unwrap();
    assert!(spool.waiters().is_empty());
    assert!(spool.dead().iter().all(|path| !path.ends_with("1-fifo")));
}
