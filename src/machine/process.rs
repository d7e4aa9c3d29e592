//! What the operating system says about this process and machine.

/// The highest resident memory of this process so far, in bytes; 0 where the system does not tell (`/proc` is missing).
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&status, "VmHWM:").unwrap_or(0)
}

/// The resident memory of this process now, in bytes; 0 where the system does not tell.
#[must_use]
pub fn resident_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&status, "VmRSS:").unwrap_or(0)
}

/// What the machine has free or could free, in bytes.
#[must_use]
pub fn available_memory_bytes() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Whether this process was started with a signal switched off, by its number; of a system that does not tell, none is.
#[must_use]
pub fn ignores(signal: i32) -> bool {
    mask(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "SigIgn:", signal)
}

/// Whether the mask of this name has the bit of a signal.
fn mask(text: &str, key: &str, signal: i32) -> bool {
    let digits = text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
    let bits = u64::from_str_radix(digits.trim(), 16).unwrap_or(0);
    u32::try_from(signal - 1).is_ok_and(|bit| bits.checked_shr(bit).unwrap_or(0) & 1 == 1)
}

pub(super) fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|k| k * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_bit_of_the_mask() {
        let text = "SigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(mask(text, "SigIgn:", 1) && mask(text, "SigIgn:", 13) && !mask(text, "SigIgn:", 2));
        assert!(!mask(text, "SigCgt:", 1) && !mask(text, "SigIgn:", 0) && !mask(text, "SigIgn:", 99));
    }

    #[test]
    fn memory_is_read_from_proc() {
        assert_eq!(kilobytes("A: 1 kB\nVmHWM:\t  20 kB\n", "VmHWM:"), Some(20480));
        assert_eq!(kilobytes("A: 1 kB\n", "VmHWM:"), None);
        // In this order, because other tests may take more in between.
        let resident = resident_memory_bytes();
        assert!(peak_memory_bytes() >= resident && resident > 1 << 20);
        assert!(available_memory_bytes().unwrap() > 1 << 20);
    }
}
