//! The binary: everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    neuro_preprocess::app::give_back_freed_memory();
    neuro_preprocess::main(std::env::args_os())
}
