//! Medians, ratios and throw-away repositories for the benchmarks.

#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part")]

pub mod run;
pub mod script;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const ORCH: &str = env!("CARGO_BIN_EXE_git-orch");

/// Returns a command that sees nothing of the user's configuration.
pub fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Bench")
            .env(format!("GIT_{who}_EMAIL"), "b@example.com");
    }
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Runs git and returns what it printed.
pub fn git<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> String {
    let output = command("git", dir).args(args).output().expect("git runs");
    assert!(output.status.success(), "git failed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs the program under test, its answer thrown away.
pub fn orch<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) {
    let status = command(ORCH, dir).args(args).stdout(Stdio::null()).status();
    assert!(status.expect("git-orch runs").success(), "git-orch failed");
}

/// Measures one call.
pub fn time(mut call: impl FnMut()) -> Duration {
    let begin = Instant::now();
    call();
    begin.elapsed()
}

/// Measures two calls alternately, in rounds of `calls` each, so that both meet the same machine; returns
/// the median time of a call.
pub fn interleaved(
    rounds: usize,
    calls: usize,
    mut ours: impl FnMut(),
    mut rival: impl FnMut(),
) -> (Duration, Duration) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.extend((0..calls).map(|_| time(&mut ours)));
        b.extend((0..calls).map(|_| time(&mut rival)));
    }
    (median(a), median(b))
}

/// Returns the median.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Prints one comparison and whether it meets its target.
pub fn report(what: &str, ours: Duration, rival: Duration, target: f64) {
    let ratio = ours.as_secs_f64() / rival.as_secs_f64();
    let verdict = if ratio <= target { "met" } else { "MISSED" };
    println!(
        "{what:<58} ours {:>9.3} ms   rival {:>9.3} ms   ratio {ratio:>6.3}   target {target:.3} {verdict}",
        ours.as_secs_f64() * 1e3,
        rival.as_secs_f64() * 1e3,
    );
}

/// Prints one comparison that has no target of its own.
pub fn tell(what: &str, ours: Duration, rival: Duration) {
    println!(
        "{what:<58} ours {:>9.3} ms   rival {:>9.3} ms   ratio {:>6.3}",
        ours.as_secs_f64() * 1e3,
        rival.as_secs_f64() * 1e3,
        ours.as_secs_f64() / rival.as_secs_f64(),
    );
}

/// Returns Jain's index of fairness: 1 where all have the same, 1/n where one has everything.
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let count = shares.iter().map(|_| 1.0).sum::<f64>();
    sum * sum / (count * squares).max(f64::MIN_POSITIVE)
}
