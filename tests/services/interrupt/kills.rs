//! A run that is killed, or told to stop, at any moment.

use super::calls::Calls;
use super::study::Study;
use crate::common::run_command;
use signal_hook::consts::{SIGINT, SIGKILL, SIGTERM};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Runs that are to be stopped before their end, by each of two tests.
const STOPPED: usize = 50;
/// Times it is tried to stop the run in a round, that is with one output folder, before it is let through.
const STOPS: usize = 4;
/// Rounds after which the machine is too slow for this.
const ROUNDS: usize = 50;
/// Calls below the output folder that an undisturbed run makes, about; where fewer are left to do the run ends well.
const CALLS: u64 = 700;

/// Numbers that look random and are the same each time (`SplitMix64`).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A way to end a run.
enum Stop {
    /// SIGKILL at a moment.
    Kill(Duration),
    /// SIGKILL at a call that changes a file.
    KillAtCall(u64),
    /// SIGTERM or SIGINT at a moment; then another one, at once.
    Ask(i32, Duration, bool),
}

impl Stop {
    fn draw(draw: &mut Draw, whole: Duration) -> Self {
        let moment = whole.mul_f64(draw.below(1000) as f64 / 1000.0);
        match draw.below(8) {
            0..3 => Self::Kill(moment),
            3..6 => Self::KillAtCall(1 + draw.below(CALLS)),
            6 => Self::Ask(SIGTERM, moment, draw.below(3) == 0),
            _ => Self::Ask(SIGINT, moment, draw.below(3) == 0),
        }
    }

    /// Runs and stops. Returns whether the run was still going on.
    fn one(&self, study: &Study, calls: &Calls, out: &Path) -> bool {
        let mut command = study.command(out);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Self::KillAtCall(n) = self {
            calls.preload(&mut command, out).env("CALLS_AT", n.to_string()).env("CALLS_ERROR", "0");
        }
        let mut child = command.spawn().unwrap();
        match self {
            Self::Kill(moment) => {
                std::thread::sleep(*moment);
                child.kill().unwrap();
            }
            Self::KillAtCall(_) => {}
            Self::Ask(signal, moment, twice) => {
                std::thread::sleep(*moment);
                for _ in 0..=usize::from(*twice) {
                    send(*signal, &child);
                }
            }
        }
        let status = child.wait().unwrap();
        match (self, status.code(), status.signal()) {
            (_, Some(0), _) => false,
            (Self::Kill(_) | Self::KillAtCall(_), _, Some(SIGKILL)) | (Self::Ask(..), Some(75), _) => true,
            // Before it listened to signals.
            (Self::Ask(asked, ..), _, Some(signal)) if signal == *asked => true,
            _ => panic!("{status}"),
        }
    }
}

fn send(signal: i32, child: &Child) {
    // It may be gone already.
    run_command(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]));
}

#[test]
fn nothing_visible_is_ever_torn_and_running_again_makes_the_same_bytes() {
    stop_and_run_again(Draw(8));
}

/// At other moments, beside the first.
#[test]
fn nothing_visible_is_ever_torn_at_other_moments() {
    stop_and_run_again(Draw(9));
}

fn stop_and_run_again(mut draw: Draw) {
    let (study, calls) = (Study::get(), Calls::build());
    // Other programs come and go, so the moments follow how long a run takes now: four of five are before its end.
    let (mut stopped, mut whole) = (0, study.took);
    for round in 0.. {
        if stopped >= STOPPED {
            eprintln!("{stopped} runs stopped before their end, in {round} rounds");
            break;
        }
        assert!(round < ROUNDS, "only {stopped} runs were stopped before their end");
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        for stop in 0..STOPS {
            let what = format!("round {round}, stop {stop}");
            let stop = Stop::draw(&mut draw, whole);
            let in_time = stop.one(study, &calls, &out);
            stopped += usize::from(in_time);
            if !matches!(stop, Stop::KillAtCall(_)) {
                whole = whole.mul_f64(if in_time { 1.1 } else { 0.7 });
            }
            if out.exists() {
                study.assert_whole(&out, &what);
            }
        }
        study.run(&out).exits(0);
        study.assert_complete(&out, &format!("round {round}"));
    }
}
