//! From edits of the board to a new tree: only the directories on the way to a changed file are written.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::Ledger;
use super::files;
use super::layout::{Place, ROOT, TaskPlace, archive};
use crate::git::{Oid, Repo, objects};
use crate::model::{AgentRecord, Edit, Settings, TaskId, TeamSpec};

impl Ledger {
    /// Writes the files of a change over the ledger's tree and returns the new tree.
    ///
    /// # Errors
    ///
    /// The object store cannot be read or written.
    pub(super) fn write_files(&self, edits: &[Edit]) -> Result<Oid> {
        let mut root = Node::default();
        let context = Context::of(edits);
        for edit in edits {
            self.plan_edit(edit, &context, &mut root)?;
        }
        match (root.write(self.repo(), self.tree())?, self.tree()) {
            (Some(tree), _) | (None, Some(tree)) => Ok(tree),
            (None, None) => self.repo().write_tree(b""),
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a flat match, an arm per kind of file"
    )]
    fn plan_edit(&self, edit: &Edit, context: &Context<'_>, root: &mut Node) -> Result<()> {
        let task_place = |id: &TaskId| {
            if let Some(place) = context.new_tasks.get(id) {
                return Ok(place.clone());
            }
            let row = self
                .board()
                .tasks
                .get(id)
                .with_context(|| format!("no task {id}"))?;
            Ok::<_, anyhow::Error>(TaskPlace {
                team: row.team,
                id: id.clone(),
                sharded: row.sharded,
            })
        };
        let over = |place: &Place| match place {
            // What a closed run's files said is no older version of the next one's.
            Place::Phases | Place::Team(_) | Place::Agent(_) | Place::Task(_)
                if context.is_emptied =>
            {
                Ok(None)
            }
            place => self.read(&place.path()),
        };
        let mut put = |place: &Place, text: String| root.put(&place.path(), Some(Put::Text(text)));
        match edit {
            Edit::Archive(name) => self.plan_archive(name, root)?,
            Edit::PutSettings(settings) => {
                let old = over(&Place::Settings)?;
                let text = files::render(settings);
                put(
                    &Place::Settings,
                    files::render_over::<Settings>(old.as_deref(), &text),
                );
            }
            Edit::PutPhases(phases) => {
                let old = over(&Place::Phases)?;
                let text = files::render(&files::PhasesFile {
                    phases: phases.clone(),
                });
                let text = files::render_over::<files::PhasesFile>(old.as_deref(), &text);
                put(&Place::Phases, text);
            }
            Edit::PutTeam(team) => {
                let place = Place::Team(team.id);
                let old = over(&place)?;
                let text = files::render(team);
                put(
                    &place,
                    files::render_over::<TeamSpec>(old.as_deref(), &text),
                );
            }
            Edit::PutAgent(agent, record) => {
                let place = Place::Agent(*agent);
                let old = over(&place)?;
                let text = files::render(record);
                put(
                    &place,
                    files::render_over::<AgentRecord>(old.as_deref(), &text),
                );
            }
            Edit::RemoveTeam(team) => {
                let path = Place::Team(*team).path();
                root.put(path.trim_end_matches("/team.toml"), None);
            }
            Edit::PutTask {
                spec,
                order,
                sharded,
                ..
            } => {
                let place = Place::Task(TaskPlace {
                    team: spec.team,
                    id: spec.id.clone(),
                    sharded: *sharded,
                });
                let old = over(&place)?;
                let text = files::render_task(spec, *order);
                put(
                    &place,
                    files::render_over::<files::TaskFile>(old.as_deref(), &text),
                );
            }
            Edit::PutOrder(id, order) => {
                let place = Place::Task(task_place(id)?);
                let old = over(&place)?;
                let spec = self.spec(id)?;
                let text = files::render_task(&spec, *order);
                put(
                    &place,
                    files::render_over::<files::TaskFile>(old.as_deref(), &text),
                );
            }
            Edit::RemoveTask(id) => {
                let place = task_place(id)?;
                root.put(&Place::Task(place.clone()).path(), None);
                root.put(&Place::Status(place.clone()).path(), None);
                root.put(&Place::Handoff(place).path(), None);
            }
            Edit::PutStatus(id, status) => {
                put(
                    &Place::Status(task_place(id)?),
                    files::render_status(status),
                );
            }
            Edit::PutHandoff(id, handoff) => {
                put(&Place::Handoff(task_place(id)?), files::render(&**handoff));
            }
            Edit::PutAssembly(number, report) => put(&Place::Assembly(*number), report.clone()),
            Edit::PutSigners(signers) => {
                let old = over(&Place::Signers)?.unwrap_or_default();
                put(&Place::Signers, files::render_signers(&old, signers));
            }
            Edit::PutLocks(locks) => {
                let old = over(&Place::Locks)?;
                let text = files::render(&files::LocksFile {
                    locks: locks.clone(),
                });
                let text = files::render_over::<files::LocksFile>(old.as_deref(), &text);
                put(&Place::Locks, text);
            }
            Edit::PutWrapUp(id, done) => {
                put(&Place::WrapUp(id.clone()), files::render(&**done));
            }
            Edit::PutTested(tested) => {
                let file = files::TestedFile {
                    integration: tested.clone(),
                };
                put(&Place::Tested, files::render(&file));
            }
        }
        Ok(())
    }
}

