//! Ways round the rules, each gone as a hostile coder would: with plain git in its worktree, its hooks switched
//! off. Handed in by the real `submit`, and past it, as by a program that does not ask the gate, to the real
//! assembler: it is refused by the right rule, nothing moves, and the work stays on its branch.

use std::path::PathBuf;

use git_orch::git::Repo;
use git_orch::model::{CommitId, Handoff, HandoffStatus, Op, TaskId};

use super::common::drive::Drive;
use super::common::site::{assemble, verdicts};
use super::common::{Outcome, TestRepo, write_file};

/// What every script of a coder may use.
const WORDS: &str = r#"
message() { printf '[TEAM-1] [AGENT-1.1] %s\n\nOrch-Task: mine\nOrch-Agent: 1.1\n' "$1"; }
say() { message "$1" | git commit -q --allow-empty -F -; }
# Makes a commit of a tree by plumbing, and moves the branch and nothing else.
plumb() { git update-ref HEAD "$(message 'by plumbing' | git commit-tree "$1" -p HEAD)"; }
push() { git push -q --receive-pack="git -c core.hooksPath=/dev/null receive-pack" . HEAD:refs/heads/orch/integration; }
add() { mkdir -p "$(dirname "$1")"; echo "$2" > "$1"; git add -f "$1"; }
"#;

/// A repository where coder 1.1 works on task `mine`.
struct Way {
    repo: TestRepo,
    dir: PathBuf,
    main: String,
}

impl Way {
    fn new() -> Self {
        Self::with(r#"["src/**"]"#, "")
    }

    /// With a scope of its own, and more in the plan's `[run]`.
    fn with(scope: &str, run: &str) -> Self {
        let repo = TestRepo::new();
        let repo = repo
            .write("src/a", "a\n")
            .write("lib/b", "b\n")
            .commit("second");
        let task = |id: &str, team: u32, scope: &str| {
            format!(
                "[[tasks]]\nid = \"{id}\"\nteam = {team}\ntitle = \"Do it\"\nscope = {scope}\nrun = \"true\"\n"
            )
        };
        let mut plan =
            format!("[run]\nname = \"demo\"\n{run}\n[[teams]]\nid = 1\n[[teams]]\nid = 2\n");
        plan += &task("mine", 1, scope);
        if !scope.contains("\"**\"") {
            plan += &task("mate", 1, "[\"mate/**\"]");
            plan += &task("theirs", 2, "[\"other/**\"]");
        }
        let repo = repo.init().plan(&plan);
        repo.orch(["dispatch"]).ok();
        let dir = claim(&repo, "mine", "1.1");
        let main = repo.git(["rev-parse", "main"]);
        Self { repo, dir, main }
    }

    /// Runs a script as the coder's agent is run, without hooks.
    #[track_caller]
    fn agent(&self, script: &str) -> &Self {
        self.run("1.1", &self.dir, script, false);
        self
    }

    /// Runs a script as the coder's agent is run, with the hooks of its worktree.
    #[track_caller]
    fn hooked(&self, script: &str) -> &Self {
        self.run("1.1", &self.dir, script, true);
        self
    }

    #[track_caller]
    fn run(&self, agent: &str, dir: &std::path::Path, script: &str, hooks: bool) {
        let mut command = self.repo.command("sh", dir);
        command.args(["-ec", &format!("{WORDS}\n{script}")]);
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), format!("AGENT-{agent}"))
                .env(
                    format!("GIT_{role}_EMAIL"),
                    format!("agent-{agent}@host.invalid"),
                );
        }
        if !hooks {
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "core.hooksPath")
                .env("GIT_CONFIG_VALUE_0", "/dev/null");
        }
        Outcome(command.output().unwrap()).ok();
    }

    fn rev(&self, revision: &str) -> String {
        self.repo.git(["rev-parse", revision])
    }

    fn head(&self) -> String {
        self.rev("refs/heads/orch/team-1/mine")
    }

    /// Hands in without asking anybody.
    fn hand_in(&self) {
        hand_in(&self.repo, "mine", &self.head());
    }

    /// Refused by `submit`, and by the assembler.
    #[track_caller]
    fn refused(&self, rule: &str) {
        self.refused_for(rule, 1);
    }

    /// The same, for a number of commits, each by itself.
    #[track_caller]
    fn refused_for(&self, rule: &str, commits: usize) {
        let told = self.repo.orch_in(&self.dir, ["submit", "mine"]).fails(1);
        assert!(found(&told, rule) >= commits, "{told}");
        let findings = self.refused_by_the_assembler(rule);
        assert!(found(&findings, rule) >= commits, "{findings}");
    }

    /// Where the worktree itself is in such a state that `submit` does not come to the gate, or where it would put the
    /// branch right.
    #[track_caller]
    fn refused_by_the_assembler(&self, rule: &str) -> String {
        let head = self.head();
        self.hand_in();
        let (code, report) = assemble(&self.repo, &["assemble", "--json"]);
        assert_eq!(code, 1, "{report}");
        assert_eq!(verdicts(&report), ["mine: gate_failed"], "{report}");
        let status = Drive::new(&self.repo).ledger.board().tasks[&id("mine")]
            .status
            .clone();
        let findings = status.findings.unwrap();
        assert!(found(&findings, rule) > 0, "{findings}");
        let printable = |c: char| c == '\n' || !c.is_control();
        assert!(findings.chars().all(printable), "{findings:?}");
        self.nothing_moved();
        assert_eq!(self.head(), head, "the work is where it was");
        findings
    }

    #[track_caller]
    fn nothing_moved(&self) {
        assert_eq!(self.rev("main"), self.main);
        let integration = self
            .repo
            .try_git_in(self.repo.path(), ["rev-parse", "-q", "orch/integration"]);
        if integration.code() == 0 {
            assert_eq!(integration.stdout().trim(), self.main);
        }
    }

    /// Another's good work waits; whatever the coder did, the assembler stops and says so.
    #[track_caller]
    fn stopped(&self, words: &[&str]) -> String {
        for args in [["assemble", "--no-wait"].as_slice(), &["approve"]] {
            let told = self.repo.orch(args).fails(1);
            for word in words.iter().chain(&["--accept-moved"]) {
                assert!(told.contains(word), "{word} is not in {told}");
            }
        }
        self.repo.orch(["assemble"]).fails(1)
    }
}

