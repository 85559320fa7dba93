//! Steps that work goes up by: whose they are must be there and may own them.

use super::super::fields::Notes;
use super::super::finding::Severity;
use crate::model::{Level, Owner, Plan};

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    for level in Level::ALL {
        let Some(spec) = plan.levels.get(level) else {
            continue;
        };
        let key = format!("levels.{}", level.as_str());
        if let Some((message, help)) = spec.owner.and_then(|owner| wrong(plan, level, owner)) {
            notes.at(Severity::Error, &format!("{key}.owner"), message, help);
        }
        for (i, check) in spec.checks.iter().enumerate() {
            if check.contains('\0') {
                let message = format!("`checks[{i}]` is no command");
                let help = "write a command, or take it out";
                notes.at(
                    Severity::Error,
                    &format!("{key}.checks[{i}]"),
                    message,
                    help,
                );
            }
        }
    }
}

/// Returns what is wrong with an owner, and what to write instead.
fn wrong(plan: &Plan, level: Level, owner: Owner) -> Option<(String, String)> {
    match (level, owner) {
        (Level::Approval, Owner::Person) => None,
        (Level::Approval, _) => Some((
            format!("`{owner}` cannot own the approval: only a person moves the base branch"),
            String::from("write `person`, or take the key out"),
        )),
        (_, Owner::Agent(agent)) if !agent.is_leader() => Some((
            format!("agent {agent} is a coder: only leaders own steps"),
            format!("write `{}.0`", agent.team),
        )),
        (_, Owner::Agent(agent)) => {
            let is_there = plan.teams.iter().any(|team| team.id == agent.team);
            let teams: Vec<String> = plan.teams.iter().map(|t| format!("`{}.0`", t.id)).collect();
            (!is_there).then(|| {
                (
                    format!("there is no team {} that {agent} would lead", agent.team),
                    format!("write one of {}", teams.join(", ")),
                )
            })
        }
        (Level::Integration, Owner::Leader) => Some((
            String::from("`leader` does not say which: the integration is of all teams"),
            String::from("write a leader's id such as `1.0`, `assembler` or `person`"),
        )),
        (Level::Team, Owner::Leader) | (_, Owner::Person | Owner::Assembler) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_text;

    /// What is found in steps, as `line:column key: message => help`.
    fn found(levels: &str) -> Vec<String> {
        let task = "[[tasks]]\nid = \"a\"\ntitle = \"T\"\nscope = [\"a\"]\ndeliverables = [\"a\"]\n\
                    success = [\"true\"]\nrun = \"true\"\n";
        let checked = check_text(format!("{levels}{task}").as_bytes(), "stem");
        let lines = checked.findings.iter();
        let lines = lines.map(|f| {
            format!(
                "{}:{} {}: {} => {}",
                f.line, f.column, f.key, f.message, f.help
            )
        });
        lines.collect()
    }

    #[test]
    fn owners_are_people_the_assembler_or_leaders_that_are_there() {
        for good in ["person", "assembler", "leader", "1.0"] {
            let text = format!("[levels.team]\nowner = \"{good}\"\n");
            assert!(found(&text).is_empty(), "{good}: {:?}", found(&text));
        }
        let bad = [
            (
                "team",
                "persn",
                "`persn` is nobody who owns a step => write `person`",
            ),
            (
                "team",
                "1.2",
                "agent 1.2 is a coder: only leaders own steps => write `1.0`",
            ),
            (
                "integration",
                "7.0",
                "there is no team 7 that 7.0 would lead => write one of `1.0`",
            ),
            (
                "integration",
                "leader",
                "`leader` does not say which: the integration is of all teams => write a leader's id such as \
                 `1.0`, `assembler` or `person`",
            ),
            (
                "approval",
                "1.0",
                "`1.0` cannot own the approval: only a person moves the base branch => write `person`, or \
                 take the key out",
            ),
        ];
        for (level, owner, expected) in bad {
            let text = format!("[levels.{level}]\nowner = \"{owner}\"\n");
            let expected = format!("2:9 levels.{level}.owner: {expected}");
            assert_eq!(found(&text), [expected], "{level} {owner}");
        }
    }

    #[test]
    fn unknown_steps_and_keys_and_wrong_kinds_are_told() {
        assert_eq!(
            found("[levels.aproval]\n"),
            ["1:9 levels.aproval: unknown key `aproval` => write `approval`"]
        );
        assert_eq!(
            found("[levels.team]\ncheck = [\"true\"]\n"),
            ["2:1 levels.team.check: unknown key `check` => write `checks`"]
        );
        assert_eq!(
            found("[levels.team]\nchecks = [\"a\\u0000\"]\n"),
            [
                "2:11 levels.team.checks[0]: `checks[0]` is no command => write a command, or take it out"
            ]
        );
        assert_eq!(
            found("[levels]\nteam = 1\n"),
            [
                "2:8 levels.team: `team` must be a table, not a whole number => write for example `[levels.team]`"
            ]
        );
    }
}
