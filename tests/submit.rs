//! One way to hand work in: what was made past the hooks is put right, what is not the task's is kept and told, what
//! an earlier attempt broke does not doom the task; never a commit that is somebody else's.

use std::path::PathBuf;

use serde_json::Value;

use super::common::{Outcome, TestRepo};

/// Git without hooks, as some agents run it, and with them.
const WORDS: &str = "off() { git -c core.hooksPath=/dev/null \"$@\"; }\n\
    add() { mkdir -p \"$(dirname \"$1\")\"; echo \"$2\" > \"$1\"; git add -f \"$1\"; }\n";

/// A repository where coders work on tasks `a` and `b` of one team.
struct Work {
    repo: TestRepo,
}

impl Work {
    fn new() -> Self {
        Self::with("")
    }

    /// With more in the plan's `[run]`.
    fn with(run: &str) -> Self {
        let repo = TestRepo::new().write("src/a", "a\n").commit("second");
        let task = |id: &str, scope: &str| {
            format!(
                "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"Do {id}\"\nscope = [\"{scope}/**\"]\nrun = \"true\"\n"
            )
        };
        let plan = format!(
            "[run]\nname = \"demo\"\nretries = 3\n{run}\n[[teams]]\nid = 1\n{}{}",
            task("a", "src"),
            task("b", "b")
        );
        let repo = repo.init().plan(&plan);
        repo.orch(["dispatch"]).ok();
        Self { repo }
    }

    fn claim(&self, task: &str, agent: &str) -> PathBuf {
        let claim = self.repo.orch(["claim", task, "--agent", agent, "--json"]);
        PathBuf::from(claim.json()["worktree"].as_str().unwrap())
    }

    /// Runs a script in a coder's worktree, as its agent.
    #[track_caller]
    fn agent(&self, agent: &str, script: &str) -> String {
        let mut command = self.repo.command("sh", &self.repo.worktree(agent));
        for role in ["AUTHOR", "COMMITTER"] {
            let address = format!("agent-{agent}@host.invalid");
            command
                .env(format!("GIT_{role}_NAME"), format!("AGENT-{agent}"))
                .env(format!("GIT_{role}_EMAIL"), address);
        }
        command.args(["-ec", &format!("{WORDS}\n{script}")]);
        Outcome(command.output().unwrap()).ok()
    }

    /// Runs a script there with nobody's name in the environment, so that configuration says whose a commit is.
    #[track_caller]
    fn nameless(&self, agent: &str, script: &str) {
        let mut command = self.repo.command("sh", &self.repo.worktree(agent));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env_remove(format!("GIT_{role}_NAME"));
            command.env_remove(format!("GIT_{role}_EMAIL"));
        }
        command.args(["-ec", &format!("{WORDS}\n{script}")]);
        Outcome(command.output().unwrap()).ok();
    }

    fn submit(&self, task: &str, agent: &str) -> Outcome {
        self.repo
            .orch_in(&self.repo.worktree(agent), ["submit", task])
    }

    fn log(&self, task: &str, format: &str) -> String {
        let branch = format!("main..orch/team-1/{task}");
        let format = format!("--format={format}");
        self.repo
            .git(["log", "--reverse", "--topo-order", &format, &branch])
    }

    fn kept(&self) -> String {
        self.repo
            .git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"])
    }
}

