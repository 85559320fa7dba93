//! Sandboxed agents: a hostile one gets nowhere, an honest one notices nothing, and without a sandbox the same
//! hostile one gets everywhere, so that these tests can fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use git_orch::model::Sandbox;
use git_orch::workspace::sandbox::works;
use serde_json::json;

use super::common::{TestRepo, write_file};

/// Says loudly that a test could not be made here; returns whether it can.
fn possible(what: &str, outcome: Result<(), String>) -> bool {
    if let Err(why) = &outcome {
        eprintln!("SKIPPED: {what} does not work on this machine: {why}");
    }
    outcome.is_ok()
}

pub fn has_landlock() -> bool {
    possible("landlock", works(&Sandbox::Landlock, false))
}

fn has_bwrap() -> bool {
    possible("bwrap", works(&Sandbox::Bwrap, false))
}

/// A repository with another coder's worktree, objects to spoil, and a stranger's process.
struct Victim {
    repo: TestRepo,
    stranger: Child,
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.stranger.kill();
        let _ = self.stranger.wait();
    }
}

/// One hostile act, and the command that exits with zero where it came off.
struct Act {
    name: &'static str,
    does: String,
    came_off: String,
}

/// The name of an act, what it does, and how it is seen that it came off.
type Pair = (&'static str, (String, String));

impl Victim {
    fn new(sandbox: &str, script: &str) -> Self {
        let repo = TestRepo::new()
            .write("src/lib.txt", "one\n")
            .commit("second");
        let outside = repo.outside();
        write_file(&outside.join("home/.bashrc"), "# mine\n");
        write_file(&outside.join("others/kept"), "theirs\n");
        write_file(&outside.join("blob-1"), "an object to delete\n");
        write_file(&outside.join("blob-2"), "an object to cut short\n");
        for blob in ["blob-1", "blob-2"] {
            let path = outside.join(blob);
            repo.git(["hash-object", "-w", path.to_str().unwrap()]);
        }
        let repo = repo.init().plan(&plan(sandbox, script));
        repo.orch(["dispatch"]).ok();
        repo.orch(["claim", "b", "--agent", "1.2"]).ok();
        let stranger = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { repo, stranger }
    }

    fn object(&self, blob: &str) -> PathBuf {
        let path = self.repo.outside().join(blob);
        let id = self.repo.git(["hash-object", path.to_str().unwrap()]);
        let (dir, rest) = id.split_at(2);
        self.repo.path().join(".git/objects").join(dir).join(rest)
    }

    /// What the hostile agent tries.
    fn acts(&self) -> Vec<Act> {
        let all = [
            self.acts_on_places(),
            self.acts_on_files(),
            self.acts_on_refs(),
            self.acts_on_the_rest(),
        ];
        let act = |(name, (does, came_off))| Act {
            name,
            does,
            came_off,
        };
        all.into_iter().flatten().map(act).collect()
    }

    fn acts_on_places(&self) -> Vec<Pair> {
        let (main, outside) = (self.repo.path(), self.repo.outside());
        let git = main.join(".git");
        let (main, outside, git) = (main.display(), outside.display(), git.display());
        let other = self.repo.worktree("1.2");
        let (other, above) = (other.display(), other.parent().unwrap().display());
        let writes = |path: String| (format!("echo evil >'{path}'"), format!("test -e '{path}'"));
        vec![
            ("main worktree", writes(format!("{main}/evil"))),
            ("hook", writes(format!("{git}/hooks/post-commit"))),
            ("our hooks", writes(format!("{git}/orch/hooks/evil"))),
            ("our files", writes(format!("{git}/orch/worktrees/evil"))),
            ("another's worktree", writes(format!("{other}/evil"))),
            ("a worktree of its own", writes(format!("{above}/evil"))),
            (
                "another's Git directory",
                writes(format!("{git}/worktrees/orch-1.2/evil")),
            ),
            ("home", writes(format!("{outside}/home/.profile"))),
            (
                "another's temporary files",
                writes(format!("{outside}/others/evil")),
            ),
        ]
    }

    fn acts_on_files(&self) -> Vec<Pair> {
        let main = self.repo.path();
        let git = main.join(".git");
        let (main, git) = (main.display(), git.display());
        vec![
            (
                "configuration",
                (
                    format!("git config --file '{git}/config' evil.one 1"),
                    format!("grep -q one '{git}/config'"),
                ),
            ),
            (
                "configuration by a hard link",
                (
                    format!(
                        "ln '{git}/config' linked; printf '[evil]\\ntwo = 1\\n' >>linked; rm -f linked"
                    ),
                    format!("grep -q two '{git}/config'"),
                ),
            ),
            (
                "a file by a symbolic link",
                (
                    format!("ln -s '{main}/src/lib.txt' way; echo evil >>way; rm -f way"),
                    format!("grep -q evil '{main}/src/lib.txt'"),
                ),
            ),
            (
                "moving a file away",
                (
                    format!("mv '{main}/README.md' stolen; rm -f stolen"),
                    format!("! test -e '{main}/README.md'"),
                ),
            ),
        ]
    }

    fn acts_on_refs(&self) -> Vec<Pair> {
        let git = self.repo.path().join(".git");
        let git = git.display();
        let plainly = format!("git --git-dir='{git}' -c core.hooksPath=/dev/null");
        let forge = |name: &str| {
            let tip = format!("$({plainly} rev-parse {name})");
            let commit = format!("$({plainly} commit-tree -p {tip} -m forged {tip}^{{tree}})");
            format!("{plainly} update-ref refs/heads/{name} {commit}")
        };
        let forged = |name: &str| format!("{plainly} log --format=%s {name} -- | grep -qx forged");
        vec![
            ("ledger", (forge("orchestration"), forged("orchestration"))),
            ("base branch", (forge("main"), forged("main"))),
            (
                "another's branch",
                (forge("orch/team-1/b"), forged("orch/team-1/b")),
            ),
            (
                "integration branch",
                (
                    format!("{plainly} update-ref refs/heads/orch/integration main"),
                    format!("{plainly} show-ref --quiet --verify refs/heads/orch/integration"),
                ),
            ),
            (
                "packed refs",
                (
                    format!("{plainly} pack-refs --all"),
                    format!("test -e '{git}/packed-refs'"),
                ),
            ),
        ]
    }

    fn acts_on_the_rest(&self) -> Vec<Pair> {
        let (first, second) = (self.object("blob-1"), self.object("blob-2"));
        let (first, second) = (first.display(), second.display());
        let stranger = self.stranger.id();
        vec![
            (
                "deleting an object",
                (format!("rm -f '{first}'"), format!("! test -e '{first}'")),
            ),
            (
                "cutting an object short",
                (
                    format!("chmod u+w '{second}'; : >'{second}'"),
                    format!("! test -s '{second}'"),
                ),
            ),
            (
                "ending a stranger",
                (
                    format!("kill -9 {stranger}"),
                    // Its parent, this test, has not waited for it: what is dead is a zombie.
                    format!("grep -q '^State:.*Z' /proc/{stranger}/status"),
                ),
            ),
        ]
    }

    fn came_off(&self, act: &Act) -> bool {
        let mut command = self.repo.command("sh", self.repo.path());
        let status = command.args(["-c", &act.came_off]).stderr(Stdio::null());
        status.status().unwrap().success()
    }

    /// Everything around that is nobody's but its owner's.
    fn fingerprint(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let git = self.repo.path().join(".git");
        let left_out = [
            git.join("orch"),
            git.join("objects"),
            git.join("refs/heads/orchestration"),
            git.join("refs/heads/orch/team-1/a"),
            git.join("logs/refs/heads/orchestration"),
            git.join("logs/refs/heads/orch/team-1/a"),
            git.join("worktrees/orch-1.1"),
            self.repo.worktree("1.1"),
        ];
        let mut found = BTreeMap::new();
        walk(&self.repo.outside(), &left_out, &mut found);
        found
    }
}

fn walk(dir: &Path, left_out: &[PathBuf], found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if left_out.contains(&path) {
            continue;
        }
        match path.is_dir() && !path.is_symlink() {
            true => walk(&path, left_out, found),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                found.insert(path, bytes);
            }
        }
    }
}

