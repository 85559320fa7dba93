//! Ends what a child has left behind.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::family::families;
use super::proc::{self, Row};
use crate::clock;
use crate::git;

/// Time that left-behind processes get to end themselves after a polite signal.
const GRACE: Duration = Duration::from_millis(500);

/// Time after which processes that survive even SIGKILL (stuck in the kernel) are left to it.
const GIVE_UP: Duration = Duration::from_secs(5);

/// How often is looked whether they are gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ends every process that carries a mark, with all that descends from it, and returns how many there were.
///
/// For what a killed run has left behind; the mark must not be in use by this process.
///
/// # Errors
///
/// There are no resources for the wait.
pub fn sweep(mark: &str) -> Result<usize> {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("cannot start the runtime")
    };
    // On a thread of its own, so that it may be called from within a runtime.
    std::thread::scope(|scope| {
        let swept = scope.spawn(|| Ok(runtime()?.block_on(end_all(mark, None))));
        swept
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Returns whether any process carries a mark, or one below it; this one and those it descends from do not count.
pub fn is_alive(mark: &str) -> bool {
    !families().carriers(mark).is_empty()
}

/// Ends all children of this process at once, with all that they started, and whatever Git looks at just now.
pub fn kill_all() {
    git::end_all();
    let begun = clock::monotonic();
    loop {
        let everyone = families().everyone();
        if everyone.is_empty() || clock::monotonic().duration_since(begun) > GIVE_UP {
            return;
        }
        for row in &everyone {
            proc::signal(row, Signal::KILL);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Ends all children of this process because it is about to end itself: nobody learns how they ended, since
/// being killed says nothing about them, and no further child is started.
pub fn close() {
    families().close();
    kill_all();
}

/// Ends all that belongs to a mark, politely at first, and returns how many there were.
pub(super) async fn end_all(mark: &str, child: Option<&Row>) -> usize {
    let mut asked = HashSet::new();
    let mut waited = Duration::ZERO;
    loop {
        let members = families().members(mark, child);
        if members.is_empty() || waited > GIVE_UP {
            return asked.len();
        }
        for member in &members {
            end(member, &mut asked, waited > GRACE);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

fn end(member: &Row, asked: &mut HashSet<(i32, u64)>, firmly: bool) {
    if firmly {
        asked.insert(member.identity());
        proc::signal(member, Signal::KILL);
    } else if asked.insert(member.identity()) {
        proc::signal(member, Signal::TERM);
        // A stopped process hears nothing before it goes on.
        proc::signal(member, Signal::CONT);
    }
}
