//! The prompt: `templates/prompt.md` with every placeholder filled, or refused.

use anyhow::{Context as _, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::json;

use super::Briefing;
use super::briefing::Built;
use super::command::shell_word;
use crate::model::Lock;
use crate::model::locks::Holder;

const TEMPLATE: &str = include_str!("../../templates/prompt.md");

/// Renders the prompt of an attempt.
///
/// # Errors
///
/// The template names something that there is no value for.
pub fn render(briefing: &Briefing) -> Result<String> {
    render_template(TEMPLATE, briefing)
}

fn render_template(template: &str, briefing: &Briefing) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.context("cannot render the prompt")?);
    environment
        .render_str(template, Serde(values(briefing)))
        .context("cannot render the prompt")
}

fn values(briefing: &Briefing) -> serde_json::Value {
    let Briefing { work, spec, .. } = briefing;
    let success: Vec<_> = spec
        .success
        .iter()
        .map(|criterion| json!({ "text": criterion.text, "run": criterion.run }))
        .collect();
    let dependencies: Vec<_> = briefing.dependencies.iter().map(built).collect();
    json!({
        "task": work.task,
        "agent": work.agent,
        "attempt": work.attempt,
        "branch": work.branch,
        "worktree": work.worktree.display().to_string(),
        "team": work.agent.team,
        "team_name": briefing.team_name,
        "run": briefing.run,
        "goal": briefing.goal,
        "title": spec.title,
        "context": spec.context,
        "scope": spec.scope,
        "deliverables": spec.deliverables,
        "success": success,
        "effort": spec.effort,
        "role": spec.role,
        "style": spec.style,
        "dependencies": dependencies,
        "findings": briefing.findings,
        "has_commits": briefing.has_commits,
        "messages": briefing.messages,
        "undecided": briefing.undecided,
        "locks": briefing.locks.iter().map(|lock| bound(lock, briefing)).collect::<Vec<_>>(),
        "commits": briefing.profile.commit,
        "done": briefing.profile.done,
        "sandboxed": briefing.is_sandboxed,
        "program": shell_word(&briefing.program.display().to_string()),
        "result_file": briefing.files.result().display().to_string(),
    })
}

fn bound(lock: &Lock, briefing: &Briefing) -> serde_json::Value {
    let holder = Holder {
        task: &briefing.work.task,
        locks: &briefing.spec.locks,
        agent: Some(briefing.work.agent),
    };
    json!({
        "id": lock.id,
        "trust": lock.trust,
        "paths": lock.paths,
        "assertion": lock.assertion,
        "check": lock.check,
        "yours": lock.lets(&holder),
    })
}

