//! The last pass of the metric: from the coefficients of the windows to a force at every node of the field.
//!
//! Where the field is twice as coarse as the images, its nodes get the forces of the finer nodes through the adjoint of the
//! linear interpolation by which the finer nodes read the field: weights 1/4, 1/2, 1/4 along each axis.

use rayon::prelude::*;

use super::field::Field;
use super::grid::{PAD, borders};
use super::metric::{Metric, Plan};
use super::spans::Span;
use super::window::{COEFFICIENTS, Direction};

/// Pieces that the slices are cut into; fixed, so that the sums where two meet do not depend on the number of threads.
const SLABS: usize = 16;
/// Added to the squared gradient and difference that the force of the difference of intensities is divided by.
const CALM: f32 = 4.0;
/// Zeros before the first force of a row, and after the last.
const EDGE: usize = 2;

/// Slices of the field that one thread fills.
struct Slab<'a> {
    /// First slice of the field.
    first: usize,
    /// The slices.
    data: &'a mut [f32],
    /// What belongs to the slice after the last.
    beyond: Vec<f32>,
}

/// What a thread works with.
struct Scratch {
    summed: Vec<f32>,
    coefficients: [Vec<f32>; COEFFICIENTS],
    force: [Vec<f32>; 3],
    coarse: Vec<f32>,
}

impl Metric<'_> {
    /// Writes the force to `out`.
    pub(super) fn push(&self, out: &mut Field) {
        let slices = self.plan.spans.slices;
        let to_field = |z: usize| if self.plan.ratio == 2 { (z + PAD) / 2 } else { z };
        let end = if self.plan.ratio == 2 { (slices.end + PAD).div_ceil(2) } else { slices.end };
        let plane = 3 * out.grid.slice();
        out.par_slices().for_each(|slice| slice.fill(0.0));
        let borders = borders(to_field(slices.start), end, SLABS);
        let mut rest = out.data.get_mut(borders[0] * plane..).unwrap_or_default();
        let mut slabs = Vec::new();
        for pair in borders.windows(2) {
            let (data, after) = std::mem::take(&mut rest).split_at_mut((pair[1] - pair[0]) * plane);
            slabs.push(Slab { first: pair[0], data, beyond: vec![0.0; plane] });
            rest = after;
        }
        slabs.par_iter_mut().for_each_init(
            || self.scratch(out.grid.size[0]),
            |scratch, slab| {
                self.push_slab(out.grid.size, slab, scratch);
            },
        );
        let beyond: Vec<_> =
            slabs.into_iter().map(|slab| (slab.first * plane + slab.data.len(), slab.beyond)).collect();
        for (at, beyond) in beyond {
            if let Some(to) = out.data.get_mut(at..at + plane) {
                to.iter_mut().zip(&beyond).for_each(|(v, add)| *v += add);
            }
        }
    }

    fn scratch(&self, columns: usize) -> Scratch {
        let row = || vec![0.0; self.plan.grid.size[0] + 2 * self.plan.window.block + 3 * EDGE];
        Scratch {
            summed: row(),
            coefficients: std::array::from_fn(|_| row()),
            force: std::array::from_fn(|_| row()),
            coarse: vec![0.0; 3 * columns],
        }
    }

    #[inline(always)]
    fn push_slab(&self, size: [usize; 3], slab: &mut Slab, scratch: &mut Scratch) {
        let Plan { spans, window, ratio, .. } = &self.plan;
        let slices = slab.data.len() / (3 * size[0] * size[1]);
        let (first, end) = match ratio {
            2 => (2 * slab.first - PAD, 2 * (slab.first + slices) - PAD),
            _ => (slab.first, slab.first + slices),
        };
        for z in first..end {
            let layer = z / window.block;
            for (row, blocks) in window.spans.rows_of(layer) {
                let nodes = (row * window.block..(row + 1) * window.block).map(|y| (y, spans.at(y, z)));
                let mut ready = false;
                for (y, span) in nodes.filter(|(_, span)| !span.is_empty()) {
                    if !ready {
                        self.expand([row, layer], blocks, scratch);
                        ready = true;
                    }
                    let skip = span.start - window.block * blocks.start;
                    self.force_row([y, z], span, skip, scratch);
                    slab.add(*ratio, size, [y, z], span, scratch);
                }
            }
        }
    }

    /// The coefficients of the windows that each node of a row lies in, summed.
    #[inline(always)]
    fn expand(&self, [y, z]: [usize; 2], blocks: Span, scratch: &mut Scratch) {
        let window = &self.plan.window;
        for (q, nodes) in scratch.coefficients.iter_mut().enumerate() {
            let coefficients = &self.coefficients;
            window.sum_along_z(coefficients, [COEFFICIENTS, q], [y, z], blocks, Direction::Spread, &mut scratch.summed);
            let summed = &scratch.summed[..blocks.len()];
            match window.block {
                2 => nodes.as_chunks_mut::<2>().0.iter_mut().zip(summed).for_each(|(pair, v)| *pair = [*v; 2]),
                block => nodes.chunks_mut(block).zip(summed).for_each(|(part, v)| part.fill(*v)),
            }
        }
    }

    /// The force at the nodes of a row; `skip` nodes of the expanded coefficients come before them.
    #[inline(always)]
    fn force_row(&self, [y, z]: [usize; 2], span: Span, skip: usize, scratch: &mut Scratch) {
        let plan = &self.plan;
        let (n, from) = (span.len(), plan.grid.at(span.start, y, z));
        let (row, slice) = (plan.grid.size[0], plan.grid.slice());
        let fixed = Stencil::new(&self.fixed, from, n, [1, row, slice]);
        let moving = Stencil::new(&self.moving, from, n, [1, row, slice]);
        let coefficients = scratch.coefficients.each_ref().map(|c| &c[skip..skip + n]);
        let out = scratch.force.each_mut().map(|force| {
            force[..EDGE].fill(0.0);
            force[EDGE + n..].iter_mut().take(2 * EDGE).for_each(|v| *v = 0.0);
            &mut force[EDGE..EDGE + n]
        });
        let share = 1.0 / (plan.window.width as f32).powi(3);
        let weights = self.weights.get(from..from + n);
        if plan.difference > 0.0 {
            force_of_row::<true>(&fixed, &moving, coefficients, share, plan.difference, out);
        } else {
            force_of_row::<false>(&fixed, &moving, coefficients, share, 0.0, out);
        }
        if let Some(weights) = weights {
            for force in &mut scratch.force {
                force[EDGE..EDGE + n].iter_mut().zip(weights).for_each(|(v, w)| *v *= w);
            }
        }
    }
}

