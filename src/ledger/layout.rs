//! Which path of the ledger means what (docs/decisions/ledger.md).

use crate::model::{AgentId, OpId, TaskId, TeamId};

/// The one directory of the ledger's tree.
pub const ROOT: &str = ".orchestration";

/// A file of the ledger that this version understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `orch.toml`
    Settings,
    /// `phases.toml`
    Phases,
    /// `tested.toml`
    Tested,
    /// `locks.toml`
    Locks,
    /// `allowed_signers`
    Signers,
    /// `teams/<n>/team.toml`
    Team(TeamId),
    /// `teams/<n>/agents/<n.m>.toml`
    Agent(AgentId),
    /// `teams/<n>/tasks/…`
    Task(TaskPlace),
    /// `teams/<n>/status/…`
    Status(TaskPlace),
    /// `teams/<n>/handoffs/…`
    Handoff(TaskPlace),
    /// `assemblies/<number>.toml`
    Assembly(u32),
    /// `syncs/wrapup-<operation>.toml`
    WrapUp(OpId),
    /// `archive/<name>/…`: what was the place of a closed run.
    Archived(String, Box<Place>),
}

/// Where the files of a task lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlace {
    /// Its team.
    pub team: TeamId,
    /// Its id.
    pub id: TaskId,
    /// Whether there is a second level of directories.
    pub sharded: bool,
}

impl Place {
    /// Returns the path in the ledger's tree.
    pub fn path(&self) -> String {
        let below = |place: &TaskPlace, kind: &str| {
            let TaskPlace { team, id, sharded } = place;
            let shard = if *sharded {
                format!("{}/", shard(id))
            } else {
                String::new()
            };
            format!("{ROOT}/teams/{team}/{kind}/{shard}{id}.toml")
        };
        match self {
            Self::Settings => format!("{ROOT}/orch.toml"),
            Self::Phases => format!("{ROOT}/phases.toml"),
            Self::Tested => format!("{ROOT}/tested.toml"),
            Self::Locks => format!("{ROOT}/locks.toml"),
            Self::Signers => format!("{ROOT}/allowed_signers"),
            Self::Team(team) => format!("{ROOT}/teams/{team}/team.toml"),
            Self::Agent(agent) => format!("{ROOT}/teams/{}/agents/{agent}.toml", agent.team),
            Self::Task(place) => below(place, "tasks"),
            Self::Status(place) => below(place, "status"),
            Self::Handoff(place) => below(place, "handoffs"),
            Self::Assembly(number) => format!("{ROOT}/assemblies/{number:04}.toml"),
            Self::WrapUp(id) => format!("{ROOT}/syncs/wrapup-{id}.toml"),
            Self::Archived(name, place) => {
                let path = place.path();
                let rest = path.strip_prefix(ROOT).unwrap_or(&path);
                format!("{}{rest}", archive(name))
            }
        }
    }

