//! `git orch work`: executors in clones of one bare repository.

use std::path::Path;

use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{Actor, Op, Wish};
use git_orch::seal;
use git_orch::workspace::assign;

use super::common::TestRepo;
use super::common::machines::{Machines, wait_until};

/// A plan with one team; `tasks` is the rest of the file.
fn plan(coders: u32, tasks: &str) -> String {
    format!(
        "[run]\nname = \"trial\"\n\n[[teams]]\nid = 1\nname = \"Builders\"\ncoders = {coders}\n\n{tasks}"
    )
}

/// A task that runs a script.
fn task(id: &str, script: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"Write {id}\"\nrun = '''\n{script}\n'''\n\n"
    )
}

/// A script that waits for a file outside of the repositories, which two levels above a worktree is not: each
/// clone has a directory of its own.
fn wait_for(file: &str) -> String {
    format!("while [ ! -e ../../../{file} ]; do sleep 0.02; done\n")
}

fn touch(machines: &Machines, file: &str) {
    std::fs::write(machines.home.outside().join(file), "x").unwrap();
}

fn exists(machines: &Machines, file: &str) -> bool {
    machines.home.outside().join(file).exists()
}

fn count(story: &[String], words: &str) -> usize {
    story.iter().filter(|line| line.contains(words)).count()
}

/// Whether a process runs; a zombie does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim();
    state.starts_with(|state| state != 'Z' && state != 'X')
}

#[test]
fn three_machines_do_a_plan_together_and_each_task_once() {
    // Six tasks that all must run at the same moment, and six that build on them wherever they were done.
    let mut tasks = String::new();
    for number in 0..6 {
        let together = (0..6).fold(String::new(), |text, n| {
            text + &wait_for(&format!("began-{n}"))
        });
        tasks += &task(
            &format!("first-{number}"),
            &format!("echo x > ../../../began-{number}\n{together}echo {number} > {number}.txt"),
        );
        let after = format!("after = [\"first-{number}\"]\ntitle");
        tasks += &task(
            &format!("then-{number}"),
            &format!("echo and $(cat {number}.txt) > then-{number}.txt"),
        )
        .replace("title", &after);
    }
    let machines = Machines::new(&plan(6, &tasks));
    let executors: Vec<_> = ["m1", "m2", "m3"]
        .iter()
        .map(|name| machines.start(&machines.machine(name), &["work", "--slots", "2"]))
        .collect();
    let told: Vec<_> = executors.into_iter().map(|it| it.ended()).collect();
    for (code, story) in &told {
        assert_eq!(*code, 0, "{told:?}");
        assert!(story.contains("claimed first-"), "{story}");
    }
    let story = machines.story();
    for number in 0..6 {
        for id in [format!("first-{number}"), format!("then-{number}")] {
            assert_eq!(machines.state(&id), "submitted");
            assert_eq!(count(&story, &format!("claim {id}:")), 1, "{story:?}");
            assert_eq!(count(&story, &format!("submit {id}:")), 1, "{story:?}");
        }
        let then = machines.file(
            &format!("orch/team-1/then-{number}"),
            &format!("then-{number}.txt"),
        );
        assert_eq!(then, format!("and {number}"));
    }
}

#[test]
fn while_the_remote_is_away_claimed_work_goes_on_and_then_everything_catches_up() {
    let tasks = task(
        "a",
        &format!(
            "echo x > ../../../began\n{}echo a > a.txt; echo x > ../../../ended",
            wait_for("go")
        ),
    ) + &task("b", "echo b > b.txt");
    let machines = Machines::new(&plan(1, &tasks));
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work"]);
    wait_until("the agent", || exists(&machines, "began"));
    machines.away(true);
    touch(&machines, "go");
    wait_until("its end", || exists(&machines, "ended"));
    executor.tells("claimed work goes on, new claims wait");
    machines.away(false);
    let (code, told) = executor.ended();
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("remote origin can be reached again"),
        "{told}"
    );
    assert_eq!(told.matches("cannot be reached").count(), 1, "{told}");
    for id in ["a", "b"] {
        assert_eq!(machines.state(id), "submitted", "{told}");
        assert_eq!(
            machines.file(&format!("orch/team-1/{id}"), &format!("{id}.txt")),
            id
        );
        let of_id = |verb: &str| count(&machines.story(), &format!("{verb} {id}:"));
        assert_eq!((of_id("claim"), of_id("submit")), (1, 1));
    }
}

#[test]
fn an_executor_that_begins_without_its_remote_waits_for_it() {
    let machines = Machines::new(&plan(1, &task("a", "echo a > a.txt")));
    let clone = machines.machine("m1");
    machines.away(true);
    let executor = machines.start(&clone, &["work"]);
    executor.tells("remote origin cannot be reached");
    machines.away(false);
    let (code, told) = executor.ended();
    assert_eq!(code, 0, "{told}");
    assert_eq!(machines.state("a"), "submitted");
}

