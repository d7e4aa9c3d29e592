//! Has the C library give memory back as soon as it is freed.
//!
//! glibc keeps freed blocks of up to 32 MB for the thread that freed them, once one of that size was freed: on eight
//! threads a T1w image of 1 mm had a third more resident than was in use, and what a scan left behind counted against
//! the next. With a fixed threshold every block above it is mapped by itself and unmapped when freed; only then is what a
//! scan needs the same at any time of a run. The threshold can be given to
//! glibc by its environment alone (`mallopt` is not safe to call), so the program starts itself once more, before it has
//! read anything.

use std::ffi::OsString;

/// The variable and the setting of glibc ("Memory Allocation Tunables" in its manual).
const VARIABLE: &str = "GLIBC_TUNABLES";
const TUNABLE: &str = "glibc.malloc.mmap_threshold";
/// Blocks of at least this many bytes are given back.
///
/// At 256 kB a T1w image of 1 mm took 20 % more processor time than at 4 MB, in the kernel, for the same peak on two threads
/// (145 MB) and 157 instead of 181 MB on eight; at 32 MB 4 % less time, 163 and 202 MB.
const THRESHOLD: u32 = 1 << 22;

/// Starts the program again with the setting where it is missing. Returns when nothing is to do or it cannot be done, and
/// then the program goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_freed_memory() {
    use std::os::unix::process::CommandExt;

    let set = std::env::var_os(VARIABLE).unwrap_or_default();
    let (Some(setting), Ok(program)) = (extended(&set), std::env::current_exe()) else { return };
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| program.clone().into_os_string());
    // Only returns where it fails; then nothing has changed.
    let _ = std::process::Command::new(program).arg0(name).args(args).env(VARIABLE, setting).exec();
}

/// Other C libraries have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn give_back_freed_memory() {}

/// The variable's value with the setting; `None` if it has it already, whatever the value.
fn extended(set: &std::ffi::OsStr) -> Option<OsString> {
    if set.to_string_lossy().contains(TUNABLE) {
        return None;
    }
    let mut value = set.to_owned();
    value.push(if set.is_empty() { "" } else { ":" });
    value.push(format!("{TUNABLE}={THRESHOLD}"));
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn other_settings_are_kept_and_our_own_is_not_repeated() {
        let first = extended(OsStr::new("")).unwrap();
        assert_eq!(first, "glibc.malloc.mmap_threshold=4194304");
        assert_eq!(extended(&first), None);
        let both = extended(OsStr::new("glibc.malloc.check=3")).unwrap();
        assert_eq!(both, "glibc.malloc.check=3:glibc.malloc.mmap_threshold=4194304");
    }
}
