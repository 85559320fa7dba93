use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::{Plan, TaskId};

/// Everything found, as `line:column key: message => help`; warnings begin with `~`.
fn found(text: &str) -> Vec<String> {
    let checked = check_text(text.as_bytes(), "stem");
    let lines = checked.findings.iter().map(|f| {
        let mark = match f.severity {
            Severity::Error => "",
            Severity::Warning => "~",
        };
        format!(
            "{mark}{}:{} {}: {} => {}",
            f.line, f.column, f.key, f.message, f.help
        )
    });
    lines.collect()
}

/// A task that nothing is wrong with, in one line of text.
fn task(id: &str, more: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\ntitle = \"T\"\nscope = [\"{id}\"]\ndeliverables = [\"{id}\"]\n\
         success = [\"true\"]\nrun = \"true\"\n{more}\n"
    )
}

/// Checks that exactly these things are found.
#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = found(text);
    assert_eq!(found, expected, "in\n{text}");
}

fn plan(text: &str) -> Plan {
    let checked = check_text(text.as_bytes(), "stem");
    checked
        .plan
        .unwrap_or_else(|| panic!("{:?}", checked.findings))
}

#[test]
fn the_smallest_plan_gets_a_team_a_phase_and_a_name() {
    let plan = plan(&task("a", ""));
    assert_eq!(plan.run.name, "stem");
    assert_eq!((plan.teams.len(), plan.teams[0].coders), (1, 4));
    assert_eq!(plan.phases[0].name.0, "main");
    assert_eq!(plan.phases[0].teams, [plan.teams[0].id]);
    assert_eq!(plan.tasks[0].team, plan.teams[0].id);
    assert!(found(&task("a", "")).is_empty());
}

#[test]
fn syntax_errors_are_told_with_their_place() {
    expect(
        "[run]\nname = \"é\" x\n",
        &[
            "2:12 : unexpected key or value, expected newline, `#` => mend the TOML: strings need quotes, tables `[name]`, lists `[…]`",
        ],
    );
    assert_eq!(found("[run]\nname = \"a\"\nname = \"b\"\n").len(), 1);
    assert_eq!(found("[run]\nname = \"a\"\nname = \"b\"\n")[0][..3], *"3:1");
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    let text = format!(
        "[rnu]\n[run]\nnmae = \"x\"\n{}",
        task("a", "sucess = []\nzzz = 1")
    );
    expect(
        &text,
        &[
            "1:2 rnu: unknown key `rnu` => write `run`",
            "3:1 run.nmae: unknown key `nmae` => write `name`",
            "11:1 tasks[0].sucess: unknown key `sucess` => write `success`",
            "12:1 tasks[0].zzz: unknown key `zzz` => take it out; known here: id, team, title, phase, context, \
             scope, deliverables, success, after, priority, model, role, skills, style, effort, repo, branch, \
             agent, timeout, idle_timeout, retries, run, locks",
        ],
    );
}

#[test]
fn wrong_types_say_what_is_expected() {
    let text = format!(
        "run = 5\nagents = []\nphases = 1\n{}",
        task(
            "a",
            "after = \"b\"\npriority = 1.5\ntimeout = true\nskills = [1]\nstyle = 7"
        )
    );
    expect(
        &text,
        &[
            "1:7 run: `run` must be a table, not a whole number => write for example `[run]`",
            "2:10 agents: `agents` must be a table, not an array => write for example `[agents]`",
            "3:10 phases: `phases` must be an array of tables, not a whole number => write for example `[[phases]]`",
            "11:9 tasks[0].after: `after` must be an array, not a string => write for example `after = [\"auth-schema\"]`",
            "12:12 tasks[0].priority: `priority` must be a whole number, not a number with a point => write for example `priority = 1`",
            "13:11 tasks[0].timeout: `timeout` must be a duration, not true or false => write for example `timeout = \"5m\"`",
            "14:11 tasks[0].skills[0]: `skills` must be an array of strings, not a whole number => write for example `skills = [\"sql\"]`",
            "15:9 tasks[0].style: `style` must be a string, not a whole number => write for example `style = \"…\"`",
        ],
    );
}

