use super::*;
use crate::model::ids::AgentId;
use crate::model::spec::{Dependency, TaskSpec};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

type Row<'a> = (&'a str, State, &'a [(&'a str, Coupling)]);

/// A board of tasks with their states and dependencies, in the order given.
fn board(tasks: &[Row<'_>]) -> Board {
    let mut board = Board::default();
    for (order, (name, state, after)) in tasks.iter().enumerate() {
        let mut spec = TaskSpec::new(id(name), TeamId(1), format!("Do {name}"));
        spec.after = after
            .iter()
            .map(|(task, coupling)| Dependency {
                task: id(task),
                coupling: *coupling,
            })
            .collect();
        let mut task = Task::from_spec(&spec, u32::try_from(order).unwrap(), false, 0);
        task.status.state = *state;
        task.status.head = Some(CommitId(format!("head-{name}")));
        board.tasks.insert(task);
    }
    board
}

fn run(train: &mut Train, bad: &[&str]) -> Vec<(String, Verdict)> {
    for i in 0..train.cars().len() {
        let outcome = match train.hindrance(i, &[]) {
            Some(reason) => Outcome::out(Verdict::Skipped, reason),
            None if bad.contains(&train.cars()[i].name()) => {
                Outcome::out(Verdict::TestFailed, "red")
            }
            None => Outcome::merged(CommitId(String::from("c"))),
        };
        train.decide(i, outcome);
    }
    let verdict = |i| train.outcome(i).unwrap().verdict;
    let cars = train.cars().iter().enumerate();
    cars.map(|(i, car)| (car.name().to_owned(), verdict(i)))
        .collect()
}

#[test]
fn dependents_follow_their_dependencies_and_fall_with_them() {
    let board = board(&[
        ("c", State::Submitted, &[("b", Coupling::Medium)]),
        ("b", State::Accepted, &[("a", Coupling::Medium)]),
        ("a", State::Submitted, &[]),
        ("d", State::Submitted, &[]),
    ]);
    let mut train = Train::of(&board, &[]);
    let told = run(&mut train, &["b"]);
    let expected = [
        ("a", Verdict::Merged),
        ("d", Verdict::Merged),
        ("b", Verdict::TestFailed),
        ("c", Verdict::Skipped),
    ];
    let mut sorted = told.clone();
    sorted.sort_by_key(|(name, _)| expected.iter().position(|(n, _)| n == name));
    assert_eq!(sorted, expected.map(|(name, v)| (name.to_owned(), v)));
    let place = |name: &str| told.iter().position(|(n, _)| n == name).unwrap();
    assert!(place("a") < place("b") && place("b") < place("c"));
    assert_eq!(train.summary(), "2 merged, 1 test failed, 1 skipped");
    let why = train.outcome(place("c")).unwrap().reason.clone().unwrap();
    assert_eq!(why, "comes after b, which is not in");
}

#[test]
fn only_handed_in_work_is_in_the_train() {
    for state in State::ALL {
        let expected = usize::from(matches!(state, State::Submitted | State::Accepted));
        let train = Train::of(&board(&[("a", state, &[])]), &[]);
        assert_eq!(train.cars().len(), expected, "{state}");
    }
}

#[test]
fn a_dependency_outside_the_train_blocks_unless_it_is_in() {
    for state in State::ALL {
        for coupling in [Coupling::Tight, Coupling::Medium, Coupling::Loose] {
            let board = board(&[
                ("a", state, &[]),
                ("b", State::Submitted, &[("a", coupling)]),
            ]);
            let mut train = Train::of(&board, &[]);
            let verdict = run(&mut train, &[]).pop().unwrap().1;
            let given_up = matches!(state, State::Gap | State::Cancelled);
            let comes_in = matches!(state, State::Merged | State::Submitted | State::Accepted)
                || given_up && coupling == Coupling::Loose;
            assert_eq!(verdict == Verdict::Merged, comes_in, "{state} {coupling:?}");
        }
    }
}

#[test]
fn another_order_keeps_dependencies_first() {
    let board = board(&[
        ("a", State::Submitted, &[]),
        ("b", State::Submitted, &[("a", Coupling::Medium)]),
        ("c", State::Submitted, &[]),
    ]);
    let train = Train::of(&board, &[]);
    let names = |train: &Train| -> Vec<String> {
        train
            .cars()
            .iter()
            .map(|car| car.name().to_owned())
            .collect()
    };
    let at = |name: &str| {
        names(&train)
            .iter()
            .position(|other| other == name)
            .unwrap()
    };
    let order = train.with_dependencies_first(&[at("c"), at("b"), at("a")]);
    let mut other = train.clone().in_order(&order);
    assert_eq!(names(&other), ["c", "a", "b"]);
    assert_eq!(other.cars()[2].after, [1]);
    let told = run(&mut other, &["a"]);
    assert_eq!(told[2].1, Verdict::Skipped);
}

fn by_hand(team: u32) -> Strayed {
    Strayed {
        team: TeamId(team),
        is_made_of_tasks: false,
    }
}

#[test]
fn what_a_team_branch_has_of_tasks_may_fail_without_holding_them_back() {
    let board = board(&[("a", State::Accepted, &[])]);
    let strayed = Strayed {
        is_made_of_tasks: true,
        ..by_hand(1)
    };
    let mut train = Train::of(&board, &[strayed]);
    let told = run(&mut train, &["orch/team-1/integration"]);
    assert_eq!(told[1], (String::from("a"), Verdict::Merged));
}

#[test]
fn a_team_train_has_what_its_branch_lacks() {
    let mut board = board(&[
        ("in", State::Accepted, &[]),
        ("b", State::Submitted, &[("in", Coupling::Medium)]),
        ("c", State::Accepted, &[("old", Coupling::Tight)]),
        ("other", State::Accepted, &[]),
        ("d", State::Submitted, &[("other", Coupling::Medium)]),
        ("old", State::Merged, &[]),
    ]);
    board.tasks.get_mut(&id("other")).unwrap().team = TeamId(2);
    let has = |task: &Task| task.id == id("in");
    let names = |train: &Train| -> Vec<String> {
        let cars = train.cars().iter();
        cars.map(|car| car.name().to_owned()).collect()
    };
    let mut train = Train::of_team(&board, TeamId(1), true, has);
    assert_eq!(names(&train), ["orch/integration", "b", "d", "c"]);
    let told = run(&mut train.clone(), &["orch/integration"]);
    assert!(
        told[1..]
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Skipped)
    );
    // Another team's branch is not in ours.
    let told = run(&mut train, &[]);
    let verdicts: Vec<Verdict> = told.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(
        verdicts[1..],
        [Verdict::Merged, Verdict::Skipped, Verdict::Merged]
    );
    assert_eq!(
        train.outcome(2).unwrap().reason.as_deref(),
        Some("comes after other, which is accepted")
    );
    let train = Train::of_team(&board, TeamId(1), false, has);
    assert_eq!(names(&train), ["b", "d", "c"]);
    assert!(Train::of_team(&board, TeamId(3), true, has).is_empty());
}

