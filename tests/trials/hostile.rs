//! Tests that do what no test should, and what somebody does to the worktrees that they run in.

use super::super::common::machines::wait_until;
use super::super::common::site::{Held, Site, branch};
use super::super::common::{TestRepo, write_file};
use super::{clean, has, onto_main, with_branches};

#[test]
fn a_test_that_commits_in_its_worktree_lands_none_of_it() {
    let repo = with_branches(&["a", "b"]);
    let test = "git -c user.name=x -c user.email=x@x commit -q --allow-empty -m sneaky && \
                echo more > README.md && git add . && git -c user.name=x -c user.email=x@x commit -qm more";
    let (code, verdicts, _) = onto_main(&repo, test, &["a", "b"]);
    assert_eq!(
        (code, verdicts),
        (0, vec!["a: merged".into(), "b: merged".into()])
    );
    assert!(!repo.git(["log", "--format=%s", "main"]).contains("sneaky"));
    assert_eq!(repo.git(["show", "main:README.md"]), "# a project");
    clean(&repo, repo.path());
}

#[test]
fn a_test_that_checks_the_target_out_and_leaves_changes_is_in_nobodys_way() {
    let repo = with_branches(&["a", "b"]);
    repo.git(["switch", "-q", "--detach"]);
    let test = "git checkout -q main 2>/dev/null; echo dirty > README.md; git add -A; \
                git bisect start; mkdir -p \"$(git rev-parse --git-dir)/rebase-merge\"; \
                echo refs/heads/main > \"$(git rev-parse --git-dir)/rebase-merge/head-name\"";
    let (code, verdicts, report) = onto_main(&repo, test, &["a", "b"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "b: merged"]);
    assert_eq!(repo.git(["show", "main:README.md"]), "# a project");
}

