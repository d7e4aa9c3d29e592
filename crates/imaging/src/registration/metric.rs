//! The local correlation of two images that two fields take to a common middle, and its exact gradient.
//!
//! Three passes over the slices: images are read through the fields and summed in blocks; windows turn their sums into
//! coefficients; every node takes its force from the coefficients of the windows that it lies in ([`super::force`]).
//! The gradient of the squared local correlation over all windows is exact, not that of the window around the node alone:
//! Hermosillo et al. 2002 (doi:10.1023/A:1020830525823), written here for box windows.

use rayon::prelude::*;

use super::field::Field;
use super::grid::Grid;
use super::sample::{RowField, SampledImage};
use super::spans::{Span, Spans};
use super::window::{COEFFICIENTS, Coefficients, Direction, SUMS, Similarity, Window};

/// Variances below this share of the mean variance of the fixed image make no force.
const VARIANCE_FLOOR: f64 = 3e-3;

/// What a level compares, and where.
pub(super) struct Plan<'a> {
    /// Nodes at which the images are read.
    pub grid: Grid,
    /// Where they are compared.
    pub spans: Spans,
    pub window: Window,
    /// How many nodes of `grid` lie along a node of the fields: 1 or 2.
    pub ratio: usize,
    pub fixed: SampledImage<'a>,
    pub moving: SampledImage<'a>,
    /// How much each place of the moving image counts, 0 to 1.
    pub weight: Option<SampledImage<'a>>,
    /// How much the difference of intensities counts beside the correlation.
    pub difference: f32,
}

/// The two fields of an iteration: from the middle to either image.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub fixed: &'a Field,
    pub moving: &'a Field,
}

/// A level's comparison with its working memory.
pub(super) struct Metric<'a> {
    pub(super) plan: Plan<'a>,
    /// The images as the fields show them, at the nodes of the spans; 0 elsewhere.
    pub(super) fixed: Vec<f32>,
    pub(super) moving: Vec<f32>,
    /// The weights likewise; empty if there are none.
    pub(super) weights: Vec<f32>,
    /// [`SUMS`] (or one less) volumes of blocks, slice by slice.
    sums: Vec<f32>,
    /// [`COEFFICIENTS`] volumes of blocks, slice by slice.
    pub(super) coefficients: Vec<f32>,
    /// Smallest variance that makes a force; found in the first iteration.
    floor: Option<f32>,
}

/// What a thread works with.
struct Scratch {
    moved: [Vec<f32>; 3],
    room: Vec<f32>,
    rows: [Vec<f32>; SUMS],
    plane: Vec<f32>,
}

impl Scratch {
    fn new(plan: &Plan) -> Self {
        let row = || vec![0.0; plan.grid.size[0] + 2 * plan.window.block];
        let plane = vec![0.0; plan.window.slice()];
        Self { moved: std::array::from_fn(|_| row()), room: row(), rows: std::array::from_fn(|_| row()), plane }
    }
}

/// The slices of one layer of blocks, to be filled.
struct Layer<'a> {
    z: usize,
    fixed: &'a mut [f32],
    moving: &'a mut [f32],
    weights: &'a mut [f32],
    sums: &'a mut [f32],
}

impl<'a> Metric<'a> {
    pub fn new(plan: Plan<'a>) -> Self {
        let nodes = plan.grid.nodes();
        let blocks = plan.window.slice() * plan.window.size[2];
        let weighted = plan.weight.is_some();
        let quantities = SUMS - usize::from(!weighted);
        Self {
            fixed: vec![0.0; nodes],
            moving: vec![0.0; nodes],
            weights: vec![0.0; if weighted { nodes } else { 0 }],
            sums: vec![0.0; quantities * blocks],
            coefficients: vec![0.0; COEFFICIENTS * blocks],
            floor: None,
            plan,
        }
    }

    /// Writes to `out` the direction in which the moving side's field should change (the fixed side's by the opposite) for
    /// the images to become more alike, up to a factor; the similarity before that.
    pub fn force(&mut self, fields: Fields, out: &mut Field) -> Similarity {
        self.read_and_sum(fields);
        let floor = *self.floor.get_or_insert_with(|| floor_of(&self.plan, &self.sums));
        let similarity = self.correlate(floor);
        self.push(out);
        similarity
    }

