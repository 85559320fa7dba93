//! What tests said about trees. An identical tree is never tested twice by the same command.
//!
//! Green is kept as a blob under `refs/orch/verdict/<aa>/<id>`, whose id is the key: tree, command and
//! platform. Red is kept for this run only, since it may be a flake.

use std::collections::HashMap;

use anyhow::Result;

use crate::git::objects::blob_id;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};

/// Why a tree failed.
#[derive(Debug, Clone)]
pub(super) struct Red {
    /// In a few words, for example `it exited with 1`.
    pub(super) why: String,
    /// The last of its output.
    pub(super) output: String,
}

/// Verdicts by tree, for one command.
pub(super) struct Verdicts {
    command: String,
    red: HashMap<Oid, Red>,
    pub(super) run: u32,
    pub(super) cached: u32,
}

impl Verdicts {
    pub(super) fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            red: HashMap::new(),
            run: 0,
            cached: 0,
        }
    }

    /// Returns what is known of a tree: green, red, or nothing.
    pub(super) fn known(&self, repo: &Repo, tree: Oid) -> Result<Option<Result<(), Red>>> {
        if let Some(red) = self.red.get(&tree) {
            return Ok(Some(Err(red.clone())));
        }
        let name = ref_name(blob_id(self.record(tree).as_bytes()));
        if repo.read_ref(&name)?.is_some() {
            return Ok(Some(Ok(())));
        }
        Ok(None)
    }

    /// Remembers what a test said.
    pub(super) fn learn(&mut self, repo: &Repo, tree: Oid, said: &Result<(), Red>) -> Result<()> {
        self.run += 1;
        match said {
            Ok(()) => {
                let id = repo.write_blob(self.record(tree).as_bytes())?;
                let name = ref_name(id);
                repo.break_dead_lock(&name)?;
                let moved = repo.swap_refs(&[(&name, None, Some(id))], "green")?;
                // Lost means that the same verdict is there already.
                let (Swap::Won | Swap::Lost) = moved;
            }
            Err(red) => {
                self.red.insert(tree, red.clone());
            }
        }
        Ok(())
    }

    fn record(&self, tree: Oid) -> String {
        let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
        format!(
            "green\ntree {tree}\nplatform {system} {machine}\ncommand {}\n",
            self.command
        )
    }
}

fn ref_name(id: Oid) -> String {
    let hex = id.to_string();
    format!("refs/orch/verdict/{}/{hex}", &hex[..2])
}
