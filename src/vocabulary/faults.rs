//! Failures and delays on purpose, to try dashboards, alerts and error handling. Reproducible by seed.

use super::Stage;

/// What to break, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Probability that a scan fails, 0 to 1.
    pub fail_rate: f64,
    /// A phase (load, process or save) that is made to take longer, by this many seconds.
    pub slow: Option<(Stage, f64)>,
    /// Seed of the choice.
    pub seed: u64,
}

impl Faults {
    /// The phase in which a scan is to fail, if it is. Depends on the seed and the scan alone, so it is the same in any
    /// order, at any thread count and in any process.
    #[must_use]
    pub fn failing_phase(&self, scan_id: &str) -> Option<Stage> {
        let draw = hash(self.seed, scan_id);
        // The upper bits decide whether, the lower ones where.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
        let uniform = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        (uniform < self.fail_rate).then(|| Stage::PHASES[(draw % 3) as usize])
    }

    /// How many seconds a phase is made to take longer.
    #[must_use]
    pub fn delay(&self, phase: Stage) -> Option<f64> {
        self.slow.and_then(|(slow, seconds)| (slow == phase).then_some(seconds))
    }
}

/// FNV-1a over the text, then the finaliser of `SplitMix64`, so that neighbouring names draw independently.
fn hash(seed: u64, text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut z = fnv ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_the_seed_decides() {
        let chosen = |seed, rate| -> Vec<bool> {
            let faults = Faults { fail_rate: rate, slow: None, seed };
            (0..2000).map(|i| faults.failing_phase(&format!("sub-{i:04}_T1w")).is_some()).collect()
        };
        let half = chosen(1, 0.5).iter().filter(|f| **f).count();
        assert!((900..1100).contains(&half), "{half}");
        assert_eq!(chosen(1, 0.5), chosen(1, 0.5));
        assert_ne!(chosen(1, 0.5), chosen(2, 0.5));
        assert!(chosen(1, 0.0).iter().all(|f| !f));
        assert!(chosen(1, 1.0).iter().all(|f| *f));
    }
}
