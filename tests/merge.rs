//! Merges in memory, on real repositories.

use git_orch::git::{ConflictFile, Merge, MergeCommit, Oid, Repo};

use super::common::TestRepo;

fn open(repo: &TestRepo) -> Repo {
    Repo::discover(repo.path()).unwrap()
}

fn oid(repo: &TestRepo, revision: &str) -> Oid {
    let hex = repo.git(["rev-parse", revision]);
    Oid::from_hex(hex.as_bytes()).unwrap()
}

/// `main` with a file, and two branches that change it as told.
fn fork(base: &[(&str, &str)], one: &[(&str, &str)], two: &[(&str, &str)]) -> TestRepo {
    let write = |repo: TestRepo, files: &[(&str, &str)], message: &str| {
        files
            .iter()
            .fold(repo, |repo, (path, text)| repo.write(path, text))
            .commit(message)
    };
    let repo = write(TestRepo::new(), base, "base");
    repo.git(["switch", "-q", "-c", "one"]);
    let repo = write(repo, one, "one");
    repo.git(["switch", "-q", "-c", "two", "main"]);
    let repo = write(repo, two, "two");
    repo.git(["switch", "-q", "main"]);
    repo
}

fn conflict(repo: &TestRepo) -> Vec<ConflictFile> {
    match open(repo)
        .merge_tree(oid(repo, "one"), oid(repo, "two"))
        .unwrap()
    {
        Merge::Conflict(files) => files,
        other => panic!("no conflict but {other:?}"),
    }
}

#[test]
fn a_clean_merge_is_the_tree_that_git_merge_makes() {
    let repo = fork(
        &[("a", "1\n"), ("b", "1\n")],
        &[("a", "2\n")],
        &[("b", "2\n")],
    );
    let merged = open(&repo)
        .merge_tree(oid(&repo, "one"), oid(&repo, "two"))
        .unwrap();
    repo.git(["switch", "-q", "--detach", "one"]);
    repo.git(["merge", "-q", "--no-edit", "two"]);
    assert_eq!(merged, Merge::Clean(oid(&repo, "HEAD^{tree}")));
}

#[test]
fn a_textual_conflict_names_file_and_hunk() {
    let name = "sub dir/ünïcode \"name\".txt";
    let repo = fork(&[(name, "0\n")], &[(name, "ours\n")], &[(name, "theirs\n")]);
    let files = conflict(&repo);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].path, name);
    assert_eq!(files[0].kind, "CONFLICT (contents)");
    assert_eq!(files[0].hunks.len(), 1);
    for part in [
        "<<<<<<< ", "ours", "||||||| ", "0", "=======", "theirs", ">>>>>>> ",
    ] {
        assert!(files[0].hunks[0].contains(part), "{part}: {files:?}");
    }
}

#[test]
fn the_users_configuration_changes_no_verdict() {
    let repo = fork(
        &[("a", "1\n2\n3\n4\n5\n6\n7\n8\n")],
        &[("a", "1\n2\n3\n4\n5\n6\n7\n9\n")],
        &[("a", "1\n2\n3\n4\n5\n6\n7\n8\n10\n")],
    );
    let before = conflict(&repo);
    for (key, value) in [
        ("merge.renames", "false"),
        ("merge.conflictStyle", "merge"),
        ("merge.directoryRenames", "true"),
        ("diff.algorithm", "patience"),
        ("merge.default", "union"),
    ] {
        repo.git(["config", key, value]);
    }
    assert_eq!(conflict(&repo), before);
}

#[test]
fn removed_here_and_changed_there_is_a_conflict() {
    let repo = fork(
        &[("a", "1\n"), ("keep", "1\n")],
        &[("a", "2\n")],
        &[("b", "b\n")],
    );
    repo.git(["switch", "-q", "two"]);
    repo.git(["rm", "-q", "a"]);
    let repo = repo.commit("remove");
    let files = conflict(&repo);
    assert_eq!(files[0].path, "a");
    assert_eq!(files[0].kind, "CONFLICT (modify/delete)");
}

#[test]
fn a_rename_takes_the_other_sides_change_along() {
    let text = "a long enough file\nwith several lines\nso that git sees\nthe rename\n";
    let repo = fork(
        &[("old name", text)],
        &[("old name", &format!("{text}more\n"))],
        &[("x", "x\n")],
    );
    repo.git(["switch", "-q", "two"]);
    repo.git(["mv", "old name", "new name"]);
    let repo = repo.commit("rename");
    let merged = open(&repo)
        .merge_tree(oid(&repo, "one"), oid(&repo, "two"))
        .unwrap();
    let Merge::Clean(tree) = merged else {
        panic!("{merged:?}")
    };
    let found = repo.git(["show", &format!("{tree}:new name")]);
    assert!(found.ends_with("more"), "{found}");
}

#[test]
fn two_renames_of_one_file_conflict() {
    let text = "a long enough file\nwith several lines\nso that git sees\nthe rename\n";
    let repo = fork(&[("a", text)], &[("x", "x\n")], &[("y", "y\n")]);
    for (branch, name) in [("one", "b"), ("two", "c")] {
        repo.git(["switch", "-q", branch]);
        repo.git(["mv", "a", name]);
        repo.git(["commit", "-q", "-m", "rename"]);
    }
    let files = conflict(&repo);
    assert!(
        files
            .iter()
            .any(|file| file.kind == "CONFLICT (rename/rename)"),
        "{files:?}"
    );
}

