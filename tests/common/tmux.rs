//! A real terminal: tmux with one window of a given size, and a shell in it.

use crate::common::install::{or_skip, script};
use crate::common::{NO_TEMPLATE, run_command};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything here may take, also where others keep all cores busy, before the test gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// The terminal; it ends with it.
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// A shell in `dir`, in a window of `columns` and `rows`. `environment` is all the shell has, with our program in the
    /// path, no template asked for and `%` as its prompt.
    pub fn open(name: &str, dir: &Path, (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Option<Self> {
        or_skip("tmux", script("install_tmux.sh", &[]))?;
        let bin = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess")).parent().unwrap();
        let terminal = Self { socket: format!("neuro-preprocess-{name}-{}", std::process::id()) };
        let mut shell =
            format!("exec env -i PATH={}:/usr/bin:/bin HOME={} LC_ALL=C.UTF-8", bin.display(), dir.display());
        shell += " TERM=\"$TERM\" PS1='% '";
        for (name, value) in [&NO_TEMPLATE].into_iter().chain(environment) {
            shell += &format!(" {name}='{value}'");
        }
        shell += " bash --norc --noprofile";
        let mut start = Command::new("tmux");
        start.args(["-u", "-L", &terminal.socket, "-f", "/dev/null", "new-session", "-d", "-s", "s"]);
        start.args(["-x", &columns.to_string(), "-y", &rows.to_string(), "-c"]).arg(dir).arg(shell);
        run_command(start.env("LC_ALL", "C.UTF-8")).exits(0);
        terminal.tmux(&["set-option", "-g", "history-limit", "5000"]);
        terminal.wait("a prompt", |screen| screen.contains('%'));
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> String {
        run_command(Command::new("tmux").args(["-u", "-L", &self.socket]).args(args)).exits(0).stdout
    }

    /// Types a line and Enter.
    pub fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-t", "s", "-l", line]);
        self.key("Enter");
    }

    /// Presses a key by tmux's name for it, such as `C-c`.
    pub fn key(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "s", key]);
    }

    /// Makes the window wider or narrower.
    pub fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-t", "s", "-x", &columns.to_string()]);
    }

    /// Everything from the first line on, as it stands.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "s", "-S", "-"])
    }

    /// As [`Self::screen`], with colours.
    pub fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-t", "s", "-S", "-"])
    }

    /// Lines that the terminal itself had to break because they were too long.
    pub fn broken_lines(&self) -> usize {
        let joined = self.tmux(&["capture-pane", "-p", "-J", "-t", "s", "-S", "-"]);
        self.screen().trim_end().lines().count() - joined.trim_end().lines().count()
    }

    /// The screen, once it is as `fine` wants it.
    pub fn wait(&self, what: &str, fine: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if fine(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "never saw {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The screen once the command that was entered has said `exit N` by `; echo "exit $?"` behind it.
    pub fn ended(&self) -> String {
        self.wait("the end", |screen| screen.lines().any(|line| line.trim_start_matches("^C").starts_with("exit ")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output(); // it may have ended already
    }
}
