//! Claims tasks and runs agents.

mod step;
