//! Views of the ledger for people and machines: what is the case ([`swarm`], [`focus`]) and what happened
//! ([`story`]); what stands in line ([`queue`]). Nothing here changes anything.

pub mod focus;
pub mod levels;
pub mod pace;
pub mod queue;
pub mod story;
pub mod swarm;
pub mod target;
pub mod text;
pub mod throughput;

pub use target::Target;
