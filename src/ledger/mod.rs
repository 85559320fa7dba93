//! The ledger branch as values: read into a [`crate::model::Board`], moved forward by decided operations.
//!
//! * [`layout`] says which path means what; [`files`] reads and writes each kind of file.
//! * [`snapshot`] holds the board of one tip and follows the branch by tree differences.
//! * [`store`] decides and commits under one lock, with a compare-and-swap underneath it.
//! * `tree` writes what a decision changes; `lease` keeps a machine's claims alive.
//! * [`history`] reads the event log back from the commits.

pub mod files;
pub mod history;
pub mod layout;
mod lease;
pub mod snapshot;
pub mod store;
mod tree;

pub use history::Entry;
pub use store::{Done, Ledger};