#[test]
fn commits_made_past_the_hooks_get_what_the_hooks_would_have_given_them() {
    let work = Work::new();
    let dir = work.claim("a", "1.1");
    work.agent(
        "1.1",
        "add src/one 1; off commit -qm 'one'\n\
         off checkout -q -b side; add src/side s; off commit -qm 'side\n\nwhy\n\nSigned-off-by: X <x@y>'\n\
         off checkout -q -; add src/two 2; git commit -qm 'two'\n\
         off merge -q --no-edit side; off branch -q -D side\n\
         add src/three 3; off commit -qm 'fixup! one'",
    );
    let (before, trees) = (
        work.log("a", "%h"),
        work.log("a", "%T %at %ct %an %ae %cn %ce"),
    );
    let told = work.submit("a", "1.1");
    assert!(
        told.stderr()
            .contains("4 commits of orch/team-1/a had been made past the hooks"),
        "{}",
        told.stderr()
    );
    told.ok();
    assert_eq!(work.log("a", "%T %at %ct %an %ae %cn %ce"), trees);
    assert_ne!(work.log("a", "%h"), before);
    let subjects = work.log("a", "%s");
    for subject in [
        "[TEAM-1] [AGENT-1.1] one",
        "[TEAM-1] [AGENT-1.1] two",
        "[TEAM-1] [AGENT-1.1] side",
        "[TEAM-1] [AGENT-1.1] Merge branch 'side' into orch/team-1/a",
        "fixup! [TEAM-1] [AGENT-1.1] one",
    ] {
        assert!(subjects.lines().any(|line| line == subject), "{subjects}");
    }
    let body = work.log("a", "%B");
    assert!(body.contains("why\n\nSigned-off-by: X <x@y>\nOrch-Task: a\nOrch-Agent: 1.1\n"));
    // Nothing has changed for whoever stands in the worktree.
    assert_eq!(work.repo.git_in(&dir, ["status", "--porcelain"]), "");
    work.repo.git(["fsck", "--strict"]);
    work.repo.orch(["assemble"]).ok();
}

#[test]
fn what_was_committed_under_nobodys_name_is_its_agents() {
    let work = Work::new();
    work.claim("a", "1.1");
    work.nameless(
        "1.1",
        "add src/one 1; export GIT_AUTHOR_NAME=robot GIT_AUTHOR_EMAIL=robot@example.org\n\
         export GIT_COMMITTER_NAME=robot GIT_COMMITTER_EMAIL=robot@example.org; off commit -qm one",
    );
    work.submit("a", "1.1").ok();
    let who = work.log("a", "%an %cn %s");
    assert_eq!(who, "AGENT-1.1 AGENT-1.1 [TEAM-1] [AGENT-1.1] one");
}

#[test]
fn what_a_person_or_another_agent_committed_is_left_alone() {
    // A person's commit, which the agent has brought in from elsewhere.
    let work = Work::new();
    work.claim("a", "1.1");
    let script = "git clone -q . ../../elsewhere; cd ../../elsewhere; git checkout -q -b theirs; mkdir -p src; \
                  echo x > src/x; git add src/x; \
                  git -c user.name=Ann -c user.email=ann@example.org commit -qm 'from Ann'";
    work.nameless("1.1", script);
    work.agent(
        "1.1",
        "git pull -q --no-rebase --ff-only ../../elsewhere theirs; add src/y y; off commit -qm mine",
    );
    let before = work.log("a", "%H");
    let told = work.submit("a", "1.1").fails(1);
    assert!(told.contains("Ann"), "{told}");
    let theirs = before.lines().next().unwrap();
    assert_eq!(work.log("a", "%H").lines().next().unwrap(), theirs);
    // Work of another task that is not merged.
    let work = Work::new();
    work.claim("b", "1.2");
    work.agent("1.2", "add b/b b; off commit -qm 'of b'");
    work.claim("a", "1.1");
    work.agent(
        "1.1",
        "git merge -q --ff-only orch/team-1/b; add src/y y; off commit -qm mine",
    );
    let theirs = work.repo.git(["rev-parse", "orch/team-1/b"]);
    work.submit("a", "1.1").fails(1);
    assert_eq!(work.log("a", "%H").lines().next().unwrap(), theirs);
    // A person's own commit in the coder's worktree.
    let work = Work::new();
    work.repo.git(["config", "user.name", "Ann"]);
    work.repo.git(["config", "user.email", "ann@example.org"]);
    work.claim("a", "1.1");
    let ann = "export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org\n\
               export GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org";
    work.nameless("1.1", &format!("add src/y y\n{ann}\noff commit -qm mine"));
    let before = work.log("a", "%H");
    assert!(work.submit("a", "1.1").fails(1).contains("Ann"));
    assert_eq!(work.log("a", "%H"), before);
}

#[test]
fn signed_work_is_signed_again() {
    let work = Work::new();
    work.repo.orch(["init", "--signing", "ssh"]).ok();
    work.claim("a", "1.1");
    work.agent("1.1", "add src/one 1; off commit -qm one");
    work.submit("a", "1.1").ok();
    let told = work.repo.orch(["assemble"]);
    told.ok();
    assert!(work.log("a", "%B").contains("Orch-Task: a"));
}

