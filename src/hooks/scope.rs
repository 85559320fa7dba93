//! Which paths a task may change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// The paths that a task may change: its `scope`, ready for matching.
///
/// `*` stays within one directory, `**` crosses them, and whatever matches a directory allows all that is
/// below it: `src/auth`, `src/auth/` and `src/auth/**` mean the same. No glob at all allows everything.
#[derive(Debug, Clone)]
pub struct Scope {
    globs: Option<GlobSet>,
}

impl Scope {
    /// Returns the scope that globs describe; a glob that cannot be understood stands for itself.
    pub fn new(globs: &[String]) -> Self {
        if globs.is_empty() {
            return Self { globs: None };
        }
        let mut set = GlobSetBuilder::new();
        for text in globs {
            let text = text.strip_prefix("./").unwrap_or(text);
            let text = text.trim_matches('/');
            let exact = compile(text).or_else(|| compile(&globset::escape(text)));
            let below = compile(&format!("{text}/**"))
                .or_else(|| compile(&format!("{}/**", globset::escape(text))));
            for glob in exact.into_iter().chain(below) {
                set.add(glob);
            }
        }
        // Each glob compiled by itself, so that only a set too large for the regex engine can fail here;
        // it then allows nothing, which is seen at once, rather than everything, which is not.
        Self {
            globs: Some(set.build().unwrap_or_else(|_| GlobSet::empty())),
        }
    }

    /// Returns whether a path, relative to the top of the tree, may be changed.
    pub fn allows(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        self.globs.as_ref().is_none_or(|set| set.is_match(path))
    }
}

fn compile(text: &str) -> Option<Glob> {
    GlobBuilder::new(text).literal_separator(true).build().ok()
}

/// Returns whether globs allow a path; build a [`Scope`] to ask more than once.
pub fn allows(globs: &[String], path: &str) -> bool {
    Scope::new(globs).allows(path.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_what_its_globs_say() {
        let yes_and_no = [
            ("src/auth/**", "src/auth/a/b.rs", "src/author/a.rs"),
            ("src/auth", "src/auth/a/b.rs", "src/auth.rs"),
            ("src/auth/", "src/auth/b.rs", "src/b.rs"),
            ("./src/auth", "src/auth", "auth"),
            ("*.md", "README.md", "docs/README.md"),
            ("**/*.md", "docs/a/README.md", "docs/a/README.rs"),
            (
                "crates/*/src",
                "crates/x/src/lib.rs",
                "crates/x/y/src/lib.rs",
            ),
            ("src/{a,b}.rs", "src/b.rs", "src/c.rs"),
            ("pages/[id].tsx", "pages/i.tsx", "pages/x.tsx"),
            ("pages/[id", "pages/[id", "pages/i"),
            ("**", "anything/at/all", ""),
            ("café/**", "café/menü", "cafe/menu"),
        ];
        for (glob, yes, no) in yes_and_no {
            let globs = [glob.to_owned()];
            assert!(allows(&globs, yes), "{glob} must allow {yes}");
            assert!(
                no.is_empty() || !allows(&globs, no),
                "{glob} must refuse {no}"
            );
        }
    }

    #[test]
    fn no_glob_allows_everything_and_several_add_up() {
        assert!(allows(&[], "x"));
        let globs = ["a/**".to_owned(), "b.txt".to_owned()];
        assert!(allows(&globs, "a/x") && allows(&globs, "b.txt") && !allows(&globs, "c"));
    }
}
