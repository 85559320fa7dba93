//! The gate: whatever hooks check is found again in the commits, however they were made.

use git_orch::git::{Oid, Repo};
use git_orch::hooks::gate::{self, Branch, Finding, Rule};
use git_orch::model::{GateSpec, TaskId, TeamId};

use crate::common::{TestRepo, write_file};

const GOOD: &str =
    "[TEAM-1] [AGENT-1.2] work\n\nOrch-Task: auth\nOrch-Agent: 1.2\nOrch-Attempt: 1\n";

/// Settings under which the tests' own author may commit.
fn settings() -> GateSpec {
    GateSpec {
        authors: vec![String::from("test@example.com")],
        ..GateSpec::default()
    }
}

/// A repository whose branch `task` is checked out and to be judged.
struct Gate {
    repo: TestRepo,
    base: String,
}

impl Gate {
    fn new() -> Self {
        let repo = TestRepo::new();
        let base = repo.git(["rev-parse", "HEAD"]);
        repo.git(["switch", "-q", "-c", "task"]);
        Self { repo, base }
    }

    fn commit(&self, path: &str, message: &str) -> String {
        write_file(&self.repo.path().join(path), message);
        self.repo.git(["add", "-A", "-f"]);
        self.repo
            .git(["commit", "-q", "--allow-empty", "-m", message]);
        self.repo.git(["rev-parse", "HEAD"])
    }

    fn check(&self, scope: &[&str], allowed: &[&str], others: &[(&str, &str)]) -> Vec<Finding> {
        let repo = Repo::discover(self.repo.path()).unwrap();
        let oid = |revision: &str| -> Oid { repo.resolve_commit(revision).unwrap() };
        let task: TaskId = "auth".parse().unwrap();
        let scope: Vec<String> = scope.iter().map(ToString::to_string).collect();
        let allowed: Vec<Oid> = allowed.iter().map(|name| oid(name)).collect();
        let others: Vec<(TaskId, Oid)> = others
            .iter()
            .map(|(task, head)| (task.parse().unwrap(), oid(head)))
            .collect();
        let settings = settings();
        let branch = Branch {
            task: &task,
            team: TeamId(1),
            scope: &scope,
            deliverables: &[],
            gate: &settings,
            base: oid(&self.base),
            head: oid("HEAD"),
            tip: oid(&self.base),
            allowed: &allowed,
            others: &others,
        };
        gate::check(&repo, &branch).unwrap()
    }

    fn rules(&self, scope: &[&str]) -> Vec<Rule> {
        self.check(scope, &[], &[])
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    }
}

#[test]
fn a_branch_as_it_should_be_passes() {
    let gate = Gate::new();
    assert_eq!(gate.rules(&["src"]), [], "an empty branch breaks no rule");
    gate.commit("src/a", GOOD);
    // A retry by another coder of the team, with a trailer of somebody else's tool.
    let retry =
        "[TEAM-1] [AGENT-1.3] more\n\nOrch-Task: auth\nOrch-Agent: 1.3\nCo-authored-by: X <x@y>\n";
    gate.commit("src/b", retry);
    gate.commit("src/c", &format!("fixup! {GOOD}"));
    assert_eq!(gate.rules(&["src"]), []);
}

