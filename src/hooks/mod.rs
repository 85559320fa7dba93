//! What each Git hook checks; shared with the gate.