#[test]
fn work_on_a_team_branch_itself_goes_first_and_holds_its_tasks_back() {
    let board = board(&[("a", State::Submitted, &[])]);
    let mut train = Train::of(&board, &[by_hand(1)]);
    assert_eq!(train.cars()[0].branch, "orch/team-1/integration");
    let told = run(&mut train.clone(), &["orch/team-1/integration"]);
    assert_eq!(told[1].1, Verdict::Skipped);
    assert_eq!(run(&mut train, &[])[1].1, Verdict::Merged);
    // Another team is not concerned.
    let mut train = Train::of(&board, &[by_hand(2)]);
    assert_eq!(
        run(&mut train, &["orch/team-2/integration"])[1].1,
        Verdict::Merged
    );
}

#[test]
fn a_dependency_that_was_in_already_is_no_hindrance() {
    let board = board(&[
        ("a", State::Submitted, &[]),
        ("b", State::Submitted, &[("a", Coupling::Tight)]),
    ]);
    let mut train = Train::of(&board, &[]);
    train.decide(0, Outcome::nothing("already in"));
    assert_eq!(train.hindrance(1, &[]), None);
}

#[test]
fn carried_work_of_others_is_named() {
    let board = board(&[
        ("a", State::Ready, &[]),
        ("b", State::Submitted, &[]),
        ("c", State::Merged, &[]),
    ]);
    let commit = |id: &str, tasks: &[&str]| {
        let tasks = tasks.iter().map(|task| (*task).to_owned()).collect();
        (CommitId(id.to_owned()), tasks)
    };
    let named = |commits: &[(CommitId, Vec<String>)]| {
        carried(&board, &id("b"), commits).map(|task| task.id.to_string())
    };
    assert_eq!(named(&[commit("x", &["b"]), commit("head-b", &[])]), None);
    assert_eq!(named(&[commit("head-a", &[])]).as_deref(), Some("a"));
    assert_eq!(named(&[commit("x", &["a"])]).as_deref(), Some("a"));
    assert_eq!(named(&[commit("head-c", &["c", "nobody"])]), None);
}

#[test]
fn a_merge_tells_who_did_what() {
    let board = board(&[("a", State::Submitted, &[])]);
    let mut task = board.tasks[&id("a")].clone();
    task.title = String::from("Line\none");
    task.status.agent = Some("1.2".parse::<AgentId>().unwrap());
    let text = merge_message("bil\nling", &task);
    assert_eq!(
        text,
        "[TEAM-1] [AGENT-1.2] merge a: Line one\n\nOrch-Task: a\nOrch-Agent: 1.2\nOrch-Attempt: 0\n\
         Orch-Run: bil ling\n"
    );
}
