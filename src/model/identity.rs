//! In whose name commits are made, where it is not a person's.

use super::ids::{AgentId, MachineId};

/// A name and an address, as commits have them.
pub type Identity = (String, String);

/// Returns in whose name an agent's work is committed; `gate::authors::agent` knows it again.
pub fn of_agent(agent: AgentId, machine: &MachineId) -> Identity {
    (
        format!("AGENT-{agent}"),
        format!("agent-{agent}@{machine}.invalid"),
    )
}

/// Returns in whose name a machine commits where nobody has told it a name.
pub fn of_machine(machine: &MachineId) -> Identity {
    (
        String::from("git-orch"),
        format!("git-orch@{machine}.invalid"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::gate::authors::{Person, agent};
    use super::*;

    #[test]
    fn an_agent_is_known_by_its_identity() {
        let id: AgentId = "3.12".parse().unwrap();
        let (name, address) = of_agent(id, &MachineId(String::from("host-1a2b")));
        let person = Person {
            name: name.as_bytes(),
            address: address.as_bytes(),
        };
        assert_eq!(agent(person), Some(id));
    }
}
