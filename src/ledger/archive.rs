//! Closed runs under `archive/<name>/`: what they say of a task, read when it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Ledger;
use super::files::parse_status;
use super::layout::{Place, TaskPlace, archive};
use crate::git::{Oid, objects};
use crate::model::train::team_branch;
use crate::model::{Earlier, Status, TaskId};

/// A task of a closed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Name of the run's archive.
    pub archive: String,
    /// Path of its specification.
    pub path: String,
    /// How it ended.
    pub status: Status,
}

/// A file of a task in an archive.
struct Found {
    path: String,
    place: TaskPlace,
    blob: Oid,
}

impl Ledger {
    /// Returns what closed runs did with ids that are used again.
    ///
    /// # Errors
    ///
    /// An object cannot be read.
    pub fn earlier<'a>(&self, ids: impl IntoIterator<Item = &'a TaskId>) -> Result<Earlier> {
        let mut earlier = Earlier {
            archives: self.board().archives.clone(),
            ..Earlier::default()
        };
        let ids: BTreeSet<&str> = ids.into_iter().map(TaskId::as_str).collect();
        for name in &earlier.archives {
            for found in self.archived_files(name, "status", |id| ids.contains(id))? {
                let last = self.archived_status(&found)?.attempt;
                if last.0 > 0 {
                    let before = earlier.attempts.entry(found.place.id).or_default();
                    *before = last.max(*before);
                }
            }
        }
        Ok(earlier)
    }

    /// Returns the tasks of an id that closed runs had, by the names of their archives.
    ///
    /// # Errors
    ///
    /// An object cannot be read.
    pub fn archived(&self, id: &TaskId) -> Result<Vec<Archived>> {
        let is_it = |other: &str| other == id.as_str();
        let mut all = Vec::new();
        for name in &self.board().archives {
            let records = self.archived_files(name, "status", is_it)?;
            for found in self.archived_files(name, "tasks", is_it)? {
                let record = records.iter().find(|record| record.place == found.place);
                all.push(Archived {
                    archive: name.clone(),
                    path: found.path,
                    status: match record {
                        Some(record) => self.archived_status(record)?,
                        None => Status::default(),
                    },
                });
            }
        }
        Ok(all)
    }

    /// Returns the branches that tasks and teams of closed runs had, where their plans named no others.
    ///
    /// # Errors
    ///
    /// An object cannot be read.
    pub fn archived_branches(&self) -> Result<BTreeSet<String>> {
        let mut branches = BTreeSet::new();
        for name in &self.board().archives {
            for Found { place, .. } in self.archived_files(name, "tasks", |_| true)? {
                branches.insert(format!("orch/team-{}/{}", place.team, place.id));
                branches.insert(team_branch(place.team));
            }
        }
        Ok(branches)
    }

    /// Reads the record of an archived task; one that cannot be read is doctor's to tell, and says nothing here.
    fn archived_status(&self, found: &Found) -> Result<Status> {
        let bytes = self.repo().read_blob(found.blob)?;
        Ok(parse_status(&bytes).unwrap_or_default())
    }

    /// Returns the files of one kind in an archive whose ids are wanted.
    fn archived_files(
        &self,
        name: &str,
        kind: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Found>> {
        let mut files = BTreeMap::new();
        let teams = format!("{}/teams", archive(name));
        if let Some(tree) = self.tree_at(&teams)? {
            let read = self.repo().read_tree(tree)?;
            for team in objects::entries(&read)? {
                let dir = format!("{teams}/{}/{kind}", String::from_utf8_lossy(team.name));
                if let Some(tree) = self.tree_at(&dir)? {
                    self.files_below(&dir, tree, &mut files)?;
                }
            }
        }
        let wanted = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.strip_suffix(".toml").is_some_and(&wanted)
        };
        let found = files.into_iter().filter(|(path, _)| wanted(path));
        let found = found.filter_map(|(path, blob)| match Place::parse(&path) {
            Ok(Some(Place::Archived(_, was))) => match *was {
                Place::Task(place) | Place::Status(place) => Some(Found { path, place, blob }),
                _ => None,
            },
            _ => None,
        });
        Ok(found.collect())
    }

    /// Lists the files in a directory and in those in it.
    fn files_below(&self, dir: &str, tree: Oid, files: &mut BTreeMap<String, Oid>) -> Result<()> {
        let read = self.repo().read_tree(tree)?;
        for entry in objects::entries(&read)? {
            let path = format!("{dir}/{}", String::from_utf8_lossy(entry.name));
            match entry.is_tree {
                true => self.files_below(&path, entry.id, files)?,
                false => {
                    files.insert(path, entry.id);
                }
            }
        }
        Ok(())
    }

    /// Returns the tree of a directory of the ledger.
    fn tree_at(&self, path: &str) -> Result<Option<Oid>> {
        let Some(mut id) = self.tree() else {
            return Ok(None);
        };
        for part in path.split('/') {
            let tree = self.repo().read_tree(id)?;
            let entry = objects::find_entry(&tree, part.as_bytes());
            let Some(entry) = entry.filter(|entry| entry.is_tree) else {
                return Ok(None);
            };
            id = entry.id;
        }
        Ok(Some(id))
    }
}
