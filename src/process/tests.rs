//! Real children, most of them badly behaved.

#![expect(
    clippy::disallowed_methods,
    reason = "tests write files for the children"
)]

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Ended, Ending, Idle, Spec, proc, run, run_async, run_until, sweep};
use crate::clock;
use crate::model::Command;

fn spec(dir: &TempDir, script: &str) -> Spec {
    Spec {
        command: Command::Shell(script.to_owned()),
        dir: dir.path().to_owned(),
        env: Vec::new(),
        stdin: None,
        log: dir.path().join("log"),
        wall: Duration::from_secs(60),
        idle: None,
        mark: clock::new_op_id().0,
        jobserver: None,
    }
}

fn idle(milliseconds: u64) -> Idle {
    Idle {
        time: Duration::from_millis(milliseconds),
        signs: Vec::new(),
    }
}

fn run_script(dir: &TempDir, script: &str) -> Ended {
    run(&spec(dir, script)).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Waits until a file is there; the child makes it.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn pids(dir: &TempDir, name: &str) -> Vec<i32> {
    let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
    text.lines()
        .map(|line| line.trim().parse().unwrap())
        .collect()
}

#[track_caller]
fn assert_gone(pids: &[i32]) {
    assert!(!pids.is_empty());
    for pid in pids {
        let row = proc::row(*pid);
        assert!(row.is_none_or(|row| row.zombie), "{pid} runs: {row:?}");
    }
}

#[test]
fn exit_codes_and_output_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run_script(&dir, "echo out; echo err >&2; exit 7");
    assert_eq!(ended.ending, Ending::Exited(7));
    assert_eq!(ended.tail, "out\nerr\n");
    assert_eq!(ended.leftovers, 0);
    let again = run_script(&dir, "echo more");
    assert_eq!(again.ending, Ending::Exited(0));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log, "out\nerr\nmore\n");
}

#[test]
fn a_child_leads_a_session_without_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let script = "cut -d' ' -f1,5,6,7 /proc/$$/stat; (: >/dev/tty) 2>/dev/null && echo terminal";
    let ended = run_script(&dir, script);
    let first = ended.tail.lines().next().unwrap();
    let fields: Vec<i32> = first
        .split(' ')
        .map(|field| field.parse().unwrap())
        .collect();
    let [pid, group, session, terminal] = fields[..] else {
        panic!("{}", ended.tail)
    };
    assert_eq!((group, session, terminal), (pid, pid, 0));
    assert!(!ended.tail.contains("terminal"), "{}", ended.tail);
}

#[test]
fn a_signal_that_is_not_ours_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        run_script(&dir, "kill -KILL $$").ending,
        Ending::Signalled(9)
    );
}

#[test]
fn words_are_passed_as_they_stand_and_input_is_read_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["printf", "%s|", "a b", "$HOME", "'\"", ""];
    let mut spec = spec(&dir, "");
    spec.command = Command::Argv(words.map(str::to_owned).into());
    assert_eq!(run(&spec).unwrap().tail, "a b|$HOME|'\"||");
    spec.command = Command::Argv(vec![String::from("cat")]);
    assert_eq!(run(&spec).unwrap().tail, "");
    let input = dir.path().join("the input");
    std::fs::write(&input, "hello").unwrap();
    spec.stdin = Some(input);
    assert_eq!(run(&spec).unwrap().tail, "hello");
}

#[test]
fn what_cannot_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut missing = spec(&dir, "");
    missing.command = Command::Argv(vec![String::from("no-such-program-here")]);
    let error = run(&missing).unwrap_err().to_string();
    assert_eq!(error, "cannot start `no-such-program-here`");
    let mut no_shell = spec(&dir, "true");
    no_shell.env = vec![("PATH".into(), dir.path().into())];
    let error = run(&no_shell).unwrap_err().to_string();
    assert_eq!(error, "cannot start sh for `true`");
    let mut nowhere = spec(&dir, "true");
    nowhere.dir = dir.path().join("gone");
    let error = run(&nowhere).unwrap_err().to_string();
    assert!(error.starts_with("there is no directory "), "{error}");
    let mut empty = spec(&dir, "");
    empty.command = Command::Argv(Vec::new());
    assert_eq!(run(&empty).unwrap_err().to_string(), "the command is empty");
}

