//! Tests of the search for templates, of the built-in one, and of grids.

use super::*;
use crate::vocabulary::{Resolution, Space, Spaces};
use nifti::{Header, Voxels};
use std::fs::{self, File};
use std::os::unix::fs::symlink;

fn id(text: &str) -> TemplateId {
    let spaces = Spaces::parse([text], &["Lab42".to_owned()]).unwrap();
    let Some(Space::Template(id, _)) = spaces.iter().next() else { panic!("{text}") };
    id.clone()
}

fn small_grid(mm: f64) -> Grid {
    let affine = [[mm, 0., 0., -8.], [0., mm, 0., -10.], [0., 0., mm, -6.], [0., 0., 0., 1.]];
    Grid { shape: [6, 8, 7], voxel_mm: [mm; 3], affine }
}

/// Writes an image of one volume: its voxels count from 1 along x.
fn image(path: &Path, grid: &Grid) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [nz, ny, nx] = grid.shape;
    let data = ndarray::Array4::from_shape_fn((1, nz, ny, nx), |(_, _, _, i)| i as f32 + 1.0);
    let header = Header::new(grid.clone(), 1, None);
    nifti::write(File::create(path).unwrap(), &header, Voxels::Float(data.view())).unwrap();
}

/// Writes a mask: the half with j < 4.
fn mask(path: &Path, grid: &Grid) {
    let [nz, ny, nx] = grid.shape;
    let data = Array3::from_shape_fn((nz, ny, nx), |(_, j, _)| u8::from(j < 4));
    let header = Header::new(grid.clone(), 1, None);
    nifti::write(File::create(path).unwrap(), &header, Voxels::Mask(data.view())).unwrap();
}

#[test]
fn the_built_in_template_is_what_it_was_made_of() {
    let template = load(&TemplateId::built_in(), None).unwrap();
    assert_eq!((template.brain.dim(), template.resolution), ((193, 229, 193), 1));
    assert_eq!(template.origin, Origin::BuiltIn);
    // Sums of the image it was made of, by NumPy.
    const SUM: f64 = 133_953_792.0;
    const SUM_BY_PLACE: f64 = 67_513_082_724.0;
    let sum: f64 = template.brain.iter().map(|&v| f64::from(v)).sum();
    let by_place: f64 = template.brain.iter().enumerate().map(|(n, &v)| f64::from(v) * (n % 1009) as f64).sum();
    assert_eq!((sum, by_place), (SUM, SUM_BY_PLACE));
    assert_eq!(template.mask.iter().map(|&m| u64::from(m)).sum::<u64>(), 1_886_574);
    assert_eq!(template.grid, grids::known(&template.id, 1).unwrap());
    assert!(template.notes.is_empty() && template.sources.is_empty());
    let notice = include_str!("NOTICE");
    assert!(notice.contains("Louis Collins") && notice.contains("without fee"));
}

#[test]
fn the_image_it_was_made_of_agrees_where_it_is_at_hand() {
    let Some(path) = std::env::var_os("TEMPLATE_SOURCE") else { return };
    let image = nifti::read(Path::new(&path)).unwrap();
    let template = load(&TemplateId::built_in(), None).unwrap();
    assert_eq!(image.header.grid(), &template.grid);
    assert_eq!(image.data.index_axis(Axis(0), 0), template.brain);
}

#[test]
fn a_folder_s_template_comes_before_the_built_in_one() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tpl-MNI152NLin2009cAsym");
    let stem = |rest: &str| folder.join(format!("tpl-MNI152NLin2009cAsym_res-01{rest}.nii.gz"));
    let grid = small_grid(1.0);
    image(&stem("_T1w"), &grid);
    let without_mask = load(&TemplateId::built_in(), Some(home.path())).unwrap();
    assert_eq!(without_mask.origin, Origin::BuiltIn);
    assert!(without_mask.notes[0].contains("has no brain mask beside it; the built-in template was used"));
    mask(&stem("_desc-brain_mask"), &grid);
    let template = load(&TemplateId::built_in(), Some(home.path())).unwrap();
    assert_eq!(template.origin, Origin::Folder(folder));
    assert_eq!((template.brain[[2, 3, 4]], template.brain[[2, 4, 4]]), (5.0, 0.0), "brain only");
    assert_eq!((template.mask.sum(), template.sources.len()), (6 * 4 * 7, 2));
    assert_eq!((template.grid, template.sources[0].xxh3.len()), (grid, 32));
}

