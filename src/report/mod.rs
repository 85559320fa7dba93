//! Status and log as views of board and history.