#[test]
fn values_out_of_bounds_are_told() {
    let text = format!(
        "[run]\nname = \"\"\njobs = 0\nretries = -1\ntimeout = \"0s\"\nlease = \"5 days\"\ntest = \" \"\n[run.limits]\n\
         opus = 0\n[[teams]]\nid = 0\n{}",
        task("a", "team = 1\nretries = 9999999999999999999")
    );
    expect(
        &text,
        &[
            "2:8 run.name: `name` is empty => write one line of text",
            "3:8 run.jobs: `jobs` is 0, which is not between 1 and 1000000 => write for example `jobs = 1`",
            "4:11 run.retries: `retries` is -1, which is not between 0 and 1000000 => write for example `retries = 1`",
            "5:11 run.timeout: `timeout` is no time at all => write for example `timeout = \"90s\"`, `\"5m\"` or `\"1h30m\"`",
            "6:9 run.lease: `lease` is no duration => write for example `lease = \"90s\"`, `\"5m\"` or `\"1h30m\"`",
            "7:8 run.test: `test` is no command => write a command, or take the key out",
            "9:8 run.limits.opus: `opus` is 0, which is not between 1 and 1000000 => write for example `opus = 1`",
            "11:6 teams[0].id: `id` is 0, which is not between 1 and 1000000 => write for example `id = 1`",
            "20:11 tasks[0].retries: `retries` is 9999999999999999999, which is not between 0 and 1000000 => write for example `retries = 1`",
        ],
    );
}

#[test]
fn profiles_say_what_they_run() {
    let text = format!(
        "[agents.a]\n[agents.b]\ncommand = \"x\"\npreset = \"shell\"\n[agents.c]\npreset = \"shel\"\n[agents.d]\n\
         command = []\ncommit = \"agnet\"\ndone = \"never\"\n[agents.e]\ncommand = [1]\nenv = {{ A = 1, \"B=\" = \"\" }}\n{}",
        task("t", "agent = \"claud\"")
    );
    let command = "write `command = \"my-agent {prompt_file}\"` or `command = [\"my-agent\", \"{prompt_file}\"]`";
    expect(
        &text,
        &[
            "1:1 agents.a.command: the profile says neither `command` nor `preset` => write `preset = \"shell\"`, or the agent's `command`",
            "2:1 agents.b.preset: a profile has either `command` or `preset`, not both => take one of them out",
            "6:10 agents.c.preset: `shel` is no value of `preset`, which is one of `shell` => write `shell`",
            &format!("8:11 agents.d.command: `command` is empty => {command}"),
            "9:10 agents.d.commit: `agnet` is no value of `commit`, which is one of `executor`, `agent` => write `agent`",
            "10:8 agents.d.done: `never` is no value of `done`, which is one of `exit`, `sentinel`, `result` => write one of `exit`, `sentinel`, `result`",
            &format!(
                "12:11 agents.e.command: `command` must be a string or an array of strings => {command}"
            ),
            "13:13 agents.e.env.A: the variable `A` must be a string => write `A = \"…\"`",
            "13:23 agents.e.env.B=: `B=` is no name of a variable => use letters, digits and `_`",
            "21:9 tasks[0].agent: there is no agent profile `claud` => write one of `a`, `b`, `c`, `d`, `default`, `e`, or add `[agents.claud]`",
        ],
    );
}

