//! Signed transitions and commits: who signs what, and what is refused where a signature is missing or wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::common::site::{Site, verdicts};
use crate::common::{TestRepo, write_file};

const PLAN: &str = "
[run]
name = \"demo\"
test = \"true\"
[[teams]]
id = 1
[[tasks]]
id = \"a\"
team = 1
title = \"Do a\"
run = \"echo a > a\"
[[tasks]]
id = \"b\"
team = 1
title = \"Do b\"
run = \"echo b > b\"
";

/// A repository in which everything is signed.
fn signed() -> Site {
    let repo = TestRepo::new();
    repo.orch(["init", "--signing", "ssh"]).ok();
    let site = Site {
        repo: repo.plan(PLAN),
    };
    site.repo.orch(["dispatch"]).ok();
    site
}

/// Git's own word on the signatures of a range, against the signers of the ledger's tip: status and signer.
fn signatures(repo: &TestRepo, range: &str) -> Vec<String> {
    let file = repo.outside().join("signers");
    let text = repo.git(["show", "orchestration:.orchestration/allowed_signers"]);
    write_file(&file, &format!("{text}\n"));
    let option = format!("gpg.ssh.allowedSignersFile={}", file.display());
    let mut words = vec!["-c", &option, "log", "--format=%G? %GS"];
    words.extend(range.split(' '));
    let listed = repo.git(words);
    let lines = listed.lines().map(|line| line.trim_end().to_owned());
    lines.collect()
}

fn keys(repo: &TestRepo) -> PathBuf {
    repo.path().join(".git/orch/keys")
}

#[test]
fn off_nothing_is_signed_and_nothing_is_made() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    assert_eq!(site.assemble().0, 0);
    assert!(!keys(&site.repo).exists());
    assert!(!site.repo.path().join(".git/orch/verified").exists());
    let raw = site.repo.git(["cat-file", "commit", "orchestration"]);
    assert!(!raw.contains("gpgsig"), "{raw}");
    assert_eq!(
        site.repo.orch(["signers", "list"]).ok(),
        "nobody: nothing is signed here\n"
    );
}

#[test]
fn a_run_signs_every_transition_and_every_commit() {
    let site = signed();
    let repo = &site.repo;
    repo.orch(["run", "--assemble"]).ok();
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
    let said = signatures(repo, "orchestration");
    // The first began the ledger, before anything was said of signatures.
    let (root, rest) = said.split_last().unwrap();
    assert_eq!(root, "N");
    assert!(rest.len() > 10, "{rest:?}");
    for line in rest {
        assert!(
            line.starts_with("G executor-") && line.ends_with("@orch"),
            "{line}"
        );
    }
    for task in ["a", "b"] {
        let agent = site.task(task).status.agent.unwrap();
        let said = signatures(repo, &format!("main..orch/team-1/{task}"));
        assert_eq!(said, [format!("G agent-{agent}@orch")]);
    }
    // What git-orch puts on the integrated branches is the machine's, so that no note is needed to know it.
    for line in signatures(repo, "main..orch/integration --first-parent") {
        assert!(line.starts_with("G executor-"), "{line}");
    }
    std::fs::remove_file(repo.path().join(".git/orch/left.json")).unwrap();
    repo.orch(["undo", "b", "-m", "not yet"]).ok();
    repo.orch(["assemble"]).fails(3);
    let key = keys(repo).join("executor");
    let mode = std::fs::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    repo.orch(["approve"]).ok();
    repo.orch(["doctor"]).ok();
}

#[test]
fn what_a_coder_commits_by_hand_is_signed_with_its_key() {
    let site = signed();
    let repo = &site.repo;
    repo.orch(["claim", "a", "--agent", "1.2"]).ok();
    let coder = repo.worktree("1.2");
    repo.orch_in(&coder, ["start"]).ok();
    write_file(&coder.join("a"), "a\n");
    repo.git_in(&coder, ["add", "-A"]);
    repo.git_in(&coder, ["commit", "-q", "-m", "a"]);
    assert_eq!(
        signatures(repo, "main..orch/team-1/a"),
        ["G agent-1.2@orch"]
    );
    repo.orch_in(&coder, ["submit"]).ok();
    assert_eq!(verdicts(&site.assemble().1), ["a: merged"]);
    // The main worktree signs as before: not at all.
    repo.git(["commit", "-q", "--allow-empty", "-m", "mine"]);
    assert_eq!(signatures(repo, "-1"), ["N"]);
}