#[test]
fn stopped_without_its_remote_it_says_what_could_not_be_told_and_the_next_one_mends_it() {
    let script = format!("echo x > ../../../began\n{}echo a > a.txt", wait_for("go"));
    let machines = Machines::new(&plan(1, &task("a", &script)));
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work", "--grace", "1h"]);
    wait_until("the agent", || exists(&machines, "began"));
    machines.away(true);
    touch(&machines, "go");
    executor.tells("cannot be reached");
    executor.signal("TERM");
    executor.tells("draining");
    executor.signal("TERM");
    let (code, told) = executor.ended();
    assert_eq!(code, 143, "{told}");
    assert!(
        told.contains(
            "the ledger could not be told how a ended; its work is on branch orch/team-1/a"
        ),
        "{told}"
    );
    machines.away(false);
    // That it had begun may have come too late to be told.
    assert!(["claimed", "in_progress"].contains(&machines.state("a").as_str()));
    let (code, told) = machines.start(&clone, &["work"]).ended();
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("released a: its executor is gone"), "{told}");
    assert_eq!(machines.state("a"), "submitted");
}

#[test]
fn the_first_signal_lets_agents_finish_and_takes_no_new_work() {
    let script = format!("echo x > ../../../began\n{}echo a > a.txt", wait_for("go"));
    let tasks = task("a", &script) + &task("b", "echo b > b.txt");
    let machines = Machines::new(&plan(1, &tasks));
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work", "--grace", "1h"]);
    wait_until("the agent", || exists(&machines, "began"));
    executor.signal("TERM");
    executor.tells("draining");
    touch(&machines, "go");
    let (code, told) = executor.ended();
    assert_eq!(code, 143, "{told}");
    assert_eq!(machines.state("a"), "submitted", "{told}");
    assert_eq!(machines.state("b"), "ready", "{told}");
}

#[test]
fn what_does_not_finish_within_the_grace_is_released_with_its_work_kept() {
    let script = "echo part > a.txt; echo $$ > ../../../pid; while :; do sleep 0.02; done";
    let machines = Machines::new(&plan(1, &task("a", script)));
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work", "--grace", "0s"]);
    let pid = machines.home.outside().join("pid");
    wait_until("the agent", || {
        std::fs::metadata(&pid).is_ok_and(|it| it.len() > 0)
    });
    executor.signal("TERM");
    let (code, told) = executor.ended();
    assert_eq!(code, 143, "{told}");
    assert!(
        told.contains("released a: its executor was stopped"),
        "{told}"
    );
    assert_eq!(machines.state("a"), "ready");
    assert!(!is_running(&std::fs::read_to_string(&pid).unwrap()));
    let kept = machines
        .home
        .git_in(&clone, ["show", "orch/team-1/a:a.txt"]);
    assert_eq!(kept, "part");
}

#[test]
fn what_a_killed_executor_held_is_taken_up_at_once_by_the_next_in_its_clone() {
    let script = format!(
        "if [ $ORCH_ATTEMPT = 1 ]; then echo $$ > ../../../pid; echo part > a.txt\n{}fi\n\
         test \"$(cat a.txt)\" = part; echo whole > a.txt",
        wait_for("never")
    );
    let machines = Machines::new(&plan(1, &task("a", &script)));
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work"]);
    let pid = machines.home.outside().join("pid");
    wait_until("the agent", || {
        std::fs::metadata(&pid).is_ok_and(|it| it.len() > 0)
    });
    executor.signal("KILL");
    assert_eq!(executor.ended().0, -9);
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(is_running(&pid), "the test needs an orphan");
    let (code, told) = machines.start(&clone, &["work"]).ended();
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("released a: its executor is gone"), "{told}");
    assert!(!is_running(&pid));
    assert_eq!(machines.file("orch/team-1/a", "a.txt"), "whole");
}

