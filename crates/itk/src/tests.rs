//! Tests of both formats: what is written comes back to the bit, has the same bytes every time, and what is damaged or
//! hostile is refused without a panic.

use super::*;
use std::io::Cursor;

const AFFINE: [[f64; 4]; 4] =
    [[1.05, 0.08, -0.02, 4.25], [-0.07, 0.93, 0.11, -11.5], [0.03, -0.09, 1.01, 7.125], [0.0, 0.0, 0.0, 1.0]];
/// Oblique and of unequal voxel sizes.
const GRID: [[f64; 4]; 4] =
    [[1.8, -0.2, 0.1, -20.0], [0.2, 2.4, 0.3, -30.0], [-0.1, -0.4, 2.9, -15.0], [0., 0., 0., 1.0]];

/// A smooth field of a few millimetres, `(nz, ny, nx, 3)`.
fn field(shape: (usize, usize, usize)) -> Array4<f32> {
    let (nz, ny, nx) = shape;
    Array4::from_shape_fn((nz, ny, nx, 3), |(k, j, i, c)| {
        let (x, y, z) = (i as f32 * 0.21, j as f32 * 0.17, k as f32 * 0.13);
        [3.0 * (x + y).sin(), 2.0 * (y - z).cos(), 1.5 * (z * x).sin()][c]
    })
}

fn composite() -> Composite {
    let vectors = field((7, 6, 5));
    Composite { steps: vec![Step::Field(DisplacementField { affine: GRID, vectors }), Step::Affine(AFFINE)] }
}

fn bytes_of(composite: &Composite) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_h5(&mut bytes, &composite.views()).unwrap();
    bytes
}

fn close(a: &[[f64; 4]; 4], b: &[[f64; 4]; 4]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-12)
}

#[test]
fn a_composite_comes_back_to_the_bit() {
    let written = composite();
    let read = read_h5(Cursor::new(bytes_of(&written))).unwrap();
    let [Step::Field(field), Step::Affine(affine)] = &read.steps[..] else { panic!("{read:?}") };
    let Step::Field(expected) = &written.steps[0] else { unreachable!() };
    assert_eq!(field.vectors, expected.vectors);
    assert_eq!(*affine, AFFINE);
    // The lengths of the axes are stored apart from their directions.
    assert!(close(&field.affine, &GRID));
    for point in [[0.0, 0.0, 0.0], [-15.0, -20.0, -9.5], [200.0, 0.0, 0.0]] {
        let (a, b) = (written.map(point), read.map(point));
        assert!((0..3).all(|n| (a[n] - b[n]).abs() < 1e-9), "{a:?} {b:?}");
    }
}

#[test]
fn the_other_order_and_single_steps_come_back() {
    let Composite { steps } = composite();
    for steps in [vec![steps[1].clone(), steps[0].clone()], vec![steps[0].clone()], vec![steps[1].clone()]] {
        let read = read_h5(Cursor::new(bytes_of(&Composite { steps: steps.clone() }))).unwrap();
        let kinds = |steps: &[Step]| steps.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        assert_eq!(kinds(&read.steps), kinds(&steps));
    }
}

#[test]
fn bytes_are_the_same_at_any_thread_count_and_for_any_layout_of_the_array() {
    let Composite { steps } = composite();
    let Step::Field(field) = &steps[0] else { unreachable!() };
    let planar = field.vectors.view().permuted_axes([3, 0, 1, 2]).as_standard_layout().into_owned();
    let interleaved = planar.view().permuted_axes([1, 2, 3, 0]);
    let expected = bytes_of(&Composite { steps: steps.clone() });
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut bytes = Vec::new();
        let views = [StepView::Field(&field.affine, interleaved), StepView::Affine(&AFFINE)];
        pool.install(|| write_h5(&mut bytes, &views)).unwrap();
        assert!(bytes == expected, "{threads} threads");
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut out = Vec::new();
    assert!(matches!(write_h5(&mut out, &[]), Err(ItkError::Empty)));
    let mut vectors = field((3, 3, 3));
    vectors[[1, 2, 0, 1]] = f32::NAN;
    let refused = write_h5(&mut out, &[StepView::Field(&GRID, vectors.view())]);
    assert!(matches!(refused, Err(ItkError::NotFinite { what: "the displacement field" })));
    let two = Array4::zeros((3, 3, 3, 2));
    assert!(matches!(write_h5(&mut out, &[StepView::Field(&GRID, two.view())]), Err(ItkError::Shape([3, 3, 3, 2]))));
    assert!(matches!(write_h5(&mut out, &[StepView::Affine(&[[0.0; 4]; 4])]), Err(ItkError::Singular { .. })));
    assert!(out.is_empty(), "nothing is written of what cannot be");
}

#[test]
fn a_full_disk_is_said() {
    let mut small = [0_u8; 100];
    let refused = write_h5(&mut &mut small[..], &composite().views());
    assert!(matches!(refused, Err(ItkError::Io(_))), "{refused:?}");
}

#[test]
fn rounding_is_small_and_done_once() {
    let exact = field((4, 4, 4));
    let mut once = exact.clone();
    round(&mut once);
    assert!(exact.iter().zip(&once).all(|(a, b)| (a - b).abs() <= 3.1e-5));
    let mut twice = once.clone();
    round(&mut twice);
    assert_eq!(once, twice);
}

