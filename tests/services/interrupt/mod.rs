//! What is left when a run ends before its end: killed, without room, with a disk that fails, or not alone. Whatever is
//! visible is whole at every moment, and running again makes what an undisturbed run makes, byte for byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod calls;
mod disk;
mod kills;
mod study;
mod together;
