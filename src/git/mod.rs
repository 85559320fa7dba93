//! All Git I/O. gix types stop here: the layers above see [`Oid`], paths and text.

pub mod audit;
pub mod batch;
pub mod bound;
pub mod checkout;
pub mod cmd;
pub mod complaint;
pub mod config_file;
pub mod difference;
pub mod disk;
pub mod environment;
pub mod exact;
pub mod files;
mod history;
pub mod locks;
pub mod main_worktree;
pub mod merge;
pub mod objects;
mod opening;
mod plain;
pub mod recovery;
pub mod refs;
mod registered;
pub mod repo;
pub mod scratch;
mod watch;
pub mod worktree;

pub use checkout::Checkout;
pub use cmd::{Git, GitFailure};
pub use gix::ObjectId as Oid;

/// The kind of every object id: SHA-1.
pub const HASH: gix::hash::Kind = gix::hash::Kind::Sha1;

pub use history::{ChangedPath, MergeCommit, RangeCommit, TouchingCommit};
pub use merge::{ConflictFile, Conflicted, Merge, Stage, Stages};
pub use repo::Repo;
pub use scratch::Scratch;
pub use watch::end_all;