#[test]
fn a_field_moves_nothing_outside_itself() {
    let vectors = Array4::from_shape_fn((2, 2, 2, 3), |(k, j, i, c)| [i as f32, j as f32, k as f32][c]);
    let field =
        DisplacementField { affine: [[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.], [0., 0., 0., 1.]], vectors };
    assert_eq!(field.at([0.5, 0.25, 1.0]), [0.5, 0.25, 1.0]);
    assert_eq!(field.at([1.4, -0.4, 0.0]), [1.0, 0.0, 0.0]);
    assert_eq!(field.at([1.5, 0.0, 0.0]), [0.0; 3]);
    assert_eq!(field.at([f64::NAN, 0.0, 0.0]), [0.0; 3]);
}

#[test]
fn a_file_cut_short_is_refused_wherever_it_ends() {
    let whole = bytes_of(&composite());
    for end in (0..whole.len()).step_by(1 + whole.len() / 500) {
        assert!(read_h5(Cursor::new(whole[..end].to_vec())).is_err(), "cut at {end} of {}", whole.len());
    }
    for other in [&b""[..], b"#Insight", b"\x89HDF\r\n\x1a\n", &[0; 4096]] {
        assert!(read_h5(Cursor::new(other.to_vec())).is_err());
    }
}

#[test]
fn damage_never_panics_and_never_asks_for_much_memory() {
    let whole = bytes_of(&composite());
    // A small generator of our own (xorshift): the damage is the same in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..4000 {
        let mut damaged = whole.clone();
        for _ in 0..=next(3) {
            let at = next(damaged.len());
            damaged[at] = [next(256) as u8, 0, 0xff, 0x7f][next(4)];
        }
        refused += usize::from(read_h5(Cursor::new(damaged)).is_err());
    }
    // Much of a small file is padding; and a changed number may be as good as the old one.
    assert!(refused > 400, "only {refused} of 4000 were refused");
}

#[test]
fn a_field_larger_than_its_file_can_hold_is_refused_before_memory_is_asked_for() {
    use hdf5_pure::{File, FileBuilder};
    let mut file = FileBuilder::new();
    let mut all = file.create_group("TransformGroup");
    let mut whole = all.create_group("0");
    whole.create_dataset("TransformType").with_vlen_strings(&["DisplacementFieldTransform_double_3_3"]);
    let mut fixed = [0.0; 18];
    fixed[..9].copy_from_slice(&[512.0, 512.0, 512.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    (fixed[9], fixed[13], fixed[17]) = (1.0, 1.0, 1.0);
    whole.create_dataset("TransformFixedParameters").with_f64_data(&fixed);
    whole.create_dataset("TransformParameters").with_f64_data(&[1.0; 8]);
    all.add_group(whole.finish());
    file.add_group(all.finish());
    let bytes = file.finish().unwrap();
    assert!(File::from_bytes(bytes.clone()).is_ok());
    assert!(matches!(read_h5(Cursor::new(bytes)), Err(ItkError::TooLarge { .. })));
}

#[test]
fn text_comes_back_to_the_bit() {
    let other = [[1.0, 1e-17, 0.0, -0.1], [0.0, 1.0, 0.3, 1e5], [0.0, 0.0, 1.0, 1.0 / 3.0], [0.0, 0.0, 0.0, 1.0]];
    let mut file = Vec::new();
    write_text(&mut file, &[AFFINE, other]).unwrap();
    assert_eq!(read_text(&file[..]).unwrap(), [AFFINE, other]);
    let text = String::from_utf8(file).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#Insight Transform File V1.0"));
    assert_eq!(lines.next(), Some("#Transform 0"));
    assert_eq!(lines.next(), Some("Transform: AffineTransform_double_3_3"));
    assert_eq!(lines.next(), Some("Parameters: 1.05 0.08 0.02 -0.07 0.93 -0.11 -0.03 0.09 1.01 -4.25 11.5 7.125"));
    assert_eq!(lines.next(), Some("FixedParameters: 0 0 0"));
    assert_eq!(lines.next(), Some("#Transform 1"));
}

#[test]
fn text_that_is_something_else_is_refused_by_its_line() {
    let head = "#Insight Transform File V1.0\n";
    let affine = "Transform: AffineTransform_double_3_3\n";
    let line_of = |text: String| match read_text(text.as_bytes()) {
        Err(ItkError::Text { line, .. }) => line,
        other => panic!("{text:?}: {other:?}"),
    };
    assert_eq!(line_of("1 0 0 0".to_owned()), 1);
    assert_eq!(line_of(format!("{head}{affine}Parameters: 1 2 3\n")), 3);
    assert_eq!(line_of(format!("{head}{affine}FixedParameters: 0 0 0\n")), 3);
    assert_eq!(line_of(format!("{head}{affine}Parameters: 1 0 0 0 1 0 0 0 1 0 0 0 0\n")), 3);
    assert_eq!(line_of(format!("{head}{affine}Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\n")), 4);
    assert!(matches!(read_text(head.as_bytes()), Err(ItkError::Layout(_))));
    let euler = format!("{head}Transform: Euler3DTransform_double_3_3\n");
    assert!(matches!(read_text(euler.as_bytes()), Err(ItkError::Kind { .. })));
    let flat = format!("{head}{affine}Parameters: 0 0 0 0 0 0 0 0 0 0 0 0\nFixedParameters: 0 0 0\n");
    assert!(matches!(read_text(flat.as_bytes()), Err(ItkError::Singular { .. })));
    let nan = format!("{head}{affine}Parameters: nan 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n");
    assert!(matches!(read_text(nan.as_bytes()), Err(ItkError::NotFinite { .. })));
    assert!(matches!(read_text(&[0xff, 0xfe, 0x00][..]), Err(ItkError::Io(_))));
}