#[test]
fn a_claim_that_a_killed_executor_did_not_live_to_hear_of_is_known_as_its_own() {
    let machines = Machines::new(&plan(
        2,
        &(task("a", "echo a > a.txt") + &task("b", "echo b > b.txt")),
    ));
    let clone = machines.machine("m1");
    machines.home.orch(["dispatch"]).ok();
    machines.home.orch_in(&clone, ["sync"]).ok();
    // One claim is announced as an executor's, the other is made by hand.
    let repo = Repo::discover(&clone).unwrap();
    let mut ledger = Ledger::open(repo, Actor::Executor).unwrap();
    let claims = ledger.repo().orch_dir().join("claims");
    let mut claim = |is_announced: bool| {
        let ask = assign::ask(&ledger, &Wish::default()).unwrap().unwrap();
        let intent = ledger.intent(Actor::Executor, Op::Claim(Box::new(ask)));
        if is_announced {
            let (repo, id) = (ledger.repo(), &intent.id.0);
            seal::replace(repo, &claims.join(id), "claim", id.clone().into_bytes()).unwrap();
        }
        let done = ledger.carry_out(vec![intent]).unwrap().remove(0).unwrap();
        ledger.refresh().unwrap();
        done.tasks[0].to_string()
    };
    assert_eq!(
        (claim(true), claim(false)),
        (String::from("a"), String::from("b"))
    );
    let (code, told) = machines.start(&clone, &["work", "--once"]).ended();
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("released a: its executor is gone"), "{told}");
    assert_eq!(machines.state("a"), "submitted");
    assert_eq!(machines.state("b"), "claimed");
}

#[test]
fn a_claim_that_a_person_has_freed_ends_its_agent_and_its_work_stays() {
    let script = format!(
        "if [ $ORCH_ATTEMPT = 1 ]; then trap '' TERM; echo $$ > ../../../pid; echo late > late.txt\n{}fi\necho a > a.txt",
        wait_for("never")
    );
    // The same coder gets the task again while its first agent, which is deaf, has yet to be ended.
    // A lease this short makes it look every second although it has all that it can do.
    let text = plan(2, &task("a", &script)).replace("[run]", "[run]\nlease = \"6s\"");
    let machines = Machines::new(&text);
    let clone = machines.machine("m1");
    let executor = machines.start(&clone, &["work", "--slots", "2"]);
    let pid = machines.home.outside().join("pid");
    wait_until("the agent", || {
        std::fs::metadata(&pid).is_ok_and(|it| it.len() > 0)
    });
    machines.home.orch(["release", "a", "-m", "mine"]).ok();
    let (code, told) = executor.ended();
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("attempt 1 of agent 1.1 at task a does not hold"),
        "{told}"
    );
    assert!(
        told.contains("its commits stay on branch orch/team-1/a"),
        "{told}"
    );
    assert!(!is_running(&std::fs::read_to_string(&pid).unwrap()));
    assert_eq!(count(&machines.story(), "submit a:"), 1);
    // The second attempt went on from what the first had left.
    assert_eq!(machines.file("orch/team-1/a", "late.txt"), "late");
}

#[test]
fn once_is_one_pass() {
    let tasks =
        task("a", "echo a > a.txt") + &task("b", "echo b > b.txt") + &task("c", "echo c > c.txt");
    let repo = TestRepo::new().init().plan(&plan(3, &tasks));
    let report = repo
        .orch(["work", "--once", "--slots", "2", "--json"])
        .json();
    assert_eq!(report["submitted"], serde_json::json!(["a", "b"]));
    assert_eq!(report["waiting"][0]["task"], "c");
    repo.orch(["work", "--once"]).ok();
    let complaint = repo.orch(["work", "--once"]).fails(3);
    assert!(complaint.contains("nothing to do"), "{complaint}");
    repo.orch(["work"]).fails(3);
}

#[test]
fn skills_and_teams_bound_what_an_executor_does() {
    let tasks = task("plain", "echo x > plain.txt")
        + &task("db", "echo x > db.txt").replace("title", "skills = [\"sql\"]\ntitle")
        + &task("page", "echo x > page.txt").replace("title", "skills = [\"css\", \"sql\"]\ntitle")
        + "[[teams]]\nid = 2\nname = \"Others\"\n\n"
        + &task("other", "echo x > other.txt").replace("team = 1", "team = 2");
    let repo = TestRepo::new().init().plan(&plan(3, &tasks));
    let report = repo
        .orch(["work", "--skill", "sql", "--team", "1", "--json"])
        .json();
    assert_eq!(report["submitted"], serde_json::json!(["plain", "db"]));
    let state = |task: &str| {
        let status = repo.orch(["status", "--json"]).json();
        let tasks = status["tasks"].as_array().unwrap().clone();
        let mut of_task = tasks.into_iter().filter(|row| row["id"] == task);
        of_task.next().unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (state("page"), state("other")),
        (String::from("ready"), String::from("ready"))
    );
    repo.orch(["work", "--skill", "sql", "--skill", "css"]).ok();
    assert_eq!(
        (state("page"), state("other")),
        (String::from("submitted"), String::from("submitted"))
    );
}

#[test]
fn what_waits_for_a_person_is_not_waited_for() {
    let script =
        "git orch block $ORCH_TASK --agent $ORCH_AGENT --attempt $ORCH_ATTEMPT -m 'which colour?'";
    let tasks = task("a", script) + &task("b", "true").replace("title", "after = [\"a\"]\ntitle");
    let repo = TestRepo::new().init().plan(&plan(1, &tasks));
    let complaint = repo.orch(["work"]).fails(1);
    assert!(complaint.contains("2 tasks left over"), "{complaint}");
}