fn plan(sandbox: &str, script: &str) -> String {
    format!(
        "[run]\nname = \"trial\"\n{sandbox}\n[[teams]]\nid = 1\ncoders = 2\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nrun = '''\n{script}\n'''\n\
         [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"Write b\"\nrun = \"true\"\n"
    )
}

/// Runs every act and does the honest work at the end.
const RUNS_ACTS: &str = "sh \"$ACTS\" >/dev/null 2>&1 || true\n\
     echo honest >a.txt\ngit add a.txt\ngit commit -qm 'the honest work'";

/// What came of a hostile agent.
struct Ran {
    victim: Victim,
    before: Around,
    after: Around,
    came_off: Vec<&'static str>,
}

/// What belongs to others, and the objects of the repository.
type Around = (BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, Vec<u8>>);

fn around(victim: &Victim) -> Around {
    let mut objects = BTreeMap::new();
    walk(&victim.repo.path().join(".git/objects"), &[], &mut objects);
    (victim.fingerprint(), objects)
}

/// Runs the hostile agent.
fn run_hostile(sandbox: &str, path: Option<&str>) -> Ran {
    let victim = Victim::new(sandbox, RUNS_ACTS);
    let acts = victim.acts();
    let script: String = acts.iter().map(|act| format!("({})\n", act.does)).collect();
    let file = victim.repo.outside().join("acts.sh");
    write_file(&file, &script);
    for act in &acts {
        assert!(
            !victim.came_off(act),
            "{} before anything is tried",
            act.name
        );
    }
    let before = around(&victim);
    let mut command = victim.repo.orch_command(victim.repo.path());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command
        .args(["run", "--json"])
        .env("ACTS", &file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    assert_eq!(report["submitted"], json!(["a"]), "{said}");
    let found = acts.iter().filter(|act| victim.came_off(act));
    let came_off = found.map(|act| act.name).collect();
    let after = around(&victim);
    Ran {
        victim,
        before,
        after,
        came_off,
    }
}

fn gets_nowhere(ran: &Ran) {
    assert_eq!(ran.came_off, Vec::<&str>::new());
    assert_eq!(
        ran.before.0, ran.after.0,
        "what belongs to others has changed"
    );
    for (path, bytes) in &ran.before.1 {
        assert_eq!(ran.after.1.get(path), Some(bytes), "{}", path.display());
    }
    let repo = &ran.victim.repo;
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "honest");
    let files = repo.git(["diff", "--name-only", "main", "orch/team-1/a"]);
    assert_eq!(files, "a.txt");
    let subject = repo.git(["log", "-1", "--format=%s|%an", "orch/team-1/a"]);
    assert_eq!(subject, "[TEAM-1] [AGENT-1.1] the honest work|AGENT-1.1");
    repo.git(["fsck", "--strict"]);
    let left = repo.worktree("1.1");
    assert_eq!(repo.git_in(&left, ["status", "--porcelain"]), "");
}