/// What the edits of one change say of each other.
struct Context<'a> {
    /// Places of tasks that come in.
    new_tasks: BTreeMap<&'a TaskId, TaskPlace>,
    /// Whether the board is emptied first.
    is_emptied: bool,
}

impl<'a> Context<'a> {
    fn of(edits: &'a [Edit]) -> Self {
        let new = edits.iter().filter_map(|edit| match edit {
            Edit::PutTask { spec, sharded, .. } => Some((
                &spec.id,
                TaskPlace {
                    team: spec.team,
                    id: spec.id.clone(),
                    sharded: *sharded,
                },
            )),
            _ => None,
        });
        Self {
            new_tasks: new.collect(),
            is_emptied: edits.iter().any(|edit| matches!(edit, Edit::Archive(_))),
        }
    }
}

impl Ledger {
    /// Moves what a run consists of into its archive: whole directories, so that it costs the same with any number of
    /// tasks.
    fn plan_archive(&self, name: &str, root: &mut Node) -> Result<()> {
        let Some(tree) = self.tree() else {
            return Ok(());
        };
        let repo = self.repo();
        let tree = repo.read_tree(tree)?;
        let ours = objects::find_entry(&tree, ROOT.as_bytes()).filter(|entry| entry.is_tree);
        let below = ours.map_or(Ok(Vec::new()), |entry| repo.read_tree(entry.id))?;
        for (item, goes) in [("teams", true), ("phases.toml", true), ("orch.toml", false)] {
            let Some(entry) = objects::find_entry(&below, item.as_bytes()) else {
                continue;
            };
            let put = Put::Entry(entry.id, entry.is_tree);
            root.put(&format!("{}/{item}", archive(name)), Some(put));
            if goes {
                root.put(&format!("{ROOT}/{item}"), None);
            }
        }
        Ok(())
    }
}

/// What a name is to stand for.
enum Put {
    /// A file with a text.
    Text(String),
    /// What is in the store already, and whether it is a directory.
    Entry(Oid, bool),
}

/// Files to write below one directory.
#[derive(Default)]
struct Node {
    /// Files by name: what they become, or `None` to remove whatever has the name. Directories of the name are written
    /// afterwards.
    files: BTreeMap<String, Option<Put>>,
    /// Directories by name.
    dirs: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, path: &str, text: Option<Put>) {
        match path.split_once('/') {
            Some((dir, rest)) => self.dirs.entry(dir.to_owned()).or_default().put(rest, text),
            None => {
                self.files.insert(path.to_owned(), text);
            }
        }
    }

    /// Writes the files over a tree and returns the new tree; `None` where nothing is left in it.
    fn write(&self, repo: &Repo, old: Option<Oid>) -> Result<Option<Oid>> {
        let mut tree = old.map_or(Ok(Vec::new()), |old| repo.read_tree(old))?;
        for (name, text) in &self.files {
            let new = match text {
                Some(Put::Text(text)) => Some((repo.write_blob(text.as_bytes())?, false)),
                Some(Put::Entry(id, is_tree)) => Some((*id, *is_tree)),
                None => None,
            };
            tree = objects::splice(&tree, name.as_bytes(), new);
        }
        for (name, node) in &self.dirs {
            let below = objects::find_entry(&tree, name.as_bytes())
                .filter(|entry| entry.is_tree)
                .map(|entry| entry.id);
            let new = node.write(repo, below)?.map(|id| (id, true));
            tree = objects::splice(&tree, name.as_bytes(), new);
        }
        if tree.is_empty() {
            Ok(None)
        } else {
            repo.write_tree(&tree).map(Some)
        }
    }
}
