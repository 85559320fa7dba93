//! Brings branches together: merged in order, tested, landed.
