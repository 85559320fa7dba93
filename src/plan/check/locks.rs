//! Locks: each has one name, and tasks hold those that are there.

use std::collections::BTreeSet;

use super::super::fields::Notes;
use super::super::finding::Severity;
use crate::model::{LockId, Plan};

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    let mut seen: BTreeSet<&LockId> = BTreeSet::new();
    for (i, lock) in plan.locks.iter().enumerate() {
        let key = format!("locks[{i}]");
        if !seen.insert(&lock.id) {
            let message = format!("there are two locks {}", lock.id);
            let help = "give one of them another name";
            notes.at(Severity::Error, &format!("{key}.id"), message, help);
        }
        for task in &lock.tasks {
            if plan.tasks.iter().all(|other| other.id != *task) {
                let message = format!(
                    "lock {} names task {task}, which is not in this plan",
                    lock.id
                );
                let help = "write the id of a task, or take it out";
                notes.at(Severity::Warning, &format!("{key}.tasks"), message, help);
            }
        }
    }
    for (i, task) in plan.tasks.iter().enumerate() {
        for id in &task.locks {
            let key = format!("tasks[{i}].locks");
            match plan.locks.iter().find(|lock| lock.id == *id) {
                None => {
                    let message = format!(
                        "task {} holds lock {id}, which is not in this plan",
                        task.id
                    );
                    let help = "add it as `[[locks]]`, unless the ledger has it already";
                    notes.at(Severity::Warning, &key, message, help);
                }
                Some(lock)
                    if !lock.lets(&crate::model::locks::Holder {
                        task: &task.id,
                        locks: &task.locks,
                        agent: None,
                    }) =>
                {
                    let message = format!(
                        "task {} holds lock {id}, which is critical and does not name the task",
                        task.id
                    );
                    let help = format!("write `tasks = [\"{}\"]` in the lock", task.id);
                    notes.at(Severity::Error, &key, message, help);
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::check_text;

    fn found(text: &str) -> Vec<String> {
        let task = "[[tasks]]\nid = \"a\"\ntitle = \"Write the file\"\nscope = [\"a\"]\ndeliverables = [\"a\"]\nsuccess = [\"true\"]\nrun = \"true\"\n";
        let checked = check_text(format!("{task}{text}").as_bytes(), "stem");
        let line = |found: &crate::plan::Finding| format!("{}: {}", found.key, found.message);
        checked.findings.iter().map(line).collect()
    }

    #[test]
    fn what_is_wrong_with_locks_is_told() {
        let lock = "[[locks]]\nid = \"x\"\npaths = [\"a\"]\nassertion = \"it is so\"\n";
        assert_eq!(found(lock), [""; 0]);
        assert_eq!(
            found(&format!("{lock}{lock}")),
            ["locks[1].id: there are two locks x"]
        );
        assert_eq!(
            found(&format!("{lock}tasks = [\"b\"]\n")),
            ["locks[0].tasks: lock x names task b, which is not in this plan"]
        );
        assert_eq!(
            found("locks = [\"y\"]\n"),
            ["tasks[0].locks: task a holds lock y, which is not in this plan"]
        );
        assert_eq!(
            found(&format!("locks = [\"x\"]\n{lock}trust = \"critical\"\n")),
            ["tasks[0].locks: task a holds lock x, which is critical and does not name the task"]
        );
        assert_eq!(
            found("[[locks]]\nid = \"x\"\n").len(),
            2,
            "paths and assertion are missing"
        );
        let wrong = lock.replace("\"a\"", "\"/a\"");
        assert!(
            found(&wrong)[0].contains("begins with `/`"),
            "{:?}",
            found(&wrong)
        );
        assert!(found(&format!("{lock}trust = \"open\"\n"))[0].contains("trust"));
    }
}