#[test]
fn the_gate_refuses_what_is_not_signed_by_the_agent_it_names() {
    let site = signed();
    let repo = &site.repo;
    for (task, agent) in [("a", "1.1"), ("b", "1.2")] {
        repo.orch(["claim", task, "--agent", agent]).ok();
        let dir = repo.worktree(agent);
        repo.orch_in(&dir, ["start"]).ok();
        write_file(&dir.join(task), task);
        repo.git_in(&dir, ["add", "-A"]);
    }
    // Not signed at all; and by agent 1.1 in the name of 1.2.
    repo.git_in(
        &repo.worktree("1.1"),
        ["commit", "-q", "--no-gpg-sign", "-m", "a"],
    );
    let key = format!("user.signingKey={}", keys(repo).join("agent-1.1").display());
    repo.git_in(
        &repo.worktree("1.2"),
        ["-c", &key, "commit", "-q", "-m", "b"],
    );
    for (task, agent) in [("a", "1.1"), ("b", "1.2")] {
        let refused = repo.orch_in(&repo.worktree(agent), ["submit"]).fails(1);
        assert!(refused.contains("(rule: signature)"), "{refused}");
        // Handed in past that, as by a hand on the ledger, it meets the gate once more.
        let head = repo.git(["rev-parse", &format!("orch/team-1/{task}")]);
        site.submit(task, &head);
    }
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        ["a: gate_failed", "b: gate_failed"],
        "{report}"
    );
    let findings = |task: &str| site.task(task).status.findings.unwrap();
    assert!(findings("a").contains("is not signed"), "{}", findings("a"));
    assert!(
        findings("b").contains("is signed by agent-1.1@orch"),
        "{}",
        findings("b")
    );
}

/// Commits to the ledger by plain Git; returns the commit.
fn by_hand(
    repo: &TestRepo,
    options: &[&str],
    path: &str,
    change: impl Fn(&str) -> String,
) -> String {
    let dir = repo.outside().join("editor");
    let dir_text = dir.to_str().unwrap();
    repo.git([
        "worktree",
        "add",
        "-q",
        "--detach",
        dir_text,
        "orchestration",
    ]);
    let file = dir.join(".orchestration").join(path);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    write_file(&file, &change(&text));
    repo.git_in(&dir, ["add", "-A"]);
    let commit = ["commit", "-q", "--allow-empty", "-m", "by hand"];
    repo.git_in(&dir, options.iter().copied().chain(commit));
    let head = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    repo.git(["worktree", "remove", "--force", dir_text]);
    repo.git(["update-ref", "refs/heads/orchestration", &head]);
    head
}

#[test]
fn nothing_is_built_on_a_transition_that_is_not_signed() {
    let site = signed();
    let repo = &site.repo;
    let merged = |_: &str| String::from("state = \"merged\"\n");
    let commit = by_hand(repo, &[], "teams/1/status/a.toml", merged);
    for args in [
        &["claim", "--agent", "1.1"][..],
        &["assemble"],
        &["approve"],
    ] {
        let complaint = repo.orch(args).fails(1);
        assert!(
            complaint.contains(&format!("the ledger's commit {commit} is not signed")),
            "{complaint}"
        );
    }
    let found = repo.orch(["doctor"]);
    assert!(
        found.stdout().contains("ledger-signature"),
        "{}",
        found.stdout()
    );
    assert_eq!(found.code(), 1);
    // A person has looked and lets it stand.
    repo.orch(["doctor", "--accept", &commit]).ok();
    repo.orch(["claim", "--agent", "1.1"]).ok();
}

