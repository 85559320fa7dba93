//! The index of events: the ledger's history, kept so that a question about a million events is answered in
//! milliseconds.
//!
//! A cache of two files under the common Git directory that may be deleted, be stale or be damaged at any
//! moment: it names the commit that it reaches, what came after is read from the commits themselves, and
//! every byte that an answer rests on is checked. Where a check fails the commits are asked instead.
//!
//! * [`query`] says what is looked for, as keys that the index has of every event.
//! * `record` turns an event into bytes and back; `check` notices bytes that are not what was written.
//! * `index` reads the files; `extend` writes them while the commits are read.

mod check;
mod extend;
mod index;
pub mod query;
mod record;

use anyhow::Result;

use self::extend::Extension;
use self::index::{Backward, Found, Index};
use super::history::Walk;
use super::{Entry, Ledger};
use crate::git::{Oid, Repo};

pub use self::query::Query;

/// Commits after whose reading the caller is told for the first time; then at every doubling.
const TOLD_FIRST: u64 = 200_000;

/// Events of the ledger, newest first: all that a query asks for, and some that it does not.
pub struct History<'a> {
    repo: &'a Repo,
    query: Query,
    tip: Option<Oid>,
    source: Source<'a>,
    read: u64,
    tell: Option<Box<dyn FnMut(u64) + 'a>>,
}

/// Where the next event comes from.
enum Source<'a> {
    /// The commits that the index does not have yet, or all of them where there is no index.
    Commits(Walk<'a>, Option<Index>, Extension),
    /// The index.
    Index(Backward),
    /// The commits below a damaged place of the index: so many are to be passed over first.
    Rest(Walk<'a>, u64),
    /// Nowhere: that was all.
    End,
}

impl Ledger {
    /// Returns the ledger's commits, newest first.
    pub fn history(&self) -> History<'_> {
        self.search(Query::default())
    }

    /// Returns the ledger's commits that a query may ask for, newest first.
    pub fn search(&self, query: Query) -> History<'_> {
        let index = Index::open(&self.repo().orch_dir());
        let extension = Extension::new(self.repo().orch_dir(), self.tip(), index.as_ref());
        let walk = Walk::new(self.repo(), self.tip());
        History {
            repo: self.repo(),
            query,
            tip: None,
            source: Source::Commits(walk, index, extension),
            read: 0,
            tell: None,
        }
    }
}

/// Returns the file of an index that cannot be read at all, if there is one.
pub(super) fn broken(repo: &Repo) -> Option<std::path::PathBuf> {
    let path = index::rows_path(&repo.orch_dir());
    (path.exists() && Index::open(&repo.orch_dir()).is_none()).then_some(path)
}

impl<'a> History<'a> {
    /// Has a function called with the number of commits read so far, when there are many of them.
    #[must_use]
    pub fn telling(mut self, tell: impl FnMut(u64) + 'a) -> Self {
        self.tell = Some(Box::new(tell));
        self
    }

    /// Returns how many commits were read because the index did not have them.
    pub fn commits_read(&self) -> u64 {
        self.read
    }

    fn count_read(&mut self) {
        self.read += 1;
        let at = self.read / TOLD_FIRST;
        if at.is_power_of_two()
            && self.read.is_multiple_of(TOLD_FIRST)
            && let Some(tell) = &mut self.tell
        {
            tell(self.read);
        }
    }
}

impl Iterator for History<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            match &mut self.source {
                Source::Commits(walk, index, extension) => {
                    let reached = index.as_ref().map(Index::tip);
                    if walk.peek().is_some() && walk.peek() != reached {
                        let entry = walk.next()?;
                        if let Ok(entry) = &entry {
                            extension.push(entry);
                        } else {
                            self.source = Source::End;
                        }
                        self.count_read();
                        return Some(entry);
                    }
                    let ends_here = walk.peek().is_none();
                    extension.finish(!ends_here);
                    self.source = match index.take() {
                        Some(index) if !ends_here => {
                            self.tip = Some(index.tip());
                            Source::Index(Backward::new(index))
                        }
                        _ => Source::End,
                    };
                }
                Source::Index(backward) => match backward.next(&self.query) {
                    Found::Entry(entry) => return Some(Ok(entry)),
                    Found::End => self.source = Source::End,
                    Found::Damage { passed } => {
                        extend::discard(&self.repo.orch_dir(), backward.index());
                        self.source = Source::Rest(Walk::new(self.repo, self.tip), passed);
                    }
                },
                Source::Rest(walk, to_pass) => {
                    let entry = walk.next()?;
                    let passed = *to_pass > 0 && entry.is_ok();
                    *to_pass = to_pass.saturating_sub(1);
                    self.count_read();
                    if !passed {
                        return Some(entry);
                    }
                }
                Source::End => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