#[test]
fn after_a_test_on_a_branch_that_branch_may_be_checked_out() {
    let site = Site::new("git checkout -q -B mine", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    assert_eq!(site.assemble().0, 0);
    site.repo.git(["switch", "-q", "mine"]);
}

#[test]
fn a_test_that_moves_or_deletes_refs_decides_nothing() {
    let repo = with_branches(&["a", "b"]);
    let head = repo.git(["rev-parse", "b"]);
    // It takes away the branch that comes next, and moves the one that it tests.
    let test = "git update-ref -d refs/heads/b; git update-ref refs/heads/a HEAD^1; true";
    let (code, verdicts, report) = onto_main(&repo, test, &["a", "b"]);
    assert_eq!(
        (code, verdicts),
        (0, vec!["a: merged".into(), "b: merged".into()]),
        "{report}"
    );
    repo.git(["merge-base", "--is-ancestor", &head, "main"]);
    clean(&repo, repo.path());
    // One that deletes the target is told of.
    branch(&repo, "c", "main", "c", &[("c", "x\n")]);
    repo.git(["switch", "-q", "--detach"]);
    let args = [
        "assemble",
        "--onto",
        "main",
        "--test",
        "git update-ref -d refs/heads/main",
        "c",
    ];
    let complaint = repo.orch(args).fails(1);
    assert!(complaint.contains("main is gone"), "{complaint}");
}

#[test]
fn a_test_that_moves_the_users_head_finds_the_users_files_as_they_were() {
    let repo = with_branches(&["a", "b"]);
    let test = format!(
        "git -C '{}' symbolic-ref HEAD refs/heads/b",
        repo.path().display()
    );
    let (code, verdicts, report) = onto_main(&repo, &test, &["a"]);
    assert_eq!((code, verdicts), (0, vec!["a: merged".into()]), "{report}");
    assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/b");
    assert!(!repo.path().join("a").exists() && has(&repo, "a"));
}

#[test]
fn a_test_that_deletes_its_own_worktree_is_judged_by_its_exit() {
    let repo = with_branches(&["a", "b", "c"]);
    let test = "d=$(git rev-parse --git-dir); w=$PWD; test -e b && rm -rf \"$d\" && exit 0; cd / && rm -rf \"$w\"";
    let (code, verdicts, report) = onto_main(&repo, test, &["a", "b", "c"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "b: merged", "c: merged"]);
    assert!(!repo.path().with_file_name("repo.orch").exists());
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_test_that_leaves_a_directory_nobody_may_write_does_not_stop_the_next() {
    let repo = with_branches(&["a", "b"]);
    let test = "mkdir -p locked/deep && touch locked/deep/file && chmod 500 locked/deep locked";
    let (code, _, report) = onto_main(&repo, test, &["a", "b"]);
    assert_eq!(code, 0, "{report}");
    assert!(!repo.path().with_file_name("repo.orch").exists());
}

#[test]
fn what_lies_in_place_of_a_slot_is_replaced_and_what_it_leads_to_untouched() {
    let site = Site::new(
        "test -e README.md",
        &[("a", 1, &[]), ("b", 1, &[]), ("c", 1, &[]), ("d", 1, &[])],
    );
    let slot = site
        .repo
        .path()
        .with_file_name("repo.orch")
        .join("assembler");
    let admin = site.repo.path().join(".git/worktrees/orch-assembler");
    let precious = site.repo.outside().join("precious");
    write_file(&precious.join("file"), "mine\n");
    site.work("a", "1.1", &[("a", "a\n")]);
    assert_eq!(site.assemble().0, 0);
    // Gone.
    std::fs::remove_dir_all(&slot).unwrap();
    site.work("b", "1.2", &[("b", "b\n")]);
    assert_eq!(site.assemble().0, 0);
    // A file.
    std::fs::remove_dir_all(&slot).unwrap();
    std::fs::write(&slot, "a file").unwrap();
    std::fs::remove_dir_all(&admin).unwrap();
    std::fs::write(&admin, "a file").unwrap();
    site.work("c", "1.3", &[("c", "c\n")]);
    assert_eq!(site.assemble().0, 0);
    // A link to something of the user's.
    std::fs::remove_dir_all(&slot).unwrap();
    std::os::unix::fs::symlink(&precious, &slot).unwrap();
    site.work("d", "1.4", &[("d", "d\n")]);
    assert_eq!(site.assemble().0, 0);
    assert_eq!(
        std::fs::read_to_string(precious.join("file")).unwrap(),
        "mine\n"
    );
    assert_eq!(std::fs::read_dir(&precious).unwrap().count(), 1);
    for task in ["a", "b", "c", "d"] {
        assert_eq!(site.state(task), "merged");
    }
}

#[test]
fn daemons_of_a_test_end_with_it() {
    let repo = with_branches(&["a"]);
    let pids = repo.outside().join("pids");
    let file = pids.display();
    let test = format!(
        "setsid sh -c 'echo $$ >> {file}; exec sleep 1000' & \
         env -i PATH=\"$PATH\" setsid sh -c 'echo $$ >> {file}; trap \"\" TERM HUP; while :; do sleep 1000; done' & \
         (sh -c 'echo $$ >> {file}; exec sleep 1000' &) ; \
         while [ \"$(wc -l < {file})\" -lt 3 ]; do :; done"
    );
    std::fs::write(&pids, "").unwrap();
    let (code, _, report) = onto_main(&repo, &test, &["a"]);
    assert_eq!(code, 0, "{report}");
    let pids = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(pids.lines().count(), 3);
    for pid in pids.lines() {
        assert!(!lives(pid), "process {pid} is still there");
    }
}

/// Whether a process runs.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nothing_of_four_killed_slots_survives_the_next_run() {
    let site = Site::new(
        "true",
        &[("a", 1, &[]), ("b", 1, &[]), ("c", 1, &[]), ("d", 1, &[])],
    );
    let pids = site.repo.outside().join("pids");
    std::fs::create_dir(&pids).unwrap();
    for (task, agent) in [("a", "1.1"), ("b", "1.2"), ("c", "1.3"), ("d", "1.4")] {
        site.work(task, agent, &[(task, "x\n")]);
    }
    let test = format!("touch {}/$$; exec sleep 1000", pids.display());
    let mut child = site
        .repo
        .orch_command(site.repo.path())
        .args(["assemble", "--jobs", "4", "--test", &test])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let running = || -> Vec<String> {
        let names = std::fs::read_dir(&pids).unwrap().flatten();
        names
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    };
    wait_until("four tests", || running().len() == 4);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        running().iter().any(|pid| lives(pid)),
        "there is something to end"
    );
    assert_eq!(site.assemble().0, 0);
    let left: Vec<String> = running().into_iter().filter(|pid| lives(pid)).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn eight_branches_on_four_slots_killed_come_in_as_one_at_a_time() {
    let names = ["a", "b1", "c", "d", "b2", "f", "g", "h"];
    let repo = with_branches(&names);
    let held = Held::new(&repo);
    held.hold(true);
    let test = format!("{}; test ! -e b1 && test ! -e b2", held.command());
    let mut args = vec![
        "assemble", "--json", "--jobs", "4", "--onto", "main", "--test", &test,
    ];
    args.extend(names);
    let mut child = held.start(&repo, &args);
    child.kill().unwrap();
    child.wait().unwrap();
    held.hold(false);
    let (code, report) = super::assemble(&repo, &args);
    assert_eq!(code, 1);
    let bad: Vec<String> = super::verdicts(&report)
        .into_iter()
        .filter(|v| !v.ends_with("merged"))
        .collect();
    assert_eq!(bad, ["b1: test_failed", "b2: test_failed"]);
    assert!(!held.background_lives());
    clean(&repo, repo.path());
    // What the slots found out is known: the same train again runs nothing, from where it began.
    repo.git(["reset", "-q", "--hard", report["before"].as_str().unwrap()]);
    let (_, again) = super::assemble(&repo, &args);
    assert_eq!(again["tests_run"], 0, "{again}");
    assert_eq!(again["after"].as_str().map(str::len), Some(40));
}

#[test]
fn three_hundred_megabytes_of_output_are_bounded_on_disk_and_in_memory() {
    let site = Site::new(
        "test ! -e a || { head -c 300000000 /dev/zero | tr '\\0' x; exit 3; }",
        &[("a", 1, &[])],
    );
    site.work("a", "1.1", &[("a", "a\n")]);
    let (code, _) = site.assemble();
    assert_eq!(code, 1);
    let logs = site.repo.path().join(".git/orch/logs/assemble");
    let sizes = std::fs::read_dir(logs).unwrap().flatten();
    let total: u64 = sizes.map(|entry| entry.metadata().unwrap().len()).sum();
    // A failure is seen twice.
    assert!(total > 0 && total < 2 * (65 << 20), "{total}");
}

#[test]
fn a_test_that_may_write_no_more_is_red_and_the_rest_goes_on() {
    let repo = with_branches(&["a", "full"]);
    let test = "test ! -e full || { ulimit -f 8; head -c 1000000 /dev/zero > fills; }";
    let (code, verdicts, report) = onto_main(&repo, test, &["full", "a"]);
    assert_eq!(code, 1);
    assert_eq!(verdicts, ["full: test_failed", "a: merged"], "{report}");
}

#[test]
fn a_test_finds_no_terminal_and_nothing_to_read() {
    let repo: TestRepo = with_branches(&["a"]);
    let (code, _, report) = onto_main(
        &repo,
        "test -z \"$(cat)\" && test ! -t 0 && test ! -t 1",
        &["a"],
    );
    assert_eq!(code, 0, "{report}");
}
