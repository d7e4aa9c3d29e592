//! The largest eigenvalues of a symmetric matrix, and their vectors.
//!
//! Method: Householder's reflections to three diagonals, bisection by Sturm's counts, inverse iteration (Golub & Van Loan,
//! Matrix Computations, 8.3–8.4; LAPACK's `dsyevx`). Of a thousand volumes only the vectors that are kept are worked out. Only the
//! four operations and square roots, which every processor rounds alike.

/// Rounds of inverse iteration; LAPACK needs two or three.
const ROUNDS: usize = 3;
/// How near values are to each other, by the largest, whose vectors are made orthogonal by force.
const CLUSTER: f64 = 1e-3;

/// A symmetric matrix with three diagonals, and how to get back to what it was made of.
pub(super) struct Tridiagonal {
    diagonal: Vec<f64>,
    beside: Vec<f64>,
    /// The reflections, each a vector over the last of the rows and a factor.
    reflections: Vec<(Vec<f64>, f64)>,
}

impl Tridiagonal {
    /// Of a symmetric matrix, row by row, with rows of `n`.
    pub(super) fn of(mut matrix: Vec<f64>, n: usize) -> Self {
        let mut made = Self { diagonal: Vec::with_capacity(n), beside: Vec::with_capacity(n), reflections: Vec::new() };
        for k in 0..n {
            let (done, rest) = matrix.split_at_mut((k + 1) * n);
            made.diagonal.push(done.get(k * n + k).copied().unwrap_or(0.0));
            let Some(row) = done.get(k * n + k + 1..).filter(|row| !row.is_empty()) else { break };
            let (v, factor, beside) = reflection(row);
            made.beside.push(beside);
            if factor > 0.0 {
                reflect(rest, n, k + 1, &v, factor);
            }
            made.reflections.push((v, factor));
        }
        made
    }

    /// The largest eigenvalues for which `wanted` holds, which is asked with each next one, at most as many as there are.
    pub(super) fn largest(&self, mut wanted: impl FnMut(f64) -> bool) -> Vec<f64> {
        let mut values = Vec::new();
        let (lowest, mut above) = self.bounds();
        while values.len() < self.diagonal.len() {
            let (mut low, mut high) = (lowest, above);
            loop {
                let middle = 0.5 * (low + high);
                if middle <= low || middle >= high {
                    break;
                }
                if self.count_above(middle) > values.len() { low = middle } else { high = middle }
            }
            above = high;
            if !wanted(high) {
                break;
            }
            values.push(high);
        }
        values
    }

    /// The vectors of these eigenvalues, which are in falling order: of length 1, orthogonal.
    pub(super) fn vectors(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let near = CLUSTER * values.first().map_or(0.0, |v| v.abs());
        let mut found: Vec<Vec<f64>> = Vec::new();
        for (at, &value) in values.iter().enumerate() {
            let cluster = values.iter().take(at).filter(|other| (*other - value).abs() <= near).count();
            let solver = Solver::of(&self.diagonal, &self.beside, value);
            let mut vector = start(self.diagonal.len(), at);
            for _ in 0..ROUNDS {
                solver.solve(&mut vector);
                scale(&mut vector);
                for other in found.iter().rev().take(cluster) {
                    let share = dot(&vector, other);
                    subtract(&mut vector, other, share);
                }
                scale(&mut vector);
            }
            found.push(vector);
        }
        found.iter_mut().for_each(|vector| self.take_back(vector));
        found
    }

    /// Applies the reflections, last first.
    fn take_back(&self, vector: &mut [f64]) {
        for (v, factor) in self.reflections.iter().rev() {
            let from = vector.len() - v.len();
            if let Some(rest) = vector.get_mut(from..) {
                subtract(rest, v, factor * dot(rest, v));
            }
        }
    }

