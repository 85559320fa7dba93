//! Path scopes: globs relative to the top of the repository (D2).
//!
//! `*` and `?` stay within one part of a path, `**` as a whole part stands for any number of parts,
//! `[a-z]` and `[!a-z]` for one character, `{a,b}` for alternatives, `\` takes the next character as it
//! is. Where the last part is a plain name, or the glob ends with `/`, everything below belongs to it as
//! well: `src/auth` is the file or the whole directory, `src/*` only what stands in `src` itself. An empty
//! scope means anywhere.

mod glob;
mod overlap;

pub use glob::{Glob, first_name, literal_prefix, names};
pub use overlap::overlapping;

#[cfg(test)]
mod tests;

/// Returns whether a path is within a scope; a glob that is none covers nothing.
pub fn covers(scope: &[String], path: &str) -> bool {
    let within = |glob: &String| Glob::parse(glob).is_ok_and(|glob| glob.matches(path));
    scope.is_empty() || scope.iter().any(within)
}

/// Returns the first glob of each of two scopes that some path matches both of.
///
/// Scopes that are empty, and globs that are none, overlap with nothing here: they are told elsewhere.
pub fn overlap<'a>(a: &'a [String], b: &'a [String]) -> Option<(&'a str, &'a str)> {
    let parse = |scope: &'a [String]| -> Vec<(&'a str, Glob)> {
        let parsed = scope.iter().map(|text| (text, Glob::parse(text)));
        parsed
            .filter_map(|(text, glob)| Some((text.as_str(), glob.ok()?)))
            .collect()
    };
    let (a, b) = (parse(a), parse(b));
    a.iter().find_map(|(left, x)| {
        b.iter()
            .find(|(_, y)| overlapping(x, y))
            .map(|(right, _)| (*left, *right))
    })
}
