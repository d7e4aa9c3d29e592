//! Reading and writing NIfTI, from files built byte by byte here: what must be read, what must be refused and how.

#![allow(clippy::unwrap_used, reason = "a helper that fails should fail its test")]

mod bad;
mod good;
mod out;
mod properties;