    /// What no eigenvalue is below and above (Gershgorin).
    fn bounds(&self) -> (f64, f64) {
        let beside = |at: Option<usize>| at.and_then(|at| self.beside.get(at)).map_or(0.0, |v| v.abs());
        let reach = |at: usize| beside(at.checked_sub(1)) + beside(Some(at));
        let ends = self.diagonal.iter().enumerate().map(|(at, d)| (d - reach(at), d + reach(at)));
        let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), (l, h)| (low.min(l), high.max(h)));
        let room = 1e-12 * high.max(-low);
        (low - room, high + room)
    }

    /// How many eigenvalues are above `x`: the positive pivots of the matrix less x on its diagonal.
    fn count_above(&self, x: f64) -> usize {
        let squares = std::iter::once(0.0).chain(self.beside.iter().map(|b| b * b));
        let mut pivot = 1.0;
        let positive = self.diagonal.iter().zip(squares).filter(|(d, square)| {
            pivot = not_zero(*d - x - square / pivot, f64::MIN_POSITIVE * 1e20);
            pivot > 0.0
        });
        positive.count()
    }
}

/// What reflects a row onto its first element: the vector, its factor (0 where nothing is to be done), and that element.
fn reflection(row: &[f64]) -> (Vec<f64>, f64, f64) {
    let mut v = row.to_vec();
    let Some((first, rest)) = v.split_first_mut() else { return (v, 0.0, 0.0) };
    let beyond = dot(rest, rest);
    if beyond <= f64::MIN_POSITIVE {
        let beside = *first;
        return (v, 0.0, beside);
    }
    let length = (*first * *first + beyond).sqrt();
    let beside = if *first > 0.0 { -length } else { length };
    *first -= beside;
    let factor = 2.0 / (*first * *first + beyond);
    (v, factor, beside)
}

/// Reflects the rows and columns from `first` of the rows that are left, which are whole.
fn reflect(rows: &mut [f64], n: usize, first: usize, v: &[f64], factor: f64) {
    let mut w: Vec<f64> =
        rows.chunks_exact(n).map(|row| factor * dot(row.get(first..).unwrap_or_default(), v)).collect();
    let share = 0.5 * factor * dot(&w, v);
    subtract(&mut w, v, share);
    for (row, (v_row, w_row)) in rows.chunks_exact_mut(n).zip(v.iter().zip(&w)) {
        for (a, (v, w)) in row.iter_mut().skip(first).zip(v.iter().zip(&w)) {
            *a -= v_row * w + w_row * v;
        }
    }
}

/// A matrix of three diagonals less a value, taken apart by Gauss with exchange of rows.
struct Solver {
    /// Of each row: what it begins with, and the two after it.
    upper: Vec<[f64; 3]>,
    /// Of each step: what of the row is taken from the next one, and whether both were exchanged before.
    steps: Vec<(f64, bool)>,
}

impl Solver {
    fn of(diagonal: &[f64], beside: &[f64], value: f64) -> Self {
        let size = diagonal.iter().chain(beside).fold(0.0_f64, |most, v| most.max(v.abs()));
        let least = f64::EPSILON * size.max(f64::MIN_POSITIVE * 1e20);
        let mut made = Self { upper: Vec::with_capacity(diagonal.len()), steps: Vec::with_capacity(diagonal.len()) };
        let at = |row: usize| diagonal.get(row).map(|d| [d - value, beside.get(row).copied().unwrap_or(0.0), 0.0]);
        let mut row = at(0).unwrap_or_default();
        for (next, &below) in (1..).zip(beside) {
            let [d, e, _] = at(next).unwrap_or_default();
            let other = [below, d, e];
            let exchanged = below.abs() > row[0].abs();
            let (mut upper, lower) = if exchanged { (other, row) } else { (row, other) };
            upper[0] = not_zero(upper[0], least);
            let share = lower[0] / upper[0];
            made.upper.push(upper);
            made.steps.push((share, exchanged));
            row = [lower[1] - share * upper[1], lower[2] - share * upper[2], 0.0];
        }
        row[0] = not_zero(row[0], least);
        made.upper.push(row);
        made
    }

    fn solve(&self, x: &mut [f64]) {
        for (at, (share, exchanged)) in self.steps.iter().enumerate() {
            if let Some([a, b]) = x.get_mut(at..).and_then(<[f64]>::first_chunk_mut) {
                if *exchanged {
                    std::mem::swap(a, b);
                }
                *b -= share * *a;
            }
        }
        let mut after = [0.0; 2];
        for (x, upper) in x.iter_mut().zip(&self.upper).rev() {
            *x = (*x - upper[1] * after[0] - upper[2] * after[1]) / upper[0];
            after = [*x, after[0]];
        }
    }
}

