//! No wait without an end, or a line that says what it is for: locks, and a ledger that can no longer be used.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use git_orch::git::files::Lock;

use super::common::TestRepo;

/// A script that spoils the ledger by hand, as plain Git lets anybody.
const SPOIL: &str = "cd ../../repo && env -i PATH=\"$PATH\" HOME=\"$HOME\" GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=x \
    GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x GIT_INDEX_FILE=../ix sh -ec '\
    git read-tree orchestration; b=$(echo \"not = [toml\" | git hash-object -w --stdin); \
    git update-index --add --cacheinfo 100644,$b,.orchestration/teams/1/status/a.toml; \
    git update-ref refs/heads/orchestration $(git commit-tree -p orchestration -m by-hand $(git write-tree))'";

fn plan(script: &str) -> String {
    format!(
        "[run]\nname = \"demo\"\n[agents.default]\npreset = \"shell\"\n[[teams]]\nid = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Do a\"\nrun = '''\n{script}\n'''\n"
    )
}

#[test]
fn a_ledger_that_cannot_be_read_any_more_ends_the_run_and_keeps_the_work() {
    let script = format!("if [ $ORCH_ATTEMPT = 1 ]; then ({SPOIL}); fi\necho a > a.txt");
    let repo = TestRepo::new().init().plan(&plan(&script));
    let told = repo.orch(["run", "--no-progress"]).fails(1);
    assert!(told.contains("status/a.toml"), "{told}");
    assert!(told.contains("is tried again"), "{told}");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    let on_branch = repo.try_git_in(repo.path(), ["show", "orch/team-1/a:a.txt"]);
    assert!(on_branch.code() == 0 || !kept.is_empty(), "{told}");
    // Once that is mended the next run takes up what this one could not tell.
    repo.git(["update-ref", "refs/heads/orchestration", "orchestration~1"]);
    let _ = std::fs::remove_dir_all(repo.path().join(".git/orch/cache"));
    let again = repo.orch(["run", "--no-progress"]);
    assert!(
        again.stderr().contains("released a: its executor is gone"),
        "{}",
        again.stderr()
    );
    again.ok();
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "a");
}

#[test]
fn a_ledger_that_cannot_be_read_stops_nobody_who_stops_the_run() {
    let script = format!("({SPOIL})\ntouch ../../spoilt\nwhile :; do sleep 0.05; done");
    let repo = TestRepo::new().init().plan(&plan(&script));
    let mut run = repo
        .orch_command(repo.path())
        .args(["run", "--no-progress"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let spoilt = repo.outside().join("spoilt");
    while !spoilt.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let begun = std::time::Instant::now();
    let pid = run.id().to_string();
    for signal in ["-INT", "-TERM"] {
        repo.command("kill", repo.path())
            .args([signal, &pid])
            .status()
            .unwrap();
    }
    let mut told = String::new();
    let mut stderr = run.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
    let code = run.wait().unwrap().code();
    assert!([Some(130), Some(143)].contains(&code), "{code:?}: {told}");
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
}

#[test]
fn whoever_waits_for_a_lock_says_so_and_goes_on_when_it_is_free() {
    let repo = TestRepo::new().init().plan(&plan("true"));
    let lock = Lock::wait(&repo.path().join(".git/orch/lock")).unwrap();
    let mut waits = repo
        .orch_command(repo.path())
        .arg("dispatch")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waits.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.starts_with("waiting for another git-orch process, which holds "),
        "{line}"
    );
    drop(lock);
    assert!(waits.wait().unwrap().success());
}
