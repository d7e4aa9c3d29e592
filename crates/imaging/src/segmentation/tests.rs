//! The segmentation as a whole, on small heads of layers.

use ndarray::Array3;

use super::*;

/// Three thick layers along x with noise of 100, background around them, 1 mm.
fn layers() -> (Array3<f32>, Array3<u8>, Array3<u8>) {
    let shape = (20, 20, 24);
    let truth = Array3::from_shape_fn(shape, |(z, y, x)| {
        let edge = z == 0 || z == 19 || y == 0 || y == 19;
        if edge { 0 } else { [Tissue::Csf, Tissue::Grey, Tissue::White][x / 8].label() }
    });
    let image =
        Array3::from_shape_fn(shape, |at| [5000.0, 660.0, 1000.0, 230.0][usize::from(truth[at])] + 100.0 * noise(at));
    let mask = truth.mapv(|t| u8::from(t > 0));
    (image, mask, truth)
}

/// Nearly Gaussian, sd 1.
fn noise((z, y, x): (usize, usize, usize)) -> f32 {
    let u = |m: usize| ((((z * 20 + y) * 24 + x) * m + 7) % 1009) as f32 / 1009.0;
    (u(389) + u(577) + u(751) + u(997) - 2.0) * 1.73
}

fn wrong(found: &Segmentation, truth: &Array3<u8>) -> usize {
    found.labels.iter().zip(truth).filter(|(a, b)| a != b).count()
}

fn segment(image: &Array3<f32>, mask: &Array3<u8>) -> Segmentation {
    segment_tissues(image.view(), mask.view(), [1.0; 3], None).unwrap()
}

fn shares(image: &Array3<f32>, mask: &Array3<u8>, found: &Segmentation) -> TissueMaps {
    estimate_shares(image.view(), mask.view(), [1.0; 3], None, found).unwrap()
}

#[test]
fn layers_are_told_apart_and_their_volumes_add_up() {
    let (image, mask, truth) = layers();
    let found = segment(&image, &mask);
    assert!(wrong(&found, &truth) * 100 < truth.len(), "{}", wrong(&found, &truth));
    for (tissue, mean) in [(Tissue::Csf, 230.0), (Tissue::Grey, 660.0), (Tissue::White, 1000.0)] {
        let facts = found.facts(tissue);
        assert!((facts.mean - mean).abs() < 25.0 && (facts.sd - 100.0).abs() < 15.0, "{facts:?}");
        assert_eq!(facts.voxels, found.labels.iter().filter(|l| **l == tissue.label()).count());
        assert!((facts.volume_ml - shares(&image, &mask, &found).volume_ml(tissue)).abs() < 0.15);
    }
    let voxels = mask.iter().filter(|m| **m > 0).count();
    assert!((found.intracranial_ml - voxels as f64 / 1000.0).abs() < 1e-9);
}

#[test]
fn the_unit_of_intensity_does_not_matter() {
    let (image, mask, _) = layers();
    let (found, other) = (segment(&image, &mask), segment(&image.mapv(|v| v * 0.0625), &mask));
    assert_eq!(found.labels, other.labels);
}

#[test]
fn a_slow_change_of_brightness_is_followed() {
    let (mut image, mask, truth) = layers();
    image.indexed_iter_mut().for_each(|((z, y, _), v)| *v *= 0.85 + 0.01 * z as f32 + 0.005 * y as f32);
    let found = segment(&image, &mask);
    assert!(wrong(&found, &truth) * 100 < 2 * truth.len(), "{}", wrong(&found, &truth));
}

#[test]
fn shares_sum_to_one_and_mostly_agree_with_the_labels() {
    let (image, mask, _) = layers();
    let found = segment(&image, &mask);
    let shares = shares(&image, &mask, &found);
    let all = Tissue::ALL.map(|tissue| shares.map(tissue));
    let mut agree = 0;
    for (at, label) in found.labels.indexed_iter() {
        let here = all.each_ref().map(|map| map[at]);
        assert!((here.iter().sum::<f32>() - f32::from(u8::from(*label > 0))).abs() < 1e-4);
        agree += usize::from(*label > 0 && here.iter().all(|share| *share <= here[usize::from(*label) - 1]));
    }
    let voxels = mask.iter().filter(|m| **m > 0).count();
    assert!(agree * 100 > voxels * 97, "{agree} of {voxels}");
    // The box is the same volume, cut out.
    let affine = [[-1.0, 0.0, 0.0, 9.0], [0.0, 1.0, 0.0, 8.0], [0.0, 0.0, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]];
    let (boxed, moved) = shares.boxed(&affine);
    let inverse = crate::rigid::invert_affine(&moved).unwrap();
    let [i, j, k] = crate::rigid::apply(&inverse, crate::rigid::apply(&affine, [5.0, 6.0, 7.0]));
    assert_eq!(boxed[0][[k as usize, j as usize, i as usize]], all[2][[7, 6, 5]]);
}

