//! The name of this machine and its processes: for telemetry, for claims on shared folders, for the names of temporary files.

use std::fmt;

/// What the kernel calls this machine; `None` where it does not tell (`/proc` is missing).
#[must_use]
pub fn name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}

/// A process identity that survives reuse of its PID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Boot of the kernel and PID namespace: where the number means something.
    pub place: String,
    /// The number.
    pub pid: u32,
    /// Clock ticks between boot and its start.
    pub started: String,
}

impl Process {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let pid = std::process::id();
        // An empty word would not be read back.
        Self { place: place(), pid, started: start_of(pid).unwrap_or_else(|| UNKNOWN.to_owned()) }
    }

    /// The process of which [`Self`]'s `Display` was written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (place, pid) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(Self { place, pid, started: words.next()?.to_owned() })
    }

    /// Whether it lives; `None` when that cannot be known from here: on another machine, in another container.
    #[must_use]
    pub fn is_alive(&self) -> Option<bool> {
        let here = place();
        (here != UNKNOWN && self.place == here).then(|| start_of(self.pid).as_ref() == Some(&self.started))
    }
}

/// `PLACE PID STARTED`.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.place, self.pid, self.started)
    }
}

const UNKNOWN: &str = "unknown";

fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{}/{}", boot.trim(), namespace.display()),
        _ => UNKNOWN.to_owned(),
    }
}

/// Field 22 of `/proc/PID/stat`; the second field, a name, may hold blanks and ends at the last parenthesis.
fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}
