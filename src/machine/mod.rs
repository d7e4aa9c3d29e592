//! What the operating system says about this machine and this process, and what limits it.

pub mod host;
pub mod limits;
pub mod process;
