//! Which task goes to whom, and that everybody gets a turn.

use super::*;
use crate::model::spec::{CoderSpec, Coupling, Dependency, TaskSpec, TeamSpec};
use crate::model::tasks::TaskMut;
use crate::model::{AgentRecord, Attempt};

mod fleet;

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}

fn texts(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn team(number: u32, coders: u32) -> TeamSpec {
    TeamSpec {
        id: TeamId(number),
        name: String::new(),
        coders,
        parent: None,
        agent: None,
        model: None,
        skills: Vec::new(),
        agents: Vec::new(),
    }
}

fn coder(number: u32, role: &str, skills: &str) -> CoderSpec {
    CoderSpec {
        number,
        role: (!role.is_empty()).then(|| role.to_owned()),
        skills: texts(skills),
    }
}

const SKILLS: [&str; 3] = ["sql", "rust", "git"];

/// A board on which tasks are ready: `name team priority skills…`.
fn board(teams: &[TeamSpec], tasks: &[&str]) -> Board {
    let mut board = Board::default();
    for team in teams {
        board.teams.insert(team.id, team.clone());
    }
    for (order, line) in tasks.iter().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let mut spec = TaskSpec::new(id(words[0]), TeamId(words[1].parse().unwrap()), "title");
        spec.priority = words[2].parse().unwrap();
        spec.skills = words[3..].iter().map(|word| (*word).to_owned()).collect();
        put(&mut board, &spec, u32::try_from(order).unwrap());
    }
    board
}

fn put(board: &mut Board, spec: &TaskSpec, order: u32) {
    let mut task = Task::from_spec(spec, order, false, 0);
    task.status.state = State::Ready;
    board.tasks.insert(task);
}

fn row<'a>(board: &'a mut Board, task: &str) -> TaskMut<'a> {
    board.tasks.get_mut(&id(task)).unwrap()
}

/// Says that somebody has had a task, and in which state it is since when.
fn had(board: &mut Board, task: &str, who: &str, state: State, since: i64) {
    let status = &mut row(board, task).status;
    (status.agent, status.attempt) = (Some(agent(who)), Attempt(1));
    (status.state, status.since) = (state, Timestamp(since));
}

fn pause(board: &mut Board, who: &str) {
    let paused = Some(String::from("hot"));
    board.agents.insert(agent(who), AgentRecord { paused });
}

/// What anybody (`*`) or an agent gets, as `task agent`; the start of the refusal where it is none.
fn got(board: &Board, who: &str) -> String {
    let wish = match who {
        "*" => Wish::default(),
        who => Wish::of(agent(who)),
    };
    let chosen = board.choose(&wish);
    let explained = board.explain(&wish, &[]).unwrap();
    assert_eq!(chosen, explained.chosen, "the explanation is of the choice");
    match chosen {
        Ok(choice) => format!("{} {}", choice.task.id, choice.agent),
        Err(refusal) => refusal.message,
    }
}

#[test]
fn priority_goes_first_then_the_plans_order() {
    let board = board(&[team(1, 2)], &["b 1 0", "a 1 0", "urgent 1 3"]);
    assert_eq!(got(&board, "*"), "urgent 1.1");
    assert_eq!(got(&board, "1.2"), "urgent 1.2");
    let wish = Wish::of(agent("1.2"));
    let order: Vec<&str> = board
        .candidates(&wish)
        .iter()
        .map(|task| task.id.as_str())
        .collect();
    assert_eq!(order, ["urgent", "b", "a"]);
}

#[test]
fn teams_take_turns_by_their_share_at_work() {
    let tasks = ["x 1 0", "a 1 0", "y 2 0", "b 2 0", "c 3 0"];
    let mut board = board(&[team(1, 4), team(2, 2), team(3, 2)], &tasks);
    assert_eq!(got(&board, "*"), "x 1.1");
    had(&mut board, "x", "1.1", State::InProgress, 5);
    had(&mut board, "y", "2.1", State::InProgress, 5);
    // Team 3 has nobody at work, team 1 a quarter, team 2 a half.
    assert_eq!(got(&board, "*"), "c 3.1");
    had(&mut board, "c", "3.1", State::InProgress, 5);
    assert_eq!(got(&board, "*"), "a 1.2");
}

#[test]
fn among_equals_the_team_served_longest_ago_is_next() {
    let tasks = ["x 1 0", "a 1 0", "y 2 0", "b 2 0"];
    let mut board = board(&[team(1, 2), team(2, 2)], &tasks);
    had(&mut board, "x", "1.1", State::Submitted, 9);
    had(&mut board, "y", "2.1", State::Merged, 7);
    assert_eq!(got(&board, "*"), "b 2.1");
    row(&mut board, "y").status.since = Timestamp(9);
    row(&mut board, "y").status.attempt = Attempt(2);
    assert_eq!(
        got(&board, "*"),
        "a 1.1",
        "fewer claims where all else is equal"
    );
}

