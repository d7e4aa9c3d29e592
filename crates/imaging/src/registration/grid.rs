//! Grids of nodes on which images are compared and fields are kept.
//!
//! Lengths are millimetres along the template's axes, counted from the centre of its first voxel ("template mm"). A grid
//! of twice the spacing shares every second node: node `i` of the coarser is node `2 i − PAD` of the finer.

/// Nodes around the template's brain on every side: room for filters, windows and what the field moves. Even, so that
/// grids of doubled spacing share nodes.
pub(super) const PAD: usize = 12;

/// A regular grid of cubes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    /// Nodes along x, y, z.
    pub size: [usize; 3],
    /// Distance of neighbours, mm.
    pub spacing: f64,
    /// The first node, template mm.
    pub origin: [f64; 3],
}

impl Grid {
    /// The grid over the box from voxel `first` up to, not including, voxel `end` (x, y, z; voxels of `voxel` mm) and
    /// `PAD` nodes around.
    pub fn around(first: [usize; 3], end: [usize; 3], voxel: f64, spacing: f64) -> Self {
        let size = std::array::from_fn(|a| {
            let extent = (end[a] - first[a]) as f64 * voxel;
            (extent / spacing - 1e-9).ceil() as usize + 1 + 2 * PAD
        });
        let origin = std::array::from_fn(|a| first[a] as f64 * voxel - PAD as f64 * spacing);
        Self { size, spacing, origin }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.size.iter().product()
    }

    /// Nodes of one z slice.
    pub fn slice(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Index of a node.
    pub fn at(&self, x: usize, y: usize, z: usize) -> usize {
        (z * self.size[1] + y) * self.size[0] + x
    }
}

/// `0..slices` cut into `parts` pieces of nearly equal length: their borders. The number of parts never depends on the
/// number of threads, so that sums over pieces do not either.
pub(super) fn borders(start: usize, end: usize, parts: usize) -> Vec<usize> {
    let n = end.saturating_sub(start);
    (0..=parts).map(|p| start + n * p / parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_spacing_shares_every_second_node() {
        let (first, end) = ([5, 7, 9], [40, 61, 52]);
        let fine = Grid::around(first, end, 1.0, 1.0);
        let coarse = Grid::around(first, end, 1.0, 2.0);
        for (axis, &nodes) in coarse.size.iter().enumerate() {
            for node in PAD..nodes - PAD {
                let mm = coarse.origin[axis] + 2.0 * node as f64;
                let shared = fine.origin[axis] + (2 * node - PAD) as f64;
                assert!((mm - shared).abs() < 1e-12);
            }
            let last = coarse.origin[axis] + 2.0 * (nodes - 1 - PAD) as f64;
            assert!(last >= end[axis] as f64 - 1.0, "the box is covered");
        }
        assert_eq!(borders(3, 13, 4), [3, 5, 8, 10, 13]);
    }
}
