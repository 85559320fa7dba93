//! What a test worktree keeps of the files that Git ignores, from one tree to the next.
//!
//! Patterns are read as `.gitignore` reads them: with a `/` at the end they match directories only, without another
//! one they match in every directory, otherwise from the top of the repository. What lies below a match is kept
//! with it. There are no exclusions.

use super::scope::Glob;

/// Patterns of what is kept.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    parts: Vec<Part>,
    /// Whether it matches from the top only.
    is_anchored: bool,
    /// Whether it matches directories only.
    of_dirs: bool,
}

#[derive(Debug, Clone)]
enum Part {
    /// Any number of names.
    Any,
    /// One name.
    Name(Glob),
}

/// What a pattern comes to for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    No,
    /// Something below it may match.
    Above,
    Yes,
}

impl Keep {
    /// Reads patterns; those that are none keep nothing.
    pub fn new(patterns: &[String]) -> Self {
        let patterns = patterns.iter().filter_map(|text| parse(text).ok());
        Self {
            patterns: patterns.collect(),
        }
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether an entry is kept that lies in a directory of the tree.
    pub fn keeps(&self, path: &str, is_dir: bool) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.keeps(path, is_dir))
    }

    /// Returns whether an entry is kept wherever it lies: by a pattern that spells its directories out.
    pub fn keeps_anywhere(&self, path: &str, is_dir: bool) -> bool {
        let anchored = |pattern: &&Pattern| pattern.is_anchored;
        let mut anchored = self.patterns.iter().filter(anchored);
        anchored.any(|pattern| pattern.keeps(path, is_dir))
    }

    /// Returns whether something may be kept below a directory that the tree does not have.
    pub fn keeps_below(&self, dir: &str) -> bool {
        let above = |pattern: &Pattern| pattern.is_anchored && pattern.fit(dir) == Fit::Above;
        self.patterns.iter().any(above)
    }
}

impl Pattern {
    /// Returns whether it matches a path or a directory above it.
    fn keeps(&self, path: &str, is_dir: bool) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let itself = (is_dir || !self.of_dirs).then_some(path);
        above.chain(itself).any(|path| self.fit(path) == Fit::Yes)
    }

    fn fit(&self, path: &str) -> Fit {
        let names: Vec<&str> = path.split('/').collect();
        match self.is_anchored {
            true => fit(&self.parts, &names),
            false => fit(&self.parts, &names[names.len() - 1..]),
        }
    }
}

fn fit(parts: &[Part], names: &[&str]) -> Fit {
    match (parts, names) {
        ([], []) => Fit::Yes,
        ([], _) => Fit::No,
        (_, []) => Fit::Above,
        ([Part::Any, rest @ ..], [_, below @ ..]) => match fit(rest, names) {
            Fit::Yes => Fit::Yes,
            _ => fit(parts, below),
        },
        ([Part::Name(glob), rest @ ..], [name, below @ ..]) => match glob.matches(name) {
            true => fit(rest, below),
            false => Fit::No,
        },
    }
}

/// Returns what is wrong with a pattern, and what to write instead.
pub fn wrong_with(text: &str) -> Option<(String, String)> {
    parse(text).err()
}

fn parse(text: &str) -> Result<Pattern, (String, String)> {
    let wrong = |what: &str, help: &str| Err((what.to_owned(), help.to_owned()));
    let of_dirs = text.ends_with('/');
    let body = text.strip_suffix('/').unwrap_or(text);
    let is_anchored = body.contains('/');
    let body = body.strip_prefix('/').unwrap_or(body);
    if body.is_empty() {
        return wrong(
            "it names nothing",
            "write for example `target/`, or `*` for all that git ignores",
        );
    }
    if body.starts_with('!') {
        return wrong("there are no exclusions", "list what is kept");
    }
    let mut parts = Vec::new();
    for part in body.split('/') {
        parts.push(match part {
            "**" => Part::Any,
            ".git" => return wrong("it has `.git` in it", "list what the test makes"),
            part => Part::Name(Glob::parse(part)?),
        });
    }
    if let Some(Part::Any) = parts.last() {
        // `a/**` is all that is in `a`.
        parts.push(Part::Name(Glob::parse("*")?));
    }
    Ok(Pattern {
        parts,
        is_anchored,
        of_dirs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(pattern: &str) -> Keep {
        assert_eq!(wrong_with(pattern), None, "{pattern}");
        Keep::new(&[pattern.to_owned()])
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        for (pattern, path, is_dir, expected) in [
            ("target/", "target", true, true),
            ("target/", "target", false, false),
            ("target/", "crates/a/target", true, true),
            ("/target/", "crates/a/target", true, false),
            ("/target/", "target", true, true),
            ("target", "target", false, true),
            ("build/cache/", "build/cache", true, true),
            ("build/cache/", "sub/build/cache", true, false),
            ("*.o", "src/deep/a.o", false, true),
            ("*.o", "src/a.c", false, false),
            ("/*.o", "src/a.o", false, false),
            ("a/**/z", "a/z", false, true),
            ("a/**/z", "a/b/c/z", false, true),
            ("**/cache/", "x/cache", true, true),
            ("a/**", "a/b", true, true),
            ("{bin,obj}/", "src/obj", true, true),
            ("target/", "target/debug/a.d", false, true),
            ("*.d/", "x.d/y", false, true),
        ] {
            assert_eq!(
                keep(pattern).keeps(path, is_dir),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn only_a_spelled_out_pattern_leads_into_what_the_tree_does_not_have() {
        for (pattern, dir, expected) in [
            ("build/cache/", "build", true),
            ("build/cache/", "other", false),
            ("build/*/cache/", "build/x", true),
            ("node_modules/", "gone", false),
            ("/a/**/z", "a/b/c", true),
        ] {
            assert_eq!(keep(pattern).keeps_below(dir), expected, "{pattern} {dir}");
        }
        assert!(keep("build/cache/").keeps_anywhere("build/cache", true));
        assert!(!keep("cache/").keeps_anywhere("build/cache", true));
        assert!(!keep("cache/").keeps_below("build"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for text in ["/", "", "!a", "a//b", "../x", "a/.git/b", "[a", "a\\b"] {
            let wrong = wrong_with(text);
            assert!(wrong.is_some(), "{text}");
            assert!(Keep::new(&[text.to_owned()]).is_empty());
        }
    }
}
