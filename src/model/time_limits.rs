//! How long something may take, and who says so.

use std::fmt;
use std::time::Duration;

use super::duration::format_duration;
use super::profile::Profile;
use super::spec::{RunSpec, TaskSpec};

/// A time, the key of the plan that sets it, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimit {
    /// The time.
    pub time: Duration,
    key: &'static str,
    place: SetIn,
}

/// Where a limit is set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SetIn {
    Task,
    Profile(String),
    Run,
}

impl fmt::Display for TimeLimit {
    /// Tells key and place, as `` `timeout = "30m"` in [run] ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_duration(self.time);
        write!(f, "`{} = \"{time}\"` ", self.key)?;
        match &self.place {
            SetIn::Task => f.write_str("of the task"),
            SetIn::Profile(name) => write!(f, "in [agents.{name}]"),
            SetIn::Run => f.write_str("in [run]"),
        }
    }
}

/// How long one attempt may take and be idle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimits {
    /// In all.
    pub wall: TimeLimit,
    /// Without a sign of life.
    pub idle: TimeLimit,
}

impl TimeLimits {
    /// Returns what holds for a task's attempts by an agent of a profile: the task's word before the profile's, and
    /// the run's last.
    pub fn of(task: &TaskSpec, (name, profile): (&str, &Profile), run: &RunSpec) -> Self {
        let limit = |key, of_task: Option<Duration>, of_profile: Option<Duration>, of_run| {
            let (time, place) = match (of_task, of_profile) {
                (Some(time), _) => (time, SetIn::Task),
                (None, Some(time)) => (time, SetIn::Profile(name.to_owned())),
                (None, None) => (of_run, SetIn::Run),
            };
            TimeLimit { time, key, place }
        };
        Self {
            wall: limit("timeout", task.timeout, profile.timeout, run.timeout),
            idle: limit(
                "idle_timeout",
                task.idle_timeout,
                profile.idle_timeout,
                run.idle_timeout,
            ),
        }
    }
}

impl TimeLimit {
    /// Returns how long a success command of a task may take.
    pub fn of_check(task: &TaskSpec, run: &RunSpec) -> Self {
        match task.timeout {
            Some(time) => Self {
                time,
                key: "timeout",
                place: SetIn::Task,
            },
            None => Self {
                time: run.test_timeout,
                key: "test_timeout",
                place: SetIn::Run,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TeamId;

    #[test]
    fn the_nearest_word_counts_and_is_named() {
        let run = RunSpec::default();
        let mut profile = Profile::default();
        let mut task = TaskSpec::new("a".parse().unwrap(), TeamId(1), "title");
        let limits = TimeLimits::of(&task, ("robot", &profile), &run);
        assert_eq!(limits.wall.to_string(), "`timeout = \"30m\"` in [run]");
        assert_eq!(limits.idle.to_string(), "`idle_timeout = \"15m\"` in [run]");
        profile.timeout = Some(Duration::from_secs(3600));
        let limits = TimeLimits::of(&task, ("robot", &profile), &run);
        assert_eq!(
            limits.wall.to_string(),
            "`timeout = \"1h\"` in [agents.robot]"
        );
        task.timeout = Some(Duration::from_secs(90));
        let limits = TimeLimits::of(&task, ("robot", &profile), &run);
        assert_eq!(limits.wall.to_string(), "`timeout = \"1m30s\"` of the task");
        assert_eq!(TimeLimit::of_check(&task, &run), limits.wall);
        task.timeout = None;
        let check = TimeLimit::of_check(&task, &run).to_string();
        assert_eq!(check, "`test_timeout = \"30m\"` in [run]");
    }
}