    /// Reads both images through the fields and sums them in blocks, then along x and y of the windows.
    fn read_and_sum(&mut self, fields: Fields) {
        let Self { plan, fixed, moving, weights, sums, .. } = self;
        let nodes = plan.window.block * plan.grid.slice();
        let quantities = SUMS - usize::from(weights.is_empty());
        let mut weights = weights.chunks_mut(nodes);
        let layers = fixed
            .chunks_mut(nodes)
            .zip(moving.chunks_mut(nodes))
            .zip(sums.chunks_mut(quantities * plan.window.slice()));
        let layers: Vec<_> = layers
            .enumerate()
            .map(|(z, ((fixed, moving), sums))| Layer {
                z,
                fixed,
                moving,
                weights: weights.next().unwrap_or_default(),
                sums,
            })
            .collect();
        let plan: &Plan = plan;
        layers.into_par_iter().for_each_init(
            || Scratch::new(plan),
            |scratch, mut layer| {
                plan.fill(&mut layer, fields, scratch);
            },
        );
    }

    /// Turns the sums into coefficients and these into sums along x and y over the windows of each block.
    fn correlate(&mut self, floor: f32) -> Similarity {
        let Self { plan, sums, coefficients, weights, .. } = self;
        let (plan, sums, weighted): (&Plan, &[f32], bool) = (plan, sums, !weights.is_empty());
        let layers = coefficients.par_chunks_mut(COEFFICIENTS * plan.window.slice()).enumerate();
        let found = layers
            .map_init(|| Scratch::new(plan), |scratch, (z, out)| plan.weigh(sums, weighted, floor, z, out, scratch));
        let found: Vec<_> = found.collect();
        found
            .into_iter()
            .fold(Similarity::default(), |all, one| Similarity { sum: all.sum + one.sum, count: all.count + one.count })
    }
}

impl Plan<'_> {
    #[inline(always)]
    fn fill(&self, layer: &mut Layer, fields: Fields, scratch: &mut Scratch) {
        let Window { block, .. } = self.window;
        let slice = self.window.slice();
        layer.sums.fill(0.0);
        for (row, span) in self.window.spans.rows_of(layer.z) {
            let nodes = block * span.len();
            scratch.rows.iter_mut().for_each(|sums| sums[..nodes].fill(0.0));
            for (dz, dy) in (0..block).flat_map(|dz| (0..block).map(move |dy| (dz, dy))) {
                let (y, z) = (row * block + dy, layer.z * block + dz);
                let from = self.grid.at(0, y, dz);
                let part = self.spans.at(y, z);
                if !part.is_empty() {
                    self.read_row(layer, fields, [y, z], part, from, scratch);
                    let all = from + block * span.start..from + block * span.start + nodes;
                    let weights = layer.weights.get(all.clone());
                    add_products(&layer.fixed[all.clone()], &layer.moving[all], weights, &mut scratch.rows);
                }
            }
            for (sums, of_blocks) in scratch.rows.iter().zip(layer.sums.chunks_exact_mut(slice)) {
                let at = row * self.window.size[0];
                sum_blocks(&sums[..nodes], block, &mut of_blocks[at + span.start..at + span.end]);
            }
        }
        for sums in layer.sums.chunks_exact_mut(slice) {
            self.window.sum_slice(sums, layer.z, Direction::Gather, &mut scratch.plane);
        }
    }

    /// Reads the images for one row of nodes.
    #[inline(always)]
    fn read_row(
        &self,
        layer: &mut Layer,
        fields: Fields,
        [y, z]: [usize; 2],
        span: Span,
        from: usize,
        scratch: &mut Scratch,
    ) {
        let to = from + span.start..from + span.end;
        let start = [span.start, y, z];
        let moved = self.displacements(fields.fixed, [y, z], span, scratch);
        self.fixed.row(start, moved, &mut layer.fixed[to.clone()]);
        let moved = self.displacements(fields.moving, [y, z], span, scratch);
        self.moving.row(start, moved, &mut layer.moving[to.clone()]);
        if let (Some(weight), Some(out)) = (&self.weight, layer.weights.get_mut(to)) {
            weight.row(start, moved, out);
        }
    }

    /// The displacements of a row of nodes, in nodes of the metric's grid.
    #[inline(always)]
    fn displacements<'s>(
        &self,
        field: &Field,
        [y, z]: [usize; 2],
        span: Span,
        scratch: &'s mut Scratch,
    ) -> RowField<'s> {
        if self.ratio == 2 {
            field.finer_row(y, z, span, &mut scratch.room, &mut scratch.moved);
        } else {
            field.row(y, z, span, &mut scratch.moved);
        }
        row_field(&scratch.moved, span.len())
    }

    #[inline(always)]
    fn weigh(
        &self,
        sums: &[f32],
        weighted: bool,
        floor: f32,
        z: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Similarity {
        let window = &self.window;
        let mut similarity = Similarity::default();
        out.fill(0.0);
        let quantities = SUMS - usize::from(!weighted);
        let [a, b, c, d, g] = split(out, window.slice());
        for (y, span) in window.spans.rows_of(z) {
            for (q, row) in scratch.rows.iter_mut().take(quantities).enumerate() {
                window.sum_along_z(sums, [quantities, q], [y, z], span, Direction::Gather, row);
            }
            let at = y * window.size[0];
            let at = at + span.start..at + span.end;
            let squared = &mut scratch.room[..span.len()];
            let mut rows = Coefficients {
                a: &mut a[at.clone()],
                b: &mut b[at.clone()],
                c: &mut c[at.clone()],
                d: &mut d[at.clone()],
                g: &mut g[at],
                squared,
            };
            window.coefficients(&scratch.rows, weighted, floor, &mut rows);
            similarity.add(rows.squared);
        }
        for plane in [a, b, c, d, g] {
            window.sum_slice(plane, z, Direction::Spread, &mut scratch.plane);
        }
        similarity
    }
}