#[test]
fn ids_are_valid_and_each_there_once() {
    let text = [
        task("a", ""),
        task("a", ""),
        task("A", "after = [\"a\"]"),
        task("x y", "after = [\"A\"]"),
        String::from(
            "[[tasks]]\ntitle = \"T\"\nscope = [\"n\"]\nsuccess = [\"true\"]\ndeliverables = [\"n\"]\nrun = \"true\"",
        ),
    ];
    let all = found(&text.concat());
    let expected = [
        "10:6 tasks[1].id: there are two tasks `a` => give each task an id of its own",
        "18:6 tasks[2].id: tasks `a` and `A` differ by case only, which some file systems do not tell apart => give one of them another id",
        "26:6 tasks[3].id: `x y` is no task id: ` ` is not allowed; use letters, digits, `-`, `_` and `.` => write for example `x-y`",
        "33:1 tasks[4].id: the task has no `id` => write a short name, for example `id = \"auth-schema\"`",
    ];
    for line in expected {
        assert!(all.iter().any(|found| found == line), "{line}\nin {all:#?}");
    }
}

#[test]
fn dependencies_are_there_and_run_in_no_circle() {
    let text = [
        task("a", "after = [\"b\"]"),
        task("b", "after = [\"c\", \"c\"]"),
        task("c", "after = [{ task = \"a\", coupling = \"thight\" }]"),
        task("d", "after = [\"d\", \"auth-shema\", \"..\", 4, {}]"),
        task("auth-schema", "after = [\"d\"]"),
    ];
    expect(
        &text.concat(),
        &[
            "8:10 tasks[0].after[0]: tasks wait for each other: a → b → c → a => take one of these out of an `after`, for example `b` here",
            "16:15 tasks[1].after[1]: task c is named twice => take one of them out",
            "24:35 tasks[2].after[0].coupling: `thight` is no value of `coupling`, which is one of `tight`, `medium`, `loose` => write `tight`",
            "32:10 tasks[3].after[0]: task `d` comes after itself => take it out",
            "32:15 tasks[3].after[1]: there is no task `auth-shema` => write `auth-schema`",
            "32:29 tasks[3].after[2]: `..` is no task id: it must begin with a letter or digit => write the id of another task",
            "32:35 tasks[3].after[3]: `after` must be an array of task ids => write `after = [\"auth-schema\"]` or `{ task = \"…\", coupling = \"tight\" }`",
            "32:38 tasks[3].after[4].task: `task` is missing => write for example `task = \"auth-schema\"`",
        ],
    );
}

#[test]
fn phases_and_teams_fit_together() {
    let text = format!(
        "[[phases]]\nname = \"one\"\nteams = [1, 1, 7]\nafter = [\"two\"]\n[[phases]]\nname = \"two\"\nteams = [2]\n\
         after = [\"one\", \"too\"]\n[[phases]]\nname = \"one\"\nteams = [2]\n[[teams]]\nid = 1\nparent = 2\n[[teams]]\nid = 2\n\
         parent = 1\nagent = \"nobody\"\n[[teams]]\nid = 2\n[[teams]]\nid = 3\ncoders = 0\nparent = 3\n{}{}{}",
        task("a", "team = 2"),
        task("b", "team = 1\nphase = \"two\""),
        task("c", "team = 3\nphase = \"tow\"\nafter = [\"a\"]"),
    );
    expect(
        &text,
        &[
            "3:13 phases[0].teams[1]: team 1 is named twice => take one of them out",
            "3:16 phases[0].teams[2]: there is no team 7 => write one of 1, 2, 3, or add `[[teams]]` with `id = 7`",
            "4:10 phases[0].after[0]: phases wait for each other: one → two → one => take one of these out of an `after`, for example `two` here",
            "8:17 phases[1].after[1]: there is no phase `too` => write `two`",
            "10:8 phases[2].name: there are two phases `one` => give each phase a name of its own",
            "14:10 teams[0].parent: teams report to each other: 1 → 2 → 1 => take `parent` out of one of them",
            "18:9 teams[1].agent: there is no agent profile `nobody` => write `default`, or add `[agents.nobody]`",
            "20:6 teams[2].id: there are two teams 2 => give each team a number of its own",
            "22:6 teams[3].id: team 3 is in no phase, so its tasks are never opened => add 3 to the `teams` of a phase",
            "23:10 teams[3].coders: team 3 has tasks and no coders => write how many coders it has, for example 4",
            "24:10 teams[3].parent: team 3 is its own parent => take it out",
            "25:1 tasks[0].phase: task `a` does not say which phase it is in: team 2 works in two, one => write for example `phase = \"two\"`",
            "41:9 tasks[1].phase: team 1 does not work in phase `two` => write `one`, or add 1 to the `teams` of `two`",
            "50:9 tasks[2].phase: there is no phase `tow` => write `two`",
        ],
    );
}