    /// Returns what a path means; `None` for files that are not ours, which are kept as they are.
    ///
    /// # Errors
    ///
    /// The path is where ours lie and its name cannot be one of ours.
    pub fn parse(path: &str) -> Result<Option<Self>, String> {
        let Some(rest) = path
            .strip_prefix(ROOT)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return Ok(None);
        };
        let parts: Vec<&str> = rest.split('/').collect();
        Ok(Some(match parts.as_slice() {
            ["orch.toml"] => Self::Settings,
            ["phases.toml"] => Self::Phases,
            ["tested.toml"] => Self::Tested,
            ["locks.toml"] => Self::Locks,
            ["allowed_signers"] => Self::Signers,
            ["assemblies", name] => match name.strip_suffix(".toml").map(str::parse) {
                Some(Ok(number)) => Self::Assembly(number),
                _ => return Ok(None),
            },
            ["syncs", name] => {
                let id = name.strip_prefix("wrapup-");
                match id.and_then(|id| id.strip_suffix(".toml")) {
                    Some(id) if !id.is_empty() => Self::WrapUp(OpId(id.to_owned())),
                    _ => return Ok(None),
                }
            }
            ["archive", name, below @ ..] if below.first() != Some(&"archive") => {
                // What is archived binds nobody: a name that cannot be one of ours is as good as a foreign file's.
                let was = Self::parse(&format!("{ROOT}/{}", below.join("/")));
                match was {
                    Ok(Some(place)) => Self::Archived((*name).to_owned(), Box::new(place)),
                    Ok(None) | Err(_) => return Ok(None),
                }
            }
            ["teams", team, "team.toml"] => Self::Team(team.parse()?),
            ["teams", team, "agents", name] => {
                let Some(id) = name.strip_suffix(".toml") else {
                    return Ok(None);
                };
                let agent: AgentId = id.parse()?;
                if team.parse() != Ok(agent.team) {
                    return Err(format!("agent {agent} is not of team {team}"));
                }
                Self::Agent(agent)
            }
            [
                "teams",
                team,
                kind @ ("tasks" | "status" | "handoffs"),
                below @ ..,
            ] => {
                let (name, sharded) = match below {
                    [name] => (name, false),
                    [_, name] => (name, true),
                    _ => return Ok(None),
                };
                let Some(id) = name.strip_suffix(".toml") else {
                    return Ok(None);
                };
                let place = TaskPlace {
                    team: team.parse()?,
                    id: id.parse()?,
                    sharded,
                };
                match *kind {
                    "tasks" => Self::Task(place),
                    "status" => Self::Status(place),
                    _ => Self::Handoff(place),
                }
            }
            _ => return Ok(None),
        }))
    }
}

/// Returns the directory of a closed run.
pub fn archive(name: &str) -> String {
    format!("{ROOT}/archive/{name}")
}

/// Directories of a second level. With ten thousand tasks in one team each holds about 150 entries, with
/// two hundred about three: every directory is an object that a whole read must open.
const SHARDS: u32 = 64;

/// Returns the second level's directory of a task: two hexadecimal digits of a hash of its id (FNV-1a).
fn shard(id: &TaskId) -> String {
    let hash = id.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{:02x}", ((hash >> 16) ^ hash) % SHARDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_again_by_its_path() {
        let task = |sharded| TaskPlace {
            team: TeamId(3),
            id: "auth-schema".parse().unwrap(),
            sharded,
        };
        for place in [
            Place::Settings,
            Place::Phases,
            Place::Tested,
            Place::Locks,
            Place::Signers,
            Place::Team(TeamId(2)),
            Place::Agent("2.3".parse().unwrap()),
            Place::Task(task(false)),
            Place::Task(task(true)),
            Place::Status(task(true)),
            Place::Handoff(task(false)),
            Place::Assembly(12),
            Place::WrapUp(OpId(String::from("1f-2"))),
            Place::Archived(String::from("first"), Box::new(Place::Settings)),
            Place::Archived(String::from("a-2"), Box::new(Place::Task(task(true)))),
        ] {
            assert_eq!(Place::parse(&place.path()), Ok(Some(place)));
        }
    }

    #[test]
    fn foreign_files_are_left_alone_and_bad_names_are_told() {
        for path in [
            "README.md",
            ".orchestration/ideas/x.toml",
            ".orchestration/teams/1/notes.md",
            ".orchestration/syncs/notes.toml",
            ".orchestration/archive/first/notes.md",
            ".orchestration/archive/first/teams/x/team.toml",
            ".orchestration/archive/first/archive/second/orch.toml",
        ] {
            assert_eq!(Place::parse(path), Ok(None), "{path}");
        }
        assert!(Place::parse(".orchestration/teams/x/team.toml").is_err());
        assert!(Place::parse(".orchestration/teams/1/agents/2.1.toml").is_err());
        assert!(Place::parse(".orchestration/teams/1/tasks/a b.toml").is_err());
    }
}
