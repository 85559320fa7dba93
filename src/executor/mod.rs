//! Claims tasks and runs agents.
