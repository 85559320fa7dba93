//! What agents change of what they share with people is found and told, decides nothing, and can be undone.

use std::fs;
use std::path::PathBuf;

use super::common::{TestRepo, write_file};

/// Two tasks of one coder, the second after the first.
fn planned(first: &str) -> TestRepo {
    let plan = format!(
        r#"
[run]
name = "demo"
base = "main"
[agents.default]
command = "sh -c \"$ORCH_TASK_RUN\""
[[teams]]
id = 1
coders = 1
[[tasks]]
id = "a"
team = 1
title = "A"
run = '''{first}; echo a > a.txt'''
[[tasks]]
id = "b"
team = 1
title = "B"
after = ["a"]
run = "echo b > b.txt"
"#
    );
    TestRepo::new().init().plan(&plan)
}

/// An agent's worktree, made and left again; in between, what the agent does.
fn after_an_agent(repo: &TestRepo, does: impl FnOnce(PathBuf)) {
    // The second time, nothing more can be made ready.
    let _ = repo.orch(["dispatch"]);
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    does(repo.worktree("1.1"));
    repo.orch(["release", "a", "-m", "enough"]).ok();
}

/// What `status` says beside its answer.
fn told(repo: &TestRepo) -> String {
    let outcome = repo.orch(["status"]);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr());
    outcome.stderr()
}

fn findings(repo: &TestRepo) -> String {
    let outcome = repo.orch(["doctor"]);
    assert_eq!(outcome.code(), 1, "{}", outcome.stdout());
    outcome.stdout()
}

fn tip(repo: &TestRepo, branch: &str) -> String {
    repo.git(["rev-parse", branch])
}

