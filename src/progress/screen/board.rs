//! The lines at the bottom of the terminal: the whole run as a bar, and what is being worked on.

use crate::progress::live::{Active, Snapshot, clock, seconds_between};
use crate::terminal::{fit, pad};
use jiff::Timestamp;

/// Widest bar.
const BAR: usize = 40;
/// Narrowest bar that is still worth its place.
const SHORTEST_BAR: usize = 8;
/// Width of the longest stage's name.
const STAGE: usize = 15;
/// Width of a time below ten hours.
const TIME: usize = 7;
/// Most lines of work shown, however tall the terminal.
const MOST: usize = 16;

/// The lines for a terminal of `rows` and `columns`: none is wider, and together they leave room above, from a
/// terminal of three rows on; a lower one has no place for them.
#[must_use]
pub fn board(run: &Snapshot, now: Timestamp, (rows, columns): (usize, usize)) -> Vec<String> {
    if rows < 3 {
        return Vec::new();
    }
    let room = rows.saturating_sub(3).clamp(1, MOST);
    let mut lines = vec![bar(run, now, columns)];
    let shown = if run.active.len() > room { room - 1 } else { run.active.len() };
    lines.extend(run.active.iter().take(shown).map(|active| work(active, now, columns)));
    if shown < run.active.len() {
        lines.push(fit(&format!("  … and {} more", run.active.len() - shown), columns));
    }
    lines
}

/// `[███░░░] 3/10  1 failed  1:05 left  4.1/min`; what does not fit is left out from the right.
fn bar(run: &Snapshot, now: Timestamp, columns: usize) -> String {
    let mut text = format!("{}/{}", run.done(), run.planned);
    let mut parts = Vec::new();
    if run.failed > 0 {
        parts.push(format!("{} failed", run.failed));
    }
    if let Some(pace) = run.pace(now) {
        parts.push(format!("{} left", clock(pace.seconds_left)));
        parts.push(format!("{:.1}/min", pace.per_minute));
    }
    let frame = "[] ".len();
    for part in parts {
        let longer = format!("{text}  {part}");
        if longer.chars().count() + frame + SHORTEST_BAR > columns {
            break;
        }
        text = longer;
    }
    let width = columns.saturating_sub(text.chars().count() + frame).min(BAR);
    let full = (width * run.done()).checked_div(run.planned).unwrap_or(width);
    fit(&format!("[{}{}] {text}", "█".repeat(full), "░".repeat(width.saturating_sub(full))), columns)
}

/// `  sub-01_T1w   bias_correction  12 s`.
fn work(active: &Active, now: Timestamp, columns: usize) -> String {
    let (stage, since) = active.stage().map_or(("", active.since), |(stage, since)| (stage.as_str(), since));
    let time = clock(seconds_between(since, now));
    let name = columns.saturating_sub(STAGE + TIME + "      ".len()).clamp(1, 48);
    fit(&format!("  {}  {}  {time:>TIME$}", pad(&active.scan_id, name), pad(stage, STAGE)), columns)
}

#[cfg(test)]
mod tests {
    use super::super::super::live::tests::{begun, ended, second};
    use super::*;
    use crate::error::ErrorCode;
    use crate::vocabulary::{Stage, Status};

    fn half_way() -> Snapshot {
        let mut run = Snapshot::new(8, second(0));
        for n in 1..=3 {
            run.take(&ended(n, Status::Success), second(30));
        }
        run.take(&ended(4, Status::Failed(ErrorCode::NoBrain)), second(30));
        for event in begun(5, Stage::BiasCorrection).iter().chain(&begun(6, Stage::Load)) {
            run.take(event, second(50));
        }
        run
    }

    #[test]
    fn wide_and_narrow_terminals() {
        let run = half_way();
        let wide = board(&run, second(60), (24, 80));
        assert_eq!(wide[0], format!("[{0}{1}] 4/8  1 failed  1:00 left  4.0/min", "█".repeat(20), "░".repeat(20)));
        assert!(wide[1].starts_with("  sub-05_T1w ") && wide[1].ends_with("  bias_correction     10 s"), "{}", wide[1]);
        assert_eq!(wide.len(), 3);
        let narrow = board(&run, second(60), (24, 40));
        assert!(narrow[0].ends_with("] 4/8  1 failed  1:00 left"), "{}", narrow[0]);
        for columns in 1..120 {
            let lines = board(&run, second(3), (24, columns));
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}: {lines:?}");
        }
    }

    #[test]
    fn what_does_not_fit_below_each_other_is_counted() {
        let mut run = half_way();
        for event in (7..40).flat_map(|n| begun(n, Stage::Save)) {
            run.take(&event, second(55));
        }
        let lines = board(&run, second(60), (10, 80));
        assert_eq!((lines.len(), lines[7].as_str()), (8, "  … and 29 more"));
        assert_eq!(board(&run, second(60), (90, 80)).len(), MOST + 1);
        assert!(board(&run, second(60), (3, 1)).len() <= 2);
        assert!(board(&run, second(60), (2, 80)).is_empty());
    }
}