#[test]
fn divided_voxels_get_their_shares() {
    let (image, mask, truth) = layers();
    // The layers' first and last voxels hold 30 % of the next tissue.
    let mean = |at: (usize, usize, usize)| [0.0f32, 660.0, 1000.0, 230.0][usize::from(truth[at])];
    let mixed = Array3::from_shape_fn(image.dim(), |(z, y, x)| {
        let other = if x % 8 == 7 && x < 23 { mean((z, y, x + 1)) } else { mean((z, y, x)) };
        mean((z, y, x)) * 0.7 + other * 0.3 + 30.0 * noise((z, y, x))
    });
    let found = segment(&mixed, &mask);
    let error = |csf: &dyn Fn([usize; 3]) -> f32| {
        let of = |x: usize, share: f32| {
            let all = (2..18).flat_map(|z| (2..18).map(move |y| [z, y, x]));
            all.map(|at| (csf(at) - share).powi(2)).sum::<f32>()
        };
        of(7, 0.7) + of(6, 1.0) + of(8, 0.0)
    };
    let csf = shares(&mixed, &mask, &found).map(Tissue::Csf);
    let (shares, labels) =
        (error(&|at| csf[at]), error(&|at| f32::from(u8::from(found.labels[at] == Tissue::Csf.label()))));
    assert!(shares < 0.4 * labels, "{shares} {labels}");
}

#[test]
fn a_prior_settles_what_intensity_cannot() {
    let (mut image, mask, truth) = layers();
    // Deep grey matter: a block inside white matter, nearly as bright.
    let deep = |(z, y, x): (usize, usize, usize)| (6..14).contains(&z) && (6..14).contains(&y) && (18..23).contains(&x);
    image.indexed_iter_mut().filter(|(at, _)| deep(*at)).for_each(|(_, v)| *v -= 120.0);
    let grey = Array3::from_shape_fn(truth.dim(), |at| if deep(at) || truth[at] == 1 { 230u8 } else { 10 });
    let white = Array3::from_shape_fn(truth.dim(), |at| if !deep(at) && truth[at] == 2 { 230u8 } else { 10 });
    let levels = [grey.mapv(|_| 64u8), white.mapv(|_| 192u8)];
    let mut prior = TissuePrior { grey, white, levels };
    prior.levels[0].indexed_iter_mut().filter(|(at, _)| deep(*at)).for_each(|(_, v)| *v = 120);
    let grey_of = |found: &Segmentation| {
        found.labels.indexed_iter().filter(|(at, l)| deep(*at) && **l == Tissue::Grey.label()).count()
    };
    let without = grey_of(&segment(&image, &mask));
    let with = grey_of(&segment_tissues(image.view(), mask.view(), [1.0; 3], Some(&prior)).unwrap());
    assert!(without < 80 && with > 150, "{without} {with} of 320");
}

#[test]
fn threads_change_nothing_and_nan_is_no_tissue() {
    let (mut image, mask, _) = layers();
    image[[5, 5, 5]] = f32::NAN;
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let found = segment(&image, &mask);
            let shares = shares(&image, &mask, &found);
            (found, shares)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
    assert_eq!((one.0.labels[[5, 5, 5]], one.1.map(Tissue::Grey)[[5, 5, 5]]), (0, 0.0));
}

#[test]
fn what_has_no_tissues_is_refused() {
    let (image, mask, _) = layers();
    let run = |i: &Array3<f32>, m: &Array3<u8>, mm| segment_tissues(i.view(), m.view(), mm, None).unwrap_err();
    assert_eq!(run(&image, &Array3::zeros(mask.dim()), [1.0; 3]), SegmentationError::TooFew { usable: 0 });
    assert_eq!(run(&Array3::ones(mask.dim()), &mask, [1.0; 3]), SegmentationError::NoClasses);
    let one_class = Array3::from_shape_fn(mask.dim(), |at| 500.0 + 50.0 * noise(at));
    assert_eq!(run(&one_class, &mask, [1.0; 3]), SegmentationError::NoClasses);
    assert!(matches!(run(&image, &Array3::zeros((1, 1, 1)), [1.0; 3]), SegmentationError::Shape { what: "mask", .. }));
    assert!(matches!(run(&image, &mask, [1.0, 0.0, 1.0]), SegmentationError::Sizes { .. }));
    assert_eq!((too_coarse([3.0; 3]), too_coarse([4.0, 1.0, 1.0])), (Some(27f64.cbrt()), None));
    let map = || Array3::zeros((1, 2, 3));
    let prior = TissuePrior { grey: map(), white: map(), levels: [map(), map()] };
    let refused = segment_tissues(image.view(), mask.view(), [1.0; 3], Some(&prior)).unwrap_err();
    assert!(matches!(refused, SegmentationError::Shape { what: "prior", found: (1, 2, 3), .. }));
    let (found, other) = (segment(&image, &mask), mask.mapv(|_| 1));
    let refused = estimate_shares(image.view(), other.view(), [1.0; 3], None, &found).unwrap_err();
    assert!(matches!(refused, SegmentationError::Shape { what: "segmentation", .. }));
}
