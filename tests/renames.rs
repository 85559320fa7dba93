//! What git merges cleanly lands as git merges it, however files were renamed on either side: the guard looks at
//! every landing once more, and must not know better than the merge which file became which.

use std::collections::BTreeMap;

use super::common::TestRepo;
use super::common::site::assemble;

/// Files of a commit.
type Files = BTreeMap<String, String>;

/// Where files are put: few names and directories, so that renames meet.
const DIRS: [&str; 4] = ["", "d/", "h/", "d/e/"];
const NAMES: [&str; 4] = ["a", "b", "c", "z"];

fn place(random: &mut fastrand::Rng) -> String {
    let dir = random.choice(DIRS).unwrap();
    format!("{dir}{}", random.choice(NAMES).unwrap())
}

/// A text of some lines; some are the same everywhere, so that files resemble each other.
fn text(random: &mut fastrand::Rng) -> String {
    let kind = random.u32(0..4);
    let lines = (0..random.u32(0..8)).map(|n| format!("line {n} of {kind}\n"));
    lines.collect()
}

/// Whether a path may be there beside the others: none is a file and a directory.
fn fits(files: &Files, path: &str) -> bool {
    let below = |dir: &str, file: &str| {
        let rest = file.strip_prefix(dir);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    !files
        .keys()
        .any(|other| below(other, path) || below(path, other))
}

/// Does something to a file or two.
fn change(files: &mut Files, random: &mut fastrand::Rng) {
    let Some(path) = random.choice(files.keys().cloned()) else {
        return;
    };
    let put = |files: &mut Files, path: String, text: String| {
        if fits(files, &path) {
            files.insert(path, text);
        }
    };
    match random.u32(0..10) {
        0..4 => {
            let text = files.remove(&path).unwrap();
            put(files, place(random), text);
        }
        4..7 => files.get_mut(&path).unwrap().push_str("one more\n"),
        7 => drop(files.remove(&path)),
        8 => put(files, place(random), files[&path].clone()),
        _ => put(files, place(random), text(random)),
    }
}

/// Writes a commit of files on a branch, for `git fast-import`.
fn commit(script: &mut String, branch: &str, from: Option<&str>, files: &Files) {
    script.push_str(&format!("commit refs/heads/{branch}\n"));
    script.push_str("committer A <a@b> 1763700000 +0000\ndata 1\nx\n");
    script.push_str(
        &from
            .map(|from| format!("from refs/heads/{from}\n"))
            .unwrap_or_default(),
    );
    script.push_str("deleteall\n");
    for (path, text) in files {
        script.push_str(&format!(
            "M 100644 inline {path}\ndata {}\n{text}\n",
            text.len()
        ));
    }
}

/// Makes branches `ours-<n>` and `theirs-<n>`, each pair cut from a base of its own.
fn pairs(random: &mut fastrand::Rng, number: usize) -> TestRepo {
    let repo = TestRepo::new();
    let mut script = String::new();
    for n in 0..number {
        let mut base = Files::new();
        for _ in 0..random.u32(1..6) {
            let (path, text) = (place(random), text(random));
            if fits(&base, &path) {
                base.insert(path, text);
            }
        }
        let name = format!("base-{n}");
        commit(&mut script, &name, None, &base);
        for side in ["ours", "theirs"] {
            let mut files = base.clone();
            for _ in 0..random.u32(1..5) {
                change(&mut files, random);
            }
            commit(&mut script, &format!("{side}-{n}"), Some(&name), &files);
        }
    }
    let path = repo.outside().join("script");
    std::fs::write(&path, script).unwrap();
    let mut import = repo.command("git", repo.path());
    import.args(["fast-import", "--quiet"]);
    import.stdin(std::fs::File::open(path).unwrap());
    assert!(import.status().unwrap().success());
    repo
}

#[test]
fn what_git_merges_cleanly_lands_however_files_were_renamed() {
    // More: `ORCH_RENAMES=500 cargo test -- renames`.
    let number = std::env::var("ORCH_RENAMES").ok();
    let number = number.map_or(24, |text| text.parse().unwrap());
    let seed = 7;
    let repo = pairs(&mut fastrand::Rng::with_seed(seed), number);
    let mut clean = 0;
    for n in 0..number {
        let (ours, theirs) = (format!("ours-{n}"), format!("theirs-{n}"));
        let plain = ["merge-tree", "--write-tree", &ours, &theirs];
        let plain = repo.try_git_in(repo.path(), plain);
        let (_, report) = assemble(
            &repo,
            &["assemble", "--json", "--onto", &ours, "--no-test", &theirs],
        );
        let verdict = report["train"][0]["verdict"].as_str().unwrap();
        match plain.code() {
            0 => {
                clean += 1;
                assert!(
                    ["merged", "skipped"].contains(&verdict),
                    "seed {seed}, pair {n}: {report}"
                );
                let tree = repo.git(["rev-parse", &format!("{ours}^{{tree}}")]);
                assert_eq!(
                    tree,
                    plain.stdout().trim(),
                    "seed {seed}, pair {n}: {report}"
                );
            }
            _ => assert_eq!(verdict, "conflict", "seed {seed}, pair {n}: {report}"),
        }
    }
    assert!(clean > number / 3, "{clean} of {number} merge cleanly");
}

#[test]
fn a_file_that_git_diff_pairs_with_another_than_the_merge_does() {
    let repo = TestRepo::new().write("h/b", "x\n").commit("base");
    repo.git(["switch", "-q", "-c", "theirs"]);
    let repo = repo.write("h/b", "x\ny\n").commit("theirs");
    repo.git(["switch", "-q", "main"]);
    std::fs::create_dir(repo.path().join("D")).unwrap();
    repo.git(["mv", "h/b", "D/b"]);
    let repo = repo.write("h/a", "x\n").commit("ours");
    let plain = repo.git(["merge-tree", "--write-tree", "main", "theirs"]);
    repo.orch(["assemble", "--onto", "main", "--no-test", "theirs"])
        .ok();
    assert_eq!(repo.git(["rev-parse", "main^{tree}"]), plain);
}
