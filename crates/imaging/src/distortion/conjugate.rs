//! Linear equations that are too many to write down, by preconditioned conjugate gradients (Hestenes and Stiefel 1952,
//! doi:10.6028/jres.049.044).

use super::lattice::add_scaled;
use super::parallel::dot;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub steps: usize,
    /// Residual against that of the start, in the norm of the preconditioner.
    pub tolerance: f64,
}

/// Solves `A·x = right` from `x = 0`, with the steps it took; `apply` writes `A·p`, and `A` is symmetric and not negative.
/// `diagonal` is about that of `A`.
pub(super) fn solve(
    right: &[f32],
    diagonal: &[f32],
    stop: Stop,
    mut apply: impl FnMut(&[f32], &mut [f32]),
) -> (Vec<f32>, usize) {
    let n = right.len();
    let scaled = |residual: &[f32], out: &mut [f32]| {
        // A control point that nothing reaches has no diagonal, nor a residual: anything finite will do.
        out.iter_mut().zip(residual.iter().zip(diagonal)).for_each(|(out, (r, d))| *out = r / (d + 1e-9));
    };
    let (mut x, mut residual, mut image) = (vec![0.0; n], right.to_vec(), vec![0.0; n]);
    let mut z = vec![0.0; n];
    scaled(&residual, &mut z);
    let mut p = z.clone();
    let start = dot(&residual, &z);
    let (mut rz, mut taken) = (start, 0);
    while taken < stop.steps && rz > stop.tolerance * stop.tolerance * start {
        apply(&p, &mut image);
        let step = rz / dot(&p, &image);
        // Not positive only by rounding, when there is nothing left to gain.
        if !(step.is_finite() && step > 0.0) {
            break;
        }
        taken += 1;
        add_scaled(&mut x, &p, step as f32);
        add_scaled(&mut residual, &image, -step as f32);
        scaled(&residual, &mut z);
        let next = dot(&residual, &z);
        let keep = (next / rz) as f32;
        p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + keep * *p);
        rz = next;
    }
    (x, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_steps_as_unknowns_solve_it() {
        let matrix = [[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]];
        let apply = |p: &[f32], out: &mut [f32]| {
            out.iter_mut().zip(&matrix).for_each(|(out, row)| *out = row.iter().zip(p).map(|(a, b)| a * b).sum());
        };
        let (x, steps) = solve(&[1.0, 2.0, 3.0], &[4.0, 3.0, 2.0], Stop { steps: 10, tolerance: 1e-6 }, apply);
        let mut back = [0.0; 3];
        apply(&x, &mut back);
        assert!(steps <= 4 && back.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{steps} {back:?}");
        let (nothing, steps) = solve(&[0.0; 3], &[1.0; 3], Stop { steps: 10, tolerance: 1e-6 }, apply);
        assert_eq!((nothing, steps), (vec![0.0; 3], 0));
    }
}
