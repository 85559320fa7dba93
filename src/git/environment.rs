//! What of the surroundings reaches the git commands that git-orch runs, and what is the same everywhere.
//!
//! Variables: an allow-list, see [`reaches_git`]. Settings: whatever a person means for their git is read as
//! always (trust in a directory, credentials, addresses, filters, ignored files), and what would change the
//! answers that we read, or what a command does besides what it is asked for, is pinned (`PINNED`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::OnceLock;

use crate::config;

/// Variables of Git's own that reach every git command of ours.
const ALLOWED: [&str; 23] = [
    // Where settings come from; what `git -c` says is in `GIT_CONFIG_PARAMETERS`, see `parameters`.
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_COUNT",
    "GIT_ATTR_GLOBAL",
    "GIT_ATTR_SYSTEM",
    "GIT_ATTR_NOSYSTEM",
    // Where git is, and how far up a repository is looked for.
    "GIT_EXEC_PATH",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_OPTIONAL_LOCKS",
    // How a remote is reached.
    "GIT_SSH",
    "GIT_PROXY_COMMAND",
    "GIT_ALLOW_PROTOCOL",
    "GIT_NO_LAZY_FETCH",
    "GIT_PAT",
    // Who moved a ref, for its reflog. Commits name their people themselves.
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
    // What there is to say to a remote may be asked for by a program with a window.
    "GIT_ASKPASS",
];

/// Beginnings of names of such variables.
const ALLOWED_BEGINNINGS: [&str; 7] = [
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_",
    "GIT_SSH_",
    "GIT_SSL_",
    "GIT_HTTP_",
    "GIT_PROXY_SSL_",
    "GIT_LFS_",
];

/// Words in names that only a person gives: for their credential helpers, filters and remotes.
const ALLOWED_WORDS: [&str; 7] = [
    "CREDENTIAL",
    "CRYPT",
    "PASS",
    "SECRET",
    "TOKEN",
    "USER",
    "_KEY",
];

/// Variables that bind a command to one repository, or change what its words mean. Agents and tests run
/// elsewhere than whoever set them, so they start without; all else is theirs.
const BINDING: [&str; 36] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_NOTES_DISPLAY_REF",
    "GIT_NOTES_REF",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROTOCOL",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_REF_FORMAT",
    "GIT_REF_URI",
    "GIT_REPLACE_REF_BASE",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_MERGE_AUTOEDIT",
];

