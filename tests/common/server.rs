//! A real server of a test: a child process on ports of its own that ends with the test.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest wait for anything a server has to do; reached only when it does not do it.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running child process.
pub struct Server {
    child: Child,
}

impl Server {
    /// A process that was started by other means.
    pub fn of(child: Child) -> Self {
        Self { child }
    }

    /// Starts a command with its output in a file, and waits until it is `ready`.
    pub fn start(command: &mut Command, log: &Path, ready: impl Fn() -> bool) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut server = Self { child: command.spawn().unwrap() };
        wait_for(&format!("{command:?} to be ready, see {}", log.display()), || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {ended:?}\n{}", std::fs::read_to_string(log).unwrap());
            ready()
        });
        server
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.wait()
    }

    /// The most memory it has had, in kB.
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.child.id()).unwrap()
    }

    /// Waits until the process ends by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let mut ended = None;
        wait_for("the process to end by itself", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, and fails the test when it does not come about.
#[track_caller]
pub fn wait_for(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_about(is_so), "waited {PATIENCE:?} for {what}");
}

/// Waits until something is so; whether it came about.
pub fn comes_about(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// The most memory a process has had, in kB; nothing when it has ended.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Ports on this machine that nobody listens on, and that no other test was given lately: below those that the system gives to
/// whoever asks for any, one after the other, counted in a file that all tests on this machine share.
pub fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u16 = 20_000;
    const LAST: u16 = 29_999;
    let counter = std::env::temp_dir().join("neuro-preprocess-ports");
    let file = File::options().create(true).append(true).open(&counter).unwrap();
    file.lock().unwrap();
    let mut port = std::fs::read_to_string(&counter).unwrap().trim().parse().unwrap_or(FIRST);
    let ports = [(); N].map(|()| {
        loop {
            port = if (FIRST..LAST).contains(&port) { port + 1 } else { FIRST };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    });
    std::fs::write(&counter, port.to_string()).unwrap();
    ports
}

/// `text` as a value in a URL.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

/// The text at a URL; nothing when there is none (yet).
pub fn get(url: &str) -> Option<String> {
    ureq::get(url).call().ok()?.body_mut().read_to_string().ok()
}
