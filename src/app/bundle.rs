//! The verb `bundle`: what Nipoppy needs to run this version, out of the binary.

use super::say;
use crate::cli::exit::ExitStatus;
use crate::derivatives::{DerivativeError, atomic};
use serde_json::Value;
use std::path::Path;

/// Where the image of this version is, such as `ghcr.io/NAME/neuro-preprocess`: known only to the builds of a release, which push it there.
const IMAGE: Option<&str> = option_env!("NEURO_PREPROCESS_IMAGE");

macro_rules! bundle {
    ($name:literal: $($file:literal)*) => {
        ($name, &[$(($file, include_str!(concat!("../../nipoppy/", $name, "/", $file)))),*])
    };
}

/// Each bundle and its files.
const BUNDLES: [(&str, &[(&str, &str)]); 2] = [
    bundle!("neuro-preprocess":
        "config.json" "descriptor.json" "invocation.json" "invocation-group.json" "tracker.json" "hpc.json" "qc.json" "zenodo.json"),
    bundle!("neuro-preprocess-idps": "config.json" "descriptor.json" "invocation.json" "hpc.json" "zenodo.json"),
];

/// Writes the bundles and says what to do with them.
///
/// # Errors
/// [`DerivativeError`] when a file cannot be written.
pub fn run(dir: &Path) -> Result<ExitStatus, DerivativeError> {
    for (name, files) in BUNDLES {
        let bundle = dir.join(name);
        for (file, text) in files {
            let text = if *file == "config.json" { with_image(text, IMAGE) } else { (*text).to_owned() };
            atomic::Staged::write(bundle.join(file), |w| Ok(w.write_all(text.as_bytes())?))?.publish()?;
        }
        say(&format!("nipoppy pipeline install --study STUDY {}\n", bundle.display()));
    }
    Ok(ExitStatus::Success)
}

/// A configuration that says where the image can be had, as Nipoppy's own bundles do.
fn with_image(config: &str, image: Option<&str>) -> String {
    let (Some(image), Ok(mut parsed)) = (image, serde_json::from_str::<Value>(config)) else {
        return config.to_owned();
    };
    parsed["CONTAINER_INFO"]["URI"] = format!("docker://{image}:{}", env!("CARGO_PKG_VERSION")).into();
    format!("{parsed:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bids::{Entities, Modality};
    use crate::derivatives::outputs::{outputs_of, outputs_of_field};
    use crate::vocabulary::Wanted;

    /// Every file of the folders, so that a new one is not forgotten here.
    #[test]
    fn the_bundles_are_those_of_the_source() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("nipoppy");
        let names = |dir: &Path| {
            let entries =
                std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = entries.collect();
            names.sort();
            names
        };
        let dir = tempfile::tempdir().unwrap();
        run(dir.path()).unwrap();
        assert_eq!(names(dir.path()), names(&source));
        for (bundle, _) in BUNDLES {
            let (written, source) = (dir.path().join(bundle), source.join(bundle));
            assert_eq!(names(&written), names(&source));
            for file in names(&written).iter().filter(|file| *file != "config.json" || IMAGE.is_none()) {
                assert_eq!(
                    std::fs::read(written.join(file)).unwrap(),
                    std::fs::read(source.join(file)).unwrap(),
                    "{file}"
                );
            }
        }
    }

    /// Whether a path is one that a pattern stands for.
    fn fits(pattern: &str, path: &str) -> bool {
        let Some((start, rest)) = pattern.split_once('*') else { return pattern == path };
        let Some(left) = path.strip_prefix(start) else { return false };
        (0..=left.len()).any(|skipped| fits(rest, &left[skipped..]))
    }

    /// QC-Studio shows the first file, in the order of names, that a pattern finds.
    #[test]
    fn what_is_to_be_looked_at_is_an_output() {
        let entities = |names: &[(&'static str, &'static str)]| {
            Entities::from_pairs([("sub", "01"), ("ses", "A")].iter().chain(names).copied()).unwrap()
        };
        let (head, run) = (entities(&[]), entities(&[("task", "rest")]));
        let mut paths: Vec<String> = outputs_of(Modality::T1w, &head, &Wanted::default())
            .unwrap()
            .into_iter()
            .chain(outputs_of(Modality::Bold, &run, &Wanted::default()).unwrap())
            .chain(outputs_of_field(&run, "x").unwrap())
            .map(|output| output.path.display().to_string())
            .chain(Modality::ALL.map(|modality| format!("group_{}.tsv", modality.as_str())))
            .collect();
        paths.sort();
        let text = BUNDLES[0].1.iter().find(|(file, _)| *file == "qc.json").unwrap().1;
        let text =
            text.replace("[[NIPOPPY_BIDS_PARTICIPANT_ID]]", "sub-01").replace("[[NIPOPPY_BIDS_SESSION_ID]]", "ses-A");
        let tasks: Value = serde_json::from_str(&text).unwrap();
        let output = concat!("derivatives/neuro-preprocess/", env!("CARGO_PKG_VERSION"), "/output/");
        let shown = |pattern: &Value| {
            let pattern = pattern.as_str().unwrap().strip_prefix(output).unwrap().to_owned();
            paths.iter().find(|path| fits(&pattern, path)).unwrap_or_else(|| panic!("{pattern} is none of {paths:#?}"))
        };
        for task in tasks.as_object().unwrap().values() {
            for (_, value) in task.as_object().unwrap().iter().filter(|(key, _)| key.ends_with("_path")) {
                value
                    .as_array()
                    .map_or_else(|| vec![value], |list| list.iter().collect())
                    .into_iter()
                    .map(shown)
                    .for_each(drop);
            }
        }
        let head = &tasks["T1w_brain_and_tissues"];
        assert!(!shown(&head["base_mri_image_path"]).contains("space-"), "the image as it was scanned");
        assert!(!shown(&head["overlay_mri_image_path"]).contains("space-"), "and its mask");
    }

    #[test]
    fn a_release_says_where_its_image_is() {
        for (_, files) in BUNDLES {
            let config = files.iter().find(|(file, _)| *file == "config.json").unwrap().1;
            assert_eq!(with_image(config, None), config);
            let said: Value = serde_json::from_str(&with_image(config, Some("example.org/x"))).unwrap();
            assert_eq!(said["CONTAINER_INFO"]["URI"], concat!("docker://example.org/x:", env!("CARGO_PKG_VERSION")));
            let mut without = said;
            without["CONTAINER_INFO"].as_object_mut().unwrap().remove("URI");
            assert_eq!(without, serde_json::from_str::<Value>(config).unwrap(), "nothing else is another");
        }
    }
}