/// Settings that every git command of ours has, whatever any file or `git -c` says. Where one command wants
/// another value, it says so on its command line, which wins.
///
/// What a setting cannot take back is an option of the commands concerned: `--no-ext-diff`, `--no-notes`.
const PINNED: [(&str, &str); 67] = [
    ("advice.addEmbeddedRepo", "false"),
    ("advice.detachedHead", "false"),
    ("advice.graftFileDeprecated", "false"),
    ("branch.autoSetupMerge", "false"),
    ("branch.autoSetupRebase", "never"),
    ("checkout.guess", "false"),
    ("color.advice", "false"),
    ("color.branch", "false"),
    ("color.diff", "false"),
    ("color.push", "false"),
    ("color.remote", "false"),
    ("color.status", "false"),
    ("color.transport", "false"),
    ("color.ui", "false"),
    ("column.ui", "never"),
    ("commit.gpgSign", "false"),
    ("core.abbrev", "auto"),
    ("core.bigFileThreshold", "512m"),
    // Programs that a file in the repository names, for speed only.
    ("core.fsmonitor", "false"),
    // Marks every file that is written as one not to look at.
    ("core.ignoreStat", "false"),
    ("core.quotePath", "true"),
    ("core.safecrlf", "false"),
    ("core.splitIndex", "false"),
    ("core.warnAmbiguousRefs", "true"),
    ("diff.algorithm", "myers"),
    ("diff.colorMoved", "no"),
    ("diff.context", "3"),
    ("diff.dstPrefix", "b/"),
    ("diff.indentHeuristic", "true"),
    ("diff.interHunkContext", "0"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.noPrefix", "false"),
    ("diff.orderFile", "/dev/null"),
    ("diff.relative", "false"),
    ("diff.renames", "true"),
    ("diff.srcPrefix", "a/"),
    ("diff.statGraphWidth", "0"),
    ("diff.statNameWidth", "0"),
    ("diff.submodule", "short"),
    ("diff.suppressBlankEmpty", "false"),
    ("fetch.followRemoteHEAD", "never"),
    ("fetch.prune", "false"),
    ("fetch.pruneTags", "false"),
    ("fetch.recurseSubmodules", "false"),
    // Git's own housekeeping would run in the middle of ours.
    ("gc.auto", "0"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.diffMerges", "separate"),
    ("log.follow", "false"),
    ("log.showRoot", "true"),
    ("log.showSignature", "false"),
    ("maintenance.auto", "false"),
    ("merge.autoStash", "false"),
    ("merge.default", "text"),
    ("merge.log", "false"),
    ("merge.renormalize", "false"),
    ("merge.stat", "false"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    // Empty takes back all that were given.
    ("push.pushOption", ""),
    ("push.recurseSubmodules", "no"),
    ("push.useForceIfIncludes", "false"),
    ("rerere.autoUpdate", "false"),
    ("rerere.enabled", "false"),
    ("submodule.recurse", "false"),
    ("tag.gpgSign", "false"),
    ("trailer.separators", ":"),
];

/// Returns whether a variable reaches the git commands that git-orch runs for itself.
pub fn reaches_git(name: &OsStr, value: &OsStr) -> bool {
    let Some(name) = of_git(name) else {
        return true;
    };
    // A trace into a file is for whoever set it; on stderr it would be taken for what git complains.
    let traces = name.starts_with("GIT_TRACE") && value.as_bytes().starts_with(b"/");
    traces
        || ALLOWED.contains(&name)
        || ALLOWED_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
        || ALLOWED_WORDS.iter().any(|word| name.contains(word))
}

/// Returns whether a variable reaches the agents and tests that git-orch starts, and itself in the background.
pub fn reaches_children(name: &OsStr) -> bool {
    of_git(name)
        .is_none_or(|name| !BINDING.contains(&name) && !name.starts_with("GIT_PUSH_OPTION_"))
}

/// Returns the variables of this process's environment that do not reach its children.
pub fn hidden_from_children() -> Vec<OsString> {
    let all = config::environment().into_iter().map(|(name, _)| name);
    all.filter(|name| !reaches_children(name)).collect()
}

fn of_git(name: &OsStr) -> Option<&str> {
    name.to_str().filter(|name| name.starts_with("GIT_"))
}

/// What this process's environment makes of it.
#[derive(Debug)]
pub struct Surroundings {
    /// Variables that git must not see.
    pub hidden: Vec<OsString>,
    /// The value of `GIT_CONFIG_PARAMETERS` for git.
    pub parameters: OsString,
    /// What `git -c` said, as `key` or `key=value`.
    pub settings: Vec<Vec<u8>>,
    given: OsString,
}

/// Returns what git is started with, found out once.
pub fn surroundings() -> &'static Surroundings {
    static FOUND: OnceLock<Surroundings> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut given = OsString::new();
        let mut settings = Vec::new();
        let mut hidden = Vec::new();
        for (name, value) in config::environment() {
            if name == PARAMETERS {
                // Git would refuse every command for what cannot be read.
                if let Some(read) = read_parameters(value.as_bytes()) {
                    (settings, given) = (read, value);
                }
            } else if !reaches_git(&name, &value) {
                hidden.push(name);
            }
        }
        Surroundings {
            hidden,
            parameters: parameters(&given, &PINNED),
            settings,
            given,
        }
    })
}

/// Returns the value of [`PARAMETERS`] for a child that is to have some settings whatever any file or `git -c`
/// says.
pub fn parameters_with(settings: &[(&str, &str)]) -> OsString {
    parameters(&surroundings().given, settings)
}

/// Where `git -c` leaves what it was told.
pub const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

/// Adds settings to those of [`PARAMETERS`], in its own way of writing; the last one of a name counts.
fn parameters(given: &OsStr, settings: &[(&str, &str)]) -> OsString {
    let mut all = given.as_bytes().to_vec();
    for (key, value) in settings {
        if !all.is_empty() {
            all.push(b' ');
        }
        all.extend(quoted(&format!("{key}={value}")).bytes());
    }
    OsString::from_vec(all)
}

