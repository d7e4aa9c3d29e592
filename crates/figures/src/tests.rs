//! Everything of a small phantom, as a whole.

use super::*;
use ndarray::{Array3, Array4};

fn with<T>(check: impl FnOnce(&Volume<'_>) -> T) -> T {
    let ball = |k: usize, j: usize, i: usize| {
        [(k, 16.0), (j, 20.0), (i, 18.0)].iter().map(|(v, c)| (*v as f64 - c).powi(2)).sum::<f64>() < 144.0
    };
    let mask = Array3::from_shape_fn((32, 40, 36), |(k, j, i)| u8::from(ball(k, j, i)));
    let image =
        Array3::from_shape_fn((32, 40, 36), |(k, j, i)| if ball(k, j, i) { 900.0 + (i % 5) as f32 } else { 20.0 });
    let field = Array3::from_shape_fn((32, 40, 36), |(.., i)| 0.8 + 0.01 * i as f32);
    let affine = [[4.0, 0.0, 0.0, -70.0], [0.0, 4.0, 0.0, -80.0], [0.0, 0.0, 4.0, -60.0], [0.0, 0.0, 0.0, 1.0]];
    check(&Volume {
        image: image.view(),
        mask: mask.view(),
        field: field.view(),
        cv: [0.1, 0.01],
        voxel_mm: [4.0; 3],
        affine,
        sides_known: true,
    })
}

fn run(nt: usize) -> Array4<f32> {
    Array4::from_shape_fn((nt, 32, 40, 36), |(t, k, j, i)| 900.0 + ((t * 31 + k * 7 + j * 5 + i * 3) % 11) as f32)
}

#[test]
fn a_t1w_image_has_its_pictures_and_data() {
    with(|volume| {
        let peak = TissuePeak { name: "WM".into(), mean: 902.0, sd: 1.4, voxels: 7000 };
        let found = draw_t1w(volume, vec![peak], None).unwrap();
        let kinds: Vec<PictureKind> = found.pictures.iter().map(|(kind, _)| *kind).collect();
        use PictureKind::{BiasField, Corrected, Input, Thumbnail};
        assert_eq!(kinds, [Input, Corrected, BiasField, Thumbnail]);
        assert!(
            found.pictures.iter().all(|(_, jpeg)| jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]))
        );
        assert!(found.picture(Thumbnail).unwrap().len() <= 4000);
        let data = &found.data;
        assert!(data.mosaic.outline.starts_with('M') && data.mosaic.labels.len() == 63);
        // Slices lie at the places the affine gives them: the middle of the ball is z = 16 · 4 − 60.
        assert!(data.mosaic.labels.iter().any(|l| l.text == "z 4"), "{:?}", data.mosaic.labels);
        assert_eq!(data.histogram.after.iter().sum::<u32>(), data.histogram.before.iter().sum::<u32>());
        let spread = |bins: &[u32]| bins.iter().filter(|n| **n > 0).count();
        assert!(spread(&data.histogram.before) > 3 * spread(&data.histogram.after), "the field widens the histogram");
        assert!(
            (data.bias.window[0] - 0.86).abs() < 0.02 && (data.bias.window[1] - 1.1).abs() < 0.02,
            "{:?}",
            data.bias
        );
        assert_eq!(serde_json::from_str::<FigureData>(&serde_json::to_string(data).unwrap()).unwrap(), *data);
    });
}

#[test]
fn a_series_also_has_those_in_time_and_threads_change_nothing() {
    with(|volume| {
        let series = run(9);
        let time = Series { volumes: 9, repetition_time: Some(2.0), non_steady: 1, unaligned: vec![], reference: 4 };
        let drawn = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                draw_bold(volume, Run { series: series.view(), tissues: None, time: time.clone() }).unwrap()
            })
        };
        let (one, three) = (drawn(1), drawn(3));
        assert_eq!(one, three);
        assert!(one.picture(PictureKind::Carpet).is_some() && one.picture(PictureKind::Tsnr).is_some());
        // Mean 905 over the standard deviation of 0 to 10, about 3.16.
        let [low, high] = one.data.tsnr_window.unwrap();
        assert!(low == 0.0 && (250.0..400.0).contains(&high), "{high}");
    });
}

#[test]
fn unknown_sides_are_not_claimed() {
    with(|volume| {
        let found = draw_t1w(&Volume { sides_known: false, ..*volume }, vec![], Some(volume.mask)).unwrap();
        assert!(found.picture(PictureKind::Tissues).is_some());
        assert!(found.data.mosaic.labels.iter().all(|l| l.text != "L" && l.text != "R"));
    });
}

#[test]
fn volumes_are_asked_for_inside_the_brain_only() {
    with(|volume| {
        let draw = |ratio: f64| {
            let asked = std::cell::Cell::new(0usize);
            let jpeg = draw_volume_ratio(volume.mask, volume.voxel_mm, |at| {
                assert_eq!(volume.mask[at], 1);
                asked.set(asked.get() + 1);
                ratio
            });
            assert!(asked.get() > 1000, "{}", asked.get());
            jpeg.unwrap()
        };
        assert!(draw(0.5) != draw(2.0) && draw(2.0) == draw(9.0), "the scale ends at twice as large");
    });
}