#[test]
fn unrelated_histories_are_a_verdict() {
    let repo = TestRepo::new();
    repo.git(["switch", "-q", "--orphan", "alien"]);
    let repo = repo.write("z", "z\n").commit("alien");
    let merged = open(&repo)
        .merge_tree(oid(&repo, "main"), oid(&repo, "alien"))
        .unwrap();
    assert_eq!(merged, Merge::Unrelated);
    let null = Oid::null(oid(&repo, "main").kind());
    assert!(open(&repo).merge_tree(oid(&repo, "main"), null).is_err());
}

#[test]
fn carriage_returns_and_binary_files_are_left_as_they_are() {
    let repo = fork(
        &[("crlf", "a\r\nb\r\nc\r\nd\r\n"), ("bin", "\0\u{1}")],
        &[("crlf", "A\r\nb\r\nc\r\nd\r\n"), ("bin", "\0\u{2}")],
        &[("crlf", "a\r\nb\r\nc\r\nD\r\n"), ("bin", "\0\u{3}")],
    );
    let files = conflict(&repo);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].path, "bin");
    assert!(files[0].hunks.is_empty());
}

#[test]
fn a_merge_commit_is_the_same_each_time() {
    let repo = fork(&[("a", "1\n")], &[("b", "2\n")], &[("c", "3\n")]);
    let (one, two) = (oid(&repo, "one"), oid(&repo, "two"));
    let merge = MergeCommit {
        tree: oid(&repo, "one^{tree}"),
        parents: &[one, two],
        message: "merge\n\nOrch-Task: a\n",
        who: &(String::from("Somebody"), String::from("some@example.com")),
        key: None,
    };
    let first = open(&repo).write_merge(&merge).unwrap();
    assert_eq!(open(&repo).write_merge(&merge).unwrap(), first);
    let git = open(&repo);
    assert!(git.is_ancestor(two, first).unwrap());
    assert!(!git.is_ancestor(first, two).unwrap());
    assert_eq!(git.first_parents(first, Some(one)).unwrap(), [first]);
    let range = git.range(one, first).unwrap();
    assert_eq!(range[0].id, first);
    assert_eq!(range[0].tasks, ["a"]);
    assert_eq!(range[1].id, two);
    assert!(range[1].tasks.is_empty(), "{range:?}");
}

#[test]
fn changed_paths_tell_modes_and_submodules() {
    let repo = fork(&[("run", "#!/bin/sh\n")], &[("b", "2\n")], &[("c", "3\n")]);
    repo.git(["switch", "-q", "one"]);
    repo.git(["update-index", "--chmod=+x", "run"]);
    let commit = repo.git(["rev-parse", "main"]);
    repo.git([
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},sub"),
    ]);
    repo.git(["commit", "-q", "-m", "modes"]);
    let changed = open(&repo)
        .changed_paths(oid(&repo, "main"), oid(&repo, "one"))
        .unwrap();
    let modes: Vec<_> = changed
        .iter()
        .map(|c| (String::from_utf8(c.path.clone()).unwrap(), c.old.0, c.new.0))
        .collect();
    let expected = [
        ("b", 0, 0o100_644),
        ("run", 0o100_644, 0o100_755),
        ("sub", 0, 0o160_000),
    ];
    assert_eq!(modes, expected.map(|(path, a, b)| (path.to_owned(), a, b)));
}

#[test]
fn the_difference_of_two_trees_is_as_git_tells_it() {
    let repo = TestRepo::new()
        .write("a", "1\n")
        .write("b/c", "1\n")
        .write("b-c", "1\n")
        .write("d", "1\n")
        .write("deep/er/file with \u{e4}", "1\n")
        .write("same/x", "1\n")
        .commit("one");
    let dir = repo.path().to_owned();
    // A file becomes a directory and the other way round, one is gone, one is new, one may be run, one is a link.
    std::fs::remove_file(dir.join("d")).unwrap();
    std::fs::remove_dir_all(dir.join("b")).unwrap();
    std::fs::remove_file(dir.join("b-c")).unwrap();
    let repo = repo
        .write("d/now", "2\n")
        .write("b", "file\n")
        .write("deep/er/new", "n\n");
    std::os::unix::fs::symlink("a", dir.join("link")).unwrap();
    std::fs::set_permissions(
        dir.join("a"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let repo = repo.commit("two");
    let opened = Repo::discover(&dir).unwrap();
    let id = |revision| opened.resolve_commit(revision).unwrap();
    let told = repo.git([
        "diff-tree",
        "-r",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "HEAD~1",
        "HEAD",
    ]);
    let ours = opened.changed_paths(id("HEAD~1"), id("HEAD")).unwrap();
    let mut theirs = Vec::new();
    let mut fields = told.split('\0');
    while let (Some(meta), Some(path)) = (fields.next(), fields.next()) {
        let meta: Vec<&str> = meta.trim_start_matches(':').split(' ').collect();
        theirs.push((
            path.as_bytes().to_vec(),
            meta[0].to_owned(),
            meta[1].to_owned(),
            meta[2].to_owned(),
            meta[3].to_owned(),
        ));
    }
    theirs.sort();
    let ours: Vec<_> = ours
        .into_iter()
        .map(|c| {
            let mode = |mode: u32| format!("{mode:06o}");
            (
                c.path,
                mode(c.old.0),
                mode(c.new.0),
                c.old.1.to_string(),
                c.new.1.to_string(),
            )
        })
        .collect();
    assert_eq!(ours.len(), 8);
    assert_eq!(ours, theirs);
}