fn built(built: &Built) -> serde_json::Value {
    let handoff = built.handoff.as_ref();
    json!({
        "task": built.task,
        "title": built.title,
        "state": built.state.as_str(),
        "merged_in": built.merged_in,
        "summary": handoff.map(|handoff| handoff.summary.as_str()).unwrap_or_default(),
        "deliverables": handoff.map(|handoff| handoff.deliverables.clone()).unwrap_or_default(),
        "next_steps": handoff.map(|handoff| handoff.next_steps.clone()).unwrap_or_default(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::agents::{AttemptFiles, Work};
    use crate::git::Repo;
    use crate::model::{
        Attempt, Criterion, DoneSign, Handoff, HandoffStatus, Profile, State, TaskSpec, TeamId,
        Trust,
    };

    fn lock(id: &str, trust: Trust) -> Lock {
        Lock {
            id: id.parse().unwrap(),
            trust,
            paths: vec![String::from("src/auth/**")],
            assertion: format!("the {id} is as decided"),
            check: Some(String::from("make check")),
            reason: None,
            owner: None,
            tasks: Vec::new(),
        }
    }

    /// A briefing with everything in it.
    pub(in crate::agents) fn briefing() -> Briefing {
        let dir = tempfile::tempdir().unwrap();
        gix::init_bare(dir.path()).unwrap();
        let repo = Repo::discover(dir.path()).unwrap();
        let work = Work {
            task: "auth-schema".parse().unwrap(),
            agent: "1.2".parse().unwrap(),
            attempt: Attempt(2),
            branch: String::from("orch/team-1/auth-schema"),
            worktree: "/somewhere/app.orch/it's 1.2".into(),
        };
        let mut spec = TaskSpec::new(work.task.clone(), TeamId(1), "Create the schema");
        spec.scope = vec![String::from("src/auth/**")];
        spec.deliverables = vec![String::from("src/auth/schema.sql")];
        spec.success = vec![
            Criterion {
                text: None,
                run: Some(String::from("test -s src/auth/schema.sql")),
            },
            Criterion {
                text: Some(String::from("it is normalised")),
                run: None,
            },
        ];
        Briefing {
            files: AttemptFiles::new(&repo, &work.task, work.attempt),
            run: String::from("billing"),
            goal: String::from("Take payments."),
            team_name: String::from("Infrastructure"),
            model: String::from("sonnet"),
            profile_name: String::from("default"),
            profile: Profile::default(),
            dependencies: vec![Built {
                task: "layout".parse().unwrap(),
                title: String::from("Lay out the source"),
                state: State::Submitted,
                merged_in: true,
                handoff: Some(Handoff {
                    task_id: "layout".parse().unwrap(),
                    status: HandoffStatus::Completed,
                    summary: String::from("The folders are there."),
                    output: String::new(),
                    deliverables: vec![String::from("src/mod.rs")],
                    dependencies: Vec::new(),
                    next_steps: vec![String::from("fill them")],
                }),
            }],
            findings: Some(String::from("the file was empty")),
            has_commits: true,
            messages: vec![String::from("in answer to \"which?\": the second")],
            is_sandboxed: false,
            program: "/opt/it's/git-orch".into(),
            undecided: None,
            locks: vec![
                lock("schema", Trust::Critical),
                lock("style", Trust::Unlocked),
            ],
            spec,
            work,
        }
    }

    #[test]
    fn everything_that_is_known_stands_in_the_prompt() {
        let briefing = briefing();
        let text = render(&briefing).unwrap();
        for part in [
            "# Task auth-schema: Create the schema\n",
            "agent 1.2, a coder of team 1 (Infrastructure) in the run \"billing\"",
            "Take payments.",
            "- `src/auth/schema.sql`\n",
            "- this command exits with zero on a checkout of what is committed: `test -s src/auth/schema.sql`\n",
            "- it is normalised\n",
            "- `src/auth/**`\n",
            "- `layout` (Lay out the source), submitted; its commits are in your branch: The folders are there.\n",
            "  - delivered `src/mod.rs`\n  - left to do: fill them\n",
            "This is attempt 2. What an earlier attempt committed is on your branch;",
            "- `schema` (critical) for `src/auth/**`: the schema is as decided; `make check` checks it. Change none of these files: a commit that does is refused\n",
            "- `style` (unlocked) for `src/auth/**`: the style is as decided; `make check` checks it\n",
            "the file was empty",
            "## Messages to you\n\n- in answer to \"which?\": the second\n",
            "- worktree: `/somewhere/app.orch/it's 1.2`\n",
            "- branch: `orch/team-1/auth-schema`;",
            "run `'/opt/it'\\''s/git-orch' block --message '<your question>'` and end",
            "run `'/opt/it'\\''s/git-orch' escalate auth-schema --message '<what>'`",
            "exit with zero when",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        assert!(!text.contains("{{") && !text.contains("{%") && !text.contains("\n\n\n"));
    }

    #[test]
    fn the_prompt_is_well_formed_and_leaves_texts_as_they_are() {
        let mut briefing = briefing();
        briefing.spec.context = String::from("keep  \n\n\n    this");
        let text = render(&briefing).unwrap();
        assert!(text.contains("keep  \n\n\n    this"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            if line.starts_with("## ") {
                assert_eq!(
                    (lines[n - 1], lines[n + 1]),
                    ("", ""),
                    "around {line} in\n{text}"
                );
                assert_ne!(
                    (lines[n - 2], lines[n + 2]),
                    ("", ""),
                    "around {line} in\n{text}"
                );
            }
        }
    }

    #[test]
    fn what_is_absent_leaves_no_heading_behind() {
        let mut briefing = briefing();
        briefing.findings = None;
        briefing.messages.clear();
        briefing.dependencies.clear();
        briefing.goal.clear();
        briefing.team_name.clear();
        briefing.locks.clear();
        briefing.spec = TaskSpec::new(briefing.work.task.clone(), TeamId(1), "Create the schema");
        let text = render(&briefing).unwrap();
        for part in [
            "went wrong",
            "builds on",
            "Goal of",
            "Messages",
            "()",
            "None",
            "none",
            "Style",
        ] {
            assert!(!text.contains(part), "`{part}` is in:\n{text}");
        }
    }

    #[test]
    fn a_branch_without_commits_is_not_said_to_have_any() {
        let mut briefing = briefing();
        briefing.has_commits = false;
        let text = render(&briefing).unwrap();
        assert!(
            text.contains(
                "Nothing of an earlier attempt is on your branch.\nThe earlier attempt was"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_sign_of_being_done_is_the_profiles() {
        let mut briefing = briefing();
        briefing.profile.done = DoneSign::Sentinel;
        assert!(
            render(&briefing)
                .unwrap()
                .contains("`<!-- DONE -->` as your very last line")
        );
        briefing.profile.done = DoneSign::Result;
        let text = render(&briefing).unwrap();
        assert!(text.contains("without it, or with another status, the attempt fails"));
        assert!(!text.contains("exit with zero"));
    }

    #[test]
    fn who_cannot_write_the_ledger_asks_by_its_result_file() {
        let mut briefing = briefing();
        briefing.is_sandboxed = true;
        let text = render(&briefing).unwrap();
        assert!(
            text.contains("`\"status\": \"blocked\"` and your question"),
            "{text}"
        );
        assert!(!text.contains("escalate"), "{text}");
    }

    #[test]
    fn a_placeholder_without_value_is_refused() {
        let error = render_template("{{ titel }}", &briefing()).unwrap_err();
        assert!(format!("{error:#}").contains("undefined"), "{error:#}");
    }
}