#[test]
fn an_agent_can_neither_add_itself_nor_switch_signing_off() {
    let site = signed();
    let repo = &site.repo;
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let before = repo.git(["rev-parse", "orchestration"]);
    let key = format!("user.signingKey={}", keys(repo).join("agent-1.1").display());
    let sign = [
        "-c",
        "gpg.format=ssh",
        "-c",
        &key,
        "-c",
        "commit.gpgSign=true",
    ];
    let public = std::fs::read_to_string(keys(repo).join("agent-1.1.pub")).unwrap();
    let refused = |why: &str| {
        let complaint = repo.orch(["claim", "b", "--agent", "1.2"]).fails(1);
        assert!(complaint.contains(why), "{complaint}");
        repo.git(["update-ref", "refs/heads/orchestration", &before]);
    };
    // Signed by an agent's key, that it gives a machine's name in the same commit.
    by_hand(repo, &sign, "allowed_signers", |text| {
        format!("executor-evil@orch namespaces=\"git\" {public}{text}")
    });
    refused("is signed by agent-1.1@orch, who may not sign transitions");
    by_hand(repo, &sign, "orch.toml", |text| {
        text.replace("signing = \"ssh\"\n", "")
    });
    refused("is signed by agent-1.1@orch, who may not sign transitions");
    by_hand(repo, &[], "orch.toml", |text| {
        text.replace("signing = \"ssh\"\n", "")
    });
    refused("is not signed");
    // With a key of nobody's.
    let stranger = repo.outside().join("stranger");
    let mut keygen = repo.command("ssh-keygen", &repo.outside());
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&stranger);
    assert!(keygen.status().unwrap().success());
    let key = format!("user.signingKey={}", stranger.display());
    let sign = [
        "-c",
        "gpg.format=ssh",
        "-c",
        &key,
        "-c",
        "commit.gpgSign=true",
    ];
    by_hand(repo, &sign, "orch.toml", str::to_owned);
    refused("is signed with a key that the ledger did not name before it");
    repo.orch(["claim", "b", "--agent", "1.2"]).ok();
}

#[test]
fn a_person_is_let_in_and_out_and_signing_ends_by_a_signed_transition() {
    let site = signed();
    let repo = &site.repo;
    let key = repo.outside().join("ada");
    let mut keygen = repo.command("ssh-keygen", &repo.outside());
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key);
    assert!(keygen.status().unwrap().success());
    let public = std::fs::read_to_string(repo.outside().join("ada.pub")).unwrap();
    repo.orch(["signers", "add", "ada@example.com", "nonsense"])
        .fails(1);
    let denied = repo.orch(["--as", "1.1", "signers", "add", "ada@example.com", &public]);
    assert!(
        denied
            .fails(1)
            .contains("agent 1.1 may not let others sign")
    );
    repo.orch(["signers", "add", "ada@example.com", &public])
        .ok();
    let listed = repo.orch(["signers", "list", "--json"]).json();
    assert_eq!(listed["signing"], "ssh");
    assert_eq!(listed["signers"][1]["principal"], "ada@example.com");
    // Her hand edit counts.
    let option = format!("user.signingKey={}", key.display());
    let sign = [
        "-c",
        "gpg.format=ssh",
        "-c",
        &option,
        "-c",
        "commit.gpgSign=true",
    ];
    by_hand(repo, &sign, "notes.md", |_| String::from("hers\n"));
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    repo.orch(["signers", "remove", "ada@example.com"]).ok();
    let commit = by_hand(repo, &sign, "notes.md", |_| String::from("hers again\n"));
    let complaint = repo.orch(["claim", "b", "--agent", "1.2"]).fails(1);
    assert!(complaint.contains(&commit), "{complaint}");
    repo.orch(["doctor", "--accept", &commit]).ok();
    let machine = repo.orch(["signers", "machine", "--json"]).json();
    let machine = machine["principal"].as_str().unwrap().to_owned();
    let last = repo.orch(["signers", "remove", &machine]).fails(1);
    assert!(
        last.contains("is the last who may sign transitions"),
        "{last}"
    );
    repo.orch(["init", "--signing", "off"]).ok();
    by_hand(repo, &[], "notes.md", |_| String::from("anybody's\n"));
    repo.orch(["claim", "b", "--agent", "1.2"]).ok();
    assert!(!keys(repo).join("agent-1.2").exists());
}