/// The smallest variance of a window that counts: a share of the mean variance of the fixed image.
fn floor_of(plan: &Plan, sums: &[f32]) -> f32 {
    let window = &plan.window;
    let quantities = SUMS - usize::from(plan.weight.is_none());
    let inverse = 1.0 / window.nodes();
    let of_slice = |z: usize| {
        let (mut f, mut ff) = (vec![0.0; window.size[0]], vec![0.0; window.size[0]]);
        let mut sum = 0.0;
        for (y, span) in window.spans.rows_of(z) {
            window.sum_along_z(sums, [quantities, 0], [y, z], span, Direction::Gather, &mut f);
            window.sum_along_z(sums, [quantities, 2], [y, z], span, Direction::Gather, &mut ff);
            for (f, ff) in f.iter().zip(&ff).take(span.len()) {
                sum += f64::from((ff * inverse - (f * inverse) * (f * inverse)).max(0.0));
            }
        }
        sum
    };
    let slices: Vec<f64> = (window.spans.slices.start..window.spans.slices.end).into_par_iter().map(of_slice).collect();
    (VARIANCE_FLOOR * slices.into_iter().sum::<f64>() / window.spans.count().max(1) as f64 + 1e-12) as f32
}

#[inline(always)]
fn row_field(rows: &[Vec<f32>; 3], n: usize) -> RowField<'_> {
    let [x, y, z] = rows;
    RowField { x: &x[..n], y: &y[..n], z: &z[..n] }
}

/// The five volumes of one slice of blocks.
#[inline(always)]
fn split(out: &mut [f32], slice: usize) -> [&mut [f32]; COEFFICIENTS] {
    let (a, rest) = out.split_at_mut(slice);
    let (b, rest) = rest.split_at_mut(slice);
    let (c, rest) = rest.split_at_mut(slice);
    let (d, g) = rest.split_at_mut(slice);
    [a, b, c, d, g]
}

/// Adds a row of both images, their squares and their product, each times the weight if there is one.
#[inline(always)]
fn add_products(fixed: &[f32], moving: &[f32], weights: Option<&[f32]>, sums: &mut [Vec<f32>; SUMS]) {
    let n = fixed.len();
    let moving = &moving[..n];
    let [f, m, ff, mm, fm, w] = sums.each_mut().map(|s| &mut s[..n]);
    if let Some(weights) = weights {
        let weights = &weights[..n];
        for i in 0..n {
            let (a, b, weight) = (fixed[i], moving[i], weights[i]);
            let (wa, wb) = (weight * a, weight * b);
            f[i] += wa;
            m[i] += wb;
            ff[i] += wa * a;
            mm[i] += wb * b;
            fm[i] += wa * b;
            w[i] += weight;
        }
    } else {
        for i in 0..n {
            let (a, b) = (fixed[i], moving[i]);
            f[i] += a;
            m[i] += b;
            ff[i] += a * a;
            mm[i] += b * b;
            fm[i] += a * b;
        }
    }
}

/// Sums of `block` neighbours.
#[inline(always)]
fn sum_blocks(row: &[f32], block: usize, out: &mut [f32]) {
    match block {
        1 => out.copy_from_slice(row),
        2 => out.iter_mut().zip(row.as_chunks::<2>().0).for_each(|(sum, [a, b])| *sum = a + b),
        _ => out.iter_mut().zip(row.chunks_exact(block)).for_each(|(sum, part)| *sum = part.iter().sum()),
    }
}
