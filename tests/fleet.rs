//! The main job, end to end: sixteen coders of whom some misbehave, and a run that is killed again and again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::common::TestRepo;

/// Sixteen coders in four teams; what each does is in its task's `run`.
fn plan_of_sixteen(out: &Path) -> String {
    let mut plan = String::from(
        "[run]\nname = \"fleet\"\nbase = \"main\"\ntest = \"sh test.sh\"\nidle_timeout = \"3s\"\n",
    );
    for team in 1..=4 {
        plan.push_str(&format!(
            "[[teams]]\nid = {team}\nname = \"Team {team}\"\ncoders = 4\n"
        ));
    }
    for number in 1..=16 {
        let team = (number - 1) / 4 + 1;
        let part = format!("mkdir -p parts && echo part {number} > parts/{number}.txt");
        // Both write the same file, so they may write anywhere as far as their scopes go.
        let scope = match number {
            5 | 6 => String::new(),
            _ => format!("scope = [\"parts/{number}.txt\"]\n"),
        };
        let run = match number {
            1 => String::from("sleep 1000"),
            2 => format!("[ $ORCH_ATTEMPT -gt 1 ] || kill -9 $$\n{part}"),
            3 => format!(
                "{part}\necho x > stray\ngit add -A\ngit -c core.hooksPath=/dev/null commit -q -m 'no tags'"
            ),
            4 => format!(
                "{part}\nsetsid sh -c 'echo $$ > {}/left.pid; exec sleep 1000' &\n\
                 while [ ! -s {}/left.pid ]; do :; done",
                out.display(),
                out.display()
            ),
            5 => format!("{part}\necho from five > shared.txt"),
            // The second time the merge is under way in its worktree, and this decides it.
            6 => format!("{part}\necho from six > shared.txt"),
            7 => format!("{part}\necho broken > parts/7.txt"),
            _ => part,
        };
        plan.push_str(&format!(
            "[[tasks]]\nid = \"part-{number}\"\nteam = {team}\ntitle = \"Write part {number}\"\n\
             {scope}deliverables = [\"parts/{number}.txt\"]\nsuccess = [\"test -s parts/{number}.txt\"]\n\
             run = '''\n{run}\n'''\n"
        ));
    }
    plan
}

fn green_project() -> TestRepo {
    // The project's own test: no part may be broken.
    TestRepo::empty()
        .write("test.sh", "! grep -rq broken parts 2>/dev/null\n")
        .write("shared.txt", "from nobody\n")
        .commit("first")
        .init()
}

fn task<'a>(status: &'a serde_json::Value, id: &str) -> &'a serde_json::Value {
    status["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["id"] == id)
        .unwrap()
}

#[test]
fn of_sixteen_coders_the_good_ones_land_and_the_bad_ones_are_told() {
    let repo = green_project();
    let out = repo.outside().join("out");
    std::fs::create_dir(&out).unwrap();
    let repo = repo.plan(&plan_of_sixteen(&out));
    let base = repo.git(["rev-parse", "main"]);

    let story = repo.orch(["run", "--assemble"]).fails(1);

    let status = repo.orch(["status", "--json"]).json();
    let gaps = ["part-1", "part-3", "part-7"];
    for number in 1..=16 {
        let id = format!("part-{number}");
        let expected = if gaps.contains(&id.as_str()) {
            "gap"
        } else {
            "merged"
        };
        assert_eq!(task(&status, &id)["status"], expected, "{id}\n{story}");
    }
    // Base is where it was and green; integration is green and has all that landed.
    assert_eq!(repo.git(["rev-parse", "main"]), base);
    repo.git(["switch", "-q", "--detach", "orch/integration"]);
    assert!(
        repo.command("sh", repo.path())
            .arg("test.sh")
            .status()
            .unwrap()
            .success()
    );
    for number in (1..=16).filter(|number| ![1, 3, 7].contains(number)) {
        let text = std::fs::read_to_string(repo.path().join(format!("parts/{number}.txt")));
        assert_eq!(text.unwrap(), format!("part {number}\n"));
    }
    let shared = std::fs::read_to_string(repo.path().join("shared.txt")).unwrap();
    assert_eq!(shared, "from six\n");

    // Nothing is lost: what was given up is on its branch.
    assert_eq!(
        repo.git(["show", "orch/team-1/part-3:parts/3.txt"]),
        "part 3"
    );
    assert_eq!(
        repo.git(["show", "orch/team-2/part-7:parts/7.txt"]),
        "broken"
    );

    outcomes_have_their_reasons(&repo);

    // No process survives: neither the one that hung nor the one that was left behind.
    let pid = std::fs::read_to_string(out.join("left.pid")).unwrap();
    assert!(
        !Path::new("/proc").join(pid.trim()).exists(),
        "process {pid} survives"
    );
    assert_eq!(
        processes_in(&repo.path().with_file_name("repo.orch")),
        Vec::<PathBuf>::new()
    );

    // Approving brings it all to the base branch, which nobody has checked out any more.
    repo.orch(["approve"]).ok();
    assert_eq!(
        repo.git(["rev-parse", "main^{tree}"]),
        repo.git(["rev-parse", "HEAD^{tree}"])
    );
}

