//! All Git I/O. gix types stop here: the layers above see [`Oid`], paths and text.

pub mod cmd;
pub mod files;
pub mod objects;
pub mod refs;
pub mod repo;
pub mod worktree;

pub use cmd::{Git, GitFailure};
pub use gix::ObjectId as Oid;
pub use repo::Repo;
