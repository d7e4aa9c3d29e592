//! What hangs together in a mask: 6-connected components from one labelling of runs along x.

use crate::bits::Bits;

/// A stretch of set voxels along x.
struct Run {
    start: usize,
    end: usize,
}

/// The 6-connected components of the set voxels: runs by row, and a root per run.
struct Components {
    rows: Vec<std::ops::Range<usize>>,
    runs: Vec<Run>,
    parent: Vec<usize>,
}

impl Components {
    fn new(mask: &Bits) -> Self {
        let [nz, ny, _] = mask.shape();
        let mut all = Self { rows: Vec::with_capacity(nz * ny), runs: Vec::new(), parent: Vec::new() };
        for row in mask.rows() {
            let first = all.runs.len();
            all.add_runs(row, first);
            all.rows.push(first..all.runs.len());
        }
        all.parent = (0..all.runs.len()).collect();
        for r in 0..all.rows.len() {
            if r % ny > 0 {
                all.join_rows(r - 1, r);
            }
            if r >= ny {
                all.join_rows(r - ny, r);
            }
        }
        all
    }

    /// Adds the runs of one row, whose first is number `first`.
    fn add_runs(&mut self, row: &[u64], first: usize) {
        for (w, &word) in row.iter().enumerate() {
            let (mut left, base) = (word, w * u64::BITS as usize);
            while left != 0 {
                let start = left.trailing_zeros() as usize;
                let length = (!(left >> start)).trailing_zeros() as usize;
                let run = Run { start: base + start, end: base + start + length };
                left &= u64::MAX.checked_shl((start + length) as u32).unwrap_or(0);
                match self.runs.get_mut(first..).and_then(|runs| runs.last_mut()) {
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => self.runs.push(run),
                }
            }
        }
    }

    fn root(&mut self, mut run: usize) -> usize {
        while self.parent[run] != run {
            self.parent[run] = self.parent[self.parent[run]];
            run = self.parent[run];
        }
        run
    }

    /// Joins the runs of two neighbouring rows that overlap; the smaller root wins.
    fn join_rows(&mut self, a: usize, b: usize) {
        let (mut p, end_p) = (self.rows[a].start, self.rows[a].end);
        let (mut q, end_q) = (self.rows[b].start, self.rows[b].end);
        while p < end_p && q < end_q {
            if self.runs[p].start < self.runs[q].end && self.runs[q].start < self.runs[p].end {
                let (x, y) = (self.root(p), self.root(q));
                self.parent[x.max(y)] = x.min(y);
            }
            if self.runs[p].end < self.runs[q].end { p += 1 } else { q += 1 }
        }
    }

    /// Adds to `out` every run whose root is accepted.
    fn paint(&mut self, out: &mut Bits, accept: impl Fn(usize) -> bool) {
        for row in 0..self.rows.len() {
            for run in self.rows[row].clone() {
                if accept(self.root(run)) {
                    out.set_run(row, self.runs[run].start, self.runs[run].end);
                }
            }
        }
    }
}

/// The largest component (the first in memory order among equals); empty stays empty.
pub(crate) fn largest(mask: &Bits) -> Bits {
    let mut parts = Components::new(mask);
    let mut size = vec![0usize; parts.runs.len()];
    for run in 0..parts.runs.len() {
        let root = parts.root(run);
        size[root] += parts.runs[run].end - parts.runs[run].start;
    }
    let mut out = mask.none();
    let best = size.iter().enumerate().rev().max_by_key(|(_, n)| **n).map(|(root, _)| root);
    parts.paint(&mut out, |root| Some(root) == best);
    out
}

/// The mask with what is not set, and not connected to the border of the volume, set.
pub(crate) fn filled(mask: &Bits) -> Bits {
    let [nz, ny, nx] = mask.shape();
    let mut parts = Components::new(&mask.not());
    let mut open = vec![false; parts.runs.len()];
    for r in 0..parts.rows.len() {
        let (k, j) = (r / ny, r % ny);
        let rim = k == 0 || k + 1 == nz || j == 0 || j + 1 == ny;
        for run in parts.rows[r].clone() {
            if rim || parts.runs[run].start == 0 || parts.runs[run].end == nx {
                let root = parts.root(run);
                open[root] = true;
            }
        }
    }
    let mut out = mask.clone();
    parts.paint(&mut out, |root| !open[root]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume of three slices of three rows of 200 voxels, so that runs go over from one word to the next.
    fn runs(all: &[(usize, usize, usize)]) -> Bits {
        let mut bits = Bits::empty([3, 3, 200]);
        all.iter().for_each(|&(row, from, to)| bits.set_run(row, from, to));
        bits
    }

    #[test]
    fn a_run_across_words_is_one_component() {
        // 70 voxels in one run over three words, of which no word has more than 64; beside it 66 in two rows.
        let (long, pair) = ((4, 60, 130), [(0, 140, 173), (1, 140, 173)]);
        assert_eq!(largest(&runs(&[pair[0], pair[1], long])), runs(&[long]));
        // What touches the long run at its last word only belongs to it as well.
        let tail = (5, 129, 135);
        assert_eq!(largest(&runs(&[pair[0], long, tail])), runs(&[long, tail]));
    }

    #[test]
    fn a_hole_across_words_is_filled_and_one_open_at_its_end_is_not() {
        let mut shell: Vec<_> = (0..9).map(|row| (row, 50, 150)).collect();
        let whole = runs(&shell);
        shell[4] = (4, 50, 60);
        let tunnel = |end| shell.iter().copied().chain([(4, end, 150)]).collect::<Vec<_>>();
        assert_eq!(filled(&runs(&tunnel(130))), whole);
        assert_eq!(filled(&runs(&tunnel(150))), runs(&tunnel(150)));
    }
}