const TWO_PHASES: &str = "[[phases]]\nname = \"one\"\nteams = [1]\n[[phases]]\nname = \"two\"\nteams = [2]\nafter = [\"one\"]\n\
                          [[teams]]\nid = 1\n[[teams]]\nid = 2\n";

#[test]
fn nothing_comes_after_a_later_phase() {
    let text = format!(
        "{TWO_PHASES}{}{}",
        task("a", "team = 1\nafter = [\"b\"]"),
        task("b", "team = 2")
    );
    expect(
        &text,
        &[
            "20:10 tasks[0].after[0]: task `a` of phase `one` comes after `b` of phase `two`, which opens only when \
             `one` has closed => move `a` to phase `two`, or take `b` out",
        ],
    );
}

#[test]
fn scopes_overlap_only_where_tasks_may_meet() {
    let text = |scope: &str, more: &str| {
        let more = format!("{more}\n");
        format!("[[tasks]]\nid = \"t{scope}\"\ntitle = \"T\"\nsuccess = [\"true\"]\ndeliverables = [\"src/auth/x\"]\nrun = \"true\"\n{more}")
            .replace("tsrc", "t")
    };
    let a = text("1", "scope = [\"docs\", \"src/**\", \"src/auth/x\"]");
    let b = text("2", "scope = [\"src/auth/**\"]");
    let b_after_a = text("2", "scope = [\"src/auth/**\"]\nafter = [\"t1\"]");
    expect(
        &format!("{a}{b}"),
        &[
            "14:10 tasks[1].scope[0]: task `t2` may run at the same time as `t1`, and their scopes overlap: `src/**` there, \
           `src/auth/**` here => write `after = [\"t1\"]` in `t2`, or give them scopes that have no path in common",
        ],
    );
    expect(&format!("{a}{b_after_a}"), &[]);
    // Through a third task, and through phases.
    let c = text(
        "3",
        "scope = [\"docs/x\", \"src/auth/x\"]\nafter = [\"t2\"]",
    );
    expect(&format!("{a}{b_after_a}{c}"), &[]);
    let by_phase = format!(
        "{TWO_PHASES}{}team = 1\n{}team = 2\n",
        a.replace("run =", "#\nrun ="),
        b.replace("run =", "#\nrun =")
    );
    expect(&by_phase, &[]);
}

