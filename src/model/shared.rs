//! What agents share with people beside the work: whether a change of it only has to be told, or decides something.

use std::collections::{BTreeMap, BTreeSet};

/// Values of a configuration by their full keys, in the order in which they stand there.
pub type Settings = BTreeMap<String, Vec<String>>;

/// What a change means for whoever goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Git itself writes it in the course of ordinary work.
    Harmless,
    /// A person should know.
    Told,
    /// It runs programs, or changes what is read, checked out, fetched, pushed or found.
    Decides,
}

/// A setting that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its full key.
    pub key: String,
    /// Its values before.
    pub before: Vec<String>,
    /// Its values now.
    pub after: Vec<String>,
    /// What that means.
    pub weight: Weight,
}

impl Changed {
    /// Says it in a line. Values are told where they can hold no secret.
    pub fn told(&self) -> String {
        let Self {
            key, before, after, ..
        } = self;
        let shown = |values: &[String]| match is_public(key) {
            true => format!("`{}`", values.join("`, `")),
            false => String::from("another value"),
        };
        match (before.as_slice(), after.as_slice()) {
            ([], after) if is_public(key) => format!("{key} was set to {}", shown(after)),
            ([], _) => format!("{key} was set"),
            (before, []) if is_public(key) => format!("{key} was unset, and was {}", shown(before)),
            (_, []) => format!("{key} was unset"),
            (before, after) if is_public(key) => {
                format!(
                    "{key} was changed from {} to {}",
                    shown(before),
                    shown(after)
                )
            }
            _ => format!("{key} was changed"),
        }
    }

    /// Returns the arguments of `git config` that put it back, where one command does and tells no secret.
    pub fn undoing(&self) -> Option<Vec<String>> {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        match self.before.as_slice() {
            [] => words(&["--unset-all", &self.key]),
            [value] if is_public(&self.key) => words(&["--replace-all", &self.key, value]),
            _ => None,
        }
    }
}

/// Compares two configurations; what is harmless is left out.
pub fn compare(before: &Settings, after: &Settings) -> Vec<Changed> {
    let sections: BTreeSet<&str> = before.keys().filter_map(|key| section(key)).collect();
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let values = |settings: &Settings, key: &String| settings.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| Changed {
            before: values(before, key),
            after: values(after, key),
            weight: weigh(key, section(key).is_some_and(|s| sections.contains(s))),
            key: key.clone(),
        })
        .filter(|changed| changed.before != changed.after && changed.weight > Weight::Harmless)
        .collect()
}

/// Returns a key without its last part.
fn section(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(section, _)| section)
}

/// Whether the values of a key may be printed: no addresses, which can hold passwords, and no headers.
fn is_public(key: &str) -> bool {
    [
        "user.",
        "author.",
        "committer.",
        "core.",
        "commit.",
        "extensions.",
    ]
    .iter()
    .any(|start| key.starts_with(start))
        && !key.contains("command")
}

/// Settings of `core` that change nothing that is decided: programs for people, limits, looks.
const CORE_FOR_PEOPLE: [&str; 12] = [
    "core.abbrev",
    "core.commentchar",
    "core.commentstring",
    "core.compression",
    "core.deltabasecachelimit",
    "core.editor",
    "core.excludesfile",
    "core.loosecompression",
    "core.pager",
    "core.preloadindex",
    "core.quotepath",
    "core.whitespace",
];

/// Sections of which every key decides: programs, other files, addresses, how a remote is reached, our own.
const DECIDING: [&str; 20] = [
    "attr",
    "core",
    "credential",
    "diff",
    "extensions",
    "filter",
    "gpg",
    "hook",
    "http",
    "include",
    "includeif",
    "merge",
    "orch",
    "protocol",
    "receive",
    "remote",
    "ssh",
    "transfer",
    "uploadpack",
    "url",
];

/// Our own include, whose absence is found and mended where hooks are.
const OWN_INCLUDE: &str = "includeif.gitdir:**/worktrees/orch-*.path";

