//! Files that are not plain: submodules, pointers, modes, links, line ends, names.

use super::super::common::site::branch;
use super::super::common::{TestRepo, write_file};
use super::{clean, has, onto_main, with_branches};

/// A repository with a submodule `lib parts` from a repository beside it, and one within that.
fn with_submodule() -> TestRepo {
    let repo = TestRepo::new();
    let outside = repo.outside();
    for name in ["inner", "lib"] {
        let dir = outside.join(name);
        std::fs::create_dir(&dir).unwrap();
        repo.git_in(&dir, ["init", "-q", "-b", "main"]);
        write_file(&dir.join("file"), &format!("{name}\n"));
        if name == "lib" {
            add(&repo, &dir, &outside.join("inner"), "inner");
        }
        repo.git_in(&dir, ["add", "-A"]);
        repo.git_in(&dir, ["commit", "-q", "-m", name]);
    }
    add(&repo, repo.path(), &outside.join("lib"), "lib parts");
    let update = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "-q",
        "update",
        "--init",
        "--recursive",
    ];
    repo.git(update);
    repo.commit("submodule")
}

fn add(repo: &TestRepo, dir: &std::path::Path, from: &std::path::Path, to: &str) {
    let from = from.to_str().unwrap();
    repo.git_in(
        dir,
        [
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "-q",
            "add",
            from,
            to,
        ],
    );
}

const SUBMODULE: &str = "test \"$(cat 'lib parts/file')\" = lib && test -e 'lib parts/inner/file' && \
                         test ! -e 'lib parts/junk' && touch 'lib parts/junk' && echo changed > 'lib parts/file'";