#[test]
fn what_more_waits_for_goes_first_by_coupling() {
    let mut board = board(&[team(1, 1)], &["a 1 0", "b 1 0", "c 1 0"]);
    let mut order = 3;
    let mut waits = |board: &mut Board, name: &str, task: &str, coupling| {
        let mut spec = TaskSpec::new(id(name), TeamId(1), "title");
        let task = id(task);
        spec.after = vec![Dependency { task, coupling }];
        put(board, &spec, order);
        row(board, name).status.state = State::Pending;
        order += 1;
    };
    waits(&mut board, "l", "a", Coupling::Loose);
    assert_eq!(got(&board, "*"), "a 1.1");
    waits(&mut board, "m", "b", Coupling::Medium);
    assert_eq!(got(&board, "*"), "b 1.1");
    waits(&mut board, "t", "c", Coupling::Tight);
    assert_eq!(got(&board, "*"), "c 1.1");
    waits(&mut board, "l2", "b", Coupling::Medium);
    assert_eq!(got(&board, "*"), "b 1.1");
    row(&mut board, "l2").status.state = State::Cancelled;
    assert_eq!(got(&board, "*"), "c 1.1", "what is given up waits no more");
}

#[test]
fn the_coder_with_the_most_of_the_skills_gets_a_task_and_others_leave_it() {
    let mut crew = team(1, 3);
    crew.skills = texts("git");
    crew.agents = vec![coder(2, "", "sql"), coder(3, "", "sql rust")];
    let mut board = board(&[crew], &["q 1 0 git sql rust", "plain 1 0"]);
    assert_eq!(
        got(&board, "*"),
        "q 1.3",
        "nothing is missing, and more of it is asked for"
    );
    assert_eq!(
        got(&board, "1.2"),
        "plain 1.2",
        "1.3 is free and suits q better"
    );
    row(&mut board, "plain").status.state = State::Merged;
    assert_eq!(got(&board, "*"), "q 1.3");
    assert_eq!(got(&board, "1.1"), "q 1.1", "better than idling");
    pause(&mut board, "1.3");
    assert_eq!(got(&board, "*"), "q 1.2");
    assert_eq!(got(&board, "1.3"), "agent 1.3 is paused: hot");
    row(&mut board, "plain").status.state = State::Ready;
    row(&mut board, "q").status.state = State::Merged;
    assert_eq!(got(&board, "*"), "plain 1.1", "who can do more stays free");
}

#[test]
fn a_role_is_kept_for_its_coders_while_one_of_them_is_there() {
    let mut crew = team(1, 3);
    crew.agents = vec![coder(2, "tester", ""), coder(3, "tester", "")];
    let mut board = board(&[crew], &["x 1 0", "y 1 0", "t 1 0"]);
    board.tasks.get_mut(&id("t")).unwrap().role = Some(String::from("tester"));
    had(&mut board, "x", "1.2", State::InProgress, 1);
    had(&mut board, "y", "1.3", State::InProgress, 1);
    let waits = "task t waits for a coder of role tester: 1.2, 1.3";
    assert_eq!(got(&board, "1.1"), waits);
    assert_eq!(got(&board, "*"), waits);
    let named = Ask::named(id("t"), agent("1.1"), None).wish;
    assert!(board.choose(&named).is_ok(), "whoever names both decides");
    let why = &board.explain(&Wish::of(agent("1.1")), &[]).unwrap().others[0].why;
    assert_eq!(*why, format!("{waits} (1.2 holds x, 1.3 holds y)"));
    row(&mut board, "y").status.state = State::Submitted;
    assert_eq!(got(&board, "*"), "t 1.3");
    assert_eq!(got(&board, "1.1"), waits);
    // Nobody of the role will come: one waits for a person, the other is paused.
    row(&mut board, "x").status.state = State::Blocked;
    pause(&mut board, "1.3");
    assert_eq!(got(&board, "*"), "t 1.1");
}

