//! How much memory this process may use at most: the limits that would end it, and who set them.
//!
//! Sources: Linux `cgroups(7)` and `Documentation/admin-guide/cgroup-v2.rst` (a limit holds for all groups below it),
//! `proc(5)`, and `sbatch(1)` for the variables of a job.

use super::process::kilobytes;
use std::path::{Path, PathBuf};

/// Address space that a thread may have reserved, its stack and what the allocator holds for it, without its being in use.
const RESERVED_PER_THREAD: u64 = 66 << 20;
/// Control groups say "no limit" with values up to 2⁶³.
const NO_LIMIT: u64 = 1 << 60;

/// A limit on the memory of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that may be resident.
    pub bytes: u64,
    /// Who set it, for people.
    pub by: String,
}

/// The tightest limit; `None` without any. `root` is the root of the file system, `env` looks up a variable, and `threads`
/// is how many threads will work, since each takes address space where that is limited.
#[must_use]
pub fn memory_limit(root: &Path, env: &dyn Fn(&str) -> Option<String>, threads: usize) -> Option<Limit> {
    [control_group(root), slurm(env), address_space(root, threads)].into_iter().flatten().min_by_key(|l| l.bytes)
}

/// The least limit of this process' control group and those above it, as far as they can be seen: inside a container the
/// root of the mount is the container's own group, whatever path the kernel names.
fn control_group(root: &Path) -> Option<Limit> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mount = root.join("sys/fs/cgroup");
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mounts, files): (&[&str], &[&str]) = if controllers.is_empty() {
            (&["", "unified"], &["memory.max", "memory.high"])
        } else if controllers.split(',').any(|c| c == "memory") {
            (&["memory"], &["memory.limit_in_bytes"])
        } else {
            continue;
        };
        let folders = mounts.iter().flat_map(|m| upwards(&mount.join(m), path));
        let found = folders.flat_map(|folder| files.iter().filter_map(move |file| number(&folder.join(file))));
        least = found.chain(least).min();
    }
    least.map(|bytes| Limit { bytes, by: "the control group of this process".into() })
}

/// A group's folder and those above it, up to the mount.
fn upwards(mount: &Path, group: &str) -> Vec<PathBuf> {
    let mut folders = vec![mount.to_owned()];
    let mut at = mount.to_owned();
    for name in group.split('/').filter(|name| !matches!(*name, "" | "." | "..")) {
        at.push(name);
        folders.push(at.clone());
    }
    folders
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok().filter(|&bytes| bytes < NO_LIMIT)
}

/// The memory of a job on this node; 0 means all of it.
fn slurm(env: &dyn Fn(&str) -> Option<String>) -> Option<Limit> {
    let value = |name: &str| env(name)?.trim().parse::<u64>().ok().filter(|&n| n > 0);
    let megabytes = value("SLURM_MEM_PER_NODE")
        .or_else(|| value("SLURM_MEM_PER_CPU")?.checked_mul(value("SLURM_CPUS_ON_NODE")?))?;
    Some(Limit { bytes: megabytes.saturating_mul(1 << 20), by: "Slurm".into() })
}

/// What `ulimit -v` leaves for data.
fn address_space(root: &Path, threads: usize) -> Option<Limit> {
    let limits = std::fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let total: u64 = line.split_whitespace().next()?.parse().ok()?;
    let status = std::fs::read_to_string(root.join("proc/self/status")).ok()?;
    // A thread that waits for a unit, one that works for it, and a few of telemetry.
    let reserved = (2 * threads as u64 + 4) * RESERVED_PER_THREAD;
    let (mapped, resident) = (kilobytes(&status, "VmSize:")?, kilobytes(&status, "VmRSS:")?);
    let bytes = total.saturating_sub(mapped + reserved) + resident;
    Some(Limit { bytes, by: "ulimit -v, less what threads reserve".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn bytes(root: &Path, variables: &[(&str, &str)]) -> Option<u64> {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        memory_limit(root, &env, 2).map(|l| l.bytes)
    }

    #[test]
    fn the_least_limit_on_the_way_up_holds() {
        let dir = tempfile::tempdir().unwrap();
        let at = |file: &str, text: &str| put(dir.path(), file, text);
        assert_eq!(bytes(dir.path(), &[]), None);
        at("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
        at("sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
        assert_eq!(bytes(dir.path(), &[]), None);
        at("sys/fs/cgroup/slurm/job_7/memory.max", "4000000000\n");
        at("sys/fs/cgroup/slurm/memory.max", "64000000000\n");
        assert_eq!(bytes(dir.path(), &[]), Some(4_000_000_000));
        at("sys/fs/cgroup/slurm/job_7/memory.high", "3000000000\n");
        assert_eq!(bytes(dir.path(), &[]), Some(3_000_000_000));
        at("sys/fs/cgroup/slurm/job_8/memory.max", "1\n");
        assert_eq!(bytes(dir.path(), &[]), Some(3_000_000_000), "another job's");
    }

    #[test]
    fn version_one_and_a_containers_own_root_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |file: &str, text: &str| put(dir.path(), file, text);
        at("proc/self/cgroup", "5:devices:/x\n4:cpu,memory:/../docker/abc\n0::/\n");
        at("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
        assert_eq!(bytes(dir.path(), &[]), Some(2_000_000_000));
        at("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(bytes(dir.path(), &[]), Some(2_000_000_000));
        at("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "1000000000\n");
        assert_eq!(bytes(dir.path(), &[]), Some(1_000_000_000));
    }

    #[test]
    fn a_job_and_the_address_space_limit_too() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bytes(dir.path(), &[("SLURM_MEM_PER_NODE", "4096")]), Some(4 << 30));
        assert_eq!(bytes(dir.path(), &[("SLURM_MEM_PER_CPU", "1024"), ("SLURM_CPUS_ON_NODE", "3")]), Some(3 << 30));
        assert_eq!(bytes(dir.path(), &[("SLURM_MEM_PER_NODE", "0")]), None);
        put(
            dir.path(),
            "proc/self/limits",
            "Max address space         3000000000           unlimited            bytes\n",
        );
        put(dir.path(), "proc/self/status", "VmSize:\t 100000 kB\nVmRSS:\t 10000 kB\n");
        let left = 3_000_000_000 - 102_400_000 - 8 * RESERVED_PER_THREAD + 10_240_000;
        assert_eq!(bytes(dir.path(), &[]), Some(left));
        put(
            dir.path(),
            "proc/self/limits",
            "Max address space         unlimited            unlimited            bytes\n",
        );
        assert_eq!(bytes(dir.path(), &[]), None);
    }
}