#[test]
fn an_identity_that_an_agent_sets_is_told_until_it_is_undone() {
    let repo = planned("git config user.email bot@example.com");
    let run = repo.orch(["run", "--no-progress", "--assemble"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let undo = "git config --local --unset-all user.email";
    for said in [run.stderr(), told(&repo), findings(&repo)] {
        assert!(
            said.contains("user.email was set to `bot@example.com`"),
            "{said}"
        );
        assert!(said.contains(undo), "{said}");
    }
    // It is a person's matter, and stands in nobody's way.
    repo.orch(["approve"]).ok();
    repo.git(undo.split(' ').skip(1));
    assert!(!told(&repo).contains("user.email"));
    assert!(repo.orch(["doctor"]).ok().contains("nothing is wrong"));
    assert!(!repo.path().join(".git/orch/shared").exists());
}

#[test]
fn a_checkout_that_an_agent_declares_bare_is_left_as_it_is() {
    let repo = planned("git config core.bare true");
    let base = tip(&repo, "main");
    let run = repo.orch(["run", "--no-progress", "--assemble"]);
    assert_eq!(run.code(), 1, "{}", run.stdout());
    let said = run.stderr();
    assert!(
        said.contains("core.bare was changed from `false` to `true`"),
        "{said}"
    );
    for command in [
        &["approve"][..],
        &["assemble"],
        &["run"],
        &["claim", "b", "--agent", "1.1"],
    ] {
        let refused = repo.orch(command).fails(1);
        assert!(refused.contains("core.bare"), "{command:?}: {refused}");
        assert!(
            refused.contains("git orch doctor --shared restore"),
            "{refused}"
        );
    }
    assert!(findings(&repo).contains("core.bare"));
    repo.orch(["doctor", "--shared", "restore"]).ok();
    assert_eq!(repo.git(["config", "core.bare"]), "false");
    assert_eq!(tip(&repo, "main"), base);
    // Neither task has paid for it.
    repo.orch(["run", "--no-progress", "--assemble"]).ok();
    repo.orch(["approve"]).ok();
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    assert_ne!(tip(&repo, "main"), base);
    let log = repo.orch(["log", "--json"]).ok();
    assert!(!log.contains("\"fail\""), "{log}");
}

#[test]
fn whatever_an_agent_sets_that_decides_is_refused_and_put_back() {
    let repo = planned("true");
    let git_dir = repo.path().join(".git");
    write_file(&git_dir.join("info/attributes"), "*.png binary\n");
    write_file(&git_dir.join("hooks/pre-push"), "#!/bin/sh\nexit 0\n");
    let config = fs::read_to_string(git_dir.join("config")).unwrap();
    after_an_agent(&repo, |dir| {
        for (key, value) in [
            ("core.hooksPath", "/tmp/hooks"),
            ("core.attributesFile", "/tmp/attributes"),
            ("filter.x.clean", "touch /tmp/ran"),
            ("merge.ours.driver", "true"),
            ("include.path", "/tmp/more"),
            ("url.ext::sh.insteadOf", "https://"),
        ] {
            repo.git_in(&dir, ["config", key, value]);
        }
        write_file(&git_dir.join("info/attributes"), "* filter=x\n");
        write_file(&git_dir.join("hooks/pre-push"), "#!/bin/sh\nexit 1\n");
        write_file(&git_dir.join("hooks/post-merge"), "#!/bin/sh\nexit 1\n");
    });
    let found = findings(&repo);
    for name in [
        "core.hookspath",
        "core.attributesfile",
        "filter.x.clean",
        "merge.ours.driver",
        "include.path",
        "url.ext::sh.insteadof",
        "info/attributes was changed",
        "hooks/pre-push was changed",
        "hooks/post-merge was made",
    ] {
        assert!(found.contains(name), "{name}: {found}");
    }
    let refused = repo.orch(["claim", "a", "--agent", "1.1"]).fails(1);
    assert!(refused.contains("changed while agents worked"), "{refused}");
    repo.orch(["doctor", "--shared", "restore"]).ok();
    let values = |text: &str| {
        let lines = text.lines().map(str::trim);
        let mut lines: Vec<String> = lines
            .filter(|line| line.contains('='))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let now = fs::read_to_string(git_dir.join("config")).unwrap();
    assert_eq!(values(&now), values(&config));
    let read = |name: &str| fs::read_to_string(git_dir.join(name));
    assert_eq!(read("info/attributes").unwrap(), "*.png binary\n");
    assert_eq!(read("hooks/pre-push").unwrap(), "#!/bin/sh\nexit 0\n");
    read("hooks/post-merge").unwrap_err();
    // What was replaced is not lost either.
    let aside = repo.worktree(".trash/shared-1/attributes");
    assert_eq!(fs::read_to_string(aside).unwrap(), "* filter=x\n");
    assert!(repo.orch(["doctor"]).ok().contains("nothing is wrong"));
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
}

#[test]
fn the_stash_is_kept_before_an_agent_starts() {
    let repo = planned("true");
    for (text, name) in [("one\n", "first"), ("two\n", "second")] {
        write_file(&repo.path().join("README.md"), text);
        repo.git(["stash", "push", "-q", "-m", name]);
    }
    let second = tip(&repo, "refs/stash");
    after_an_agent(&repo, |dir| {
        // As an agent does that has forgotten that nothing of this is its own.
        repo.git_in(&dir, ["stash", "pop", "-q"]);
        repo.git_in(&dir, ["checkout", "-q", "."]);
    });
    assert_eq!(repo.git(["stash", "list"]), "stash@{0}: On main: first");
    let said = told(&repo);
    assert!(
        said.contains("an entry of the stash is gone: On main: second"),
        "{said}"
    );
    assert!(
        said.contains(&format!("git stash store -m 'On main: second' {second}")),
        "{said}"
    );
    let kept = repo.git(["rev-parse", "refs/orch/recovery/stash/2^{commit}"]);
    assert_eq!(kept, second);
    repo.orch(["doctor", "--shared", "restore"]).ok();
    assert_eq!(
        repo.git(["stash", "list"]),
        "stash@{0}: On main: second\nstash@{1}: On main: first"
    );
    assert!(!told(&repo).contains("stash"));
    // Copies of what is still there are nobody's work.
    after_an_agent(&repo, |_| {});
    let refs = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    assert_eq!(refs.lines().count(), 2, "{refs}");
    repo.orch(["init", "--undo"]).ok();
    assert_eq!(repo.git(["stash", "list"]).lines().count(), 2);
}

#[test]
fn what_a_person_accepts_stands_and_later_changes_are_nobodys_business() {
    let repo = planned("true");
    after_an_agent(&repo, |dir| {
        repo.git_in(&dir, ["config", "core.autocrlf", "input"]);
    });
    assert!(told(&repo).contains("core.autocrlf was set to `input`"));
    let accepted = repo.orch(["doctor", "--shared", "accept", "--json"]).json();
    assert_eq!(accepted["accepted"][0], "core.autocrlf was set to `input`");
    assert!(!told(&repo).contains("core.autocrlf"));
    // Nobody works any more.
    repo.git(["config", "core.autocrlf", "false"]);
    repo.git(["config", "user.email", "new@example.com"]);
    assert_eq!(told(&repo), "");
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
}

#[test]
fn what_git_writes_in_ordinary_work_is_not_told() {
    let repo = planned("true");
    after_an_agent(&repo, |dir| {
        repo.git_in(&dir, ["config", "branch.orch/team-1/a.remote", "origin"]);
        repo.git_in(&dir, ["config", "branch.topic.merge", "refs/heads/topic"]);
        repo.git_in(&dir, ["config", "lfs.repositoryformatversion", "0"]);
    });
    assert_eq!(told(&repo), "");
    repo.orch(["doctor"]).ok();
}

#[test]
fn hooks_that_an_agent_takes_out_are_back_for_the_next_one() {
    let gone = "git config --local --remove-section 'includeIf.gitdir:**/worktrees/orch-*'";
    let repo = planned(gone);
    let run = repo.orch(["run", "--no-progress", "--assemble"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let said = run.stderr();
    assert!(
        said.contains("the hooks of coders' worktrees had been taken out"),
        "{said}"
    );
    let author = repo.git(["log", "-1", "--format=%an", "orch/team-1/b"]);
    assert_eq!(author, "AGENT-1.1");
}

#[test]
fn a_persons_own_configuration_is_told_and_decides_nothing_here() {
    let repo = planned("true");
    let own = repo.outside().join("gitconfig");
    write_file(&own, "[user]\n\tname = Ann\n");
    let orch = |args: &[&str]| {
        let mut command = repo.orch_command(repo.path());
        command.env("GIT_CONFIG_GLOBAL", &own).args(args);
        super::common::Outcome(command.output().unwrap())
    };
    repo.orch(["dispatch"]).ok();
    orch(&["claim", "a", "--agent", "1.1"]).ok();
    write_file(
        &own,
        "[user]\n\tname = Bot\n[core]\n\thooksPath = /tmp/hooks\n",
    );
    orch(&["release", "a", "-m", "enough"]).ok();
    let status = orch(&["status"]);
    let said = status.stderr();
    assert!(
        said.contains("user.name was changed from `Ann` to `Bot`"),
        "{said}"
    );
    assert!(said.contains("core.hookspath was set"), "{said}");
    // Elsewhere there is another one.
    assert_eq!(told(&repo), "");
    orch(&["claim", "a", "--agent", "1.1"]).ok();
}
