//! A file per subcommand: its arguments (whose docs are the help) and `run`.

pub mod approve;
pub mod assemble;
pub mod block;
pub mod cancel;
pub mod claim;
pub mod completions;
pub mod conflict;
mod ctx;
pub mod demo;
pub mod dispatch;
pub mod doctor;
pub mod escalate;
pub mod fail;
mod held;
pub mod hook;
pub mod init;
pub mod log;
pub mod man;
pub mod pack;
pub mod pause;
pub mod plan;
pub mod queue;
pub mod radar;
pub mod release;
pub mod remote;
pub mod renew;
pub mod resume;
pub mod run;
pub mod start;
pub mod status;
pub mod submit;
pub mod sync;
pub mod task;
pub mod unblock;
pub mod work;

pub use ctx::Ctx;
