//! What is seen of a task agrees with it, read or unread, and everything stays in order.

use super::*;
use crate::model::spec::{Coupling, Dependency, TaskSpec};

fn task(id: &str) -> Task {
    let spec = TaskSpec::new(id.parse().unwrap(), TeamId(1), format!("title of {id}"));
    Task::from_spec(&spec, 0, false, 0)
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn ids(tasks: &Tasks) -> Vec<&str> {
    tasks.keys().map(TaskId::as_str).collect()
}

/// A row of these tests: the length of the id, the id, and a byte more.
fn read(row: &[u8]) -> Task {
    let end = 1 + usize::from(row[0]);
    assert_eq!(row[end..], *b"!", "a row is given whole and by itself");
    task(std::str::from_utf8(&row[1..end]).unwrap())
}

fn stored(ids: &[&str]) -> Tasks {
    let mut bytes = b"before".to_vec();
    let mut rows = Vec::new();
    for id in ids {
        let length = u32::try_from(id.len() + 2).unwrap();
        bytes.push(u8::try_from(id.len()).unwrap());
        bytes.extend(id.bytes().chain(*b"!"));
        rows.push(Row {
            length,
            ..Row::new(task(id))
        });
    }
    for row in &mut rows {
        row.task = OnceLock::new();
    }
    Tasks::stored(bytes, 6, rows, Arc::new(read)).unwrap()
}

fn is_read(tasks: &Tasks, id: &str) -> bool {
    let at = tasks.find(&id.parse().unwrap()).unwrap();
    tasks.rows[at].task.get().is_some()
}

#[test]
fn a_row_is_read_when_it_is_asked_for_and_no_other() {
    let tasks = stored(&["a", "bb", "ccc"]);
    assert_eq!(tasks.get(&id("bb")).unwrap().title, "title of bb");
    assert!(tasks.get(&id("b")).is_none() && tasks.get(&id("d")).is_none());
    assert!(tasks.contains_key(&id("ccc")));
    assert_eq!(tasks.like(|seen| seen.state == State::Ready).count(), 0);
    assert!(is_read(&tasks, "bb"));
    assert!(!is_read(&tasks, "a") && !is_read(&tasks, "ccc"));
    assert_eq!(ids(&tasks), ["a", "bb", "ccc"]);
}

#[test]
fn rows_that_do_not_fill_the_bytes_are_no_rows() {
    let rows = |tasks: Tasks| (tasks.bytes.to_vec(), tasks.rows);
    let (bytes, short) = rows(stored(&["a", "b"]));
    assert!(Tasks::stored(bytes.clone(), 6, short[..1].to_vec(), Arc::new(read)).is_none());
    assert!(Tasks::stored(bytes[..8].to_vec(), 6, short.clone(), Arc::new(read)).is_none());
    assert!(Tasks::stored(bytes.clone(), 7, short.clone(), Arc::new(read)).is_none());
    let mut wrong = short;
    wrong[0].length = 1;
    assert!(Tasks::stored(bytes, 6, wrong, Arc::new(read)).is_none());
}

#[test]
fn whatever_changes_a_task_changes_what_is_seen_of_it() {
    let mut tasks = stored(&["a", "b"]);
    let before = *tasks.see(&id("a")).unwrap();
    {
        let mut task = tasks.get_mut(&id("a")).unwrap();
        task.status.state = State::Blocked;
        task.status.agent = Some("1.2".parse().unwrap());
        task.status.attempt = Attempt(3);
        task.status.since = Timestamp(9);
        task.team = TeamId(1);
        task.priority = 5;
        task.order = 7;
        task.after.push(Dependency {
            task: id("b"),
            coupling: Coupling::Tight,
        });
        task.role = Some(String::from("tester"));
    }
    let seen = *tasks.see(&id("a")).unwrap();
    assert_eq!(seen, Glance::of(&tasks[&id("a")]));
    assert_ne!(seen.demand, before.demand);
    assert_eq!((seen.state, seen.comes_after), (State::Blocked, true));
    let to_store: Vec<bool> = tasks
        .to_store()
        .map(|(_, stored)| matches!(stored, Stored::Task(_)))
        .collect();
    assert_eq!(to_store, [true, false], "the other's bytes still say it");
}

#[test]
fn demands_differ_where_what_is_asked_for_does() {
    let demand_of = |change: fn(&mut Task)| {
        let mut task = task("a");
        change(&mut task);
        Glance::of(&task).demand
    };
    let demands = [
        demand_of(|_| {}),
        demand_of(|task| task.role = Some(String::new())),
        demand_of(|task| task.role = Some(String::from("x"))),
        demand_of(|task| task.model = Some(String::from("x"))),
        demand_of(|task| task.agent = Some(String::from("x"))),
        demand_of(|task| task.skills = vec![String::from("x")]),
        demand_of(|task| task.skills = vec![String::from("x"), String::from("y")]),
        demand_of(|task| task.skills = vec![String::from("xy")]),
    ];
    for (i, one) in demands.iter().enumerate() {
        assert!(demands[..i].iter().all(|other| other != one), "{i}");
    }
    let of_no_matter = demand_of(|task| task.title = String::from("another"));
    assert_eq!(of_no_matter, demands[0]);
}

#[test]
fn one_by_one_and_at_once_come_to_the_same_order() {
    let new = ["m", "b", "z", "b", "a", "c"];
    let mut one_by_one = stored(&["b", "k", "y"]);
    let mut at_once = one_by_one.clone();
    for (order, id) in (1..).zip(new) {
        let mut task = task(id);
        task.order = order;
        one_by_one.insert(task);
    }
    at_once.extend((1..).zip(new).map(|(order, id)| {
        let mut task = task(id);
        task.order = order;
        task
    }));
    assert_eq!(ids(&at_once), ["a", "b", "c", "k", "m", "y", "z"]);
    assert_eq!(at_once[&id("b")].order, 4, "the last counts");
    assert_eq!(one_by_one, at_once);
    at_once.extend([]);
    assert_eq!(one_by_one, at_once);
}

#[test]
fn what_is_taken_out_is_gone() {
    let mut tasks = stored(&["a", "b", "c"]);
    assert_eq!(tasks.remove(&id("b")), Some(task("b")));
    assert_eq!(tasks.remove(&id("b")), None);
    tasks.insert(task("d"));
    tasks.get_mut(&id("d")).unwrap().team = TeamId(2);
    tasks.retain(|seen| seen.team == TeamId(1));
    assert_eq!(ids(&tasks), ["a", "c"]);
    assert_eq!((tasks.len(), tasks.is_empty()), (2, false));
}
