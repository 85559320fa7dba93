//! A file per subcommand: its arguments (whose docs are the help) and `run`.

pub mod completions;
mod ctx;
pub mod dispatch;
pub mod hook;
pub mod init;
pub mod log;
pub mod man;
pub mod status;
pub mod block;
pub mod cancel;
pub mod claim;
mod ctx;
pub mod dispatch;
pub mod escalate;
pub mod fail;
mod held;
pub mod init;
pub mod release;
pub mod renew;
pub mod start;
pub mod submit;
pub mod unblock;
pub mod plan;

pub use ctx::Ctx;