#[test]
fn scopes_and_deliverables_are_paths_within_the_repository() {
    let text = "[[tasks]]\nid = \"a\"\ntitle = \"T\"\nsuccess = [\"true\", {}, 5, { text = \"it is good\" }, { txt = \"x\", run = \"y\" }]\nrun = \"true\"\n\
                scope = [\"/src\", \"a//b\", \"../x\", \"[z-a]\", \"{a\", \"src\\\\auth\", \"\", \"ok/*.rs\"]\n\
                deliverables = [\"/x\", \"a/../b\", \"*.rs\", \"\", \"other/x.rs\", \"ok/x.rs\", 3]\n";
    let help = "write a path as `git ls-files` shows it, for example `src/auth/schema.sql`";
    expect(
        text,
        &[
            "4:20 tasks[0].success[1]: the criterion says nothing => write a command, for example `\"cargo test\"`, or `{ text = \"…\", run = \"…\" }`",
            "4:24 tasks[0].success[2]: `success` must be an array of commands or tables => write a command, for example `\"cargo test\"`, or `{ text = \"…\", run = \"…\" }`",
            "4:54 tasks[0].success[4].txt: unknown key `txt` => write `text`",
            "6:10 tasks[0].scope[0]: `/src` is no scope: it begins with `/` => write it relative to the top of the repository: `src`",
            "6:18 tasks[0].scope[1]: `a//b` is no scope: it has an empty part => write one `/` between two names",
            "6:26 tasks[0].scope[2]: `../x` is no scope: it has `..` in it => write the path from the top of the repository",
            "6:34 tasks[0].scope[3]: `[z-a]` is no scope: the range `z-a` is empty => write `a-z`",
            "6:43 tasks[0].scope[4]: `{a` is no scope: `{` and `}` do not pair up => write for example `src/{auth,users}/**`",
            "6:49 tasks[0].scope[5]: `src\\\\auth` is no scope: `\\` does not separate names => write `src/auth`",
            "6:62 tasks[0].scope[6]: `` is no scope: it is empty => write for example `src/auth/**`",
            &format!(
                "7:17 tasks[0].deliverables[0]: the deliverable `/x` is not relative to the top of the repository => {help}"
            ),
            &format!(
                "7:23 tasks[0].deliverables[1]: the deliverable `a/../b` has an empty part, `.` or `..` in it => {help}"
            ),
            &format!(
                "7:33 tasks[0].deliverables[2]: the deliverable `*.rs` is a glob; a deliverable is one file => {help}"
            ),
            &format!("7:41 tasks[0].deliverables[3]: the deliverable `` is no path => {help}"),
            "7:45 tasks[0].deliverables[4]: the deliverable `other/x.rs` is outside the scope of task `a` => add \"other/x.rs\" to its `scope`, or deliver a file within it",
            "7:70 tasks[0].deliverables[6]: `deliverables` must be an array of strings => write for example `deliverables = [\"src/auth/schema.sql\"]`",
        ],
    );
}

#[test]
fn a_task_says_what_is_to_be_done_and_how_it_is_seen() {
    let text = "[[tasks]]\nid = \"a\"\ntitle = \" \"\nscope = [\"a\"]\nmodel = \"sonet\"\n";
    expect(
        text,
        &[
            "1:1 tasks[0].run: there is nothing to run for task `a`: its agent is the preset `shell` => write its script as `run = \"…\"`, or an agent's `command` in `[agents.default]`",
            "~1:1 tasks[0].success: task `a` does not say how its success is seen => write commands that must pass, for example `success = [\"cargo test\"]`",
            "~1:1 tasks[0].deliverables: task `a` does not say what it delivers => list the files, for example `deliverables = [\"src/auth/schema.sql\"]`",
            "3:9 tasks[0].title: `title` is empty => write one line of text",
            "~5:9 tasks[0].model: the model tier `sonet` has no limit in `[run.limits]` => write `sonnet`, or add `sonet` to `[run.limits]`",
        ],
    );
    expect(
        "",
        &["~1:1 tasks: the plan has no tasks => add `[[tasks]]` with an `id` and a `title`"],
    );
    let by_agent = "[agents.default]\ncommand = \"x\"\n[[tasks]]\nid = \"a\"\ntitle = \"T\"\nsuccess = [\"x\"]\ndeliverables = [\"x\"]\n";
    expect(by_agent, &[]);
}

#[test]
fn spans_over_eight_are_warned_about_with_a_shape_that_fits() {
    let mut text = String::from("[[teams]]\nid = 1\ncoders = 9\n[[teams]]\nid = 2\ncoders = 7\n");
    for id in 3..=4 {
        text.push_str(&format!("[[teams]]\nid = {id}\nparent = 2\n"));
    }
    for id in 5..=11 {
        text.push_str(&format!("[[teams]]\nid = {id}\n"));
    }
    let text = format!("{text}{}", task("a", "team = 1"));
    expect(
        &text,
        &[
            "~3:10 teams[0].coders: the leader of team 1 has 9 coders, more than 8 => 9 agents need 2 levels (log to base 7): make it 2 teams of 5 coders, with `parent = 1` in the new ones",
            "~5:6 teams[1].id: the leader of team 2 has 9 direct reports, more than 8: 7 coders and 2 team leaders => 9 agents need 2 levels (log to base 7): give it `coders = 0`, or put teams between",
            "~26:6 teams[10].id: 9 team leaders report to you directly, more than 8 => 52 agents need 3 levels (log to base 7): add 2 teams with `coders = 0` and put about 5 teams below each with `parent`",
        ],
    );
}

