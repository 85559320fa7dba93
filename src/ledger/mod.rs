//! The ledger branch as values: read into a [`crate::model::Board`], moved forward by decided operations.
//!
//! * [`layout`] says which path means what; [`files`] reads and writes each kind of file.
//! * [`snapshot`] holds the board of one tip and follows the branch by tree differences; `cache` is where it begins.
//! * [`store`] opens the ledger; [`transact`] decides and commits under one lock, with a compare-and-swap
//!   underneath it, for all whose intents wait in the `spool` (`combine`).
//! * `remote` does the same where a remote's ledger is the truth, at a `pace` that lets others through; `transport`
//!   talks to it, `publish` makes it the truth.
//! * `tree` writes what a decision changes; [`lease`] keeps a machine's claims alive and watches others'.
//! * [`pack`] keeps what all that writes from filling the disk.
//! * [`history`] reads the event log back from the commits.
//! * [`store`] decides and commits under one lock, with a compare-and-swap underneath it.
//! * `tree` writes what a decision changes; `lease` keeps a machine's claims alive.
//! * [`history`] reads the event log back from the commits; [`events`] indexes it.
//! * [`signatures`] signs transitions and checks who has signed them.
//! * [`archive`] reads what closed runs have left.
//! * [`audit`] finds commits that claim a power which their actor lacks.
//! * [`damage`] finds what is broken and puts good versions back; [`choice`] is between two ledgers where only a
//!   person can choose.

pub mod archive;
pub mod audit;
mod cache;
pub mod choice;
mod combine;
pub mod damage;
pub mod events;
pub mod files;
pub mod history;
mod hold;
pub mod layout;
pub mod lease;
mod pace;
pub mod pack;
pub mod pre_push;
mod publish;
mod remote;
pub mod signatures;
pub mod snapshot;
mod spool;
pub mod store;
pub mod sync;
pub mod transact;
mod transport;
mod tree;

pub use cache::digest as cache_digest;
pub use events::{History, Query};
pub use history::Entry;
pub use pre_push::{HookAnswer, Outgoing, PushRefusal};
pub use store::Ledger;
pub use transact::Done;
pub use transport::{Overtaken, Unreachable};
