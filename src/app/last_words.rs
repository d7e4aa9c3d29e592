//! The end of the process: Boutiques stops reading a program's output as soon as the program ends, and loses what it had
//! not read by then. So a program whose output is a pipe stays a little longer than its last line.

use std::time::Duration;

/// Boutiques reads line by line as fast as it can; this is many times what it needs.
const LAST_LINE: Duration = Duration::from_millis(60);

/// Waits when standard output or standard error is a pipe; a terminal or a file keeps what it was given.
pub fn let_readers_finish() {
    if ["/dev/stdout", "/dev/stderr"].into_iter().any(is_pipe) {
        std::thread::sleep(LAST_LINE);
    }
}

#[cfg(unix)]
fn is_pipe(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &str) -> bool {
    true
}
