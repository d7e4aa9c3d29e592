//! The binary: everything it does is in the library.

use std::process::ExitCode;

/// Gives memory back when it is freed, which the C library's own does not: docs/decisions.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    neuro_preprocess::main(std::env::args_os())
}
