//! The terms by which a confound is expanded before it is regressed out: its change and their squares.
//!
//! Method: Friston K.J. et al., Magnetic Resonance in Medicine 35(3), 1996; Satterthwaite T.D. et al., NeuroImage 64, 2013.

/// The terms of one column, each with one value per volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    /// What was added since the volume before; the first volume has none.
    pub derivative: Vec<Option<f64>>,
    /// The square of the column.
    pub power: Vec<Option<f64>>,
    /// The square of the derivative.
    pub derivative_power: Vec<Option<f64>>,
}

/// Expands a column with one value per volume; where a value is missing, so are the terms that need it.
#[must_use]
pub fn expand(column: &[Option<f64>]) -> Expansion {
    let squared = |values: &[Option<f64>]| values.iter().map(|v| v.map(|v| v * v)).collect();
    let changes = column.windows(2).map(|pair| Some(pair.get(1).copied()?? - pair.first().copied()??));
    let derivative: Vec<_> = column.iter().take(1).map(|_| None).chain(changes).collect();
    Expansion { power: squared(column), derivative_power: squared(&derivative), derivative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_by_hand() {
        let found = expand(&[Some(1.0), Some(3.0), None, Some(2.0), Some(-1.0)]);
        assert_eq!(found.derivative, [None, Some(2.0), None, None, Some(-3.0)]);
        assert_eq!(found.power, [Some(1.0), Some(9.0), None, Some(4.0), Some(1.0)]);
        assert_eq!(found.derivative_power, [None, Some(4.0), None, None, Some(9.0)]);
        assert!(expand(&[]).derivative.is_empty());
    }
}
