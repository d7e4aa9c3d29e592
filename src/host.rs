//! The name of this machine: for telemetry, for claims on shared folders, for the names of temporary files.

/// What the kernel calls this machine; `None` where it does not tell (`/proc` is missing).
#[must_use]
pub fn name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}
