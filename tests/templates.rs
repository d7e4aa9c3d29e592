//! The template that fMRIPrep's users have in TemplateFlow, read from a folder of the test's own making: MNI152NLin6Asym, whose
//! files PyPI's `nimare` carries. Skips where NIMARE_TEMPLATES does not name the folder they are in.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use space_parts::space::{Resolution, Space, Spaces};
use space_parts::templates::{Origin, load, output_grid};
use std::path::{Path, PathBuf};

#[test]
fn nlin6_is_read_with_its_mask_and_its_grids_are_those_known() {
    let Some(files) = std::env::var_os("NIMARE_TEMPLATES").map(PathBuf::from) else {
        eprintln!("skipped: NIMARE_TEMPLATES names no folder");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tpl-MNI152NLin6Asym");
    std::fs::create_dir(&folder).unwrap();
    let spaces = Spaces::parse(["MNI152NLin6Asym:res-1:res-2"], &[]).unwrap();
    let Some(Space::Template(id, _)) = spaces.iter().next() else { panic!("{spaces}") };
    for (number, shape) in [(2, [91, 109, 91]), (1, [182, 218, 182])] {
        for rest in ["T1w", "desc-brain_mask"] {
            let name = format!("tpl-MNI152NLin6Asym_res-0{number}_{rest}.nii.gz");
            std::os::unix::fs::symlink(Path::new(&files).join(&name), folder.join(&name)).unwrap();
        }
        let template = load(id, Some(home.path())).unwrap();
        assert_eq!((template.resolution, template.grid.shape), (number, shape));
        assert_eq!(template.origin, Origin::Folder(folder.clone()));
        assert_eq!(output_grid(&template, None, Resolution::Numbered(number), None).unwrap(), template.grid);
        let litres = template.mask.iter().map(|&m| f64::from(m)).sum::<f64>() * f64::from(number).powi(3) / 1e6;
        assert!((1.7..2.0).contains(&litres), "{litres} l of brain");
        assert!(template.brain.iter().zip(&template.mask).all(|(&v, &m)| m == 1 || v == 0.0));
    }
}
