//! What is wrong with one commit.

use std::collections::{BTreeSet, HashSet};

use super::{Branch, Finding, message};
use crate::git::audit::Audit;
use crate::git::{ChangedPath, Oid, Repo};
use crate::hooks::message::Parts;
use crate::ledger::layout;
use crate::model::TaskId;
use crate::model::gate::authors::{self, Person};
use crate::model::gate::commit::RawCommit;
use crate::model::gate::guarded::Guarded;
use crate::model::gate::names::fold;
use crate::model::gate::{Rule, links, shown};
use crate::model::scope::{Glob, names};

/// How many paths a finding names.
const MOST_SHOWN: usize = 5;

/// The largest target of a link that is read.
const MOST_TARGET: u64 = 1 << 16;

const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// What there is to judge of one commit.
pub(super) struct Seen<'a> {
    pub(super) id: Oid,
    pub(super) tree: Oid,
    pub(super) parents: &'a [Oid],
    pub(super) raw: &'a RawCommit<'a>,
}

/// What is known of a branch, ready to be asked of each commit.
pub(super) struct Judge<'a> {
    pub(super) repo: &'a Repo,
    branch: &'a Branch<'a>,
    given: &'a [(String, String)],
    /// Commits that other tasks' branches add.
    unmerged: &'a BTreeSet<Oid>,
    scope: Vec<Glob>,
    named: Vec<&'a str>,
    guarded: Guarded,
    /// Whether objects that are missing may be elsewhere.
    is_partial: bool,
    /// Paths counted so far.
    paths: usize,
    has_links: bool,
    /// Paths that the branch adds.
    added: BTreeSet<Vec<u8>>,
    /// Links that were told.
    told: HashSet<Vec<u8>>,
    /// Blobs whose size is known to be right.
    sized: HashSet<Oid>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        repo: &'a Repo,
        branch: &'a Branch<'a>,
        given: &'a [(String, String)],
        unmerged: &'a BTreeSet<Oid>,
    ) -> Self {
        let scope = branch.scope.iter().map(String::as_str);
        let named = scope.clone();
        let named = named.chain(
            branch
                .deliverables
                .iter()
                .map(|path| path.trim_start_matches("./")),
        );
        Self {
            repo,
            branch,
            given,
            unmerged,
            scope: scope.filter_map(|glob| Glob::parse(glob).ok()).collect(),
            named: named.collect(),
            guarded: match branch.gate.has(Rule::Guarded) {
                true => Guarded::new(&branch.gate.guarded_globs()),
                false => Guarded::default(),
            },
            is_partial: repo.config("extensions.partialClone").is_some(),
            paths: 0,
            has_links: false,
            added: BTreeSet::new(),
            told: HashSet::new(),
            sized: HashSet::new(),
        }
    }

    /// Returns how many paths the branch may still change.
    pub(super) fn paths_left(&self) -> usize {
        let most = match self.branch.gate.has(Rule::Sizes) {
            true => self.branch.gate.max_paths as usize,
            // A tree that is endless when opened has no size that anybody could want.
            false => u32::MAX as usize,
        };
        most.saturating_sub(self.paths)
    }

    /// Judges what a commit says; returns whether what it changes is to be judged as well.
    pub(super) fn judge(&mut self, seen: &Seen<'_>, findings: &mut Vec<Finding>) -> bool {
        let parts = Parts::read(seen.raw.message, None);
        let mut find = |rule, what: String, help: String| {
            findings.push(finding(seen, rule, what, help));
        };
        if let Some(other) = self.foreign(seen, &parts) {
            find(
                Rule::Foreign,
                format!("belongs to task {other}, which is not merged"),
                format!("rebase the branch onto {} without it", self.branch.base),
            );
            return false;
        }
        if let Some((rule, what, help)) = message::judge(self.branch, &parts, seen.raw) {
            find(rule, what, help);
        }
        if self.branch.gate.has(Rule::Authors)
            && let Some(what) = self.wrong_person(seen.raw)
        {
            let help = "commit in the coder's worktree as it is configured (`git commit --amend --reset-author`), \
                        or name the person under `authors` in the plan's `[run.gate]`";
            find(Rule::Authors, what, help.to_owned());
        }
        if seen.parents.len() > 2 {
            find(
                Rule::Scope,
                format!("merges {} histories at once", seen.parents.len()),
                String::from("merge them one after another, so that each can be checked"),
            );
        }
        true
    }

    /// Returns the other task whose commit this is, if it is one that must not come in here.
    fn foreign(&self, seen: &Seen<'_>, parts: &Parts) -> Option<TaskId> {
        let named = parts.trailer("Orch-Task")?;
        let mut others = self.branch.others.iter();
        let (other, _) = others.find(|(task, _)| task.as_str() == named)?;
        let is_theirs = self.unmerged.contains(&seen.id) && *other != *self.branch.task;
        is_theirs.then(|| other.clone())
    }

    fn wrong_person(&self, raw: &RawCommit<'_>) -> Option<String> {
        let declared = &self.branch.gate.authors;
        let people = [("written", raw.author), ("committed", raw.committer)];
        people.into_iter().find_map(|(done, person)| {
            let Person { name, address } = person;
            let may = authors::may_commit(person, self.branch.team, declared, self.given);
            (!may).then(|| {
                format!(
                    "is {done} by `{} <{}>`, who is no agent of team {} and not named by the plan",
                    shown(name),
                    shown(address),
                    self.branch.team
                )
            })
        })
    }

    /// Judges what a commit changes.
    pub(super) fn judge_audit(
        &mut self,
        seen: &Seen<'_>,
        audit: &Audit,
        findings: &mut Vec<Finding>,
    ) {
        self.paths += audit.changes.len();
        let new = audit.changes.iter().filter(|change| change.old.0 == 0);
        self.added.extend(new.map(|change| change.path.clone()));
        if audit.is_cut {
            findings.push(finding(
                seen,
                Rule::Sizes,
                format!("changes more paths than {}", self.branch.gate.max_paths),
                String::from("change fewer, or raise `max_paths` in the plan's `[run.gate]`"),
            ));
            return;
        }
        for (path, why) in audit.malformed.iter().take(MOST_SHOWN) {
            let at = shown(path);
            let what = format!("has a malformed tree: `{at}` {}", shown(why.as_bytes()));
            let help = String::from("make it again with `git add` and `git commit`");
            findings.push(finding(seen, Rule::Objects, what, help).at([path]));
        }
        if self.branch.gate.has(Rule::Names) {
            judge_names(seen, audit, findings);
        }
        self.judge_places(seen, &audit.changes, findings);
        self.judge_kinds(seen, &audit.changes, findings);
    }

    /// Scope, the ledger's directory and guarded files: all by path alone.
    fn judge_places(&self, seen: &Seen<'_>, changes: &[ChangedPath], findings: &mut Vec<Finding>) {
        let (ours, rest): (Vec<_>, Vec<_>) = changes
            .iter()
            .map(|change| &change.path)
            .partition(|path| is_ours(path));
        if !ours.is_empty() {
            let what = format!(
                "changes {}, which belongs to the ledger alone",
                layout::ROOT
            );
            let help = format!(
                "take it out with `git rm -r --cached {}` and amend",
                layout::ROOT
            );
            findings.push(finding(seen, Rule::Ledger, what, help).at(ours));
        }
        let covers = |path: &[u8]| {
            let path = String::from_utf8_lossy(path);
            self.branch.scope.is_empty() || self.scope.iter().any(|glob| glob.matches(&path))
        };
        let (inside, outside): (Vec<_>, Vec<_>) = rest.into_iter().partition(|path| covers(path));
        if !outside.is_empty() {
            let what = format!("changes {} outside the task's scope", list(&outside));
            let help = format!(
                "keep to {}, in every commit of the branch",
                self.branch.scope.join(", ")
            );
            findings.push(finding(seen, Rule::Scope, what, help).at(outside));
        }
        let is_guarded = |path: &&Vec<u8>| self.guarded.forbids(path, &self.named);
        let guarded: Vec<_> = inside.into_iter().filter(is_guarded).collect();
        if !guarded.is_empty() {
            let what = format!("changes {}, which makes programs run", list(&guarded));
            let help =
                "leave it, or name it in the task's scope or `guarded` in the plan's `[run.gate]`";
            findings.push(finding(seen, Rule::Guarded, what, help.to_owned()).at(guarded));
        }
    }

    /// Links, submodules and sizes: what stands at a path.
    fn judge_kinds(
        &mut self,
        seen: &Seen<'_>,
        changes: &[ChangedPath],
        findings: &mut Vec<Finding>,
    ) {
        let gate = self.branch.gate;
        let most = gate.most_bytes();
        for change in changes {
            let (mode, id) = change.new;
            self.has_links |= mode == LINK || change.old.0 == LINK;
            let path = shown(&change.path);
            if mode == LINK
                && gate.has(Rule::Links)
                && let Some(why) = self.why_bad_link(seen.tree, &change.path, id)
            {
                self.told.insert(change.path.clone());
                findings.push(bad_link(seen.id, &path, why).at([&change.path]));
            }
            let is_submodule = mode == SUBMODULE || change.old.0 == SUBMODULE;
            if is_submodule && gate.has(Rule::Submodules) && !self.is_named(&change.path) {
                let what = format!("changes the submodule `{path}`");
                let help = String::from("leave it, or name its path in the task's scope");
                findings.push(finding(seen, Rule::Submodules, what, help).at([&change.path]));
            }
            if matches!(mode, 0 | SUBMODULE) || !self.sized.insert(id) {
                continue;
            }
            match self.repo.object_size(id) {
                Ok(Some(size)) if size > most && gate.has(Rule::Sizes) => {
                    let what = format!(
                        "has `{path}` of {size} bytes, and {} are the most",
                        gate.max_blob
                    );
                    let help = "take it out of the branch's history, or raise `max_blob` in the plan's `[run.gate]`";
                    let found = finding(seen, Rule::Sizes, what, help.to_owned());
                    findings.push(found.at([&change.path]));
                }
                Ok(None) if !self.is_partial => findings.push(super::unreadable(
                    seen.id,
                    &format!("lacks the object of `{path}`"),
                )),
                // Readable later, or told by whoever reads it.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Returns whether the plan spells out the last name of a path.
    fn is_named(&self, path: &[u8]) -> bool {
        let path = String::from_utf8_lossy(path);
        let last = path.rsplit('/').next().unwrap_or_default();
        self.named.iter().any(|glob| names(glob, &path, last))
    }

    fn why_bad_link(&self, tree: Oid, path: &[u8], id: Oid) -> Option<&'static str> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let special = [".gitmodules", ".gitattributes", ".gitignore", ".mailmap"];
        if special.contains(&fold(name).as_str()) {
            return Some("is a file of Git's, which must be no link");
        }
        let target = match self.target(id) {
            Some(target) => target,
            None => return Some("has a target that cannot be read"),
        };
        let mut read = |path: &[u8]| {
            let (mode, id) = self.repo.entry_at(tree, path)?;
            (mode == LINK).then(|| self.target(id)).flatten()
        };
        links::why_bad(path, &target, &mut read)
    }

    fn target(&self, id: Oid) -> Option<Vec<u8>> {
        let size = self.repo.object_size(id).ok()??;
        (size <= MOST_TARGET)
            .then(|| self.repo.read_blob(id).ok())
            .flatten()
    }

    /// Judges what the branch adds beside what others have brought in since it was cut.
    pub(super) fn judge_neighbours(&self, findings: &mut Vec<Finding>) {
        let Branch {
            head,
            base,
            tip,
            gate,
            ..
        } = self.branch;
        let tree = |commit: Oid| self.repo.read_commit(commit).map(|commit| commit.tree);
        let (true, Ok(head_tree), Ok(base_tree), Ok(tip_tree)) =
            (gate.has(Rule::Names), tree(*head), tree(*base), tree(*tip))
        else {
            return;
        };
        let mut seen = BTreeSet::new();
        for path in &self.added {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            let ends = ends.map(|(at, _)| at).chain([path.len()]);
            for place in ends.map(|end| &path[..end]) {
                let is_there = |tree: Oid| self.repo.entry_at(tree, place).is_some();
                if !seen.insert(place) || is_there(tip_tree) || !is_there(head_tree) {
                    continue;
                }
                for twin in self.repo.twins_of(tip_tree, place) {
                    let has = |tree: Oid| self.repo.entry_at(tree, &twin).is_some();
                    // What the branch takes away is no neighbour any more, and one of its own was told.
                    if has(base_tree) || has(head_tree) {
                        continue;
                    }
                    findings.push(Finding {
                        commit: *head,
                        rule: Rule::Names,
                        what: format!(
                            "adds `{}` beside `{}`, which came in meanwhile and is the same on some systems",
                            shown(place),
                            shown(&twin)
                        ),
                        help: String::from("give it another name"),
                        paths: vec![path.clone()],
                    });
                }
            }
        }
    }

    /// Judges all links of the head, where the branch changes any: one link may lead another astray that was
    /// there before.
    pub(super) fn judge_links_together(&self, findings: &mut Vec<Finding>) {
        let Branch {
            head, base, gate, ..
        } = self.branch;
        let tree = |commit: Oid| self.repo.read_commit(commit).map(|commit| commit.tree);
        let (true, Ok(after), Ok(before)) = (
            self.has_links && gate.has(Rule::Links),
            tree(*head),
            tree(*base),
        ) else {
            return;
        };
        let most = gate.max_paths as usize;
        let old = self.repo.links(before, most);
        for (path, id) in self.repo.links(after, most) {
            let was_bad = || {
                let same = old.get(&path) == Some(&id);
                same && self.why_bad_link(before, &path, id).is_some()
            };
            if !self.told.contains(&path)
                && let Some(why) = self.why_bad_link(after, &path, id)
                && !was_bad()
            {
                findings.push(bad_link(*head, &shown(&path), why).at([&path]));
            }
        }
    }
}

fn finding(seen: &Seen<'_>, rule: Rule, what: String, help: String) -> Finding {
    Finding {
        commit: seen.id,
        rule,
        what,
        help,
        paths: Vec::new(),
    }
}

impl Finding {
    /// Says which paths are at fault.
    fn at<'p>(mut self, paths: impl IntoIterator<Item = &'p Vec<u8>>) -> Self {
        self.paths = paths.into_iter().cloned().collect();
        self
    }
}