#[test]
fn branches_are_valid_and_the_tasks_own() {
    let text = format!(
        "[run]\nbase = \"ma in\"\n{}{}{}{}",
        task("a", "branch = \"feature/x\""),
        task("b", "branch = \"feature/x\""),
        task("c", "branch = \"a..b\""),
        task("d", "branch = \"orch/team-1/integration\""),
    );
    expect(
        &text,
        &[
            "2:8 run.base: `ma in` is no branch: a blank or one of `~^:?*[\\` is in it => write for example `main`",
            "18:10 tasks[1].branch: task `a` is done on the branch `feature/x` already => write for example `feature/b`",
            "26:10 tasks[2].branch: `a..b` is no branch: `..`, `@{`, a final `.` and a leading `-` are not allowed => write for example `feature/c`",
            "34:10 tasks[3].branch: the branch `orch/team-1/integration` is moved by the assembler only => write for example `feature/d`",
        ],
    );
}

#[test]
fn tasks_without_scope_beside_others_are_told_once() {
    let free = |id: &str, more: &str| task(id, more).replace(&format!("scope = [\"{id}\"]\n"), "");
    let names: Vec<String> = (0..7).map(|i| free(&format!("t{i}"), "")).collect();
    expect(
        &names.concat(),
        &[
            "~1:1 tasks[0]: 7 tasks have no `scope` and run beside others, which may change the same files: `t0`, `t1`, `t2`, \
           `t3`, `t4` and 2 more => write for example `scope = [\"src/auth/**\"]`",
        ],
    );
    let chain = format!("{}{}", free("a", ""), free("b", "after = [\"a\"]"));
    expect(&chain, &[]);
    expect(&free("a", ""), &[]);
}

#[test]
fn columns_count_characters_whatever_the_line_ends_are() {
    let text = "\u{feff}[run]\r\nname = \"é\"\r\n\tgoal = 5 # ö\r\ntest = { \"ö\" = 1 }\r\n[[tasks]]\r\nid = \"日本\"\r\ntitle = 5\r\n";
    let found = check_text(text.as_bytes(), "x").findings;
    let places: Vec<(usize, usize, usize)> =
        found.iter().map(|f| (f.line, f.column, f.width)).collect();
    assert!(places.contains(&(3, 9, 1)), "{found:?}");
    assert!(places.contains(&(4, 8, 11)), "{found:?}");
    assert!(places.contains(&(6, 6, 4)), "{found:?}");
    assert_eq!(self::found("\u{feff}rnu = 1\r\n")[0][..3], *"1:1");
}

#[test]
fn what_is_no_text_is_refused() {
    let found = check_text(b"[run]\nname = \"\xff\"", "x").findings;
    assert_eq!((found[0].line, found[0].column), (2, 9));
    let huge = vec![b'#'; 16 * 1024 * 1024 + 1];
    assert!(
        check_text(&huge, "x").findings[0]
            .message
            .contains("at most")
    );
}

#[test]
fn ten_thousand_tasks_are_checked_in_time() {
    let mut text = String::new();
    for i in 0..10_000 {
        let after = if i % 10 == 0 {
            String::new()
        } else {
            format!("after = [\"t{}\"]", i - 1)
        };
        text.push_str(&format!(
            "[[tasks]]\nid = \"t{i}\"\ntitle = \"T\"\nscope = [\"src/m{}/**\"]\ndeliverables = [\"src/m{}/f{i}\"]\nsuccess = [\"true\"]\nrun = \"true\"\n{after}\n",
            i / 10, i / 10
        ));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "how long it takes is what is tested"
    )]
    let begun = std::time::Instant::now();
    let checked = check_text(text.as_bytes(), "x");
    assert!(checked.findings.is_empty(), "{:?}", &checked.findings[..1]);
    // Two seconds are asked for; a busy machine gets more.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    // All at once in one directory: told, and not for ever.
    let crowded = text.replace("after = ", "# ");
    let checked = check_text(crowded.as_bytes(), "x");
    assert!(checked.counts().0 >= 100);
}