#[test]
fn the_environment_holds_what_was_asked_and_nothing_of_git() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        &dir,
        "echo \"$A|${GIT_DIR-none}|${GIT_INDEX_FILE-none}\"; echo \"$ORCH_PROCESS\"",
    );
    spec.env = vec![("A".into(), "1 2".into())];
    let tail = run(&spec).unwrap().tail;
    let (first, marks) = tail.split_once('\n').unwrap();
    assert_eq!(first, "1 2|none|none");
    assert!(marks.trim().ends_with(&spec.mark), "{marks}");
}

#[test]
fn the_wall_clock_ends_a_child_and_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        &dir,
        "sleep 1000 & echo $! > pids; while :; do echo busy; sleep 0.05; done",
    );
    spec.wall = Duration::from_millis(400);
    spec.idle = Some(idle(30_000));
    let ended = run(&spec).unwrap();
    assert_eq!(ended.ending, Ending::TimedOut);
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
    assert_gone(&pids(&dir, "pids"));
}

#[test]
fn silence_ends_a_child_and_output_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut silent = spec(&dir, "echo begun; sleep 1000");
    silent.idle = Some(idle(300));
    let ended = run(&silent).unwrap();
    assert_eq!(
        (ended.ending, ended.tail.as_str()),
        (Ending::Silent, "begun\n")
    );
    let mut chatty = spec(
        &dir,
        "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done",
    );
    chatty.idle = Some(idle(1000));
    assert_eq!(run(&chatty).unwrap().ending, Ending::Exited(0));
}

#[test]
fn who_computes_in_silence_is_at_work() {
    let dir = tempfile::tempdir().unwrap();
    // By itself, in a child, and in one after the other that each are gone in a moment.
    for script in [
        "exec timeout 1.2 sh -c 'while :; do :; done'",
        "timeout 1.2 sh -c 'while :; do :; done' & wait",
        "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do sh -c :; done",
    ] {
        let mut spec = spec(&dir, script);
        spec.idle = Some(idle(400));
        let ended = run(&spec).unwrap();
        assert!(
            matches!(ended.ending, Ending::Exited(_)),
            "{script}: {ended:?}"
        );
    }
}

#[test]
fn a_file_that_changes_is_a_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let sign = dir.path().join("sign");
    let script = "for i in 1 2 3 4 5 6; do sleep 0.2; echo $i >> sign; done; sleep 1000";
    let mut spec = spec(&dir, script);
    let signs = vec![dir.path().join("none"), sign.clone()];
    spec.idle = Some(Idle { signs, ..idle(500) });
    assert_eq!(run(&spec).unwrap().ending, Ending::Silent);
    assert_eq!(std::fs::read_to_string(sign).unwrap().lines().count(), 6);
}

#[test]
fn who_ignores_a_polite_signal_is_ended_firmly() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        &dir,
        "trap '' TERM INT HUP; echo $$ > pids; while :; do sleep 0.1; done",
    );
    spec.wall = Duration::from_millis(200);
    assert_eq!(run(&spec).unwrap().ending, Ending::TimedOut);
    assert_gone(&pids(&dir, "pids"));
}

#[test]
fn who_listens_to_a_polite_signal_may_finish() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(
        &dir,
        "trap 'echo bye; exit 0' TERM; : > up; while :; do sleep 0.05; done",
    );
    let up = dir.path().join("up");
    let ended = block_on(run_async(&spec, appears(&up))).unwrap();
    assert_eq!(ended.ending, Ending::Stopped);
    assert!(ended.tail.ends_with("bye\n"), "{}", ended.tail);
}

