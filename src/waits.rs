//! Waits that take long say what they wait for: a lock that another process holds, a remote that does not answer.
//!
//! One thread watches over all waits of the process. What is told goes to whoever has asked for it: the terminal of a
//! command, or the screen of a run. Nobody hears of a wait that is short.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// How long a wait may be before it is told, and how often it is told again.
const TELL_AFTER: Duration = Duration::from_secs(5);
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Who hears of long waits.
type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// All waits of the process.
struct Waits {
    listener: Option<Listener>,
    going_on: BTreeMap<u64, Wait>,
    last: u64,
    is_watched: bool,
}

/// One of them.
struct Wait {
    what: String,
    begun: Instant,
    next: Instant,
}

static WAITS: Mutex<Waits> = Mutex::new(Waits {
    listener: None,
    going_on: BTreeMap::new(),
    last: 0,
    is_watched: false,
});

/// Wakes the watching thread when there is something to watch.
static BEGUN: Condvar = Condvar::new();

fn waits() -> MutexGuard<'static, Waits> {
    // Every change is a single insertion or removal, so a panic elsewhere leaves nothing half done.
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells of long waits to somebody, until what is returned is dropped: then to whoever heard of them before.
pub fn listen(listener: impl Fn(&str) + Send + Sync + 'static) -> Listening {
    let before = waits().listener.replace(Arc::new(listener));
    Listening { before }
}

/// Whoever hears of long waits, for as long as this lives.
#[must_use]
pub struct Listening {
    before: Option<Listener>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        waits().listener = self.before.take();
    }
}

/// Waits, and tells what for where it takes long.
pub fn told<T>(what: impl Into<String>, wait: impl FnOnce() -> T) -> T {
    let _going_on = GoingOn::begin(what.into());
    wait()
}

/// A wait that is watched until this is dropped.
struct GoingOn(u64);

impl GoingOn {
    fn begin(what: String) -> Self {
        let begun = clock::monotonic();
        let mut all = waits();
        all.last += 1;
        let number = all.last;
        let next = begun + TELL_AFTER;
        all.going_on.insert(number, Wait { what, begun, next });
        if !std::mem::replace(&mut all.is_watched, true) {
            let watch = std::thread::Builder::new().name(String::from("waits"));
            // Without a thread to be had the wait goes on untold.
            all.is_watched = watch.spawn(watch_over).is_ok();
        }
        drop(all);
        BEGUN.notify_one();
        Self(number)
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        waits().going_on.remove(&self.0);
    }
}

fn watch_over() {
    let mut all = waits();
    loop {
        let now = clock::monotonic();
        let due = due(&mut all.going_on, now);
        if !due.is_empty()
            && let Some(listener) = all.listener.clone()
        {
            drop(all);
            for text in due {
                listener(&text);
            }
            all = waits();
            continue;
        }
        let next = all.going_on.values().map(|wait| wait.next).min();
        all = match next {
            Some(next) => {
                let pause = next.saturating_duration_since(now);
                let woken = BEGUN.wait_timeout(all, pause);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => BEGUN.wait(all).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

/// Returns what is to be told now, and notes when it is told again.
fn due(going_on: &mut BTreeMap<u64, Wait>, now: Instant) -> Vec<String> {
    let mut due = Vec::new();
    for wait in going_on.values_mut().filter(|wait| wait.next <= now) {
        let seconds = now.duration_since(wait.begun).as_secs();
        due.push(format!("waiting for {} ({seconds} s so far)", wait.what));
        wait.next = now + TELL_AGAIN;
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_when_it_is_long_and_then_now_and_again() {
        let begun = clock::monotonic();
        let wait = Wait {
            what: String::from("a lock"),
            begun,
            next: begun + TELL_AFTER,
        };
        let mut all = BTreeMap::from([(1, wait)]);
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert!(due(&mut all, after(4)).is_empty());
        assert_eq!(due(&mut all, after(5)), ["waiting for a lock (5 s so far)"]);
        assert!(due(&mut all, after(64)).is_empty());
        assert_eq!(
            due(&mut all, after(65)),
            ["waiting for a lock (65 s so far)"]
        );
    }

    #[test]
    fn what_is_waited_for_is_given_back_and_forgotten() {
        assert_eq!(told("nothing", || 7), 7);
        assert!(waits().going_on.values().all(|wait| wait.what != "nothing"));
    }
}