#[test]
fn an_added_task_is_checked_beside_the_others() {
    let plan = plan(&format!("{}{}", task("a", ""), task("b", "")));
    let next: TaskId = "T-0001".parse().unwrap();
    let read = |text: &str| read_task(text, &next, Some(plan.teams[0].id)).unwrap();
    let new = read(
        "title = \"N\"\nscope = [\"a/**\"]\nrun = \"x\"\nsuccess = [\"x\"]\ndeliverables = [\"a/n\"]\nafter = [\"c\"]\n",
    );
    assert_eq!(new.id, next);
    let findings = check_added(&plan, &new, &BTreeSet::new());
    let told: Vec<(&str, &str)> = findings
        .iter()
        .map(|f| (f.key.as_str(), f.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("after[0]", "there is no task `c`"),
            (
                "scope[0]",
                "task `T-0001` may run at the same time as `a`, and their scopes overlap: `a` there, `a/**` here"
            ),
        ]
    );
    let settled = BTreeSet::from(["a".parse().unwrap()]);
    assert_eq!(check_added(&plan, &new, &settled).len(), 1);
    assert!(
        read_task("title = \"\"\nscop = []\n", &next, None)
            .unwrap_err()
            .len()
            == 3
    );
}

#[test]
fn a_plan_renders_as_text_that_reads_back() {
    let text = "[run]\nname = \"b\"\ngoal = \"\"\"two\nlines\"\"\"\nbase = \"main\"\njobs = 3\ntimeout = 90\n[run.limits]\nhuge = 1\n\
                [agents.default]\npreset = \"shell\"\n[agents.\"my agent\"]\ncommand = [\"x\", \"{prompt_file}\"]\nenv = { A = \"1\" }\n\
                [agents.c]\ncommand = \"y\"\ntimeout = \"2m\"\n\
                [[phases]]\nname = \"one\"\nteams = [1]\n[[phases]]\nname = \"two\"\nteams = [2]\nafter = [\"one\"]\n\
                [[teams]]\nid = 1\nname = \"Infra\"\ncoders = 2\nskills = [\"sql\"]\n[[teams]]\nid = 2\nparent = 1\nagent = \"my agent\"\nmodel = \"opus\"\n\
                [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\\\"'\"\nrun = \"\"\"\na\nb\n\"\"\"\nscope = [\"src/{a,b}/**\"]\n\
                deliverables = [\"src/a/x\"]\nsuccess = [\"true\", { text = \"good\" }, { text = \"t\", run = \"r\" }]\npriority = -2\n\
                [[tasks]]\nid = \"b\"\nteam = 2\ntitle = \"B\"\nscope = [\"src/**\"]\nsuccess = [\"x\"]\ndeliverables = [\"src/y\"]\n\
                after = [{ task = \"a\", coupling = \"tight\" }]\ntimeout = \"1m\"\nretries = 0\nmodel = \"haiku\"\nrole = \"r\"\nskills = [\"s\"]\n\
                style = \"s\"\neffort = \"small\"\nrepo = \"r\"\nbranch = \"x/y\"\nagent = \"c\"\nphase = \"two\"\ncontext = \"c\"\nidle_timeout = 5\n";
    let first = plan(text);
    let rendered = render_plan(&first);
    assert_eq!(plan(&rendered), first, "{rendered}");
    assert_eq!(found(&rendered), found(text));
    assert_eq!(render_plan(&plan(&rendered)), rendered);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check_text(&bytes, "x");
    }

    #[test]
    fn no_toml_is_too_odd(
        lines in proptest::collection::vec(
            prop_oneof![
                "\\[(run|agents|agents\\.x|run\\.limits)\\]",
                "\\[\\[(tasks|teams|phases)\\]\\]",
                "(id|name|team|teams|after|scope|success|title|phase|parent|deliverables|command|env|run|coders|timeout) = \
                 (-?[0-9]{1,20}|\"[a-e/*.{}\\[\\]]{0,6}\"|\\[(\"[a-c/*]{0,3}\",?|1,?|\\{\\},?){0,4}\\]|true|1\\.5|\\{ (task|text|run) = \"[a-c]\" \\})",
            ],
            0..24,
        ),
    ) {
        let text = lines.join("\n");
        let checked = check_text(text.as_bytes(), "x");
        for finding in &checked.findings {
            prop_assert!(finding.line >= 1 && finding.line <= lines.len().max(1));
            let line = text.lines().nth(finding.line - 1).unwrap_or("");
            prop_assert!(finding.column <= line.chars().count() + 1, "{:?} in\n{}", finding, text);
        }
        let shown = render_findings(&checked.findings, "x", &text, |_, label| label.to_owned());
        prop_assert_eq!(shown.is_empty(), checked.findings.is_empty());
        if let Some(plan) = checked.plan {
            let again = check_text(render_plan(&plan).as_bytes(), "y");
            prop_assert_eq!(again.plan, Some(plan), "{:?}", again.findings);
        }
    }
}