#[test]
fn a_plan_says_it_as_well_and_one_that_says_nothing_changes_nothing() {
    let repo = TestRepo::new().init();
    let repo = repo.plan(&PLAN.replace("test =", "signing = \"ssh\"\ntest ="));
    let signing =
        |repo: &TestRepo| repo.orch(["signers", "list", "--json"]).json()["signing"].clone();
    assert_eq!(signing(&repo), "ssh");
    assert_eq!(signatures(&repo, "orchestration").last().unwrap(), "N");
    let repo = repo.plan(&PLAN.replace("Do a", "Do it"));
    assert_eq!(signing(&repo), "ssh");
    assert!(signatures(&repo, "orchestration")[0].starts_with("G "));
    let repo = repo.plan(&PLAN.replace("test =", "signing = \"off\"\ntest ="));
    assert_eq!(signing(&repo), "off");
    repo.orch(["dispatch"]).ok();
    assert!(!repo.path().join(".git/orch/verified").exists());
}

/// Two clones of one remote: the second takes part once the first has let its machine sign.
#[test]
fn a_machine_that_is_not_among_the_signers_writes_nothing() {
    let site = signed();
    let repo = &site.repo;
    let hub = repo.outside().join("hub.git");
    repo.git(["init", "-q", "--bare", hub.to_str().unwrap()]);
    repo.git(["remote", "add", "hub", hub.to_str().unwrap()]);
    repo.git(["push", "-q", "hub", "main"]);
    repo.orch(["remote", "set", "hub"]).ok();
    let other = repo.outside().join("other");
    let clone = ["clone", "-q", "-o", "hub", "-b", "main"];
    let ends = [hub.to_str().unwrap(), other.to_str().unwrap()];
    repo.git(clone.into_iter().chain(ends));
    repo.git_in(&other, ["config", "orch.machine", "other"]);
    repo.orch_in(&other, ["init"]).ok();
    let claim = ["claim", "b", "--agent", "1.2", "--no-worktree"];
    let complaint = repo.orch_in(&other, claim).fails(1);
    assert!(complaint.contains("this machine has no key"), "{complaint}");
    let machine = repo
        .orch_in(&other, ["signers", "machine", "--json"])
        .json();
    let complaint = repo.orch_in(&other, claim).fails(1);
    assert!(
        complaint.contains("executor-other@orch is not among those whose signatures count"),
        "{complaint}"
    );
    let text = |key: &str| machine[key].as_str().unwrap().to_owned();
    repo.orch(["signers", "add", &text("principal"), &text("key")])
        .ok();
    repo.orch_in(&other, ["sync"]).ok();
    repo.orch_in(&other, claim).ok();
    // And the first builds on what the second has signed.
    repo.orch(["sync"]).ok();
    repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
        .ok();
}

#[test]
fn without_ssh_keygen_the_error_says_so() {
    let repo = TestRepo::new();
    let bin = repo.outside().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let mut which = repo.command("sh", repo.path());
    let git = which
        .args(["-c", "command -v git"])
        .output()
        .unwrap()
        .stdout;
    let git = String::from_utf8(git).unwrap();
    std::os::unix::fs::symlink(git.trim(), bin.join("git")).unwrap();
    let mut init = repo.orch_command(repo.path());
    let init = init.env("PATH", &bin).args(["init", "--signing", "ssh"]);
    let complaint = crate::common::Outcome(init.output().unwrap()).fails(1);
    assert!(
        complaint.contains("signing needs `ssh-keygen`"),
        "{complaint}"
    );
    assert!(
        complaint.contains("hint: git orch init --signing off"),
        "{complaint}"
    );
}