/// A row of an image and its neighbours along x, y and z.
struct Stencil<'a> {
    centre: &'a [f32],
    /// Before and after, along each axis.
    sides: [(&'a [f32], &'a [f32]); 3],
}

impl<'a> Stencil<'a> {
    #[inline(always)]
    fn new(image: &'a [f32], from: usize, n: usize, strides: [usize; 3]) -> Self {
        let line = |at: usize| &image[at..at + n];
        Self { centre: line(from), sides: strides.map(|s| (line(from - s), line(from + s))) }
    }
}

/// The force of a row. `DIFFERENCE`: the difference of intensities pulls too, by `difference` times itself, as in
/// Thirion's demons (1998, doi:10.1016/S1361-8415(98)80022-4).
#[inline(always)]
fn force_of_row<const DIFFERENCE: bool>(
    fixed: &Stencil,
    moving: &Stencil,
    [a, b, c, d, g]: [&[f32]; COEFFICIENTS],
    share: f32,
    difference: f32,
    [x, y, z]: [&mut [f32]; 3],
) {
    let n = x.len();
    let (f, m) = (&fixed.centre[..n], &moving.centre[..n]);
    let (a, b, c, d, g) = (&a[..n], &b[..n], &c[..n], &d[..n], &g[..n]);
    let (y, z) = (&mut y[..n], &mut z[..n]);
    let [fx, fy, fz] = fixed.sides.map(|(before, after)| (&before[..n], &after[..n]));
    let [mx, my, mz] = moving.sides.map(|(before, after)| (&before[..n], &after[..n]));
    let half = 0.5 * share;
    for i in 0..n {
        let along_m = half * (a[i] * f[i] - b[i] * m[i] - c[i]);
        let along_f = half * (a[i] * m[i] - d[i] * f[i] - g[i]);
        let slope_m = [mx.1[i] - mx.0[i], my.1[i] - my.0[i], mz.1[i] - mz.0[i]];
        let slope_f = [fx.1[i] - fx.0[i], fy.1[i] - fy.0[i], fz.1[i] - fz.0[i]];
        let mut force: [f32; 3] = std::array::from_fn(|axis| along_m * slope_m[axis] - along_f * slope_f[axis]);
        if DIFFERENCE {
            let slope: [f32; 3] = std::array::from_fn(|axis| 0.25 * (slope_m[axis] + slope_f[axis]));
            let apart = f[i] - m[i];
            let steep = slope[0] * slope[0] + slope[1] * slope[1] + slope[2] * slope[2];
            let pull = 2.0 * difference * apart / (steep + 0.25 * apart * apart + CALM);
            force = std::array::from_fn(|axis| force[axis] + pull * slope[axis]);
        }
        x[i] = force[0];
        y[i] = force[1];
        z[i] = force[2];
    }
}

