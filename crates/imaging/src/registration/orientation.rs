//! The 24 ways a head can lie along the axes of its image, for headers that name the axes wrongly.
//!
//! A mirrored header is none of them, and could not be told from the image: a head looks like its mirror image.

use std::fmt;

/// A rotation of the axes by right angles: column c is the direction in the scan's world of the head's own axis c (right,
/// front, top), entries −1, 0, 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Orientation([[i8; 3]; 3]);

/// The directions of RAS axes, positive and negative.
const LETTERS: [[char; 2]; 3] = [['R', 'L'], ['A', 'P'], ['S', 'I']];

impl Orientation {
    /// The head lies as the header says.
    pub const AS_LABELLED: Self = Self([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);

    /// All 24, the labelled one first, then those that turn least.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::with_capacity(24);
        for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let mut m = [[0i8; 3]; 3];
                (0..3).for_each(|r: usize| m[r][axes[r]] = if signs >> r & 1 == 0 { 1 } else { -1 });
                if Self(m).determinant() == 1 {
                    all.push(Self(m));
                }
            }
        }
        // The sort is stable: ties stay in the order made.
        all.sort_by_key(|o| -(0..3).map(|a| i32::from(o.0[a][a])).sum::<i32>());
        all
    }

    /// The one that is nearest to a linear map from the head's axes to the scan's world.
    #[must_use]
    pub fn nearest(map: &[[f64; 3]; 3]) -> Self {
        let alike =
            |o: &Self| -> f64 { o.rotation().iter().flatten().zip(map.iter().flatten()).map(|(a, b)| a * b).sum() };
        let best = Self::all().into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        best.unwrap_or(Self::AS_LABELLED)
    }

    fn determinant(self) -> i32 {
        let m = self.0.map(|r| r.map(i32::from));
        let cofactor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        m[0][0] * cofactor(1, 2) - m[0][1] * cofactor(0, 2) + m[0][2] * cofactor(0, 1)
    }

    /// As a rotation from the head's axes to the scan's world.
    #[must_use]
    pub fn rotation(self) -> [[f64; 3]; 3] {
        self.0.map(|r| r.map(f64::from))
    }

    /// What the directions that the header calls right, front and top are in the head: `"RAS"` when the header is right,
    /// `"LAI"` for a head upside down.
    #[must_use]
    pub fn name(self) -> String {
        let letter = |row: [i8; 3]| {
            let found = row.iter().zip(LETTERS).find(|(v, _)| **v != 0);
            found.map_or('?', |(v, [plus, minus])| if *v > 0 { plus } else { minus })
        };
        self.0.map(letter).iter().collect()
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn there_are_24_different_rotations_and_the_first_is_the_header() {
        let all = Orientation::all();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 24);
        assert_eq!(all[0], Orientation::AS_LABELLED);
        assert!(all.iter().all(|o| o.determinant() == 1));
    }

    #[test]
    fn names_say_where_the_headers_axes_point_in_the_head() {
        assert_eq!(Orientation::AS_LABELLED.name(), "RAS");
        // Turned about the front axis by half a turn: right is left, top is bottom.
        assert_eq!(Orientation([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]).to_string(), "LAI");
        // The head's top points where the header says front: what the header calls front is superior.
        assert_eq!(Orientation([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).name(), "RSP");
    }
}
