//! Guards and arrows of a task's life.