/// Weighs a key. `was_there`: whether its section stood there before.
fn weigh(key: &str, was_there: bool) -> Weight {
    let first = key.split('.').next().unwrap_or_default();
    let last = key.rsplit('.').next().unwrap_or_default();
    let has_middle = key.matches('.').count() > 1;
    match first {
        "includeif" if key == OWN_INCLUDE => Weight::Harmless,
        // Whoever makes a branch that tracks another writes this.
        "branch" if !was_there || key.starts_with("branch.orch/") => Weight::Harmless,
        "lfs" if matches!(last, "access" | "locksverify" | "repositoryformatversion") => {
            Weight::Harmless
        }
        // A sparse checkout, or settings for one worktree only.
        "extensions" if last == "worktreeconfig" => Weight::Told,
        // One more remote changes nothing about those that are there.
        "remote" if has_middle && !was_there => Weight::Told,
        "core" if CORE_FOR_PEOPLE.contains(&key) => Weight::Told,
        // Without a name they are about what is shown; with one, they name a program.
        "diff" | "merge" if !has_middle && last != "external" => Weight::Told,
        "submodule" if last == "update" => Weight::Decides,
        _ if DECIDING.contains(&first) => Weight::Decides,
        _ => Weight::Told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(entries: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new();
        for (key, value) in entries {
            let values = settings.entry((*key).to_owned()).or_default();
            values.push((*value).to_owned());
        }
        settings
    }

    #[test]
    fn what_runs_programs_or_changes_answers_decides() {
        for key in [
            "core.bare",
            "core.worktree",
            "core.hookspath",
            "core.attributesfile",
            "core.filemode",
            "core.sshcommand",
            "filter.x.clean",
            "merge.ours.driver",
            "diff.external",
            "diff.png.textconv",
            "include.path",
            "includeif.gitdir:/x.path",
            "remote.origin.url",
            "url.ext::sh.insteadof",
            "credential.helper",
            "gpg.program",
            "submodule.lib.update",
            "orch.ledger",
            "hook.x.command",
        ] {
            assert_eq!(weigh(key, true), Weight::Decides, "{key}");
        }
        for key in [
            "user.email",
            "commit.gpgsign",
            "alias.st",
            "core.editor",
            "merge.ff",
            "diff.renames",
            "extensions.worktreeconfig",
            "submodule.lib.url",
            "branch.main.remote",
        ] {
            assert_eq!(weigh(key, true), Weight::Told, "{key}");
        }
        assert_eq!(weigh("remote.fork.url", false), Weight::Told);
        for key in ["branch.topic.merge", "branch.orch/team-1/a.remote"] {
            assert_eq!(weigh(key, false), Weight::Harmless, "{key}");
        }
        assert_eq!(weigh(OWN_INCLUDE, true), Weight::Harmless);
    }

    #[test]
    fn a_change_is_told_with_the_command_that_undoes_it() {
        let before = settings(&[
            ("user.name", "Ann"),
            ("core.bare", "false"),
            ("url.b.insteadof", "c"),
        ]);
        let after = settings(&[
            ("user.name", "Bot"),
            ("user.email", "bot@example.com"),
            ("core.bare", "false"),
            ("branch.topic.remote", "origin"),
            ("remote.fork.url", "https://secret@example.com/x"),
        ]);
        let changed = compare(&before, &after);
        let told: Vec<String> = changed.iter().map(Changed::told).collect();
        assert_eq!(
            told,
            [
                "remote.fork.url was set",
                "url.b.insteadof was unset",
                "user.email was set to `bot@example.com`",
                "user.name was changed from `Ann` to `Bot`",
            ]
        );
        let undone: Vec<Option<Vec<String>>> = changed.iter().map(Changed::undoing).collect();
        let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect());
        assert_eq!(
            undone,
            [
                words("--unset-all remote.fork.url"),
                None,
                words("--unset-all user.email"),
                words("--replace-all user.name Ann"),
            ]
        );
        assert_eq!(compare(&before, &before), []);
    }

    #[test]
    fn the_order_and_number_of_values_count() {
        let one = settings(&[("include.path", "a"), ("include.path", "b")]);
        let other = settings(&[("include.path", "b"), ("include.path", "a")]);
        assert_eq!(compare(&one, &other).len(), 1);
        assert_eq!(compare(&one, &settings(&[("include.path", "a")])).len(), 1);
    }
}
