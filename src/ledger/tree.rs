//! From edits of the board to a new tree: only the directories on the way to a changed file are written.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::Ledger;
use super::files;
use super::layout::{Place, TaskPlace, wrapup_path};
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
        for edit in edits {
            self.plan_edit(edit, &mut root)?;
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
    fn plan_edit(&self, edit: &Edit, root: &mut Node) -> Result<()> {
        let task_place = |id: &TaskId| {
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
        let over = |place: &Place| self.read(&place.path());
        let mut put = |place: &Place, text: String| root.put(&place.path(), Some(text));
        match edit {
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
            Edit::PutWrapUp(id, done) => {
                root.put(&wrapup_path(id), Some(files::render(&**done)));
            }
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

/// Files to write below one directory.
#[derive(Default)]
struct Node {
    /// Files by name: their text, or `None` to remove whatever has the name.
    files: BTreeMap<String, Option<String>>,
    /// Directories by name.
    dirs: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, path: &str, text: Option<String>) {
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
                Some(text) => Some((repo.write_blob(text.as_bytes())?, false)),
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
