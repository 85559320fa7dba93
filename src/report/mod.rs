//! Views of the ledger for people and machines: what is the case ([`swarm`], [`focus`]) and what happened
//! ([`story`]). Nothing here changes anything.

pub mod focus;
pub mod pace;
pub mod story;
pub mod swarm;
pub mod target;
pub mod text;

pub use target::Target;
