//! All tasks of a board, sorted by id, each read from its row when it is first asked for.
//!
//! Ten thousand tasks are millions of bytes in small texts, and most commands look at a few of them. What a pass over
//! all of them needs is kept beside each row as a [`Glance`]. A glance always agrees with its task: whoever changes
//! a task does it through [`TaskMut`], which takes the glance anew.

use std::fmt;
use std::ops::{Deref, DerefMut, Index};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize};

use super::board::Task;
use super::ids::{AgentId, Attempt, TaskId, TeamId, Timestamp};
use super::state::State;

/// What is known of a task without reading its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// Where it is in its life.
    pub state: State,
    /// Its team.
    pub team: TeamId,
    /// Who holds it, or held it last.
    #[serde(with = "agent_as_numbers")]
    pub agent: Option<AgentId>,
    /// Number of its latest claim.
    pub attempt: Attempt,
    /// When its state was entered.
    pub since: Timestamp,
    /// Higher goes first.
    pub priority: i32,
    /// Position in the plan.
    pub order: u32,
    /// Whether it comes after others.
    pub comes_after: bool,
    /// Digest of what it asks of whoever works on it: tasks of one team that ask for the same suit the same coders.
    pub demand: u64,
}

impl Glance {
    /// Returns what there is to see of a task.
    pub fn of(task: &Task) -> Self {
        Self {
            state: task.status.state,
            team: task.team,
            agent: task.status.agent,
            attempt: task.status.attempt,
            since: task.status.since,
            priority: task.priority,
            order: task.order,
            comes_after: !task.after.is_empty(),
            demand: demand(task),
        }
    }
}