#[test]
fn work_returns_to_who_gave_it_back_and_leaves_who_failed() {
    let mut board = board(&[team(1, 3)], &["a 1 0", "b 1 0"]);
    had(&mut board, "b", "1.2", State::Ready, 1);
    assert_eq!(got(&board, "1.2"), "b 1.2");
    assert_eq!(got(&board, "1.1"), "a 1.1");
    row(&mut board, "b").status.failures = 1;
    assert_eq!(got(&board, "1.2"), "a 1.2", "it failed there");
    row(&mut board, "a").status.state = State::Merged;
    assert_eq!(got(&board, "*"), "b 1.1");
    assert_eq!(got(&board, "1.2"), "b 1.2", "better than idling");
    row(&mut board, "b").status.head = Some(CommitId(String::from("sent back")));
    assert_eq!(got(&board, "*"), "b 1.2");
    row(&mut board, "b").status.failures = 0;
    row(&mut board, "b").status.takeovers = 1;
    assert_eq!(
        got(&board, "*"),
        "b 1.1",
        "what was warm is on a lost machine"
    );
}

#[test]
fn who_failed_several_times_in_a_row_comes_last() {
    let mut board = board(
        &[team(1, 2)],
        &["a 1 0", "b 1 0", "c 1 0", "d 1 0", "ok 1 0"],
    );
    for task in ["a", "b", "c"] {
        had(&mut board, task, "1.1", State::Failed, 5);
        row(&mut board, task).status.failures = 1;
    }
    had(&mut board, "ok", "1.1", State::Merged, 6);
    assert_eq!(got(&board, "*"), "d 1.1", "it has done well since");
    row(&mut board, "ok").status.since = Timestamp(4);
    assert_eq!(got(&board, "*"), "d 1.2");
    pause(&mut board, "1.2");
    assert_eq!(got(&board, "*"), "d 1.1");
}

#[test]
fn full_waves_busy_agents_and_foreign_skills_are_told() {
    let mut run = crate::model::RunSpec::default();
    run.limits.0.insert(String::from("opus"), 1);
    let mut board = board(&[team(1, 3)], &["a 1 5", "b 1 4", "c 1 0 sql"]);
    board.settings.run = Some(Box::new(run));
    for task in ["a", "b"] {
        board.tasks.get_mut(&id(task)).unwrap().model = Some(String::from("opus"));
    }
    had(&mut board, "a", "1.1", State::InProgress, 1);
    assert_eq!(got(&board, "*"), "c 1.2");
    assert!(got(&board, "1.1").starts_with("agent 1.1 already holds task a"));
    let wish = Wish {
        skills: Some(texts("rust")),
        ..Wish::default()
    };
    let told = board.explain(&wish, &[]).unwrap();
    let why: Vec<&str> = told.others.iter().map(|other| other.why.as_str()).collect();
    assert_eq!(
        why,
        [
            "the wave of opus is full: 1 of its tasks are being worked on",
            "it needs sql",
            "1.1 holds it",
        ]
    );
    assert!(told.chosen.is_err());
}

#[test]
fn what_is_set_apart_is_passed_over_with_its_reason() {
    let board = board(&[team(1, 1)], &["a 1 0", "b 1 0"]);
    let apart = [(id("a"), Refusal::denied("task a conflicts"))];
    let told = board.explain(&Wish::default(), &apart).unwrap();
    assert_eq!(told.chosen.unwrap().task.id, id("b"));
    assert_eq!(told.others[0].why, "task a conflicts");
    let chosen = board.choose_among(&Wish::default(), |task| task.id != id("a"));
    assert_eq!(chosen.unwrap().task.id, id("b"));
}

#[test]
fn equal_teams_get_equal_shares() {
    for slots in [1, 4, 7_usize] {
        let teams: Vec<TeamSpec> = (1..=6).map(|number| team(number, 3)).collect();
        let tasks: Vec<String> = (0..600)
            .map(|i| format!("t{i} {} 0", i / 100 + 1))
            .collect();
        let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let mut board = board(&teams, &tasks);
        let mut random = fastrand::Rng::with_seed(slots as u64);
        let (mut held, mut shares) = (Vec::<TaskId>::new(), [0_f64; 6]);
        for time in 1..=300 {
            while held.len() < slots {
                let choice = board.choose(&Wish::default()).unwrap();
                let (task, agent) = (choice.task.id.clone(), choice.agent.to_string());
                shares[(choice.agent.team.0 - 1) as usize] += 1.0;
                had(&mut board, task.as_str(), &agent, State::InProgress, time);
                held.push(task);
            }
            let done = held.swap_remove(random.usize(..held.len()));
            let mut row = row(&mut board, done.as_str());
            let status = &mut row.status;
            (status.state, status.since) = (State::Submitted, Timestamp(time));
        }
        let sum: f64 = shares.iter().sum();
        let squares: f64 = shares.iter().map(|share| share * share).sum();
        let jain = sum * sum / (6.0 * squares);
        assert!(jain >= 0.95, "{slots} slots: {shares:?} is {jain:.3}");
    }
}
