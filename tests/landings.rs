//! Landings of one clone of many that could not be recorded: every later assembly, in every clone, goes on from there.

use std::path::{Path, PathBuf};

use super::common::machines::Machines;
use super::common::{Outcome, TestRepo, write_file};

/// A plan of two tasks whose test takes the remote away where a file says so.
fn machines() -> Machines {
    let home = TestRepo::new();
    let (hub, gone) = (
        home.outside().join("hub.git"),
        home.outside().join("hub.away"),
    );
    let test = format!(
        "test ! -e {out} || {{ rm {out} && mv {hub} {gone}; }}",
        out = home.outside().join("out").display(),
        hub = hub.display(),
        gone = gone.display(),
    );
    let task = |id: &str| {
        format!(
            "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"{id}\"\nscope = [\"{id}/**\"]\nrun = \"true\"\n"
        )
    };
    let plan = format!(
        "[run]\nname = \"r\"\ntest = \"{test}\"\n[[teams]]\nid = 1\ncoders = 2\n{}{}",
        task("a"),
        task("b")
    );
    let machines = Machines::over(home, &plan);
    machines.home.orch(["dispatch"]).ok();
    machines
}

/// Has a coder of a clone do a task and hand it in.
fn work(machines: &Machines, clone: &Path, task: &str, agent: &str) {
    let home = &machines.home;
    home.orch_in(clone, ["claim", task, "--agent", agent]).ok();
    let dir = clone.with_file_name("repo.orch").join(agent);
    write_file(&dir.join(task).join("f"), task);
    home.git_in(&dir, ["add", "-A"]);
    home.git_in(&dir, ["commit", "-q", "-m", &format!("do {task}")]);
    home.orch_in(&dir, ["submit"]).ok();
}

/// Lets a clone land what waits while the remote goes away.
fn land_unrecorded(machines: &Machines, clone: &Path) {
    write_file(&machines.home.outside().join("out"), "");
    let complaint = machines.home.orch_in(clone, ["assemble"]).fails(1);
    assert!(complaint.contains("cannot be reached"), "{complaint}");
    machines.away(false);
}

fn assemble(machines: &Machines, clone: &Path) -> Outcome {
    machines.home.orch_in(clone, ["assemble"])
}

/// Both tasks are merged, and the remote's branch has both.
fn all_is_in(machines: &Machines) {
    for task in ["a", "b"] {
        assert_eq!(machines.state(task), "merged");
        assert_eq!(
            machines.file("orch/integration", &format!("{task}/f")),
            task
        );
    }
}

fn two() -> (Machines, PathBuf, PathBuf) {
    let machines = machines();
    let (one, two) = (machines.machine("one"), machines.machine("two"));
    (machines, one, two)
}

#[test]
fn what_landed_and_was_not_recorded_is_recorded_beside_what_lands_on_it() {
    let (machines, one, _) = two();
    work(&machines, &one, "b", "1.1");
    land_unrecorded(&machines, &one);
    let answer = machines.home.orch_in(&one, ["doctor", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout()).unwrap();
    assert_eq!(
        answer["findings"][0]["id"], "landing-unrecorded",
        "{answer}"
    );
    assert_eq!(answer["findings"][0]["commands"][0], "git orch assemble");
    work(&machines, &one, "a", "1.2");
    assemble(&machines, &one).ok();
    all_is_in(&machines);
    machines.home.orch_in(&one, ["doctor"]).ok();
}

#[test]
fn another_clone_records_what_the_remotes_branch_has_already() {
    let (machines, one, two) = two();
    work(&machines, &one, "b", "1.1");
    land_unrecorded(&machines, &one);
    // The branch goes up by itself, and then only the ledger lacks it.
    machines.home.orch_in(&one, ["sync"]).ok();
    machines.home.orch_in(&two, ["sync"]).ok();
    work(&machines, &two, "a", "1.2");
    assemble(&machines, &two).ok();
    all_is_in(&machines);
    assemble(&machines, &one).fails(3);
    machines.home.orch_in(&one, ["doctor"]).ok();
}

#[test]
fn what_another_clone_has_landed_meanwhile_is_built_upon() {
    let (machines, one, two) = two();
    work(&machines, &one, "b", "1.1");
    land_unrecorded(&machines, &one);
    work(&machines, &two, "a", "1.2");
    // It knows nothing of the first one's landing, and lands both itself.
    assemble(&machines, &two).ok();
    all_is_in(&machines);
    let outcome = assemble(&machines, &one);
    assert!([0, 3].contains(&outcome.code()), "{}", outcome.stderr());
    all_is_in(&machines);
    let tip = |dir: &Path| machines.home.git_in(dir, ["rev-parse", "orch/integration"]);
    assert_eq!(tip(&one), tip(machines.hub()));
    machines.home.orch_in(&one, ["doctor"]).ok();
}

#[test]
fn work_that_was_rewritten_gets_past_a_remote_that_denies_it() {
    let task =
        "[[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"a\"\nscope = [\"a/**\"]\nrun = \"true\"\n";
    let plan = format!(
        "[run]\nname = \"r\"\ntest = \"! grep -qs bad a/f\"\ntest_retries = 0\n[[teams]]\nid = 1\n{task}"
    );
    let machines = Machines::new(&plan);
    let home = &machines.home;
    for key in ["receive.denyNonFastForwards", "receive.denyDeletes"] {
        home.git_in(machines.hub(), ["config", key, "true"]);
    }
    home.orch(["dispatch"]).ok();
    let (one, two) = (machines.machine("one"), machines.machine("two"));
    let dir = one.with_file_name("repo.orch").join("1.1");
    for (text, code) in [("bad", 1), ("good", 0)] {
        home.orch_in(&one, ["claim", "a", "--agent", "1.1"]).ok();
        home.git_in(&dir, ["reset", "-q", "--hard", "main"]);
        write_file(&dir.join("a/f"), text);
        home.git_in(&dir, ["add", "-A"]);
        home.git_in(&dir, ["commit", "-q", "-m", text]);
        home.orch_in(&dir, ["submit"]).ok();
        let outcome = assemble(&machines, &two);
        assert_eq!(outcome.code(), code, "{}", outcome.stderr());
    }
    assert_eq!(machines.state("a"), "merged");
    assert_eq!(machines.file("orch/integration", "a/f"), "good");
    let beside = home.git_in(machines.hub(), ["for-each-ref", "refs/orch/handed"]);
    assert!(beside.ends_with("refs/orch/handed/a/2"), "{beside}");
}