/// Commits that a rule is told of.
fn found(told: &str, rule: &str) -> usize {
    let told = told
        .lines()
        .filter(|line| line.contains(&format!("(rule: {rule})")));
    let commits: std::collections::BTreeSet<&str> =
        told.filter_map(|line| line.get(9..19)).collect();
    commits.len()
}

fn id(task: &str) -> TaskId {
    task.parse().unwrap()
}

fn claim(repo: &TestRepo, task: &str, agent: &str) -> PathBuf {
    let claim = repo
        .orch(["claim", task, "--agent", agent, "--json"])
        .json();
    let dir = PathBuf::from(claim["worktree"].as_str().unwrap());
    repo.orch_in(&dir, ["start", task]).ok();
    dir
}

fn hand_in(repo: &TestRepo, task: &str, head: &str) {
    let mut drive = Drive::new(repo);
    let claim = drive.claim(task);
    let handoff = Handoff {
        task_id: id(task),
        status: HandoffStatus::Completed,
        summary: String::from("done"),
        output: String::new(),
        deliverables: Vec::new(),
        dependencies: Vec::new(),
        next_steps: Vec::new(),
    };
    drive.does(Op::Submit(
        claim,
        CommitId(head.to_owned()),
        Box::new(handoff),
    ));
}

#[test]
fn way_00_honest_work_comes_in() {
    let way = Way::new();
    way.hooked("add src/new x; git commit -qm 'honest work'");
    way.agent(
        "git mv src/a src/c; chmod +x src/new; ln -s c src/link; git add -A; say 'more of it'",
    );
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
    way.repo.orch(["assemble"]).ok();
    assert_eq!(way.rev("orch/integration^2"), way.head());
}

#[test]
fn way_01_no_verify() {
    let way = Way::new();
    way.hooked("add lib/b evil; git commit -q --no-verify -m work");
    way.refused("scope");
}

