//! Agent profiles and command lines; prompt rendering.
