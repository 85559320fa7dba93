//! The script that claims ready tasks by git plumbing under one lock.

use std::fs::File;
use std::path::Path;

use super::git;
use super::run::change_by_git;

/// Gives the script a branch of its own with the same tasks.
pub fn fork_for_script(dir: &Path) {
    git(dir, ["branch", "rival", "orchestration"]);
    // A script is at its best on packed objects.
    git(dir, ["repack", "-a", "-q"]);
}

/// Returns the status files of the script's branch.
pub fn script_tasks(dir: &Path) -> Vec<String> {
    let all = git(
        dir,
        ["ls-tree", "-r", "--name-only", "--full-tree", "rival"],
    );
    let status = all.lines().filter(|path| path.contains("/status/"));
    status.map(str::to_owned).collect()
}

/// Claims the next task the way a script does: the next number and the change both under one lock, an index of
/// its own, eight processes. Returns whether there was a task left.
pub fn claim_by_plumbing(dir: &Path, tasks: &[String]) -> bool {
    let lock = File::options()
        .create(true)
        .append(true)
        .open(dir.join(".git/rival.flock"))
        .unwrap();
    lock.lock().unwrap();
    let counter = dir.join(".git/rival.next");
    let next = std::fs::read_to_string(&counter).map_or(0, |text| text.parse().unwrap());
    let Some(path) = tasks.get(next) else {
        return false;
    };
    change_by_git(dir, "rival", path, u32::try_from(next).unwrap());
    std::fs::write(&counter, (next + 1).to_string()).unwrap();
    true
}