#[test]
fn way_02_no_hooks_at_all() {
    let way = Way::new();
    way.hooked("add src/b x; git -c core.hooksPath=/dev/null commit -qm sneaky");
    way.refused_by_the_assembler("tags");
}

#[test]
fn way_03_commit_tree_and_update_ref() {
    let way = Way::new();
    way.agent("add lib/evil x; plumb \"$(git write-tree)\"");
    way.refused("scope");
}

#[test]
fn way_04_a_message_amended_after_the_hook() {
    let way = Way::new();
    way.hooked("add src/b x; git commit -qm good");
    way.agent("git commit -q --amend -m 'no tags any more'");
    way.refused_by_the_assembler("tags");
}

#[test]
fn way_05_tags_of_another_team() {
    let way = Way::new();
    way.agent("add src/b x; message x | sed 's/1/2/; s/1.1/2.1/' | git commit -q -F -");
    way.refused("tags");
    let way = Way::new();
    way.agent("add src/b x; say '[TEAM-2] [AGENT-2.1] not mine'");
    way.refused("tags");
    let way = Way::new();
    way.agent("add src/b x; say 'ESCALATION look here'");
    way.refused("tags");
}

#[test]
fn way_06_trailers_of_another_task_or_of_the_ledger() {
    let way = Way::new();
    for forged in [
        "s/Orch-Task: mine/Orch-Task: theirs/",
        "s/Orch-Task: mine/Orch-Task: theirs\\nOrch-Task: mine/",
        "s/^Orch-Task: mine/Orch-Task: theirs\\n\\nOrch-Task: mine/",
        "s/Orch-Agent: 1.1/Orch-Agent: 1.1\\nOrch-Agent: 1.2/",
        "s/Orch-Agent: 1.1/Orch-Agent: 1.1\\nOrch-Event: approve/",
        "s/Orch-Agent: 1.1/Orch-Agent: 1.1\\norch-agent : 2.1/",
    ] {
        way.agent(&format!(
            "message x | sed '{forged}' | git commit -q --allow-empty -F -"
        ));
    }
    way.refused_for("trailers", 6);
}

#[test]
fn way_07_a_forged_author() {
    for (name, address) in [
        ("Ann", "ann@example.org"),
        ("AGENT-2.1", "agent-2.1@host.invalid"),
        ("AGENT-1.1", "ann@example.org"),
        ("Ann", "agent-1.1@host.invalid"),
        ("AGENT-1.2", "agent-1.1@host.invalid"),
    ] {
        let way = Way::new();
        way.agent(&format!(
            "add src/b x; export GIT_AUTHOR_NAME={name} GIT_AUTHOR_EMAIL={address}; say x"
        ));
        way.refused("authors");
    }
    // Somebody whom the plan names may.
    let way = Way::with(
        r#"["src/**"]"#,
        "gate = { authors = [\"Ann <ann@example.org>\"] }",
    );
    way.agent("add src/b x; export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org; say x");
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
}

#[test]
fn way_08_a_forged_committer() {
    let way = Way::new();
    way.agent(
        "add src/b x; export GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org; say x",
    );
    way.refused("authors");
}

#[test]
fn way_09_a_breach_that_a_later_commit_takes_back() {
    let way = Way::new();
    way.agent("add lib/secret x; say in; git rm -q lib/secret; add src/b x; say out");
    way.refused("scope");
}

#[test]
fn way_10_a_rename_out_of_a_foreign_path() {
    let way = Way::new();
    way.agent("git mv lib/b src/b; say moved");
    way.refused("scope");
}

#[test]
fn way_11_links_that_lead_out() {
    let way = Way::new();
    for target in [
        "/etc/passwd",
        "../../outside",
        "../.git/hooks",
        "../.GIT/config",
        "x/../../..",
    ] {
        way.agent(&format!(
            "ln -sfn '{target}' src/link; git add -A; say link"
        ));
    }
    way.refused_for("links", 5);
    // By way of another link: each looks harmless by itself.
    let way = Way::new();
    way.agent(
        "mkdir -p src/d/e; ln -s ../../.. src/d/e/top; echo x > src/d/e/f; ln -s d/e/top/.. src/out; \
         git add -A; say links",
    );
    way.refused("links");
    // A link that was harmless until another one moved.
    let way = Way::new();
    way.agent(
        "mkdir -p src/d/e; echo x > src/d/e/f; ln -s d/e src/way; ln -s way/../../../x src/out; git add -A; \
         say harmless; ln -sfn d src/way; git add -A; say moved",
    );
    way.refused("links");
}