#[test]
fn two_executors_in_one_clone_are_refused() {
    let script = format!(
        "echo x > ../../began; {}",
        wait_for("go").replace("../../../", "../../")
    );
    let repo = TestRepo::new()
        .init()
        .plan(&plan(1, &task("a", &(script + "echo a > a.txt"))));
    let mut first = repo.orch_command(repo.path()).arg("work").spawn().unwrap();
    wait_until("the agent", || repo.outside().join("began").exists());
    let complaint = repo.orch(["work"]).fails(1);
    assert!(
        complaint.contains("is running in this repository already"),
        "{complaint}"
    );
    std::fs::write(repo.outside().join("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
}

#[test]
fn an_attempt_elsewhere_goes_on_from_what_was_handed_in() {
    let script = "if [ $ORCH_ATTEMPT = 1 ]; then echo broken > a.txt; else\n\
        test \"$(cat a.txt)\" = broken; test ! -e mine.txt; echo mended > a.txt; fi";
    let text =
        plan(1, &task("a", script)).replace("[run]", "[run]\ntest = \"! grep -q broken a.txt\"");
    let machines = Machines::new(&text);
    let (first, second) = (machines.machine("m1"), machines.machine("m2"));
    let (code, told) = machines.start(&first, &["work", "--once"]).ended();
    assert_eq!(code, 0, "{told}");
    machines.home.orch(["sync"]).ok();
    assert_ne!(machines.home.orch(["assemble"]).code(), 0);
    // The other clone has a branch of that name, with work that was never handed in.
    let home = &machines.home;
    home.git_in(&second, ["switch", "-q", "-c", "orch/team-1/a"]);
    std::fs::write(second.join("mine.txt"), "mine\n").unwrap();
    home.git_in(&second, ["add", "mine.txt"]);
    home.git_in(&second, ["commit", "-q", "-m", "never handed in"]);
    home.git_in(&second, ["switch", "-q", "main"]);
    let (code, told) = machines.start(&second, &["work"]).ended();
    assert_eq!(code, 0, "{told}");
    assert_eq!(machines.file("orch/team-1/a", "a.txt"), "mended");
    let subjects = home.git_in(
        machines.hub(),
        ["log", "--format=%an %s", "-2", "orch/team-1/a"],
    );
    assert_eq!(subjects.lines().count(), 2, "{subjects}");
    let kept = home.git_in(
        &second,
        ["for-each-ref", "--format=%(refname)", "refs/orch/recovery"],
    );
    assert_eq!(
        home.git_in(&second, ["show", &format!("{kept}:mine.txt")]),
        "mine"
    );
}

#[test]
fn a_phase_opens_when_the_one_before_is_merged_wherever_somebody_assembles() {
    let tasks = task("one", "echo 1 > one.txt")
        + &task("uno", "echo 1 > uno.txt")
        + &task("two", "cat one.txt uno.txt > two.txt").replace("team = 1", "team = 2")
        + &task("due", "cat one.txt uno.txt > due.txt").replace("team = 1", "team = 2");
    let text = plan(2, &tasks).replace(
        "[[teams]]",
        "[[phases]]\nname = \"first\"\nteams = [1]\n\n\
         [[phases]]\nname = \"second\"\nteams = [2]\nafter = [\"first\"]\n\n\
         [[teams]]\nid = 2\nname = \"Later\"\ncoders = 2\n\n[[teams]]",
    );
    let machines = Machines::new(&text);
    let clone = machines.machine("m1");
    let home: &Path = machines.home.path();
    let assembling = machines.start(home, &["run", "--assemble", "--jobs", "1"]);
    assembling.tells("phases open when what comes before is merged");
    let working = machines.start(&clone, &["work", "--slots", "2"]);
    let (code, told) = assembling.ended();
    assert_eq!(code, 0, "{told}");
    let (code, more) = working.ended();
    assert!([0, 3].contains(&code), "{more}");
    let story = machines.story();
    let at = |words: &str| {
        let mut lines = story.iter();
        let at = lines.position(|line| line.contains(words));
        at.unwrap_or_else(|| panic!("no {words} in {story:#?}"))
    };
    for later in ["claim two:", "claim due:"] {
        for earlier in ["merge one:", "merge uno:"] {
            assert!(at(earlier) < at(later), "{story:#?}");
        }
    }
    for id in ["two", "due"] {
        let text = machines.file("orch/integration", &format!("{id}.txt"));
        assert_eq!(text, "1\n1");
    }
}