#[test]
fn a_refused_commit_of_an_earlier_attempt_does_not_doom_the_task() {
    let work = Work::new();
    work.claim("a", "1.1");
    work.agent(
        "1.1",
        "add evil x; off commit -qm first; add src/one 1; off commit -qm second",
    );
    let told = work.submit("a", "1.1").fails(1);
    assert!(told.contains("outside the task's scope"), "{told}");
    // Within one attempt the agent takes it out of the history by itself.
    work.agent("1.1", "git rm -q evil; off commit -qm 'out again'");
    let told = work.submit("a", "1.1").fails(1);
    assert!(told.contains("outside the task's scope"), "{told}");
    work.repo
        .orch([
            "fail",
            "a",
            "--agent",
            "1.1",
            "--attempt",
            "1",
            "-m",
            "refused",
        ])
        .ok();
    work.repo.orch(["dispatch"]).ok();
    let was = work.repo.git(["rev-parse", "orch/team-1/a"]);
    work.claim("a", "1.2");
    work.agent("1.2", "add src/two 2; git commit -qm 'the rest'");
    let before = work.repo.git(["rev-parse", "orch/team-1/a"]);
    let told = work.submit("a", "1.2");
    assert!(
        told.stderr().contains("is one commit now"),
        "{}",
        told.stderr()
    );
    told.ok();
    assert_eq!(work.log("a", "%s"), "[TEAM-1] [AGENT-1.2] the rest");
    let files = work
        .repo
        .git(["ls-tree", "-r", "--name-only", "orch/team-1/a"]);
    assert_eq!(files, "README.md\nsrc/a\nsrc/one\nsrc/two");
    let kept = work.kept();
    let kept = kept.lines().last().unwrap();
    assert_eq!(
        work.repo.git(["rev-parse", &format!("{kept}^{{commit}}")]),
        before
    );
    assert_ne!(was, before);
    work.repo.orch(["assemble"]).ok();
}

#[test]
fn what_is_still_wrong_at_the_end_is_refused_in_every_attempt() {
    let work = Work::new();
    work.claim("a", "1.1");
    work.agent("1.1", "add evil x; off commit -qm first");
    work.submit("a", "1.1").fails(1);
    work.repo
        .orch([
            "fail",
            "a",
            "--agent",
            "1.1",
            "--attempt",
            "1",
            "-m",
            "refused",
        ])
        .ok();
    work.repo.orch(["dispatch"]).ok();
    work.claim("a", "1.2");
    work.agent("1.2", "add src/two 2; git commit -qm 'the rest'");
    let before = work.log("a", "%T");
    let told = work.submit("a", "1.2").fails(1);
    assert!(told.contains("outside the task's scope"), "{told}");
    assert_eq!(work.log("a", "%T"), before);
}