#[test]
fn way_12_a_submodule() {
    let way = Way::new();
    way.agent("git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),src/sub; mkdir src/sub; say sub");
    way.refused("submodules");
    // As it may be where the plan spells it out.
    let way = Way::with(r#"["src/sub"]"#, "");
    way.agent("git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),src/sub; mkdir -p src/sub; say sub");
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
}

#[test]
fn way_13_gitmodules() {
    let way = Way::with(r#"["**"]"#, "");
    way.agent("add .gitmodules '[submodule \"x\"]'; say x");
    way.refused("guarded");
    let way = Way::with(r#"["**", ".gitmodules"]"#, "");
    way.agent("add .gitmodules '[submodule \"x\"]'; say x");
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
}

#[test]
fn way_14_an_executable_bit_outside_the_scope() {
    let way = Way::new();
    way.agent("chmod +x lib/b; git add -A; say x");
    way.refused("scope");
}

#[test]
fn way_15_twins() {
    for (path, twin) in [
        ("src/A", "src/a"),
        ("SRC/new", "src/a"),
        ("src/caf\u{e9}", "src/cafe\u{301}"),
        ("src/a\u{200d}", "src/a"),
        ("src/a:x", "src/a"),
        ("src/A:y", "src/a:x"),
        ("src\\a", "src/a"),
    ] {
        let way = Way::with("[]", "");
        let quoted = format!("test -e '{twin}' || add '{twin}' one; add '{path}' two; say twins");
        way.agent(&quoted);
        way.refused("names");
    }
}

#[test]
fn way_16_names_that_are_gits_own_or_anothers_elsewhere() {
    let names = [
        ".git",
        ".GIT",
        ".Git",
        "git~1",
        "GIT~1",
        ".git ",
        ".git...",
        ".git::$INDEX_ALLOCATION",
        ".g\u{200c}it",
        ".git\u{feff}",
        ".git\\hooks",
        ".gitmodules ",
        "GITMOD~1",
        ".GitAttributes:x",
        "a.",
        "a ",
        "a::$DATA",
        "..\\lib",
        "x\\..\\..\\lib",
    ];
    let way = Way::with("[]", "");
    let commits = names.len();
    for name in names {
        let script = format!(
            "blob=$(echo x | git hash-object -w --stdin); \
             tree=$(printf '100644 blob %s\\t%s\\n' $blob '{name}' | git mktree); \
             plumb \"$( (git ls-tree main; printf '040000 tree %s\\tzz\\n' $tree) | git mktree)\""
        );
        way.agent(&script);
    }
    let findings = way.refused_by_the_assembler("names");
    assert_eq!(found(&findings, "names"), commits, "{findings}");
}

#[test]
fn way_17_gitattributes_with_a_driver() {
    for path in [".gitattributes", "src/.gitattributes", "src/.GITATTRIBUTES"] {
        let way = Way::with(r#"["**", "src/**"]"#, "");
        way.agent(&format!("add {path} '* filter=evil merge=ours'; say x"));
        way.refused(if path.contains("GIT") {
            "names"
        } else {
            "guarded"
        });
    }
}

#[test]
fn way_18_files_that_make_programs_run() {
    let files = [
        ".husky/pre-commit",
        ".githooks/pre-push",
        ".pre-commit-config.yaml",
        "lefthook.yml",
        ".envrc",
        ".vscode/tasks.json",
        ".cargo/config.toml",
        "src/.cargo/config.toml",
        ".github/workflows/ci.yml",
        ".lfsconfig",
        ".gitconfig",
        ".claude/settings.json",
        ".Husky/pre-commit",
    ];
    let way = Way::with("[]", "");
    for file in files {
        way.agent(&format!("add {file} evil; say x; git tag -f last"));
    }
    let told = way.repo.orch_in(&way.dir, ["submit", "mine"]).fails(1);
    for file in files {
        assert!(
            told.contains(&format!("changes {file}, which makes programs run")),
            "{file}: {told}"
        );
    }
    way.refused("guarded");
    // A project may think otherwise.
    let way = Way::with("[]", "gate = { guarded = [\"ci/*.sh\"] }");
    way.agent("add .envrc x; say x");
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
    let way = Way::with("[]", "gate = { guarded = [\"ci/*.sh\"] }");
    way.agent("add ci/run.sh x; say x");
    way.refused("guarded");
}

#[test]
fn way_19_files_of_the_ledger() {
    for path in [".orchestration/teams/1/team.toml", ".Orchestration/x"] {
        let way = Way::with("[]", "");
        way.agent(&format!(
            "add {path} x; say x; git rm -q -r --cached {path}; say out"
        ));
        way.refused_by_the_assembler("ledger");
    }
}

#[test]
fn way_20_a_merge_that_drops_others_work() {
    let way = Way::new();
    write_file(&way.repo.path().join("lib/b"), "fixed\n");
    way.repo.git(["commit", "-qam", "a person's"]);
    let way = Way {
        main: way.rev("main"),
        ..way
    };
    way.agent("add src/b x; say x; git merge -q -s ours -m \"$(message merge)\" main");
    way.refused("scope");
}

#[test]
fn way_21_replacements_grafts_and_shallow_files() {
    let way = Way::new();
    way.agent(
        "add src/b x; say good; good=$(git rev-parse HEAD); git reset -q --hard HEAD~1; add lib/evil x; say bad; \
         git replace HEAD $good",
    );
    way.refused_by_the_assembler("scope");
    let way = Way::new();
    way.agent(
        "start=$(git rev-parse HEAD); add lib/evil x; say bad; git rm -q lib/evil; add src/b x; say good; \
         echo $(git rev-parse HEAD) $start > \"$(git rev-parse --git-common-dir)/info/grafts\"",
    );
    way.refused("scope");
    let way = Way::new();
    way.agent(
        "add lib/evil x; say bad; git rm -q lib/evil; add src/b x; say good; \
         git rev-parse HEAD > \"$(git rev-parse --git-common-dir)/shallow\"",
    );
    way.refused_by_the_assembler("ancestry");
}

#[test]
fn way_22_an_octopus() {
    let way = Way::new();
    way.agent(
        "start=$(git rev-parse HEAD); add src/b x; say b; b=$(git rev-parse HEAD); git reset -q --hard $start; \
         add src/c x; say c; c=$(git rev-parse HEAD); git reset -q --hard $start; add src/d x; say d; \
         git merge -q -m \"$(message octopus)\" $b $c",
    );
    way.refused("scope");
}

#[test]
fn way_23_sizes() {
    let way = Way::with(r#"["src/**"]"#, "gate = { max_blob = \"100KiB\" }");
    way.agent(
        "head -c 102401 /dev/zero > src/big; git add -A; say big; git rm -q src/big; say small",
    );
    way.refused("sizes");
    let way = Way::with(r#"["src/**"]"#, "gate = { max_commits = 3 }");
    way.agent("for i in 1 2 3 4; do say $i; done");
    way.refused("sizes");
    let way = Way::with(r#"["src/**"]"#, "gate = { max_paths = 3 }");
    way.agent("for i in 1 2 3 4; do add src/f$i x; say $i; done");
    way.refused("sizes");
    // A tree of ten objects that is ten thousand million files when opened.
    let way = Way::with(r#"["src/**"]"#, "gate = { max_paths = 10000 }");
    way.agent(
        "blob=$(echo x | git hash-object -w --stdin); kind='100644 blob'; \
         for level in 1 2 3 4 5 6 7 8 9 10; do \
           blob=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '%s %s\\t%s\\n' \"$kind\" $blob $n; done | git mktree); \
           kind='040000 tree'; done; \
         src=$( (git ls-tree HEAD:src; printf '040000 tree %s\\tbomb\\n' $blob) | git mktree); \
         tree=$( (git ls-tree HEAD | grep -v src; printf '040000 tree %s\\tsrc\\n' $src) | git mktree); plumb $tree",
    );
    way.refused_by_the_assembler("sizes");
}

#[test]
fn way_24_a_branch_cut_from_elsewhere() {
    let way = Way::new();
    way.agent("git reset -q --hard main~1; add src/b x; say b");
    way.refused("ancestry");
    let way = Way::new();
    way.agent("git update-ref -d refs/heads/orch/team-1/mine; add src/b x; say b; git rm -q -r lib; say c");
    way.refused("ancestry");
}

/// A coder's work that is good and waits, so that there would be something to bring in.
fn with_work_waiting() -> Way {
    let way = Way::new();
    way.agent("add src/b x; say b");
    way.hand_in();
    way
}

#[test]
fn way_25_the_base_branch_moved() {
    let way = with_work_waiting();
    way.agent("add lib/evil x; say evil; git update-ref refs/heads/main HEAD");
    way.stopped(&[
        "main was moved from",
        "AGENT-1.1",
        "git update-ref refs/heads/main",
    ]);
    // Put back as it says, work comes in.
    way.repo.git(["update-ref", "refs/heads/main", &way.main]);
    way.repo.git(["reset", "-q", "--hard"]);
    way.repo.orch(["assemble"]).ok();
}

#[test]
fn way_26_the_integration_branch_moved() {
    let way = with_work_waiting();
    way.repo.orch(["assemble"]).ok();
    let left = way.rev("orch/integration");
    let mate = claim(&way.repo, "mate", "1.2");
    let script = "git commit -q --allow-empty -m evil; push";
    way.run("1.2", &mate, script, false);
    let told = way.stopped(&["orch/integration was moved from", "AGENT-1.2"]);
    assert!(
        told.contains(&format!(
            "git update-ref refs/heads/orch/integration {left}"
        )),
        "{told}"
    );
    assert_eq!(way.rev("main"), way.main);
    // As whoever: it is a commit of a task's branch all the same.
    way.repo
        .git(["update-ref", "refs/heads/orch/integration", &left]);
    let script = "message x | sed 's/mine/mate/; s/1\\.1/1.2/' > m; git reset -q --hard HEAD~1; \
                  export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=a@b; \
                  git commit -q --allow-empty -F m; rm m; push";
    way.run("1.2", &mate, script, false);
    way.stopped(&["is of a task that is not merged"]);
    // Set back, which takes landed work away.
    way.repo
        .git(["update-ref", "refs/heads/orch/integration", &left]);
    way.run(
        "1.2",
        &mate,
        "git update-ref refs/heads/orch/integration main",
        false,
    );
    way.stopped(&["does not build on that"]);
    // Deleted.
    way.run(
        "1.2",
        &mate,
        "git update-ref -d refs/heads/orch/integration",
        false,
    );
    way.stopped(&["was deleted", &left]);
    way.repo.git(["branch", "orch/integration", &left]);
    way.repo.orch(["approve"]).ok();
}

#[test]
fn way_27_the_ledger_edited_by_plumbing() {
    let way = with_work_waiting();
    way.agent(
        "export GIT_INDEX_FILE=$PWD/../index; git read-tree orchestration; \
         git ls-files -s .orchestration/teams/1/tasks | head -1 | { read -r mode blob stage path; \
         new=$(git cat-file blob $blob | sed 's|src/\\*\\*|**|' | git hash-object -w --stdin); \
         git update-index --cacheinfo 100644,$new,$path; }; \
         git update-ref refs/heads/orchestration \
           \"$(git commit-tree $(git write-tree) -p orchestration -m 'wider scope')\"",
    );
    way.stopped(&["the ledger orchestration was edited by hand", "AGENT-1.1"]);
    way.nothing_moved();
}

#[test]
fn way_28_a_commit_on_anothers_branch() {
    let way = Way::new();
    let mate = claim(&way.repo, "mate", "1.2");
    way.run(
        "1.2",
        &mate,
        "add mate/a x; message a | sed 's/mine/mate/; s/1\\.1/1.2/' | git commit -q -F -",
        false,
    );
    way.run("1.1", &mate, "add mate/evil x; say evil", false);
    let told = way.repo.orch_in(&mate, ["submit", "mate"]).fails(1);
    assert!(told.contains("(rule: trailers)"), "{told}");
    // After it was handed in, what was handed in counts.
    let theirs = claim(&way.repo, "theirs", "2.1");
    let words = "s/mine/theirs/; s/TEAM-1/TEAM-2/; s/1\\.1/2.1/";
    way.run(
        "2.1",
        &theirs,
        &format!("add other/a x; message a | sed '{words}' | git commit -q -F -"),
        false,
    );
    way.repo.orch_in(&theirs, ["submit", "theirs"]).ok();
    let head = way.rev("orch/team-2/theirs");
    way.run("1.1", &theirs, "add lib/evil x; say evil", false);
    way.repo.orch(["assemble"]).ok();
    assert_eq!(way.rev("orch/integration^2"), head);
}

#[test]
fn way_29_a_commit_in_the_users_checkout() {
    let way = with_work_waiting();
    let main = way.repo.path().to_str().unwrap().to_owned();
    way.agent(&format!(
        "echo x > '{main}/lib/evil'; git -C '{main}' add -A; git -C '{main}' commit -qm evil"
    ));
    way.stopped(&["main was moved from", "commit: evil"]);
}

#[test]
fn way_30_work_on_a_detached_head() {
    let way = Way::new();
    way.agent("git switch -q --detach; add lib/evil x; git commit -qm evil");
    let told = way.repo.orch_in(&way.dir, ["submit", "mine"]).fails(1);
    assert!(!told.contains("handed in"), "{told}");
    assert_eq!(way.head(), way.main, "the branch has nothing of it");
    way.nothing_moved();
}

#[test]
fn way_31_tags_and_notes_called_like_branches() {
    let way = with_work_waiting();
    let head = way.head();
    way.agent(
        "git switch -q --detach; add lib/evil x; git commit -qm evil; \
         for name in main orch/integration orch/team-1/mine orchestration; do git tag $name; done; \
         git notes add -m evil; git update-ref refs/orch/integration HEAD",
    );
    way.repo.orch(["assemble"]).ok();
    assert_eq!(way.rev("refs/heads/orch/integration^2"), head);
    way.repo.orch(["approve"]).ok();
    let tree = way
        .repo
        .git(["ls-tree", "-r", "--name-only", "refs/heads/main"]);
    assert!(!tree.contains("evil"), "{tree}");
}

#[test]
fn way_32_messages_that_read_differently() {
    // A raw commit, with what a script makes of it.
    let raw = |change: &str| {
        format!(
            "say x; git cat-file commit HEAD | {change} > ../raw; \
             git update-ref HEAD $(git hash-object -t commit --literally -w ../raw)"
        )
    };
    let way = Way::new();
    for change in [
        "sed 's/ x$/ x\\x00hidden/'",
        "sed 's/ x$/ x\\rOrch-Task: theirs/'",
        "sed 's/ x$/ x\\x1b[2K/'",
        "sed 's/^committer .*/&\\nencoding UTF-7/'",
        "sed 's/^committer .*/&\\nencoding UTF-16/'",
    ] {
        way.agent(&raw(change));
    }
    way.refused_for("message", 5);
    let way = Way::new();
    way.agent(&raw("sed 's/^author .*/&\\n&/'"));
    way.refused_by_the_assembler("objects");
}

#[test]
fn way_33_malformed_trees() {
    for (mode, names) in [
        ("100644", ["z", "z"]),
        ("100644", ["z", "a"]),
        ("100777", ["a", "z"]),
    ] {
        let way = Way::new();
        let repo = Repo::discover(way.repo.path()).unwrap();
        let blob = repo.write_blob(b"x\n").unwrap();
        let entry = |name: &str| [format!("{mode} {name}\0").as_bytes(), blob.as_slice()].concat();
        let tree = repo
            .write_tree(&[entry(names[0]), entry(names[1])].concat())
            .unwrap();
        let src = [b"40000 src\0", tree.as_slice()].concat();
        let tree = repo.write_tree(&src).unwrap();
        way.agent(&format!("plumb {tree}"));
        way.refused_by_the_assembler("objects");
    }
}

#[test]
fn way_34_the_same_by_agents_of_a_run() {
    let task = |id: &str, script: &str| {
        format!(
            "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"Do {id}\"\nscope = [\"{id}/**\"]\nretries = 0\n\
             run = '''\nmkdir -p {id} && echo x > {id}/f && {script}\n'''\n"
        )
    };
    let off = "git -c core.hooksPath=/dev/null";
    let plan = String::from(
        "[run]\nname = \"demo\"\n[[teams]]\nid = 1\n[agents.default]\npreset = \"shell\"\n",
    ) + &task("good", "true")
        + &task(
            "scope",
            "echo x > evil && git add -A && git commit -q --no-verify -m x",
        )
        + &task("bare", &format!("git add -A && {off} commit -qm sneaky"))
        + &task(
            "hook",
            "mkdir hook/.husky && echo x > hook/.husky/pre-commit",
        )
        + &task("link", "ln -s /etc/passwd link/l");
    let repo = TestRepo::new().init().plan(&plan);
    let main = repo.git(["rev-parse", "main"]);
    let outcome = repo.orch(["run", "--assemble", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout()).unwrap();
    let gaps = report["gaps"].to_string();
    for id in ["scope", "hook", "link"] {
        assert!(gaps.contains(id), "{id}: {report}");
        let branch = format!("orch/team-1/{id}");
        assert_ne!(repo.git(["rev-parse", &branch]), main, "the work is kept");
    }
    let tree = repo.git(["ls-tree", "-r", "--name-only", "orch/integration"]);
    // What was committed past the hooks got its tags, and broke no rule besides.
    assert_eq!(tree, "README.md\nbare/f\ngood/f");
    assert_eq!(repo.git(["rev-parse", "main"]), main);
}

#[test]
fn way_35_conflict_markers() {
    // In a file that both sides changed, and in one that both sides added.
    for path in ["src/a", "src/new"] {
        let way = Way::new();
        write_file(&way.repo.path().join(path), "a person's\n");
        way.repo.git(["add", "-A"]);
        way.repo.git(["commit", "-qm", "a person's"]);
        let way = Way {
            main: way.rev("main"),
            ..way
        };
        way.agent(&format!(
            "add {path} mine; say x; git merge -q main || true; git add -A; say merged"
        ));
        way.refused("markers");
        // Decided at last, it comes in.
        claim(&way.repo, "mine", "1.1");
        way.agent(&format!("add {path} both; say decided"));
        way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
        way.repo.orch(["assemble"]).ok();
    }
    // Without a merge commit they are known by the name of what was merged.
    let way = Way::new();
    way.agent("printf '<<<<<<< HEAD\na\n=======\nb\n>>>>>>> orch/integration\n' > src/a; git add -A; say x");
    way.refused("markers");
    // What tells of markers is none.
    let way = Way::new();
    way.agent(
        "printf '<<<<<<< HEAD\na\n=======\nb\n>>>>>>> branch\n' > src/guide; git add -A; say x",
    );
    way.repo.orch_in(&way.dir, ["submit", "mine"]).ok();
}

#[test]
fn what_was_meant_is_taken_by_a_person_only() {
    let way = with_work_waiting();
    way.repo.orch(["assemble"]).ok();
    let mate = claim(&way.repo, "mate", "1.2");
    let script = "git commit -q --allow-empty -m meant; push; \
                  git reset -q --hard orch/team-1/integration";
    way.run("1.2", &mate, script, false);
    way.stopped(&["AGENT-1.2"]);
    let told = way
        .repo
        .orch_in(&mate, ["assemble", "--accept-moved"])
        .fails(1);
    assert!(told.contains("agent 1.2"), "{told}");
    way.repo.orch(["assemble", "--accept-moved"]).ok();
    way.repo.orch(["approve"]).ok();
    assert_eq!(way.repo.git(["log", "-1", "--format=%s", "main"]), "meant");
}