/// Every outcome is in the ledger with its reason.
fn outcomes_have_their_reasons(repo: &TestRepo) {
    let reasons = |kind: &str, id: &str| {
        let events = repo.orch(["log", "--json", id]).json();
        let of_kind = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["event"] == kind);
        of_kind
            .map(|event| event["subject"].to_string())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (kind, id, word) in [
        ("fail", "part-1", "silent"),
        ("fail", "part-2", "signal"),
        ("fail", "part-3", "scope"),
        ("reject", "part-6", "conflict"),
        ("reject", "part-7", "test"),
    ] {
        let told = reasons(kind, id);
        assert!(
            told.contains(word),
            "{id}: {kind} says nothing of `{word}`: {told}"
        );
    }
}

/// Processes whose working directory lies below a directory.
fn processes_in(dir: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir("/proc").unwrap().flatten();
    let cwd = |entry: std::fs::DirEntry| std::fs::read_link(entry.path().join("cwd")).ok();
    listing
        .filter_map(cwd)
        .filter(|cwd| cwd.starts_with(dir))
        .collect()
}

/// Twelve tasks whose agents wait for kills that are spread over the whole work, so that it cannot be done
/// before the last of them.
fn plan_of_two_phases(out: &Path) -> String {
    let mut plan = String::from("[run]\nname = \"killed\"\ntest = \"sh test.sh\"\n");
    plan.push_str("[[phases]]\nname = \"one\"\nteams = [1]\n");
    plan.push_str("[[phases]]\nname = \"two\"\nteams = [2]\nafter = [\"one\"]\n");
    for team in 1..=2 {
        plan.push_str(&format!(
            "[[teams]]\nid = {team}\nname = \"T{team}\"\ncoders = 3\n"
        ));
    }
    for number in 1..=12 {
        let team = (number - 1) / 6 + 1;
        let (out, kill) = (out.display(), number * 20 / 12);
        plan.push_str(&format!(
            "[[tasks]]\nid = \"part-{number}\"\nteam = {team}\ntitle = \"Write part {number}\"\n\
             scope = [\"parts/{number}.txt\"]\ndeliverables = [\"parts/{number}.txt\"]\n\
             success = [\"true\"]\n\
             run = 'while [ ! -e {out}/kill-{kill} ]; do sleep 0.02; done; mkdir -p parts; echo part {number} > parts/{number}.txt'\n"
        ));
    }
    plan
}

#[test]
fn a_run_that_is_killed_twenty_times_lands_everything_once() {
    let repo = green_project();
    let out = repo.outside();
    let repo = repo.plan(&plan_of_two_phases(&out));
    let mut random = fastrand::Rng::with_seed(11);
    for kill in 1..=20 {
        let mut run = repo
            .orch_command(repo.path())
            .args(["run", "--assemble"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Anywhere between not begun and well under way; which, does not matter.
        std::thread::sleep(Duration::from_millis(random.u64(20..700)));
        assert_eq!(run.try_wait().unwrap(), None, "it ended before kill {kill}");
        run.kill().unwrap();
        run.wait().unwrap();
        std::fs::write(out.join(format!("kill-{kill}")), "").unwrap();
    }
    let last = repo.orch(["run", "--assemble"]);
    assert!([0, 3].contains(&last.code()), "{}", last.stderr());

    let status = repo.orch(["status", "--json"]).json();
    let merges = repo.git([
        "log",
        "--first-parent",
        "--format=%s",
        "main..orch/integration",
    ]);
    let told = repo.git(["log", "--format=%s", "--grep=merge part-", "orchestration"]);
    for number in 1..=12 {
        let id = format!("part-{number}");
        assert_eq!(task(&status, &id)["status"], "merged", "{id}");
        let text = repo.git(["show", &format!("orch/integration:parts/{number}.txt")]);
        assert_eq!(text, format!("part {number}"));
        let once = |text: &str| {
            text.lines()
                .filter(|line| line.contains(&format!("merge {id}:")))
                .count()
        };
        assert_eq!(
            (once(&merges), once(&told)),
            (1, 1),
            "{id}\n{merges}\n{told}"
        );
    }
    repo.git(["fsck", "--strict"]);
    assert_eq!(
        processes_in(&repo.path().with_file_name("repo.orch")),
        Vec::<PathBuf>::new()
    );
}
