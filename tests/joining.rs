//! Clones that take part in a ledger which nothing that they have fetched tells of.

use std::path::{Path, PathBuf};

use super::common::machines::Machines;

const PLAN: &str = "[run]\nname = \"r\"\n[[teams]]\nid = 1\nname = \"T\"\ncoders = 3\n\
    [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\nrun = \"true\"\n";

/// A clone made as `git clone` is told to.
fn clone(machines: &Machines, name: &str, options: &[&str]) -> PathBuf {
    let dir = machines.home.outside().join(name);
    std::fs::create_dir(&dir).unwrap();
    let from = format!("file://{}", machines.hub().display());
    let mut args = vec!["clone", "-q"];
    args.extend(options);
    args.extend([from.as_str(), "repo"]);
    machines.home.git_in(&dir, args);
    dir.join("repo")
}

fn takes_part(machines: &Machines, clone: &Path) {
    let answer = machines.home.orch_in(clone, ["init", "--json"]).json();
    assert_eq!(answer["joined"], true, "{answer}");
    let ledger = |dir: &Path| machines.home.git_in(dir, ["rev-parse", "orchestration"]);
    assert_eq!(ledger(clone), ledger(machines.hub()));
}

#[test]
fn a_clone_of_one_branch_or_of_one_commit_finds_the_ledger() {
    let more = ["b", "c"].map(|id| {
        format!("[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"{id}\"\nrun = \"true\"\n")
    });
    let machines = Machines::new(&format!("{PLAN}{}", more.concat()));
    machines.home.orch(["dispatch"]).ok();
    for (task, agent, options) in [
        ("a", "1.1", &["--single-branch"][..]),
        ("b", "1.2", &["--depth", "1"]),
        ("c", "1.3", &["-o", "team/upstream", "--single-branch"]),
    ] {
        let clone = clone(&machines, task, options);
        takes_part(&machines, &clone);
        let claim = ["claim", task, "--agent", agent, "--no-worktree"];
        machines.home.orch_in(&clone, claim).ok();
        assert_eq!(machines.state(task), "claimed");
    }
}

#[test]
fn a_clone_made_before_there_was_a_ledger_finds_it() {
    let home = super::common::TestRepo::new();
    let hub = home.outside().join("hub.git");
    home.git(["init", "-q", "--bare", "-b", "main", hub.to_str().unwrap()]);
    home.git(["push", "-q", hub.to_str().unwrap(), "main"]);
    let early = home.outside().join("early");
    home.git([
        "clone",
        "-q",
        hub.to_str().unwrap(),
        early.to_str().unwrap(),
    ]);
    std::fs::remove_dir_all(&hub).unwrap();
    let machines = Machines::over(home, PLAN);
    takes_part(&machines, &early);
}

#[test]
fn no_second_ledger_is_begun_where_nobody_knows_of_the_first() {
    let machines = Machines::new(PLAN);
    let narrow = clone(&machines, "narrow", &["--single-branch"]);
    let before = machines.home.git_in(&narrow, ["for-each-ref"]);
    machines.away(true);
    let complaint = machines.home.orch_in(&narrow, ["init"]).fails(1);
    assert!(
        complaint.contains("cannot be asked whether it has a ledger")
            && complaint.contains("git orch init --remote local"),
        "{complaint}"
    );
    assert_eq!(machines.home.git_in(&narrow, ["for-each-ref"]), before);
    assert!(!narrow.join(".git/orch").exists());
    machines.away(false);
    takes_part(&machines, &narrow);
}

#[test]
fn a_ledger_of_its_own_is_begun_where_a_person_says_so_or_no_remote_has_one() {
    let machines = Machines::new(PLAN);
    let own = clone(&machines, "own", &["--single-branch"]);
    machines.away(true);
    let begin = ["init", "--remote", "local", "--json"];
    let answer = machines.home.orch_in(&own, begin).json();
    assert_eq!(
        (&answer["created"], &answer["remote"]),
        (&true.into(), &serde_json::Value::Null)
    );
    // A whole clone would have the ledger, had there been one when it was made: it is told and goes on.
    machines.away(false);
    machines.home.git_in(
        machines.hub(),
        ["update-ref", "-d", "refs/heads/orchestration"],
    );
    let whole = clone(&machines, "whole", &[]);
    machines.away(true);
    let outcome = machines.home.orch_in(&whole, ["init"]);
    assert!(
        outcome.stderr().contains("cannot be asked"),
        "{}",
        outcome.stderr()
    );
    assert!(outcome.ok().contains("git-orch is set up"));
}