/// Pain 22 of peers: hooks bypassed by `--no-verify`, or by leaving them out altogether.
#[test]
fn pain_22_a_commit_that_went_round_the_hooks_is_refused() {
    let gate = Gate::new();
    gate.commit("src/a", GOOD);
    write_file(&gate.repo.path().join("src/b"), "x");
    gate.repo.git(["add", "-A"]);
    gate.repo.git([
        "-c",
        "core.hooksPath=/dev/null",
        "commit",
        "-q",
        "--no-verify",
        "-m",
        "sneaky",
    ]);
    let findings = gate.check(&["src"], &[], &[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let line = findings[0].to_string();
    assert!(line.contains("names no team and agent: `sneaky`"), "{line}");
    assert!(line.contains("reword it") && !line.contains('\n'), "{line}");
}

#[test]
fn each_rule_has_its_finding() {
    let cases = [
        (
            "src/a",
            "[TEAM-2] [AGENT-2.1] x\n\nOrch-Task: auth\nOrch-Agent: 2.1\n",
            Rule::Tags,
        ),
        (
            "src/a",
            "[TEAM-1] [AGENT-1.2]\n\nOrch-Task: auth\nOrch-Agent: 1.2\n",
            Rule::Tags,
        ),
        (
            "src/a",
            "[TEAM-1] [AGENT-1.2] x\n\nOrch-Agent: 1.2\n",
            Rule::Trailers,
        ),
        (
            "src/a",
            "[TEAM-1] [AGENT-1.2] x\n\nOrch-Task: other\nOrch-Agent: 1.2\n",
            Rule::Trailers,
        ),
        (
            "src/a",
            "[TEAM-1] [AGENT-1.2] x\n\nOrch-Task: auth\nOrch-Agent: 1.3\n",
            Rule::Trailers,
        ),
        ("lib/a", GOOD, Rule::Scope),
        ("a\nb", GOOD, Rule::Scope),
        (".orchestration/task.toml", GOOD, Rule::Ledger),
    ];
    for (path, message, rule) in cases {
        let gate = Gate::new();
        gate.commit(path, message);
        assert_eq!(gate.rules(&["src"]), [rule], "{path:?} {message:?}");
    }
}

#[test]
fn what_was_put_in_and_taken_out_again_is_still_found() {
    let gate = Gate::new();
    gate.commit("lib/a", GOOD);
    std::fs::remove_file(gate.repo.path().join("lib/a")).unwrap();
    gate.commit("src/a", GOOD);
    assert_eq!(gate.rules(&["src"]), [Rule::Scope, Rule::Scope]);
}

#[test]
fn commits_that_are_known_already_are_not_judged() {
    let gate = Gate::new();
    gate.repo.git(["switch", "-q", "main"]);
    gate.commit("anywhere", "by a person");
    gate.repo.git(["switch", "-q", "task"]);
    gate.commit("src/a", GOOD);
    gate.repo.git(["merge", "-q", "main", "-m", GOOD]);
    assert_eq!(gate.check(&["src"], &["main"], &[]), []);
    let found = gate.check(&["src"], &[], &[]);
    assert_eq!(
        found.len(),
        2,
        "without being allowed it is judged: {found:?}"
    );
}

#[test]
fn a_merge_is_judged_by_what_it_adds_to_merging() {
    let gate = Gate::new();
    gate.repo.git(["switch", "-q", "main"]);
    gate.commit("anywhere", "by a person");
    gate.repo.git(["switch", "-q", "task"]);
    gate.commit("src/a", GOOD);
    // Slipped in while merging.
    gate.repo.git(["merge", "-q", "--no-commit", "main"]);
    gate.commit("lib/evil", GOOD);
    let found = gate.check(&["src"], &["main"], &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("lib/evil"), "{found:?}");
    // The other side's work dropped while merging.
    gate.repo.git(["reset", "-q", "--hard", "HEAD~1"]);
    gate.repo
        .git(["merge", "-q", "-s", "ours", "main", "-m", GOOD]);
    let found = gate.check(&["src"], &["main"], &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("anywhere"), "{found:?}");
}

#[test]
fn another_tasks_unmerged_work_does_not_come_in_by_the_back_door() {
    let gate = Gate::new();
    gate.repo.git(["switch", "-q", "-c", "theirs"]);
    gate.commit(
        "src/b",
        "[TEAM-1] [AGENT-1.1] x\n\nOrch-Task: other\nOrch-Agent: 1.1\n",
    );
    gate.repo.git(["switch", "-q", "task"]);
    gate.commit("src/a", GOOD);
    gate.repo.git(["merge", "-q", "theirs", "-m", GOOD]);
    let found = gate.check(&["src"], &[], &[("other", "theirs")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].rule, Rule::Foreign);
    assert!(found[0].what.contains("task other"), "{found:?}");
    // As a dependency that is allowed it passes; and a dependent's branch does not make ours foreign.
    assert_eq!(
        gate.check(&["src"], &["theirs"], &[("other", "theirs")]),
        []
    );
    gate.repo.git(["branch", "dependent"]);
    assert_eq!(
        gate.check(&["src"], &["theirs"], &[("later", "dependent")]),
        []
    );
}

#[test]
fn a_replaced_commit_does_not_deceive() {
    let gate = Gate::new();
    let bad = gate.commit("lib/evil", GOOD);
    gate.repo.git(["reset", "-q", "--hard", "HEAD~1"]);
    let good = gate.commit("src/a", GOOD);
    gate.repo.git(["reset", "-q", "--hard", &bad]);
    gate.repo.git(["replace", &bad, &good]);
    assert_eq!(gate.rules(&["src"]), [Rule::Scope]);
}

#[test]
fn a_head_of_another_task_that_is_gone_is_no_obstacle() {
    let gate = Gate::new();
    gate.commit("src/a", GOOD);
    let repo = Repo::discover(gate.repo.path()).unwrap();
    let task: TaskId = "auth".parse().unwrap();
    let gone = Oid::from_hex("1".repeat(40).as_bytes()).unwrap();
    let branch = Branch {
        task: &task,
        team: TeamId(1),
        scope: &[],
        deliverables: &[],
        gate: &settings(),
        base: repo.resolve_commit(&gate.base).unwrap(),
        head: repo.resolve_commit("HEAD").unwrap(),
        tip: repo.resolve_commit(&gate.base).unwrap(),
        allowed: &[],
        others: &[("other".parse().unwrap(), gone)],
    };
    assert_eq!(gate::check(&repo, &branch).unwrap(), []);
}

#[test]
fn a_twin_of_what_came_in_meanwhile_is_found_and_a_renamed_one_is_none() {
    let gate = Gate::new();
    gate.commit("src/a", GOOD);
    gate.repo.git(["switch", "-q", "main"]);
    gate.commit("Src/b", "by a person");
    gate.repo.git(["switch", "-q", "task"]);
    let repo = Repo::discover(gate.repo.path()).unwrap();
    let oid = |name: &str| repo.resolve_commit(name).unwrap();
    let check = |tip: &str| {
        let (task, settings): (TaskId, _) = ("auth".parse().unwrap(), settings());
        let branch = Branch {
            task: &task,
            team: TeamId(1),
            scope: &[],
            deliverables: &[],
            gate: &settings,
            base: oid(&gate.base),
            head: oid("HEAD"),
            tip: oid(tip),
            allowed: &[],
            others: &[],
        };
        gate::check(&repo, &branch).unwrap()
    };
    let found = check("main");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].rule, Rule::Names);
    assert!(found[0].what.contains("`src` beside `Src`"), "{found:?}");
    // A file that only changes the case of its name has no twin.
    gate.repo.git(["reset", "-q", "--hard", &gate.base]);
    gate.repo.git(["mv", "README.md", "readme.md"]);
    gate.repo.git(["commit", "-q", "-m", GOOD]);
    assert_eq!(check(&gate.base), []);
}