/// A plan whose one task runs a script; returns what the run came to and told.
fn run(repo: &TestRepo) -> (Value, String) {
    let outcome = repo.orch(["run", "--json", "--no-progress"]);
    let (stdout, stderr) = (outcome.stdout(), outcome.stderr());
    (serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

fn with_script(scope: &str, run: &str, script: &str) -> TestRepo {
    let plan = format!(
        "[run]\nname = \"demo\"\nretries = 0\n{run}\n[agents.default]\npreset = \"shell\"\n[[teams]]\nid = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Do a\"\nscope = [{scope}]\nrun = '''\n{script}\n'''\n"
    );
    let repo = TestRepo::new().write("old", "old\n").commit("old");
    repo.init().plan(&plan)
}

#[test]
fn what_an_agent_leaves_outside_the_scope_is_kept_and_told_and_nothing_else() {
    let repo = with_script(
        "\"src/**\"",
        "",
        "mkdir -p src __pycache__ && echo a > src/a && echo b > src/b && git add src/a && echo c >> src/a\n\
         echo junk > __pycache__/a.pyc && echo r > report.xml && git add report.xml && echo more >> old && git rm -q README.md",
    );
    let (report, told) = run(&repo);
    assert_eq!(report["submitted"][0], "a", "{told}");
    let changed = repo.git(["diff", "--name-status", "main", "orch/team-1/a"]);
    assert_eq!(changed, "A\tsrc/a\nA\tsrc/b");
    assert_eq!(repo.git(["show", "orch/team-1/a:src/a"]), "a\nc");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert!(told.contains(&kept), "{told}");
    for path in ["__pycache__/a.pyc", "report.xml", "old", "README.md"] {
        assert!(told.contains(path), "{path} is not in {told}");
    }
    let saved = repo.git(["diff", "--name-status", "orch/team-1/a", &kept]);
    assert_eq!(
        saved,
        "D\tREADME.md\nA\t__pycache__/a.pyc\nM\told\nA\treport.xml"
    );
}

#[test]
fn what_the_gate_would_not_take_is_not_committed() {
    let repo = with_script(
        "\"src/**\"",
        "gate = { max_blob = \"1KiB\" }",
        "mkdir src && echo a > src/a && ln -s /etc/passwd src/link && head -c 5000 /dev/zero > src/dump",
    );
    let (report, told) = run(&repo);
    let reason = report["gaps"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("what it left cannot be committed: it has"),
        "{reason}"
    );
    assert!(
        told.contains("src/dump") && told.contains("src/link"),
        "{told}"
    );
    let changed = repo.git(["diff", "--name-status", "main", "orch/team-1/a"]);
    assert_eq!(changed, "A\tsrc/a");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    let saved = repo.git(["diff", "--name-status", "orch/team-1/a", &kept]);
    assert_eq!(saved, "A\tsrc/dump\nA\tsrc/link");
}

#[test]
fn a_merge_that_an_agent_left_open_keeps_the_other_side() {
    let work = Work::new();
    work.claim("a", "1.1");
    let repo = &work.repo;
    std::fs::write(repo.path().join("README.md"), "moved on\n").unwrap();
    repo.git(["commit", "-qam", "main moves on"]);
    work.agent("1.1", "add src/x x; git commit -qm x; git merge -q --no-commit --no-ff main; echo y > src/y; echo z > stray");
    let dir = repo.worktree("1.1");
    let open = git_orch::git::Repo::discover(&dir).unwrap();
    let ledger = git_orch::ledger::Ledger::open(open, git_orch::model::Actor::Executor).unwrap();
    let task = &ledger.board().tasks[&"a".parse().unwrap()];
    let claim = git_orch::model::Claim {
        task: "a".parse().unwrap(),
        agent: "1.1".parse().unwrap(),
        attempt: task.status.attempt,
    };
    let assignment = git_orch::workspace::assignment_of(&ledger, task, &claim).unwrap();
    let taken = git_orch::tasks::uncommitted::take(&ledger, &assignment, &dir, "merge").unwrap();
    assert!(
        taken.commit.is_some() && taken.refused.is_empty(),
        "{taken:?}"
    );
    assert_eq!(taken.outside, ["stray"]);
    assert_eq!(repo.git(["show", "orch/team-1/a:README.md"]), "moved on");
    assert_eq!(repo.git(["show", "orch/team-1/a:src/y"]), "y");
    assert_eq!(
        repo.git(["rev-parse", "orch/team-1/a^2"]),
        repo.git(["rev-parse", "main"])
    );
    work.submit("a", "1.1").ok();
}

#[test]
fn an_agent_that_submits_by_itself_and_an_executor_judge_alike() {
    let script = "mkdir -p src; echo a > src/a; echo junk > stray; git add src; git -c core.hooksPath= commit -qm mine";
    let by_executor = with_script("\"src/**\"", "", script);
    let by_itself = with_script(
        "\"src/**\"",
        "",
        &format!("{script}\ngit orch submit || exit 9"),
    );
    for repo in [by_executor, by_itself] {
        let (report, told) = run(&repo);
        assert_eq!(report["submitted"][0], "a", "{told}");
        assert_eq!(
            repo.git(["log", "-1", "--format=%s", "orch/team-1/a"]),
            "[TEAM-1] [AGENT-1.1] mine"
        );
    }
    let breach = "mkdir -p src; echo a > src/a; echo x > evil; git add .; git -c core.hooksPath= commit -qm mine";
    let by_executor = with_script("\"src/**\"", "", breach);
    let by_itself = with_script("\"src/**\"", "", &format!("{breach}\ngit orch submit"));
    for repo in [by_executor, by_itself] {
        let (report, told) = run(&repo);
        assert_eq!(report["gaps"][0]["task"], "a", "{told}");
        assert_eq!(report["submitted"].as_array().unwrap().len(), 0);
    }
}
