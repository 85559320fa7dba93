//! The order in which an assembly takes branches.

use super::common::TestRepo;
use super::common::site::{Site, assemble, branch, verdicts};

#[test]
fn the_train_takes_the_radar_order_where_it_is_asked_to() {
    // The first keeps both others out: declared, one comes in; in the radar's order, two.
    let tasks: &[(&str, u32, &[&str])] = &[("a", 1, &[]), ("b", 1, &[]), ("c", 2, &["b"])];
    let site = Site::new("true", tasks);
    site.work("a", "1.1", &[("x", "a\n"), ("y", "a\n")]);
    let b = site.work("b", "1.2", &[("x", "b\n")]);
    site.work_from(&b, "c", "2.1", &[("y", "c\n")]);
    let (code, report) = assemble(&site.repo, &["assemble", "--json", "--order", "radar"]);
    assert_eq!(code, 1, "{report}");
    assert_eq!(verdicts(&report), ["b: merged", "c: merged", "a: conflict"]);

    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("x", "a\n"), ("y", "a\n")]);
    branch(&repo, "b", "main", "b", &[("x", "b\n")]);
    branch(&repo, "c", "main", "c", &[("y", "c\n")]);
    let line = ["assemble", "--json", "--no-test", "--onto", "main"];
    let try_out = |more: &[&str]| {
        let main = repo.git(["rev-parse", "main"]);
        let (_, report) = assemble(&repo, &[&line[..], more, &["a", "gone", "b", "c"]].concat());
        repo.git(["reset", "-q", "--hard", &main]);
        verdicts(&report)
    };
    let declared = try_out(&[]);
    assert_eq!(
        declared,
        ["a: merged", "gone: skipped", "b: conflict", "c: conflict"]
    );
    let radar = try_out(&["--order", "radar"]);
    assert_eq!(
        radar,
        ["b: merged", "c: merged", "a: conflict", "gone: skipped"]
    );
    assert!(!repo.path().join(".git/orch").exists());
}
