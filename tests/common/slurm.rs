//! A real Slurm cluster on this machine: a controller and three nodes, with a folder, ports and keys of its own.

use crate::common::install::{or_skip, script};
use crate::common::{NO_TEMPLATE, Ran, run_command};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONTROLLER: u16 = 17100;
/// How long anything here may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(150);

/// The daemons; they end with it.
pub struct Cluster {
    dir: tempfile::TempDir,
    daemons: Vec<(String, Child)>,
    _alone: fs::File,
}

impl Cluster {
    /// Starts a cluster of three nodes with two processors each. One at a time on this machine.
    pub fn start() -> Option<Self> {
        or_skip("Slurm", script("install_slurm.sh", &[]))?;
        let alone = fs::File::create(std::env::temp_dir().join("neuro-preprocess-slurm.lock")).unwrap();
        alone.lock().unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut cluster = Self { dir, daemons: Vec::new(), _alone: alone };
        cluster.configure();
        cluster.daemon(
            "munged",
            &[
                "--foreground",
                "--force",
                "--key-file=@/key",
                "--socket=@/munge.socket",
                "--pid-file=@/munge.pid",
                "--log-file=@/munge.log",
                "--seed-file=@/munge.seed",
            ],
        );
        wait("munged", || cluster.path("munge.socket").exists());
        cluster.daemon("slurmctld", &["-D", "-f", "@/slurm.conf"]);
        wait("slurmctld", || TcpStream::connect(("127.0.0.1", CONTROLLER)).is_ok());
        for node in ["n1", "n2", "n3"] {
            cluster.daemon("slurmd", &["-D", "-N", node, "-f", "@/slurm.conf"]);
        }
        wait("three idle nodes", || cluster.run(&["sinfo", "-h", "-t", "idle", "-o", "%D"]).stdout.trim() == "3");
        Some(cluster)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self) {
        fs::write(self.path("key"), uuid::Uuid::now_v7().to_string().repeat(4)).unwrap();
        fs::set_permissions(self.path("key"), fs::Permissions::from_mode(0o400)).unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap().to_owned();
        let dir = self.dir.path().display();
        let text = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={CONTROLLER}\nAuthType=auth/munge\n\
             AuthInfo=socket={dir}/munge.socket\nSlurmUser=root\nSlurmdUser=root\nStateSaveLocation={dir}/state\n\
             SlurmdSpoolDir={dir}/spool-%n\nSlurmctldPidFile={dir}/ctld.pid\nSlurmdPidFile={dir}/%n.pid\n\
             SlurmctldLogFile={dir}/ctld.log\nSlurmdLogFile={dir}/%n.log\nProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nMpiDefault=none\n\
             SchedulerParameters=batch_sched_delay=0\nSlurmdTimeout=10\nReturnToService=2\nRequeueExit=75\n\
             JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n\
             NodeName=n[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17101-17103] CPUs=2 RealMemory=2000\n\
             PartitionName=main Nodes=n[1-3] Default=YES MaxTime=60 State=UP\n"
        );
        fs::write(self.path("slurm.conf"), text).unwrap();
        for folder in ["state", "spool-n1", "spool-n2", "spool-n3"] {
            fs::create_dir(self.path(folder)).unwrap();
        }
    }

    /// Starts a daemon; `@` in its arguments is the cluster's folder. Nodes are known by their name.
    fn daemon(&mut self, program: &str, args: &[&str]) {
        let here = self.dir.path().to_str().unwrap();
        let args: Vec<String> = args.iter().map(|a| a.replace('@', here)).collect();
        let name = if program == "slurmd" { args[2].clone() } else { program.to_owned() };
        let said = fs::File::create(self.path(&format!("{name}.out"))).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        self.daemons.push((name, command.spawn().unwrap()));
    }

    /// The configuration file, which programs that are told of it as `SLURM_CONF` find the cluster by.
    pub fn configuration(&self) -> PathBuf {
        self.path("slurm.conf")
    }

    /// A command that knows this cluster.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("SLURM_CONF", self.configuration());
        // Tasks have the variables of whoever submits them.
        command.env(NO_TEMPLATE.0, NO_TEMPLATE.1);
        command
    }

    /// Runs one of Slurm's commands.
    pub fn run(&self, words: &[&str]) -> Ran {
        run_command(self.command(words[0]).args(&words[1..]))
    }

    /// Ids of tasks in the queue, such as `2_7`; `more` are options of `squeue`.
    pub fn queue(&self, more: &[&str]) -> Vec<String> {
        let ran = self.run(&[&["squeue", "-r", "-h", "-o", "%i"], more].concat()).exits(0);
        ran.stdout.lines().map(str::to_owned).collect()
    }

    /// Waits until `done`.
    pub fn wait(&self, what: &str, done: impl Fn() -> bool) {
        wait(what, done);
    }

    /// Waits until the queue is empty; a task that was started again need not wait its two minutes.
    pub fn drain(&self) {
        wait("the end of all jobs", || {
            for line in self.run(&["squeue", "-r", "-h", "-t", "PD", "-o", "%i %r"]).stdout.lines() {
                if let Some(id) = line.strip_suffix(" BeginTime") {
                    self.run(&["scontrol", "update", &format!("JobId={id}"), "StartTime=now"]);
                }
            }
            self.queue(&[]).is_empty()
        });
    }

    /// The signal that Slurm sends a minute before the time limit. When the task ends of it at once, `scancel` tries for
    /// a minute and a half to reach what is gone, so what counts is what the task makes of it.
    pub fn terminate(&self, task: &str) {
        self.run(&["timeout", "2", "scancel", "--batch", "--signal=TERM", task]);
    }

    /// A node loses power: its daemon and everything on it ends at once; then the operator says that it is down.
    /// Returns how many tasks were on it.
    pub fn lose(&mut self, node: &str) -> usize {
        for (_, daemon) in self.daemons.iter_mut().filter(|(name, _)| name == node) {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        let tasks = self.processes(node);
        for &task in &tasks {
            // Its supervisor first, so that nobody is left to report the end.
            for pid in [parent(task), Some(task)].into_iter().flatten() {
                run_command(Command::new("kill").args(["-9", &pid.to_string()]));
            }
        }
        self.run(&["scontrol", "update", &format!("NodeName={node}"), "State=DOWN", "Reason=lost"]).exits(0);
        tasks.len()
    }

    /// The tasks of this cluster on a node.
    fn processes(&self, node: &str) -> Vec<u32> {
        let marks = [format!("SLURM_CONF={}", self.path("slurm.conf").display()), format!("SLURMD_NODENAME={node}")];
        let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            marks.iter().all(|mark| text.split('\0').any(|variable| variable == mark))
        })
        .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(&["scancel", "--user=root", "--signal=KILL", "--full"]);
        for node in ["n1", "n2", "n3"] {
            for task in self.processes(node) {
                run_command(Command::new("kill").args(["-9", &task.to_string()]));
            }
        }
        for (_, daemon) in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// The process that started another, if it is one of Slurm's supervisors.
fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    name.starts_with("slurmstepd").then_some(parent)
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "no {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// The text of every file below a folder whose name ends so.
pub fn texts(folder: &Path, end: &str) -> Vec<String> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    files.filter(|p| p.to_string_lossy().ends_with(end)).map(|p| fs::read_to_string(p).unwrap()).collect()
}
