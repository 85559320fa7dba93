//! Files that make programs run: a task changes them only where its plan names them.

use super::names::fold;
use crate::model::scope::{Glob, first_name, names};

/// Globs of guarded files, ready to be asked.
#[derive(Debug, Default)]
pub struct Guarded {
    globs: Vec<(Glob, Option<String>)>,
}

impl Guarded {
    /// Parses globs; one that is none guards nothing, which the check of the plan tells.
    pub fn new(globs: &[&str]) -> Self {
        let parse = |glob: &&str| {
            // Compared as systems do that keep upper and lower case for show only.
            let folded = glob.to_lowercase();
            let glob = Glob::parse(&folded).ok()?;
            Some((glob, first_name(&folded).map(str::to_owned)))
        };
        Self {
            globs: globs.iter().filter_map(parse).collect(),
        }
    }

    /// Returns whether a path is guarded and none of the globs of a task names it.
    ///
    /// Named is what a glob spells out: `.husky/**` and `**/.gitattributes` name, `**` and `src/**` do not.
    pub fn forbids(&self, path: &[u8], named_by: &[&str]) -> bool {
        let folded = fold(path);
        let mut guards = self.globs.iter().filter(|(glob, first)| {
            // Most paths have none of the names in them, which is quickly seen.
            let may = first.as_deref().is_none_or(|name| folded.contains(name));
            may && glob.matches(&folded)
        });
        guards.any(|(_, first)| {
            let part = folded
                .split('/')
                .position(|part| Some(part) == first.as_deref());
            let text = String::from_utf8_lossy(path);
            let mut parts = text.split('/');
            let name = match part {
                Some(at) => parts.nth(at),
                None => parts.next_back(),
            };
            let name = name.unwrap_or_default();
            !named_by.iter().any(|glob| names(glob, &text, name))
        })
    }
}