#[test]
fn a_command_may_only_name_what_there_is() {
    let text = "[agents.default]\ncommand = [\"x\", \"{taks}\", \"${home}\", \"{{print}}\", \"{nonsense}\"]\n\
                [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\n";
    let found: Vec<String> = check_text(text.as_bytes(), "plan")
        .findings
        .iter()
        .map(|f| f.help.clone())
        .collect();
    assert!(
        found.contains(&String::from(
            "write `{task}`, or `{{taks}}` for the text itself"
        )),
        "{found:?}"
    );
    let other = found
        .iter()
        .filter(|help| help.contains("`{{nonsense}}` for the text itself"));
    assert_eq!(other.count(), 1, "{found:?}");
    assert!(
        !found
            .iter()
            .any(|help| help.contains("print") || help.contains("home")),
        "{found:?}"
    );
}

#[test]
fn crews_have_each_coder_once_and_what_their_tasks_ask_for() {
    let crew = "[[teams]]\nid = 1\ncoders = 2\nskills = [\"git\"]\n\
                [[teams.agents]]\nnumber = 2\nrole = \"tester\"\nskills = [\"sql\"]\n";
    let asks = task(
        "a",
        "team = 1\nrole = \"tester\"\nskills = [\"git\", \"sql\"]",
    );
    expect(&format!("{crew}{asks}"), &[]);
    let more = "[[teams.agents]]\nnumber = 2\n[[teams.agents]]\nnumber = 3\n";
    let asks = task(
        "a",
        "team = 1\nrole = \"testr\"\nskills = [\"sqll\", \"css\"]",
    );
    expect(
        &format!("{crew}{more}{asks}"),
        &[
            "10:10 teams[0].agents[1].number: coder 2 of team 1 stands there twice => put all that is said of it into one `[[teams.agents]]`",
            "12:10 teams[0].agents[2].number: team 1 has no coder 3, only 2 => write a smaller number, or `coders = 3` in the team",
            "~21:8 tasks[0].role: no coder of team 1 has the role `testr` => write `tester`, or give a coder the role in `[[teams.agents]]`",
            "~22:11 tasks[0].skills[0]: no coder of team 1 has the skill `sqll` => write `sql`, or add `sqll` to the skills of a coder",
            "~22:19 tasks[0].skills[1]: no coder of team 1 has the skill `css` => add `css` to the skills of the team or of a coder",
        ],
    );
    // Where nobody is set apart, role and skills are words for the prompt.
    expect(&task("a", "role = \"any\"\nskills = [\"css\"]"), &[]);
}
