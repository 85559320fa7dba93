//! The radar beside the loop: looked at now and then while agents work, never two looks at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Done, Drive};
use crate::clock;
use crate::config;
use crate::executor::News;
use crate::executor::warn::{self, Warning};
use crate::ledger::Ledger;

/// A look may take one part in so many of all time.
const SHARE: u32 = 20;

/// When the radar is looked at next, and what was told.
pub(super) struct Lookout {
    /// Shortest time between two looks; `None` where nobody wants any.
    every: Option<Duration>,
    /// `None` while a look is going on.
    due: Option<Instant>,
    begun: Instant,
    /// Pairs that the person who watches has heard of.
    told: BTreeSet<(String, String)>,
}

impl Lookout {
    pub(super) fn new(ledger: &Ledger) -> Self {
        let every = config::radar_every(ledger.repo());
        let now = clock::monotonic();
        Self {
            due: every.and_then(|every| now.checked_add(every)),
            every,
            begun: now,
            told: BTreeSet::new(),
        }
    }
}

impl Drive<'_> {
    /// Looks for conflicts to come, if it is time and anybody here could heed them.
    pub(super) fn look_out(&mut self) {
        let now = clock::monotonic();
        let is_due = self.lookout.due.is_some_and(|due| due <= now);
        if !is_due || self.live.is_empty() {
            return;
        }
        let Ok(ledger) = self.reopen() else {
            return;
        };
        (self.lookout.due, self.lookout.begun) = (None, now);
        self.beside
            .spawn_blocking(move || Done::LookedOut(warn::look(&ledger)));
    }

    /// Tells coders here what was found, and the person who watches once of each pair.
    pub(super) fn looked_out(&mut self, found: Result<Vec<Warning>>) {
        let now = clock::monotonic();
        let pause = now.duration_since(self.lookout.begun) * SHARE;
        let every = self.lookout.every.map(|every| every.max(pause));
        self.lookout.due = every.and_then(|every| now.checked_add(every));
        // Branches that move under it, or a disk that is full: the next look may do better.
        let Ok(found) = found else {
            return;
        };
        for live in self.live.values().filter(|live| live.stop.is_some()) {
            let task = &live.held.assignment.task;
            let own: Vec<&Warning> = found.iter().filter(|one| one.task == *task).collect();
            // A coder that cannot be told goes on as if nobody had looked.
            let _ = warn::show(self.ledger.repo(), &live.worktree, &own);
            for warning in own {
                let pair = (warning.task.to_string(), warning.with.clone());
                if self.lookout.told.insert(pair) {
                    let agent = live.held.assignment.agent;
                    let text = format!("[{agent}] {}", warning.line());
                    self.watch.tell(&News::Note(text));
                }
            }
        }
    }
}