#[test]
fn with_landlock_a_hostile_agent_gets_nowhere() {
    if has_landlock() {
        gets_nowhere(&run_hostile("sandbox = \"landlock\"", None));
    }
}

#[test]
fn with_bwrap_a_hostile_agent_gets_nowhere() {
    if has_bwrap() {
        gets_nowhere(&run_hostile("sandbox = \"bwrap\"", None));
    }
}

#[test]
fn without_a_sandbox_the_same_agent_gets_everywhere() {
    let ran = run_hostile("", None);
    let all: Vec<&str> = ran.victim.acts().iter().map(|act| act.name).collect();
    assert_eq!(ran.came_off, all);
}

/// A repository of one coder whose task `a` runs a script; `more` stands in the task.
fn one(run: &str, script: &str, more: &str) -> TestRepo {
    TestRepo::new()
        .write("src/lib.txt", "one\n")
        .commit("second")
        .init()
        .plan(&plan_of_one(run, script, more))
}

fn plan_of_one(run: &str, script: &str, more: &str) -> String {
    format!(
        "[run]\nname = \"trial\"\nretries = 0\n{run}\n[[teams]]\nid = 1\ncoders = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\n{more}\nrun = '''\n{script}\n'''\n"
    )
}

const LANDLOCK: &str = "sandbox = \"landlock\"";