fn bad_link(commit: Oid, path: &str, why: &str) -> Finding {
    Finding {
        commit,
        rule: Rule::Links,
        what: format!("has the link `{path}`, which {why}"),
        help: String::from("link to files of the repository, by relative paths"),
        paths: Vec::new(),
    }
}

fn judge_names(seen: &Seen<'_>, audit: &Audit, findings: &mut Vec<Finding>) {
    for (path, why) in audit.bad_names.iter().take(MOST_SHOWN) {
        let what = format!("adds `{}`, which {why}", shown(path));
        let help = String::from("give it another name, in every commit of the branch");
        findings.push(finding(seen, Rule::Names, what, help).at([path]));
    }
    for (path, twin) in audit.twins.iter().take(MOST_SHOWN) {
        let (shown_path, twin) = (shown(path), shown(twin));
        let what =
            format!("adds `{shown_path}` beside `{twin}`, which are one file on some systems");
        let help = String::from("give one of them another name");
        findings.push(finding(seen, Rule::Names, what, help).at([path]));
    }
}

/// Returns whether a path is below the directory that belongs to the ledger, on any system.
fn is_ours(path: &[u8]) -> bool {
    let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
    fold(first) == layout::ROOT
}

fn list(paths: &[&Vec<u8>]) -> String {
    let shown_paths = paths.iter().take(MOST_SHOWN).map(|path| shown(path));
    let mut names: Vec<String> = shown_paths.collect();
    if paths.len() > MOST_SHOWN {
        names.push(format!("{} more", paths.len() - MOST_SHOWN));
    }
    names.join(", ")
}