/// Returns a text in single quotes, as Git's `sq_quote_buf` writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('!', "'\\!'"))
}

/// Reads what `git -c` was told, as `key` or `key=value`; `None` where Git itself would refuse it.
///
/// Git before 2.31 wrote `'key=value'`, later ones write `'key'='value'`; both are read, as Git does.
fn read_parameters(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let (mut entry, after) = unquote(rest)?;
        rest = after;
        if let Some(value) = rest.strip_prefix(b"=") {
            entry.push(b'=');
            if !value.is_empty() && !value.starts_with(b" ") {
                let (value, after) = unquote(value)?;
                entry.extend(value);
                rest = after;
            } else {
                rest = value;
            }
        }
        if !rest.is_empty() && !rest.starts_with(b" ") {
            return None;
        }
        rest = rest.trim_ascii_start();
        found.push(entry);
    }
    Some(found)
}

/// Takes one word in Git's single quotes off a text; `\'` and `\!` stand between quotes.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text.strip_prefix(b"'")?;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        word.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest {
            [b'\\', escaped @ (b'\'' | b'!'), b'\'', after @ ..] => {
                word.push(*escaped);
                rest = after;
            }
            _ => return Some((word, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<String>> {
        let found = read_parameters(text.as_bytes())?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Some(found.into_iter().map(text).collect())
    }

    #[test]
    fn what_git_was_told_is_read_in_both_ways_of_writing() {
        for (text, found) in [
            ("", vec![]),
            ("'a.b=c'", vec!["a.b=c"]),
            ("'a.b'='c d'", vec!["a.b=c d"]),
            ("'a.b'='' 'c.d'", vec!["a.b=", "c.d"]),
            ("'a.b'= 'c.d=e'", vec!["a.b=", "c.d=e"]),
            ("'a.it'\\''s=x'\\!''", vec!["a.it's=x!"]),
        ] {
            assert_eq!(
                read(text),
                Some(found.into_iter().map(String::from).collect()),
                "{text}"
            );
        }
        for text in ["'a", "a.b=c", "'a''b'", "'a'x", "'a'='b", "'broken"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn ours_come_last_and_are_read_back() {
        let all = parameters(OsStr::new("'a.b'='1'"), &[("a.b", "it's!"), ("c.d", "")]);
        assert_eq!(
            read(all.to_str().unwrap()).unwrap(),
            ["a.b=1", "a.b=it's!", "c.d="]
        );
    }

    #[test]
    fn what_a_person_means_reaches_git_and_nothing_else_does() {
        let reaches = |name: &str, value: &str| reaches_git(OsStr::new(name), OsStr::new(value));
        for name in [
            "HOME",
            "SSH_AUTH_SOCK",
            "https_proxy",
            "GITHUB_TOKEN",
            "GIT_TOKEN",
            "GIT_CONFIG_GLOBAL",
            "GIT_CONFIG_KEY_12",
            "GIT_SSH_COMMAND",
            "GIT_SSL_NO_VERIFY",
            "GIT_LFS_SKIP_SMUDGE",
        ] {
            assert!(reaches(name, "1"), "{name}");
        }
        for name in BINDING.into_iter().chain([
            "GIT_TRACE",
            "GIT_TRACE2_EVENT",
            "GIT_PAGER",
            "GIT_ADVICE",
            "GIT_TEST_DEFAULT_HASH",
            "GIT_SOMETHING_NEW",
        ]) {
            assert!(!reaches(name, "1"), "{name}");
        }
        assert!(reaches("GIT_TRACE", "/tmp/trace"));
    }

    #[test]
    fn agents_and_tests_get_all_but_what_binds() {
        for name in [
            "GIT_COMMIT",
            "GIT_PAGER",
            "GIT_CONFIG_COUNT",
            "GIT_TRACE",
            "PATH",
        ] {
            assert!(reaches_children(OsStr::new(name)), "{name}");
        }
        for name in ["GIT_DIR", "GIT_ICASE_PATHSPECS", "GIT_PUSH_OPTION_0"] {
            assert!(!reaches_children(OsStr::new(name)), "{name}");
        }
    }
}
