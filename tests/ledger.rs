//! The ledger as seen by plain Git.

use super::common::TestRepo;

#[test]
fn the_ledger_is_an_orphan_branch_that_git_can_read() {
    let repo = TestRepo::new().init();
    let text = repo.git(["show", "orchestration:.orchestration/orch.toml"]);
    assert!(text.contains("base = \"main\""), "{text}");
    assert_eq!(repo.git(["rev-list", "--count", "orchestration"]), "1");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_hand_edit_that_breaks_a_file_is_refused_with_file_and_line() {
    let repo = TestRepo::new().init();
    let bad = repo.outside().join("bad.toml");
    std::fs::write(&bad, "format = 1\nbase = 7\n").unwrap();
    let blob = repo.git(["hash-object", "-w", bad.to_str().unwrap()]);
    let script = format!(
        "i=$(mktemp -u) && export GIT_INDEX_FILE=$i && git read-tree orchestration && \
         git update-index --cacheinfo 100644,{blob},.orchestration/orch.toml && \
         t=$(git write-tree) && c=$(git commit-tree $t -p orchestration -m edit) && \
         git update-ref refs/heads/orchestration $c"
    );
    assert!(
        repo.command("sh", repo.path())
            .args(["-c", &script])
            .status()
            .unwrap()
            .success()
    );
    let complaint = repo.orch(["dispatch"]).fails(1);
    assert!(
        complaint.contains(".orchestration/orch.toml:2:8"),
        "{complaint}"
    );
}
