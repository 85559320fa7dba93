use super::*;
use crate::model::{Attempt, Claim, Coupling, Dependency, PhaseSpec, TaskSpec, TeamSpec};

/// Two teams of two coders in two phases; tasks `id, team, state, since`.
fn board(tasks: &[(&str, u32, State, i64)]) -> Board {
    let mut board = Board::default();
    for team in [1, 2] {
        let text = format!("id = {team}\nname = \"Team {team}\"\ncoders = 2\n");
        let spec: TeamSpec = toml::from_str(&text).unwrap();
        board.teams.insert(spec.id, spec);
    }
    let phase = |name: &str, team, after: &[&str]| PhaseSpec {
        name: PhaseName(name.to_owned()),
        teams: vec![TeamId(team)],
        after: after
            .iter()
            .map(|name| PhaseName((*name).to_owned()))
            .collect(),
    };
    board.phases = vec![phase("one", 1, &[]), phase("two", 2, &["one"])];
    for (order, (id, team, state, since)) in (0..).zip(tasks) {
        let spec = TaskSpec::new(id.parse().unwrap(), TeamId(*team), "do it");
        let mut task = Task::from_spec(&spec, order, false, 0);
        task.status.state = *state;
        task.status.since = Timestamp(*since);
        if state.is_held() {
            task.status.agent = Some(AgentId {
                team: TeamId(*team),
                number: 1,
            });
            task.status.machine = Some(MachineId(String::from("box")));
            task.status.attempt = Attempt(1);
        }
        board.tasks.insert(task);
    }
    board
}

fn expired(board: &Board, id: &str) -> Seen {
    let task = &board.tasks[&id.parse().unwrap()];
    Seen {
        expired: vec![Expired {
            claim: Claim {
                task: task.id.clone(),
                agent: task.status.agent.unwrap(),
                attempt: task.status.attempt,
            },
            machine: None,
            unmoved: std::time::Duration::from_secs(900),
        }],
        ..Seen::default()
    }
}

fn after(board: &mut Board, id: &str, other: &str) {
    let mut task = board.tasks.get_mut(&id.parse().unwrap()).unwrap();
    task.after.push(Dependency {
        task: other.parse().unwrap(),
        coupling: Coupling::Tight,
    });
}

#[test]
fn every_task_is_counted_once_and_for_what_it_waits() {
    let mut board = board(&[
        ("a", 1, State::Ready, 900),
        ("b", 1, State::Ready, 400),
        ("c", 1, State::InProgress, 100),
        ("d", 1, State::Pending, 0),
        ("e", 1, State::Pending, 0),
        ("f", 2, State::Pending, 0),
        ("g", 2, State::Failed, 0),
        ("h", 2, State::Merged, 0),
        ("i", 2, State::Blocked, 0),
    ]);
    after(&mut board, "d", "a");
    let seen = expired(&board, "c");
    let now = Timestamp(1000);
    let stats = Stats::new(&board, &[], &seen, Throughput::default(), now);
    assert_eq!(
        stats.total,
        Counts {
            ready: 2,
            active: 2,
            blocked: 1,
            expired: 1,
            waiting: 3,
            waiting_on: Waits {
                dependency: 1,
                phase: 1,
                dispatch: 1
            },
            failed: 1,
            merged: 1,
            oldest_ready_seconds: Some(600),
            ..Counts::default()
        }
    );
    assert_eq!(stats.teams.len(), 2);
    assert_eq!(stats.teams[1].counts.waiting_on.phase, 1);
    assert_eq!(stats.teams[1].counts.oldest_ready_seconds, None);
    let machine = &stats.machines[0];
    assert_eq!((machine.active, machine.expired), (2, 1));

    let of_two = Stats::new(&board, &[TeamId(2)], &seen, Throughput::default(), now);
    assert_eq!((of_two.total.ready, of_two.total.active), (0, 1));
    assert_eq!(of_two.teams.len(), 1);
}

#[test]
fn ready_tasks_stand_in_the_order_in_which_they_are_taken() {
    let mut board = board(&[
        ("a", 1, State::Ready, 0),
        ("b", 1, State::Ready, 0),
        ("c", 1, State::Ready, 0),
        ("z", 2, State::Ready, 0),
    ]);
    board.tasks.get_mut(&"c".parse().unwrap()).unwrap().priority = 5;
    let active = Active::new(&board, &[], &Seen::default(), 10, Timestamp(0));
    let order: Vec<(&str, Option<String>)> = active
        .ready
        .iter()
        .map(|ready| {
            (
                ready.task.as_str(),
                ready.agent.map(|agent| agent.to_string()),
            )
        })
        .collect();
    let agent = |text: &str| Some(text.to_owned());
    // The most urgent first, then the team with the fewest at work; team 1 has two coders.
    assert_eq!(
        order,
        [
            ("c", agent("1.1")),
            ("z", agent("2.1")),
            ("a", agent("1.2")),
            ("b", None)
        ]
    );
    assert!(active.ready[3].why.as_ref().unwrap().contains("team 1"));
    let two = Active::new(&board, &[], &Seen::default(), 2, Timestamp(0));
    assert_eq!((two.ready.len(), two.ready_total), (2, 4));
}

#[test]
fn what_is_held_says_since_when_and_whether_it_expired() {
    let mut board = board(&[
        ("a", 1, State::InProgress, 700),
        ("b", 2, State::Claimed, 200),
        ("c", 2, State::Pending, 0),
    ]);
    after(&mut board, "c", "missing");
    let seen = expired(&board, "a");
    let active = Active::new(&board, &[], &seen, 10, Timestamp(1000));
    let rows: Vec<_> = active
        .active
        .iter()
        .map(|held| (held.task.as_str(), held.seconds, held.expired))
        .collect();
    assert_eq!(rows, [("b", 800, false), ("a", 300, true)]);
    assert_eq!(active.expired.len(), 1);
    let waiting = &active.waiting[0];
    assert_eq!((waiting.on, waiting.state), (On::Dependency, None));
    assert_eq!(waiting.dependency.unwrap().as_str(), "missing");
}