fn log(repo: &TestRepo) -> String {
    let path = repo.path().join(".git/orch/attempts/a/1/agent.log");
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn an_honest_agent_works_with_git_as_ever() {
    if !has_landlock() {
        return;
    }
    let script = "echo 1 >one.txt; git add .; git commit -qm first\n\
         echo 2 >>one.txt; git stash -q; git stash pop -q; git commit -qam second\n\
         git commit -q --amend -m 'second thoughts'\n\
         git rebase -q -f HEAD~1\n\
         git log --oneline main >/dev/null; git repack -q; git fsck\n\
         test -n \"$TMPDIR\"; echo x >\"$(mktemp)\"\n\
         test \"$ORCH_SANDBOX\" = landlock; git status --porcelain\n\
         echo left >left.txt";
    let repo = one(LANDLOCK, script, "");
    let outcome = repo.orch(["run"]);
    assert_eq!(outcome.code(), 0, "{}\n{}", outcome.stderr(), log(&repo));
    let files = repo.git(["diff", "--name-only", "main...orch/team-1/a"]);
    assert_eq!(files, "left.txt\none.txt");
    let subjects = repo.git(["log", "--format=%s", "-3", "orch/team-1/a"]);
    assert!(subjects.contains("second thoughts"), "{subjects}");
    assert!(subjects.contains("[AGENT-1.1] Write a"), "{subjects}");
    assert!(!log(&repo).contains("error"), "{}", log(&repo));
}

#[test]
fn the_refs_of_a_lent_repository_are_written_as_git_writes_them() {
    if !has_landlock() {
        return;
    }
    let script = "packed=$(git rev-parse --git-common-dir)/packed-refs\n\
         head -1 \"$packed\" >header.txt; git show-ref --dereference >refs.txt; git fsck";
    let repo = TestRepo::new();
    for words in [
        &["tag", "plain"][..],
        &["tag", "-a", "-m", "a tag", "annotated"],
        &["tag", "-a", "-m", "of a tag", "twice", "annotated"],
        &["tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}"],
    ] {
        repo.git(words);
    }
    let repo = repo.init().plan(&plan_of_one(LANDLOCK, script, ""));
    repo.orch(["run"]).ok();
    let show = |name: &str| repo.git(["show", &format!("orch/team-1/a:{name}")]);
    // GitPython and its like refuse a file that does not say so.
    assert!(show("header.txt").contains("peeled"));
    let tags = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("refs/tags/"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = tags(&repo.git(["show-ref", "--dereference"]));
    assert_eq!(tags(&show("refs.txt")), ours);
    assert_eq!(ours.len(), 7);
}

#[test]
fn what_an_agent_left_beside_its_branch_is_kept() {
    if !has_landlock() {
        return;
    }
    let script = "echo a >a.txt; git add .; git commit -qm work\n\
         echo stashed >a.txt; git stash -q";
    let repo = one(LANDLOCK, script, "");
    repo.orch(["run"]).ok();
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "a");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    let found = kept.lines().any(|name| {
        let file = format!("{name}:a.txt");
        repo.try_git_in(repo.path(), ["show", &file]).stdout() == "stashed\n"
    });
    assert!(found, "{kept}");
}

#[test]
fn nobody_is_led_astray_by_what_the_agent_makes_of_its_git_file() {
    if !has_landlock() {
        return;
    }
    let trap = "E=.claude/worktrees/evil; git init -q $E; T=\"$PWD/$E/.git\"\n\
         git --git-dir=\"$T\" config core.fsmonitor \"touch $OUT/sprung; false\"\n\
         git --git-dir=\"$T\" config filter.x.clean \"touch $OUT/sprung; cat\"\n\
         echo '* filter=x' >.gitattributes";
    let script = format!(
        "echo a >a.txt; git add .; git commit -qm work\n{trap}\nprintf 'gitdir: %s\\n' \"$T\" >.git"
    );
    let repo = one(LANDLOCK, &script, "scope = [\"a.txt\", \".gitattributes\"]");
    let mut command = repo.orch_command(repo.path());
    let output = command.arg("run").env("OUT", repo.outside()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", log(&repo));
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "a");
    let sprung = repo.outside().join("sprung");
    assert!(!sprung.exists());
    // The trap is one: Git that is led there springs it.
    let evil = find(&repo.outside().join("repo.orch"), "evil").expect("the agent's trap is kept");
    write_file(&evil.join("b.txt"), "b\n");
    let _ = repo.try_git_in(&evil, ["status"]).code();
    assert!(sprung.exists());
}

#[test]
fn nobody_looks_into_a_repository_that_the_agent_made_within_its_worktree() {
    if !has_landlock() {
        return;
    }
    let nested = "git init -q sub; cd sub; echo x >f; echo '* filter=x' >.gitattributes; git add .; git commit -qm s\n\
         git config filter.x.clean \"touch '$OUT/sprung'; cat\"; echo y >f; cd ..\n\
         git update-index --add --cacheinfo \"160000,$(git -C sub rev-parse HEAD),sub\"\n\
         git commit -qm link";
    // The check is what the agent wrote: it sets the trap again.
    let again = "printf '%s\\n' 'git init -q sub; git -C sub config filter.x.clean \"touch $OUT/sprung; cat\"' >again.sh\n\
         git add again.sh; git commit -qm check";
    let run = |sandbox: &str| {
        let more = "success = [\"sh again.sh\"]";
        let repo = one(sandbox, &format!("{again}\n{nested}"), more);
        for _ in 0..2 {
            let mut command = repo.orch_command(repo.path());
            let output = command.arg("run").env("OUT", repo.outside()).output();
            assert!(output.unwrap().status.code().is_some());
        }
        repo.orch(["doctor"]).code();
        assert!(log(&repo).is_empty(), "{}", log(&repo));
        repo.outside().join("sprung").exists()
    };
    assert!(!run(LANDLOCK));
    assert!(run(""));
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let dirs: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    let here = dirs.iter().find(|path| path.ends_with(name)).cloned();
    here.or_else(|| dirs.iter().find_map(|dir| find(dir, name)))
}

#[test]
fn success_commands_run_in_the_sandbox_too() {
    if !has_landlock() {
        return;
    }
    let script = "printf 'echo evil >%s/evil' \"$MAIN\" >check.sh";
    let more = "success = [\"sh check.sh\"]";
    let run = |sandbox: &str| {
        let repo = one(sandbox, script, more);
        let mut command = repo.orch_command(repo.path());
        let output = command.args(["run"]).env("MAIN", repo.path()).output();
        (
            output.unwrap().status.code(),
            repo.path().join("evil").exists(),
        )
    };
    assert_eq!(run(LANDLOCK), (Some(1), false));
    assert_eq!(run(""), (Some(0), true));
}

#[test]
fn what_does_not_work_here_is_refused_before_anything_is_claimed() {
    let repo = one("sandbox = [\"no-such-jail\", \"{worktree}\"]", "true", "");
    for command in [["run", "--quiet"], ["work", "--slots=1"]] {
        let complaint = repo.orch(command).fails(1);
        let expected = "profile default keeps its agents in the sandbox `prefix`, which does not work here: \
                        there is no program `no-such-jail`";
        assert!(complaint.contains(expected), "{complaint}");
    }
    let claims = repo.git(["log", "--format=%s", "orchestration"]);
    assert!(!claims.contains("claim"), "{claims}");
    let open = |path: &str| {
        let lines = format!("{LANDLOCK}\nsandbox_write = [\"{path}\"]");
        one(&lines, "true", "").orch(["run"]).fails(1)
    };
    let complaint = open("/there/is/none");
    assert!(complaint.contains("cannot be resolved here"), "{complaint}");
    assert!(
        complaint.contains("mkdir -p '/there/is/none'"),
        "{complaint}"
    );
    let complaint = open(std::env::temp_dir().to_str().unwrap());
    assert!(complaint.contains("to agents"), "{complaint}");
}

#[test]
fn a_command_of_ones_own_stands_in_front() {
    let script = "echo \"$JAIL\" >a.txt; echo \"$0\" >>a.txt";
    let repo = one("sandbox = [\"env\", \"JAIL={worktree}\"]", script, "");
    repo.orch(["run"]).ok();
    let text = repo.git(["show", "orch/team-1/a:a.txt"]);
    let worktree = repo.worktree("1.1").display().to_string();
    assert!(text.starts_with(&worktree), "{text}");
}

#[test]
fn paths_that_are_allowed_can_be_written_and_the_network_can_be_closed() {
    if !has_landlock() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connects = |network: bool| {
        let lines =
            format!("{LANDLOCK}\nsandbox_network = {network}\nsandbox_write = [\"~/cache\"]");
        let script = format!(
            "echo a >a.txt; echo kept >~/cache/kept\n\
             timeout 2 git ls-remote git://127.0.0.1:{port}/x || true"
        );
        let repo = one(&lines, &script, "");
        std::fs::create_dir(repo.outside().join("home/cache")).unwrap();
        repo.orch(["run"]).ok();
        assert!(repo.outside().join("home/cache/kept").exists());
        listener.accept().is_ok()
    };
    assert!(connects(true));
    assert!(!connects(false));
}

#[test]
fn an_agent_that_wants_to_write_the_ledger_itself_is_told() {
    if !has_landlock() {
        return;
    }
    let script = "echo a >a.txt; git add .; git commit -qm work\n\
         git-orch block a -m 'no key' || echo \"exit $?\"; git-orch status >/dev/null";
    let repo = one(LANDLOCK, script, "");
    repo.orch(["run"]).ok();
    let log = log(&repo);
    assert!(
        log.contains("an agent in a sandbox cannot write the ledger"),
        "{log}"
    );
    assert!(log.contains("exit 1"), "{log}");
}

#[test]
fn the_work_of_a_killed_run_comes_home_with_the_next() {
    if !has_landlock() {
        return;
    }
    let script = "if test -e a.txt; then exit 0; fi\n\
         echo a >a.txt; git add .; git commit -qm 'before the end'\n\
         echo at-work; tail -f /dev/null";
    let repo = one(LANDLOCK, script, "");
    let mut run = repo
        .orch_command(repo.path())
        .args(["run", "--no-progress"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !log(&repo).contains("at-work") {
        assert!(std::time::Instant::now() < end, "{}", log(&repo));
        std::thread::yield_now();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_ne!(repo.git(["log", "-1", "--format=%s", "orch/team-1/a"]), "x");
    repo.orch(["run"]).ok();
    let subjects = repo.git(["log", "--format=%s", "orch/team-1/a"]);
    assert!(subjects.contains("before the end"), "{subjects}");
}