impl Slab<'_> {
    /// Adds the forces of a row of nodes to the nodes of the field.
    #[inline(always)]
    fn add(&mut self, ratio: usize, size: [usize; 3], [y, z]: [usize; 2], span: Span, scratch: &mut Scratch) {
        let [fx, fy, fz] = scratch.force.each_ref();
        let plane = 3 * size[0] * size[1];
        if ratio == 1 {
            let at = (z - self.first) * plane + 3 * (y * size[0] + span.start);
            let out = self.data[at..at + 3 * span.len()].as_chunks_mut::<3>().0;
            let forces = fx[EDGE..].iter().zip(&fy[EDGE..]).zip(&fz[EDGE..]);
            out.iter_mut().zip(forces).for_each(|(out, ((x, y), z))| *out = [*x, *y, *z]);
            return;
        }
        let first = (span.start + PAD) / 2;
        let count = (span.end + PAD) / 2 + 1 - first;
        // Node `first` of the field is the node `2 first − PAD` of the images: the first of the row, or the one before it.
        let shift = EDGE - (span.start + PAD) % 2;
        let coarse = &mut scratch.coarse[..3 * count];
        for (c, out) in coarse.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let at = 2 * c + shift;
            let tent = |row: &[f32]| 0.25 * (row[at - 1] + row[at + 1]) + 0.5 * row[at];
            *out = [tent(fx), tent(fy), tent(fz)];
        }
        let slices = self.data.len() / plane;
        let (near_y, near_z) = ((y + PAD) / 2, (z + PAD) / 2 - self.first);
        let (odd_y, odd_z) = ((y + PAD) % 2, (z + PAD) % 2);
        let weight = (if odd_y == 1 { 0.25 } else { 0.5 }) * (if odd_z == 1 { 0.25 } else { 0.5 });
        for (dz, dy) in (0..=odd_z).flat_map(|dz| (0..=odd_y).map(move |dy| (dz, dy))) {
            let at = 3 * ((near_y + dy) * size[0] + first);
            let slice = near_z + dz;
            let data =
                if slice < slices { &mut self.data[slice * plane..(slice + 1) * plane] } else { &mut self.beyond };
            data[at..at + 3 * count].iter_mut().zip(coarse.iter()).for_each(|(v, force)| *v += weight * force);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::grid::Grid;
    use crate::registration::metric::Fields;
    use crate::registration::pyramid::LevelImage;
    use crate::registration::spans::Spans;
    use crate::registration::window::Window;

    const BOX: ([usize; 3], [usize; 3]) = ([0; 3], [18, 17, 19]);

    /// A smooth texture that is 0 away from the middle; `phase` makes another one.
    fn texture(phase: f64) -> LevelImage {
        let grid = Grid::around(BOX.0, BOX.1, 1.0, 1.0);
        let value = |at: usize| {
            let [nx, ny, _] = grid.size;
            let [x, y, z] = [at % nx, at / nx % ny, at / nx / ny].map(|v| v as f64 - 21.0);
            let wave = (x * 0.5 + phase).sin() * (y * 0.45).cos() + (z * 0.4 + y * 0.3 + 2.0 * phase).sin();
            ((2.0 + wave) * 30.0 * (-(x * x + y * y + z * z) / 60.0).exp()) as f32
        };
        LevelImage { grid, values: (0..grid.nodes()).map(value).collect() }
    }

    fn plan<'a>(
        [fixed, moving]: [&'a LevelImage; 2],
        weight: Option<&'a LevelImage>,
        ratio: usize,
        [block, width]: [usize; 2],
    ) -> Plan<'a> {
        let grid = fixed.grid;
        let spans = Spans::all(&grid, 8);
        let window = Window::new(&grid, &spans, block, width);
        let image = |image: &'a LevelImage| image.sampled().unwrap();
        let weight = weight.map(image);
        Plan { grid, spans, window, ratio, fixed: image(fixed), moving: image(moving), weight, difference: 0.0 }
    }

    /// How the sum of the squared correlations changes with the displacement of a node along each axis, by differences.
    fn numeric(plan: impl Fn() -> Plan<'static>, fields: [&Field; 2], at: usize) -> [f64; 3] {
        std::array::from_fn(|axis| {
            let sum = |change: f32| {
                let mut moving = fields[1].clone();
                moving.data[3 * at + axis] += change;
                let mut metric = Metric::new(plan());
                // The smallest variance that counts must be that of the unchanged images.
                let mut out = fields[0].clone();
                metric.force(Fields { fixed: fields[0], moving: fields[1] }, &mut out);
                metric.force(Fields { fixed: fields[0], moving: &moving }, &mut out).sum
            };
            (sum(0.02) - sum(-0.02)) / 0.04
        })
    }

    fn leaked(phase: f64) -> &'static LevelImage {
        Box::leak(Box::new(texture(phase)))
    }

    /// Checks the force on the moving side against differences, at some nodes; `factor` is what one is of the other.
    fn check(plan: impl Fn() -> Plan<'static> + Copy, field: Grid, factor: f64, nodes: &[[usize; 3]]) {
        let still = Field::zeros(field);
        let mut both = Field::zeros(field);
        Metric::new(plan()).force(Fields { fixed: &still, moving: &still }, &mut both);
        // With the images exchanged the force is the opposite, so that the moving side's share is not seen alone: keep the
        // fixed image from having a slope by comparing the sum of both sides' derivatives instead.
        let exchanged = || {
            let plan = plan();
            Plan { fixed: plan.moving, moving: plan.fixed, ..plan }
        };
        for &[x, y, z] in nodes {
            let at = field.at(x, y, z);
            let moving = numeric(plan, [&still, &still], at);
            let fixed = numeric(exchanged, [&still, &still], at);
            for axis in 0..3 {
                let expected = (moving[axis] - fixed[axis]) / factor;
                let found = f64::from(both.data[3 * at + axis]);
                let size = moving[axis].abs().max(fixed[axis].abs()) / factor;
                assert!((found - expected).abs() < 0.04 * size + 1e-6, "{x} {y} {z} {axis}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_force_is_the_gradient_of_the_similarity() {
        let (a, b) = (leaked(0.3), leaked(0.9));
        let nodes = [[21, 20, 22], [24, 18, 19], [17, 23, 24]];
        check(move || plan([a, b], None, 1, [1, 5]), a.grid, 2.0, &nodes);
        check(move || plan([a, b], None, 1, [2, 3]), a.grid, 2.0 / 8.0, &nodes);
        check(move || plan([a, b], None, 1, [2, 4]), a.grid, 2.0 / 8.0, &nodes);
    }

    #[test]
    fn it_is_so_on_a_coarser_field_too() {
        let (a, b) = (leaked(0.3), leaked(0.9));
        let coarse = Grid::around(BOX.0, BOX.1, 1.0, 2.0);
        // A node of the field is two nodes of the images, and the weights of the adjoint sum to one, not to eight.
        check(move || plan([a, b], None, 2, [1, 5]), coarse, 2.0 * 2.0 * 8.0, &[[16, 16, 17], [18, 15, 16]]);
    }

    #[test]
    fn what_has_no_weight_makes_no_force_and_weights_of_one_change_nothing() {
        let (a, b) = (texture(0.3), texture(0.9));
        let grid = a.grid;
        let still = Field::zeros(grid);
        let force = |weight: Option<&LevelImage>| {
            let mut out = Field::zeros(grid);
            let fields = Fields { fixed: &still, moving: &still };
            Metric::new(plan([&a, &b], weight, 1, [2, 3])).force(fields, &mut out);
            out.data
        };
        let mut weight = LevelImage { grid, values: vec![1.0; grid.nodes()] };
        let (plain, same) = (force(None), force(Some(&weight)));
        let top = plain.iter().fold(0f32, |top, v| top.max(v.abs()));
        let inside = |at: &usize| {
            let [nx, ny, _] = grid.size;
            [at / 3 % nx, at / 3 / nx % ny, at / 3 / nx / ny].iter().zip(grid.size).all(|(v, n)| *v > 13 && *v + 13 < n)
        };
        let nodes: Vec<usize> = (0..plain.len()).filter(inside).collect();
        assert!(nodes.len() > 1000 && nodes.iter().all(|&i| (plain[i] - same[i]).abs() < 1e-3 * top));
        let centre = grid.at(21, 20, 22);
        weight.values[centre] = 0.0;
        assert!(plain[3 * centre].abs() > 1e-3 * top);
        assert_eq!(force(Some(&weight))[3 * centre], 0.0);
    }
}