#[test]
fn killing_does_not_wait_for_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(&dir, "trap '' TERM; : > up; while :; do sleep 0.05; done");
    let up = dir.path().join("up");
    let kill = async {
        appears(&up).await;
        appears(&up).await;
    };
    let ended = block_on(run_until(&spec, appears(&up), kill)).unwrap();
    assert_eq!(ended.ending, Ending::Stopped);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
}

#[test]
fn what_is_left_in_the_background_is_ended_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let script = "sleep 1000 & echo $! > pids\n\
        setsid sleep 1001 & echo $! >> pids\n\
        (setsid sh -c 'sleep 1002 & echo $! >> pids' &) \n\
        while [ $(wc -l < pids) -lt 3 ]; do sleep 0.02; done";
    let ended = run_script(&dir, script);
    assert_eq!(ended.ending, Ending::Exited(0));
    assert!(ended.leftovers >= 3, "{}", ended.leftovers);
    assert_gone(&pids(&dir, "pids"));
    // The output pipe was held open by all of them.
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
}

#[test]
fn an_orphan_that_cleared_its_environment_is_known_by_having_been_seen() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = "env -i PATH=\"$PATH\" setsid sh -c 'echo $$ > pids; sleep 1000; :'";
    // Its parent lives long enough for the family to be looked at.
    let script = format!("({orphan} & sleep 2); test -s pids");
    let ended = run_script(&dir, &script);
    assert_eq!(ended.ending, Ending::Exited(0), "{}", ended.tail);
    assert_gone(&pids(&dir, "pids"));
}

#[test]
fn a_mark_finds_what_an_earlier_process_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mark = clock::new_op_id().0;
    let mut spec = spec(&dir, "");
    // Not of the family of any mark of ours: started with the mark by hand, as an orphan of a killed run is.
    spec.command = Command::Shell(format!(
        "ORCH_PROCESS=outer/{mark}.1/inner setsid sh -c 'echo $$ > pids; trap \"\" TERM; while :; do sleep 0.1; done' & \
         while [ ! -s pids ]; do sleep 0.02; done; : > up; wait"
    ));
    let up = dir.path().join("up");
    let swept = block_on(async {
        let (ended, swept) = tokio::join!(run_async(&spec, std::future::pending()), async {
            appears(&up).await;
            sweep(&mark)
        });
        assert_eq!(ended.unwrap().ending, Ending::Exited(0));
        swept.unwrap()
    });
    assert!(swept >= 1);
    assert_gone(&pids(&dir, "pids"));
    assert_eq!(sweep(&mark).unwrap(), 0);
    // A longer name that begins alike is another's.
    assert_eq!(sweep(&mark[..4]).unwrap(), 0);
}

#[test]
fn endless_output_is_bounded_on_disk_and_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run_script(
        &dir,
        "head -c 80000000 /dev/zero | tr '\\0' 'x'; echo; echo last",
    );
    assert_eq!(ended.ending, Ending::Exited(0));
    assert!(ended.tail.ends_with("\nlast\n") || ended.tail == "last\n");
    assert!(ended.tail.len() <= super::output::MOST_KEPT);
    let size = std::fs::metadata(dir.path().join("log")).unwrap().len();
    assert!(size < super::output::MOST_LOGGED + 200, "{size}");
}

#[test]
fn many_children_at_once_end_each_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        "setsid sleep 1000 & echo $! > pids; : > up; while [ ! -e go ]; do sleep 0.02; done";
    let long = spec(&dir, script);
    let up = dir.path().join("up");
    block_on(async {
        let (ended, ()) = tokio::join!(run_async(&long, std::future::pending()), async {
            appears(&up).await;
            let other = tempfile::tempdir().unwrap();
            assert_eq!(run_script(&other, "sleep 1000 &").leftovers, 1);
            let row = proc::row(pids(&dir, "pids")[0]).unwrap();
            assert!(!row.zombie, "the other's family was ended");
            std::fs::write(dir.path().join("go"), "").unwrap();
        });
        assert_eq!(ended.unwrap().leftovers, 1);
    });
    assert_gone(&pids(&dir, "pids"));
}