/// A vector that is not orthogonal to anything, and another one for each value.
fn start(n: usize, of: usize) -> Vec<f64> {
    let mut state = of as u64 + 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..n).map(next).collect()
}

fn not_zero(value: f64, least: f64) -> f64 {
    if value.abs() >= least {
        value
    } else if value < 0.0 {
        -least
    } else {
        least
    }
}

/// Makes the length 1, by way of the largest element, so that nothing overflows.
fn scale(vector: &mut [f64]) {
    let most = vector.iter().fold(0.0_f64, |most, v| most.max(v.abs())).max(f64::MIN_POSITIVE);
    vector.iter_mut().for_each(|v| *v /= most);
    let length = dot(vector, vector).sqrt().max(f64::MIN_POSITIVE);
    vector.iter_mut().for_each(|v| *v /= length);
}

/// `to -= share · of`.
fn subtract(to: &mut [f64], of: &[f64], share: f64) {
    to.iter_mut().zip(of).for_each(|(to, of)| *to -= share * of);
}

/// The sum of products, eight sums at a time.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `V·diag(values)·Vᵀ` with the columns of V from reflections, so that its eigenvectors are known.
    fn matrix(values: &[f64]) -> Vec<f64> {
        let n = values.len();
        let mut m = vec![0.0; n * n];
        values.iter().enumerate().for_each(|(at, v)| m[at * n + at] = *v);
        for round in 0..3 {
            let u = start(n, 100 + round);
            reflect(&mut m, n, 0, &u, 2.0 / dot(&u, &u));
        }
        m
    }

    fn check(values: &[f64], keep: usize, tolerance: f64) {
        let n = values.len();
        let m = matrix(values);
        let made = Tridiagonal::of(m.clone(), n);
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut asked = 0..keep;
        let found = made.largest(|_| asked.next().is_some());
        assert_eq!(found.len(), keep.min(n));
        let most = sorted[0].abs().max(1e-300);
        assert!(found.iter().zip(&sorted).all(|(a, b)| (a - b).abs() < tolerance * most), "{found:?} {sorted:?}");
        let vectors = made.vectors(&found);
        for (a, (vector, value)) in vectors.iter().zip(&found).enumerate() {
            for (row, v) in m.chunks(n).zip(vector) {
                assert!((dot(row, vector) - value * v).abs() < tolerance * most, "{n} {a}: not an eigenvector");
            }
            for (b, other) in vectors.iter().enumerate() {
                let expected = f64::from(u8::from(a == b));
                assert!((dot(vector, other) - expected).abs() < 1e-10, "{n} {a} {b}: {}", dot(vector, other));
            }
        }
    }

    #[test]
    fn values_and_vectors_of_known_matrices() {
        check(&[3.0], 1, 1e-14);
        check(&[1.0, 4.0], 2, 1e-14);
        let spread: Vec<f64> = (0..67).map(|i| 1000.0 / f64::from(i + 1)).collect();
        check(&spread, 67, 1e-12);
        // As many volumes as a filter leaves, and noise that is nearly even.
        let noise: Vec<f64> = (0..90).map(|i| if i < 6 { 0.0 } else { 1e6 + f64::from(i * i) }).collect();
        check(&noise, 60, 1e-12);
    }

    #[test]
    fn equal_values_and_matrices_that_fall_apart() {
        check(&[2.0; 9], 9, 1e-13);
        check(&[0.0; 5], 3, 1e-13);
        check(&[5.0, 5.0, 5.0, 1.0, 1.0, 0.0, 7.0, 7.0], 6, 1e-13);
        let made = Tridiagonal::of(vec![4.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 1.0], 3);
        let values = made.largest(|v| v > 2.0);
        assert!(values.len() == 2 && (values[0] - 9.0).abs() < 1e-12 && (values[1] - 4.0).abs() < 1e-12, "{values:?}");
        assert!((made.vectors(&values)[0][1].abs() - 1.0).abs() < 1e-12);
        assert!(Tridiagonal::of(Vec::new(), 0).largest(|_| true).is_empty());
    }
}
