//! Coregistration as a whole, on a small head with folds.

use ndarray::Array3;

use super::*;
use crate::rigid::{compose, from_parameters, invert_affine};

/// A square grid about the origin.
fn grid(n: usize, mm: f64) -> Matrix4 {
    let corner = -mm * (n as f64 - 1.0) / 2.0;
    [[mm, 0.0, 0.0, corner], [0.0, mm, 0.0, corner], [0.0, 0.0, mm, corner], [0.0, 0.0, 0.0, 1.0]]
}

/// How far (mm) a point lies inside a folded surface of about this radius; longer along y.
fn depth([x, y, z]: [f64; 3], radius: f64) -> f64 {
    let (y, r) = (y / 1.2, (x * x + y * y / 1.44 + z * z).sqrt().max(1.0));
    let folds = (5.0 * (x / r)).sin() * (4.0 * (y / r) + 0.7).cos() + (6.0 * (z / r) + 0.3 * x / r).sin();
    radius + 2.5 * folds - r
}

/// Shares of CSF, grey and white matter.
fn tissues(p: [f64; 3]) -> [f64; 3] {
    let inside = |radius| (depth(p, radius) / 2.0 + 0.5).clamp(0.0, 1.0);
    let (white, brain, all) = (inside(32.0), inside(37.0), inside(42.0));
    [all - brain, brain - white, white]
}

const N: usize = 52;

fn model() -> HeadModel {
    let affine = grid(N, 2.0);
    let maps = [0, 1, 2].map(|tissue| {
        Array3::from_shape_fn((N, N, N), |(k, j, i)| {
            tissues(apply(&affine, [i as f64, j as f64, k as f64]))[tissue] as f32
        })
    });
    HeadModel::new(maps.each_ref().map(|map| map.view()), &affine).unwrap()
}

const BOLD: usize = 40;

/// The head moved by `truth`, with these brightnesses, on 3 mm, dimmer to the back, some noise.
fn bold(truth: &Matrix4, brightness: [f64; 3]) -> (Array3<f32>, Matrix4) {
    let affine = grid(BOLD, 3.0);
    let back = invert_affine(truth).unwrap();
    let volume = Array3::from_shape_fn((BOLD, BOLD, BOLD), |(k, j, i)| {
        let p = apply(&back, apply(&affine, [i as f64, j as f64, k as f64]));
        let signal: f64 = tissues(p).iter().zip(brightness).map(|(t, b)| t * b).sum();
        let noise = ((i * 7919 + j * 104_729 + k * 1_299_709) % 1009) as f64 / 1009.0;
        (signal * (1.0 + 0.004 * p[1]) + 20.0 * noise) as f32
    });
    (volume, affine)
}

const EPI: [f64; 3] = [1500.0, 1000.0, 750.0];

fn truth() -> Matrix4 {
    from_parameters(&[6.0, -7.0, 5.0, 0.12, -0.08, 0.1], [0.0; 3])
}

#[test]
fn a_head_is_found_from_the_header_and_from_afar() {
    let (model, (volume, affine)) = (model(), bold(&truth(), EPI));
    let found = coregister(volume.view(), &affine, &model, &[]).unwrap();
    let error = |t: &Matrix4| rms_deviation(t, &truth(), [0.0; 3], HEAD_RADIUS_MM);
    assert!(error(&found.transform) < 0.3, "{} {found:?}", error(&found.transform));
    assert_eq!((found.verdict, found.share > 0.9), (Verdict::Accepted, true));
    assert!(found.depth > 0.05, "{}", found.depth);
    assert!(found.cost < found.start_cost && found.halves_mm.is_some_and(|mm| mm < 1.5), "{found:?}");
    let far = compose(&from_parameters(&[10.0, 8.0, -6.0, 0.12, 0.12, -0.12], [0.0; 3]), &truth());
    let again = coregister(volume.view(), &affine, &model, &[Start::Given(far)]).unwrap();
    let apart = rms_deviation(&again.transform, &found.transform, [0.0; 3], HEAD_RADIUS_MM);
    assert!(apart < 0.02, "{apart} {again:?}");
    assert_eq!(again.start.0, Start::Given(far));
}

#[test]
fn threads_change_nothing() {
    let (volume, affine) = bold(&truth(), EPI);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = model();
            let found = coregister(volume.view(), &affine, &model, &[Start::Header]).unwrap();
            (model, found)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn without_contrast_the_start_is_kept() {
    let model = model();
    let (_, affine) = bold(&truth(), EPI);
    let noise = Array3::from_shape_fn((BOLD, BOLD, BOLD), |(k, j, i)| {
        let mut state = (k * BOLD + j) * BOLD + i;
        for _ in 0..3 {
            state = (state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)) >> 3;
        }
        500.0 + (state % 1000) as f32
    });
    let found = coregister(noise.view(), &affine, &model, &[Start::Header]).unwrap();
    assert_eq!((found.verdict, found.transform), (Verdict::NoContrast, IDENTITY));
    assert!(found.verdict.to_string().contains("the start was kept"));
}

#[test]
fn what_cannot_be_brought_together_is_refused() {
    let model = model();
    let (volume, affine) = bold(&truth(), EPI);
    let away = from_parameters(&[500.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0; 3]);
    let refused = coregister(volume.view(), &affine, &model, &[Start::Given(away)]).unwrap_err();
    assert_eq!(refused, CoregisterError::NotInView { share: 0.0 });
    assert!(refused.to_string().contains("headers"), "{refused}");
    let empty = Array3::zeros((4, 4, 4));
    assert_eq!(coregister(empty.view(), &affine, &model, &[]).unwrap_err(), CoregisterError::Empty);
    let none = HeadModel::new([empty.view(), empty.view(), empty.view()], &affine).unwrap_err();
    assert_eq!(none, CoregisterError::NoBoundary { points: 0 });
    let other = Array3::zeros((4, 4, 5));
    let refused = HeadModel::new([empty.view(), other.view(), empty.view()], &affine).unwrap_err();
    assert!(matches!(refused, CoregisterError::Shape { .. }));
}

#[test]
fn the_slopes_are_those_of_the_cost() {
    let (model, (volume, affine)) = (model(), bold(&truth(), EPI));
    let epi = Epi::new(volume.view(), &affine).unwrap();
    let points: Vec<BorderPoint> = model.points.iter().step_by(7).copied().collect();
    let border = Border { epi: &epi, points: &points, distance_mm: 2.0, centre: model.cells.centre };
    let at = compose(&from_parameters(&[1.0, 0.5, -1.5, 0.02, 0.01, -0.03], [0.0; 3]), &truth());
    let slope = border.at(&at).slope;
    let centre = apply(&at, model.cells.centre);
    for (axis, slope) in slope.into_iter().enumerate() {
        let step = if axis < 3 { 0.02 } else { 0.0004 };
        let cost = |sign: f64| {
            let mut p = [0.0; 6];
            p[axis] = sign * step;
            border.at(&compose(&from_parameters(&p, centre), &at)).cost
        };
        // The cost is the mean of squared residuals, the slope that of residual times derivative.
        let numeric = (cost(1.0) - cost(-1.0)) / (2.0 * step);
        assert!((numeric - 2.0 * slope).abs() < 0.02 * (2.0 * slope).abs() + 1e-3, "{axis}: {numeric} {}", 2.0 * slope);
    }
}