#[test]
fn every_spelling_of_the_names_is_found() {
    for (text, path, resolution) in [
        ("MNI152NLin6Asym", "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_res-02_desc-brain_T1w.nii.gz", 2),
        ("NKI", "tpl-NKI/tpl-NKI_res-1_desc-brain_T1w.nii.gz", 1),
        ("Lab42", "tpl-Lab42/tpl-Lab42_desc-brain_T1w.nii.gz", 1),
        (
            "MNIPediatricAsym:cohort-2",
            "tpl-MNIPediatricAsym/cohort-2/tpl-MNIPediatricAsym_cohort-2_res-1_desc-brain_T1w.nii.gz",
            1,
        ),
        ("MNIInfant:cohort-1", "tpl-MNIInfant/tpl-MNIInfant_cohort-1_res-2_desc-brain_T1w.nii.gz", 2),
    ] {
        let home = tempfile::tempdir().unwrap();
        image(&home.path().join(path), &small_grid(1.0));
        let template = load(&id(text), Some(home.path())).unwrap();
        assert_eq!(template.resolution, resolution, "{text}");
        assert!(template.mask.iter().all(|&m| m == 1));
        assert_eq!(names(home.path()).unwrap(), [id(text).name()]);
    }
    let other = tempfile::tempdir().unwrap();
    image(&other.path().join("tpl-MNIInfant/tpl-MNIInfant_cohort-1_res-1_desc-brain_T1w.nii.gz"), &small_grid(1.0));
    assert!(matches!(load(&id("MNIInfant:cohort-2"), Some(other.path())), Err(TemplateError::Missing { .. })));
}

#[test]
fn what_is_not_there_is_explained_with_the_ways_to_get_it() {
    let home = tempfile::tempdir().unwrap();
    let message = |home: Option<&Path>| load(&id("MNIPediatricAsym:cohort-2"), home).unwrap_err().to_string();
    assert!(message(None).contains("there is no folder of templates"), "{}", message(None));
    let nothing = message(Some(home.path()));
    assert!(nothing.contains("there is no") && nothing.contains("tpl-MNIPediatricAsym"), "{nothing}");
    assert!(nothing.contains("api.get('MNIPediatricAsym', cohort='2', suffix='T1w')"), "{nothing}");
    assert!(nothing.contains("copy its folder") && nothing.contains("MNI152NLin2009cAsym is built in"), "{nothing}");

    let folder = home.path().join("tpl-MNIPediatricAsym/cohort-2");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tpl-MNIPediatricAsym_cohort-2_res-1_desc-brain_T1w.nii.gz");
    let said = |what: &str| {
        let message = message(Some(home.path()));
        assert!(message.contains(what) && message.lines().count() == 1, "{message}");
    };
    said("has no T1w image of it");
    File::create(&file).unwrap();
    said("is empty, as in TemplateFlow's skeleton");
    fs::write(&file, "/annex/objects/MD5E-s1--0.nii.gz\n").unwrap();
    said("is a pointer of git-annex");
    fs::remove_file(&file).unwrap();
    symlink("../../.git/annex/objects/aa/bb/MD5E-s1--0.nii.gz", &file).unwrap();
    said("is a link to git-annex's content, which was not fetched (datalad get)");
    fs::remove_file(&file).unwrap();
    symlink("/nowhere", &file).unwrap();
    said("is a link to nothing");
}

