//! Volumes in which the head moved, or the signal jumped, too much to be used.

/// Framewise displacement above which a volume is an outlier, mm (Power J.D. et al., NeuroImage 84, 2014; fMRIPrep's).
pub const DISPLACEMENT_MM: f64 = 0.5;
/// Standardised DVARS above which it is one (fMRIPrep's).
pub const STD_DVARS: f64 = 1.5;

/// The volumes, from 0 and in order, that are outliers by displacement (mm) or by standardised DVARS, of which each has one
/// value per volume. A missing value makes no outlier.
#[must_use]
pub fn motion_outliers(displacement_mm: &[Option<f64>], std_dvars: &[Option<f64>]) -> Vec<usize> {
    let above =
        |values: &[Option<f64>], t: usize, limit: f64| values.get(t).copied().flatten().is_some_and(|v| v > limit);
    let volumes = displacement_mm.len().max(std_dvars.len());
    (0..volumes).filter(|&t| above(displacement_mm, t, DISPLACEMENT_MM) || above(std_dvars, t, STD_DVARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_measure_makes_an_outlier_and_the_limit_itself_does_not() {
        let displacement = [None, Some(0.5), Some(0.51), Some(0.1), Some(0.1)];
        let dvars = [None, Some(1.0), Some(1.0), Some(1.5), Some(1.6)];
        assert_eq!(motion_outliers(&displacement, &dvars), [2, 4]);
        assert!(motion_outliers(&[], &[]).is_empty());
    }
}