#[test]
fn a_test_finds_the_submodules_that_the_users_checkout_has() {
    let repo = with_submodule();
    for name in ["a", "b"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    // Nothing is fetched: where they came from is gone.
    for name in ["lib", "inner"] {
        std::fs::rename(
            repo.outside().join(name),
            repo.outside().join(format!("{name}.gone")),
        )
        .unwrap();
    }
    let config = std::fs::read(repo.path().join(".git/config")).unwrap();
    let module = std::fs::read(repo.path().join(".git/modules/lib parts/config")).unwrap();
    let (code, verdicts, report) = onto_main(&repo, SUBMODULE, &["a", "b"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "b: merged"]);
    assert_eq!(
        std::fs::read(repo.path().join(".git/config")).unwrap(),
        config
    );
    assert_eq!(
        std::fs::read(repo.path().join(".git/modules/lib parts/config")).unwrap(),
        module
    );
    assert!(!repo.path().join(".git/worktrees").exists());
    clean(&repo, repo.path());
    let lib = std::fs::read_to_string(repo.path().join("lib parts/file")).unwrap();
    assert_eq!(lib, "lib\n");
}

#[test]
fn a_submodule_is_as_each_commit_has_it() {
    let repo = with_submodule();
    let lib = repo.path().join("lib parts");
    let old = repo.git_in(&lib, ["rev-parse", "HEAD"]);
    write_file(&lib.join("new"), "x\n");
    repo.git_in(&lib, ["add", "-A"]);
    repo.git_in(&lib, ["commit", "-q", "-m", "new"]);
    repo.git(["switch", "-q", "-c", "moves"]);
    let repo = repo.commit("move the submodule on");
    repo.git(["switch", "-q", "-c", "drops"]);
    repo.git(["rm", "-q", "-f", "lib parts"]);
    repo.git(["commit", "-q", "-m", "drop the submodule"]);
    repo.git(["switch", "-q", "--detach", "main"]);
    repo.git([
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "-q",
        "update",
        "--force",
    ]);
    branch(&repo, "a", "main", "a", &[("a", "x\n")]);
    let test = "case $(git log -1 --format=%s) in *moves*) test -e 'lib parts/new';; \
                *drops*) test ! -e 'lib parts';; *) test -e 'lib parts/file' && test ! -e 'lib parts/new';; esac";
    let (code, verdicts, report) = onto_main(&repo, test, &["a", "moves", "drops"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "moves: merged", "drops: merged"]);
    assert_eq!(repo.git_in(&lib, ["rev-parse", "HEAD"]), old);
}

#[test]
fn a_commit_of_a_submodule_that_is_nowhere_is_told() {
    let repo = with_submodule();
    branch(&repo, "a", "main", "a", &[("a", "x\n")]);
    let nowhere = format!("160000,{},lib parts", "1".repeat(40));
    repo.git(["update-index", "--cacheinfo", &nowhere]);
    repo.git(["commit", "-q", "-m", "nowhere"]);
    repo.git(["branch", "nowhere"]);
    repo.git(["switch", "-q", "--detach", "a"]);
    let args = ["assemble", "--onto", "a", "--test", "true", "nowhere"];
    let complaint = repo.orch(args).fails(1);
    assert!(
        complaint.contains("submodule lib parts is to be at 1111"),
        "{complaint}"
    );
    assert!(
        complaint.contains("(`git -C 'lib parts' fetch`)"),
        "{complaint}"
    );
}

#[test]
fn a_submodule_that_is_not_initialised_stays_empty() {
    let repo = with_submodule();
    branch(&repo, "a", "main", "a", &[("a", "x\n")]);
    let clone = repo.outside().join("clone");
    repo.git(["clone", "-q", ".", clone.to_str().unwrap()]);
    let test = "test -d 'lib parts' && test ! -e 'lib parts/file'";
    let args = ["assemble", "--onto", "main", "--test", test, "origin/a"];
    repo.orch_in(&clone, args).ok();
    clean(&repo, &clone);
}

#[test]
fn pointers_modes_links_and_names_reach_test_and_checkout_as_they_are() {
    let repo = TestRepo::new()
        .write(
            ".gitattributes",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n*.bat text eol=crlf\n",
        )
        .write("run.bat", "one\r\ntwo\r\nthree\r\n")
        .commit("attributes");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let odd = "dir with space/'quo\"te'/ü\n$HOME.txt";
    branch(
        &repo,
        "files",
        "main",
        "files",
        &[("big.bin", pointer), (odd, "x\n"), ("-n", "x\n")],
    );
    branch(
        &repo,
        "one",
        "main",
        "one",
        &[("run.bat", "ONE\r\ntwo\r\nthree\r\n")],
    );
    branch(
        &repo,
        "three",
        "main",
        "three",
        &[("run.bat", "one\r\ntwo\r\nTHREE\r\n")],
    );
    repo.git(["switch", "-q", "-c", "links"]);
    std::os::unix::fs::symlink("README.md", repo.path().join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", repo.path().join("dangling")).unwrap();
    let repo = repo.write("tool", "#!/bin/sh\n");
    repo.git(["add", "-A"]);
    repo.git(["update-index", "--chmod=+x", "tool"]);
    repo.git(["commit", "-q", "-m", "links"]);
    repo.git(["switch", "-q", "-f", "main"]);
    repo.git(["config", "core.autocrlf", "input"]);
    let test = "test \"$(head -c 7 big.bin)\" = version && test -e \"dir with space/'quo\\\"te'\" && \
                grep -q \"$(printf '\\r')\" run.bat && { test ! -e tool || { test -x tool && test -L link && test -L dangling; }; }";
    let (code, verdicts, report) = onto_main(&repo, test, &["files", "one", "three", "links"]);
    assert_eq!(code, 0, "{report}");
    assert!(verdicts.iter().all(|verdict| verdict.ends_with(": merged")));
    assert_eq!(
        std::fs::read_to_string(repo.path().join("run.bat")).unwrap(),
        "ONE\r\ntwo\r\nTHREE\r\n"
    );
    assert_eq!(repo.git(["show", "main:run.bat"]), "ONE\ntwo\nTHREE");
    assert_eq!(
        std::fs::read_to_string(repo.path().join("big.bin")).unwrap(),
        pointer
    );
    assert!(repo.path().join(odd).exists() && repo.path().join("-n").exists());
    clean(&repo, repo.path());
}

#[test]
fn a_repository_at_an_odd_path_with_line_ends_of_windows_works() {
    for autocrlf in ["true", "input"] {
        let repo = TestRepo::empty_called("my \"prö'ject\" $HOME;x")
            .write("text", "one\ntwo\n")
            .commit("first");
        repo.git(["config", "core.autocrlf", autocrlf]);
        branch(
            &repo,
            "a b".replace(' ', "/").as_str(),
            "main",
            "a",
            &[("ü b/c", "x\n")],
        );
        let (code, _, report) =
            onto_main(&repo, "test -e 'ü b/c' && git diff --quiet HEAD", &["a/b"]);
        assert_eq!(code, 0, "{report}");
        assert!(has(&repo, "ü b/c"));
        clean(&repo, repo.path());
    }
}

#[test]
fn untracked_and_ignored_files_of_the_user_stay_and_those_in_the_way_are_named() {
    let repo = with_branches(&["a", "b"]).write(".git/info/exclude", "ignored\n");
    let repo = repo.write("mine", "mine\n").write("ignored", "mine\n");
    let (code, _, report) = onto_main(&repo, "test ! -e mine && test ! -e ignored", &["a"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(repo.git(["status", "--porcelain"]), "?? mine");
    let repo = repo.write("b", "mine\n");
    let before = repo.git(["rev-parse", "main"]);
    let args = ["assemble", "--onto", "main", "--test", "true", "b"];
    let complaint = repo.orch(args).fails(1);
    assert!(complaint.contains("in the way: b"), "{complaint}");
    assert_eq!(repo.git(["rev-parse", "main"]), before);
    assert_eq!(
        std::fs::read_to_string(repo.path().join("b")).unwrap(),
        "mine\n"
    );
}
