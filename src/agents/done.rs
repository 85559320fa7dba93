//! Whether an agent says that it is done (C3). What it delivered is checked afterwards in any case.

use crate::model::duration::format_duration;
use crate::model::{DoneSign, Handoff, HandoffStatus, TimeLimits};
use crate::process::{Ended, Ending};

/// The last line of an agent's output that says it is done.
pub(super) const SENTINEL: &str = "<!-- DONE -->";

/// Checks the sign that a profile asks for; the exit status alone is no verdict (docs/decisions/verdict-of-an-agent.md).
///
/// # Errors
///
/// Returns in one line why the agent is not done.
pub fn judge(
    sign: DoneSign,
    ended: &Ended,
    result: Option<&Handoff>,
    limits: &TimeLimits,
) -> Result<(), String> {
    let how = || told(ended, limits);
    if let Some(handoff) = result
        && matches!(
            handoff.status,
            HandoffStatus::Failed | HandoffStatus::Blocked
        )
    {
        let status = if handoff.status == HandoffStatus::Failed {
            "failed"
        } else {
            "blocked"
        };
        return Err(format!("the agent says {status}: {}", handoff.summary));
    }
    match sign {
        DoneSign::Exit if ended.ending == Ending::Exited(0) => Ok(()),
        DoneSign::Exit => Err(how()),
        DoneSign::Sentinel => {
            let last = ended
                .tail
                .lines()
                .map(str::trim)
                .rfind(|line| !line.is_empty());
            if last == Some(SENTINEL) {
                Ok(())
            } else {
                Err(format!("its last line is not {SENTINEL}; {}", how()))
            }
        }
        DoneSign::Result => match result {
            Some(handoff) if handoff.status == HandoffStatus::Completed => Ok(()),
            Some(_) => Err(format!("its result file does not say completed; {}", how())),
            None => Err(format!("it left no result file; {}", how())),
        },
    }
}

/// Tells how an agent ended.
fn told(ended: &Ended, limits: &TimeLimits) -> String {
    let after = format_duration(ended.took);
    match ended.ending {
        Ending::Exited(code) => format!("the agent exited with {code}"),
        Ending::Signalled(signal) => format!("the agent was ended by signal {signal}"),
        Ending::TimedOut => format!("the agent timed out after {after}: {}", limits.wall),
        Ending::Silent => format!(
            "the agent fell silent and was ended after {after}, with no output, no CPU time and no commit for so long: {}",
            limits.idle
        ),
        Ending::Stopped => String::from("the agent was stopped"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Profile, RunSpec, TaskSpec, TeamId};

    /// Judges with the times that hold by themselves.
    fn judge(sign: DoneSign, ended: &Ended, result: Option<&Handoff>) -> Result<(), String> {
        let task = TaskSpec::new("t".parse().unwrap(), TeamId(1), "title");
        let profile = ("default", &Profile::default());
        let limits = TimeLimits::of(&task, profile, &RunSpec::default());
        super::judge(sign, ended, result, &limits)
    }

    fn ended(ending: Ending, tail: &str) -> Ended {
        Ended {
            ending,
            tail: tail.to_owned(),
            took: Duration::from_secs(7),
            leftovers: 0,
        }
    }

    fn handoff(status: HandoffStatus) -> Handoff {
        Handoff {
            task_id: "t".parse().unwrap(),
            status,
            summary: String::from("no key"),
            output: String::new(),
            deliverables: Vec::new(),
            dependencies: Vec::new(),
            next_steps: Vec::new(),
        }
    }

    #[test]
    fn each_sign_decides_by_itself() {
        let good = ended(Ending::Exited(0), "bye\n");
        let crashed = ended(Ending::Signalled(11), "<!-- DONE -->\n\n");
        assert_eq!(judge(DoneSign::Exit, &good, None), Ok(()));
        assert_eq!(
            judge(DoneSign::Exit, &crashed, None),
            Err(String::from("the agent was ended by signal 11"))
        );
        assert_eq!(judge(DoneSign::Sentinel, &crashed, None), Ok(()));
        assert!(judge(DoneSign::Sentinel, &good, None).is_err());
        let done = handoff(HandoffStatus::Completed);
        assert_eq!(judge(DoneSign::Result, &crashed, Some(&done)), Ok(()));
        assert!(judge(DoneSign::Result, &good, None).is_err());
        let pending = handoff(HandoffStatus::Pending);
        assert!(judge(DoneSign::Result, &good, Some(&pending)).is_err());
    }

    #[test]
    fn who_was_ended_for_its_time_is_told_which_key_says_so() {
        let said = |ending| judge(DoneSign::Exit, &ended(ending, ""), None).unwrap_err();
        assert_eq!(
            said(Ending::TimedOut),
            "the agent timed out after 7s: `timeout = \"30m\"` in [run]"
        );
        let silent = said(Ending::Silent);
        assert!(silent.starts_with("the agent fell silent and was ended after 7s"));
        assert!(
            silent.ends_with(": `idle_timeout = \"15m\"` in [run]"),
            "{silent}"
        );
    }

    #[test]
    fn an_agent_that_says_failed_has_failed_whatever_its_exit() {
        let good = ended(Ending::Exited(0), SENTINEL);
        for sign in [DoneSign::Exit, DoneSign::Sentinel, DoneSign::Result] {
            assert_eq!(
                judge(sign, &good, Some(&handoff(HandoffStatus::Failed))),
                Err(String::from("the agent says failed: no key"))
            );
        }
    }

    #[test]
    fn the_word_alone_in_a_longer_line_is_no_sign() {
        let near = ended(Ending::Exited(0), "I shall print <!-- DONE --> later");
        assert!(judge(DoneSign::Sentinel, &near, None).is_err());
    }
}