#[test]
fn what_is_there_and_unfit_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = |rest: &str| home.path().join(format!("tpl-NKI/tpl-NKI_res-01{rest}.nii.gz"));
    image(&file("_T1w"), &small_grid(1.0));
    mask(&file("_desc-brain_mask"), &small_grid(1.5));
    let refused = |text: &str| {
        let message = load(&id("NKI"), Some(home.path())).unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
    };
    refused("lies on another grid than its image");
    fs::write(file("_T1w"), "no image").unwrap();
    refused("cannot be read");
}

#[test]
fn a_skeleton_does_not_hide_the_built_in_template() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tpl-MNI152NLin2009cAsym");
    fs::create_dir(&folder).unwrap();
    File::create(folder.join("tpl-MNI152NLin2009cAsym_res-01_T1w.nii.gz")).unwrap();
    let template = load(&TemplateId::built_in(), Some(home.path())).unwrap();
    assert_eq!(template.origin, Origin::BuiltIn);
    assert!(template.notes[0].contains("skeleton"), "{:?}", template.notes);
}

#[test]
fn the_folder_is_the_variable_s_or_the_user_s() {
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!(home(Some(Path::new("/t")), Some(Path::new("/h"))), path("/t"));
    assert_eq!(home(None, Some(Path::new("/h"))), path("/h/.cache/templateflow"));
    assert_eq!(home(Some(Path::new("")), Some(Path::new("/h"))), path("/h/.cache/templateflow"));
    assert_eq!(home(None, None), None);
    assert!(names(Path::new("/nowhere/at/all")).unwrap().is_empty());
}

#[test]
fn grids_are_templateflow_s() {
    let folder = tempfile::tempdir().unwrap();
    let home = Some(folder.path());
    let template = Template { brain: Array3::zeros((1, 1, 1)), ..load(&TemplateId::built_in(), None).unwrap() };
    let two = output_grid(&template, home, Resolution::Numbered(2), None).unwrap();
    assert_eq!((two.shape, two.voxel_mm), ([97, 115, 97], [2.0; 3]));
    assert_eq!([two.affine[0][3], two.affine[1][3], two.affine[2][3]], [-96.5, -132.5, -78.5]);
    assert_eq!(output_grid(&template, home, Resolution::Unsaid, None).unwrap(), template.grid);
    let none = output_grid(&template, home, Resolution::Numbered(3), None).unwrap_err().to_string();
    assert!(none.contains("no grid res-3") && none.contains("(known: res-1, res-2)"), "{none}");
    image(&folder.path().join("tpl-MNI152NLin2009cAsym/tpl-MNI152NLin2009cAsym_res-03_T1w.nii.gz"), &small_grid(3.0));
    assert_eq!(output_grid(&template, home, Resolution::Numbered(3), None).unwrap(), small_grid(3.0));
}

#[test]
fn a_native_grid_covers_the_template_and_keeps_its_centre() {
    let template = load(&TemplateId::built_in(), None).unwrap();
    let mm = [3.5, 3.0, 3.0];
    let grid = output_grid(&template, None, Resolution::Native, Some(mm)).unwrap();
    assert_eq!((grid.shape, grid.voxel_mm), ([56, 77, 65], mm));
    let centre =
        |g: &Grid, axis: usize| g.affine[axis][3] + g.affine[axis][axis] * (g.shape[2 - axis] as f64 - 1.0) / 2.0;
    for axis in 0..3 {
        assert!((centre(&grid, axis) - centre(&template.grid, axis)).abs() < 1e-9);
    }
    // The template's own voxel size gives its own grid.
    let same = output_grid(&template, None, Resolution::Native, Some([1.0; 3])).unwrap();
    assert_eq!(same, template.grid);
    for bad in [[1e-9, 1.0, 1.0], [f64::NAN, 1.0, 1.0], [0.0, 1.0, 1.0]] {
        assert!(matches!(
            output_grid(&template, None, Resolution::Native, Some(bad)),
            Err(TemplateError::TooFine { .. })
        ));
    }
}
