//! The direction of phase encoding: which axis of the array is distorted, and which way.

use std::fmt;
use std::str::FromStr;

use super::DistortionError;

/// A `PhaseEncodingDirection` of BIDS, in the axes of an array: `i` is the last (x), `j` the middle, `k` the first axis.
///
/// With a field in Hz and a readout time in seconds, the signal of index `p` along the axis is seen at
/// `p + sign · Hz · readout`; the affine of the image does not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhaseEncoding {
    /// 0 = i, 1 = j, 2 = k.
    axis: u8,
    negative: bool,
}

impl PhaseEncoding {
    /// All six directions: i, i-, j, j-, k, k-.
    pub const ALL: [Self; 6] = [
        Self { axis: 0, negative: false },
        Self { axis: 0, negative: true },
        Self { axis: 1, negative: false },
        Self { axis: 1, negative: true },
        Self { axis: 2, negative: false },
        Self { axis: 2, negative: true },
    ];

    /// The axis by its letter: 0 = i, 1 = j, 2 = k.
    #[must_use]
    pub fn axis(self) -> usize {
        usize::from(self.axis)
    }

    /// The axis of an array of shape `(nz, ny, nx)`: 2 for i, 1 for j, 0 for k.
    #[must_use]
    pub fn array_axis(self) -> usize {
        2 - usize::from(self.axis)
    }

    /// Whether the direction is written with a minus.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// −1 with a minus, else 1.
    #[must_use]
    pub fn sign(self) -> f64 {
        if self.negative { -1.0 } else { 1.0 }
    }

    /// The opposite direction along the same axis.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// The direction in an array whose axis `a` (0 = i) is the axis `from[a]` of this one, turned round where `flipped[a]`:
    /// the letter goes along with its axis, the sign changes where that axis is flipped.
    #[must_use]
    pub fn reoriented(self, from: [usize; 3], flipped: [bool; 3]) -> Self {
        let new = (0_u8..3).zip(from).zip(flipped).find(|((_, from), _)| *from == self.axis());
        new.map_or(self, |((axis, _), flipped)| Self { axis, negative: self.negative != flipped })
    }
}

impl FromStr for PhaseEncoding {
    type Err = DistortionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|direction| direction.to_string() == text.trim());
        known.ok_or_else(|| DistortionError::Direction { text: text.chars().take(40).collect() })
    }
}

impl fmt::Display for PhaseEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.axis {
            0 => "i",
            1 => "j",
            _ => "k",
        };
        write!(f, "{letter}{}", if self.negative { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_read_and_written_as_bids_has_them() {
        for (direction, text) in PhaseEncoding::ALL.into_iter().zip(["i", "i-", "j", "j-", "k", "k-"]) {
            assert_eq!(direction.to_string(), text);
            assert_eq!(text.parse(), Ok(direction));
            assert_eq!(direction.reversed().sign(), -direction.sign());
        }
        for wrong in ["", "x", "J", "j--", "-j"] {
            assert!(wrong.parse::<PhaseEncoding>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn letters_go_with_their_axes_and_signs_with_flips() {
        let j: PhaseEncoding = "j".parse().unwrap();
        assert_eq!(j.reoriented([0, 1, 2], [true, false, true]).to_string(), "j");
        assert_eq!(j.reoriented([0, 1, 2], [false, true, false]).to_string(), "j-");
        assert_eq!(j.reoriented([1, 2, 0], [true, false, false]).to_string(), "i-");
        // No permutation: nothing to follow.
        assert_eq!(j.reoriented([0, 0, 0], [true; 3]), j);
    }
}