/// FNV-1a, 64 bits; texts are kept apart by a byte that is in none of them.
fn demand(task: &Task) -> u64 {
    let named = [&task.role, &task.model, &task.agent];
    let named = named.into_iter().flat_map(|text| {
        let text = text
            .iter()
            .flat_map(|text| [0].into_iter().chain(text.bytes()));
        text.chain([0xff])
    });
    let skills = task.skills.iter();
    let skills = skills.flat_map(|skill| skill.bytes().chain([0xff]));
    named
        .chain(skills)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// Turns a row into its task. Whoever gives it has a way for rows that say nothing.
pub type ReadRow = Arc<dyn Fn(&[u8]) -> Task + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// A row as it is stored: what there is to see of it, and its bytes or what they would say.
#[derive(Debug)]
pub enum Stored<'a> {
    /// The row as it was read.
    Bytes(&'a [u8]),
    /// A task that has changed since, or is new.
    Task(&'a Task),
}

/// All tasks, sorted by id.
#[derive(Clone)]
pub struct Tasks {
    rows: Vec<Row>,
    bytes: Arc<Vec<u8>>,
    read: ReadRow,
}

/// One task's place; as read from a table, what is seen of it and the length of its row.
#[derive(Clone)]
pub struct Row {
    glance: Glance,
    /// Where its bytes are.
    from: u32,
    /// How many they are; none where it is a task that they do not say.
    length: u32,
    task: OnceLock<Box<Task>>,
}

impl Row {
    fn new(task: Task) -> Self {
        Self {
            glance: Glance::of(&task),
            from: 0,
            length: 0,
            task: OnceLock::from(Box::new(task)),
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (glance, length) = Deserialize::deserialize(from)?;
        Ok(Self {
            glance,
            from: 0,
            length,
            task: OnceLock::new(),
        })
    }
}

impl Tasks {
    /// Returns the tasks of rows that lie in `bytes` one behind the other from `from` on, sorted by id; each
    /// begins with the length of its id and the id. `None` where they do not lie so, or are not sorted.
    pub fn stored(bytes: Vec<u8>, from: usize, mut rows: Vec<Row>, read: ReadRow) -> Option<Self> {
        let mut next = u32::try_from(from).ok()?;
        let mut last: &[u8] = b"";
        for row in &mut rows {
            row.from = next;
            let id = u32::from(*bytes.get(next as usize)?);
            if row.length <= id {
                return None;
            }
            next = next.checked_add(row.length)?;
            let id = bytes.get(row.from as usize + 1..=row.from as usize + id as usize)?;
            if id <= last {
                return None;
            }
            last = id;
        }
        (next as usize == bytes.len()).then(|| Self {
            rows,
            bytes: Arc::new(bytes),
            read,
        })
    }

    /// Returns what to store of each task, by id.
    pub fn to_store(&self) -> impl ExactSizeIterator<Item = (&Glance, Stored<'_>)> {
        self.rows.iter().map(|row| {
            let stored = match (row.length, row.task.get()) {
                (0, Some(task)) => Stored::Task(task),
                _ => Stored::Bytes(self.bytes_of(row)),
            };
            (&row.glance, stored)
        })
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns whether there is a task of this id.
    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.find(id).is_ok()
    }

    /// Returns a task.
    pub fn get(&self, id: &TaskId) -> Option<&Task> {
        self.find(id).ok().map(|at| self.task(&self.rows[at]))
    }

    /// Returns a task, unread.
    pub fn see(&self, id: &TaskId) -> Option<Seen<'_>> {
        let row = &self.rows[self.find(id).ok()?];
        Some(Seen { tasks: self, row })
    }

    /// Returns a task to be changed; its id stays.
    pub fn get_mut(&mut self, id: &TaskId) -> Option<TaskMut<'_>> {
        let at = self.find(id).ok()?;
        self.task(&self.rows[at]);
        let row = &mut self.rows[at];
        row.length = 0;
        Some(TaskMut {
            task: row.task.get_mut()?,
            glance: &mut row.glance,
        })
    }

    /// Puts a task in, in the place of the one that had its id.
    pub fn insert(&mut self, task: Task) {
        // Plans and directories mostly come in the order of ids.
        let is_last = self
            .rows
            .last()
            .is_none_or(|last| self.id(last) < task.id.as_str().as_bytes());
        if is_last {
            self.rows.push(Row::new(task));
            return;
        }
        match self.find(&task.id) {
            Ok(at) => self.rows[at] = Row::new(task),
            Err(at) => self.rows.insert(at, Row::new(task)),
        }
    }

    /// Takes a task out.
    pub fn remove(&mut self, id: &TaskId) -> Option<Task> {
        let at = self.find(id).ok()?;
        self.task(&self.rows[at]);
        self.rows.remove(at).task.into_inner().map(|task| *task)
    }

    /// Keeps only the tasks that look like this.
    pub fn retain(&mut self, keep: impl Fn(&Glance) -> bool) {
        self.rows.retain(|row| keep(&row.glance));
    }

    /// Returns all ids.
    pub fn keys(&self) -> impl Iterator<Item = &TaskId> {
        self.values().map(|task| &task.id)
    }

    /// Returns all tasks by id.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Task> + Clone {
        self.rows.iter().map(|row| self.task(row))
    }

    /// Returns all tasks with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, &Task)> {
        self.values().map(|task| (&task.id, task))
    }

    /// Returns all tasks by id, unread.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'_>> + Clone {
        self.rows.iter().map(|row| Seen { tasks: self, row })
    }

    /// Returns the tasks that look like this, by id; no others are read.
    pub fn like(&self, wanted: impl Fn(&Glance) -> bool) -> impl Iterator<Item = &Task> {
        self.seen().filter(move |seen| wanted(seen)).map(Seen::task)
    }

    fn find(&self, id: &TaskId) -> Result<usize, usize> {
        let id = id.as_str().as_bytes();
        self.rows.binary_search_by(|row| self.id(row).cmp(id))
    }

    fn id<'a>(&'a self, row: &'a Row) -> &'a [u8] {
        match row.task.get() {
            Some(task) => task.id.as_str().as_bytes(),
            None => {
                let bytes = self.bytes_of(row);
                &bytes[1..=usize::from(bytes[0])]
            }
        }
    }

    fn bytes_of(&self, row: &Row) -> &[u8] {
        &self.bytes[row.from as usize..][..row.length as usize]
    }

    fn task<'a>(&'a self, row: &'a Row) -> &'a Task {
        row.task
            .get_or_init(|| Box::new((self.read)(self.bytes_of(row))))
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            bytes: Arc::default(),
            read: Arc::new(|_| unreachable!("tasks that were never stored have no rows")),
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

impl PartialEq for Tasks {
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}

impl Extend<Task> for Tasks {
    /// Puts many in at once: sorted once instead of moved apart for each.
    fn extend<I: IntoIterator<Item = Task>>(&mut self, tasks: I) {
        let mut new: Vec<Task> = tasks.into_iter().collect();
        if new.is_empty() {
            return;
        }
        new.sort_by(|a, b| a.id.cmp(&b.id));
        let old = std::mem::take(&mut self.rows);
        let mut merged: Vec<Row> = Vec::with_capacity(old.len() + new.len());
        let mut old = old.into_iter().peekable();
        for task in new {
            let id = task.id.as_str().as_bytes();
            while let Some(row) = old.next_if(|row| self.id(row) < id) {
                merged.push(row);
            }
            let is_same = |row: &Row| self.id(row) == id;
            let _ = old.next_if(is_same);
            // Of several the last counts, as if they had come one by one.
            if merged.last().is_some_and(is_same) {
                merged.pop();
            }
            merged.push(Row::new(task));
        }
        merged.extend(old);
        self.rows = merged;
    }
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = (&'a TaskId, &'a Task);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Index<&TaskId> for Tasks {
    type Output = Task;

    fn index(&self, id: &TaskId) -> &Task {
        match self.get(id) {
            Some(task) => task,
            None => panic!("there is no task {id}"),
        }
    }
}

/// A task of which the glance is at hand and the rest is read when it is asked for.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    tasks: &'a Tasks,
    row: &'a Row,
}

impl<'a> Seen<'a> {
    /// Returns the task.
    pub fn task(self) -> &'a Task {
        self.tasks.task(self.row)
    }
}

impl Deref for Seen<'_> {
    type Target = Glance;

    fn deref(&self) -> &Glance {
        &self.row.glance
    }
}

impl fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task().fmt(f)
    }
}

/// A task that is being changed.
#[derive(Debug)]
pub struct TaskMut<'a> {
    task: &'a mut Task,
    glance: &'a mut Glance,
}

impl Deref for TaskMut<'_> {
    type Target = Task;

    fn deref(&self) -> &Task {
        self.task
    }
}

impl DerefMut for TaskMut<'_> {
    fn deref_mut(&mut self) -> &mut Task {
        self.task
    }
}

impl Drop for TaskMut<'_> {
    fn drop(&mut self) {
        *self.glance = Glance::of(self.task);
    }
}

mod agent_as_numbers {
    //! An agent as two numbers, which are read faster than text.

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{AgentId, TeamId};

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(
        agent: &Option<AgentId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        agent
            .map(|agent| (agent.team.0, agent.number))
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<AgentId>, D::Error> {
        let numbers = Option::<(u32, u32)>::deserialize(from)?;
        Ok(numbers.map(|(team, number)| AgentId {
            team: TeamId(team),
            number,
        }))
    }
}

#[cfg(test)]
mod tests;
