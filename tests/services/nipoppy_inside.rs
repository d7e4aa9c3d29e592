//! Nipoppy and `bosh` where the program does not run beside them: inside the real Apptainer, and on the nodes of a real
//! Slurm cluster. The commands are those of two sections of `docs/04-nipoppy-integration.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::apptainer;
use crate::common::console::{Step, environment, section, steps, try_steps};
use crate::common::install::root;
use crate::common::otlp;
use crate::common::slurm;
use std::collections::BTreeSet;
use std::path::Path;

/// The steps of a section of the document.
fn document(heading: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(root("docs/04-nipoppy-integration.md")).unwrap();
    steps(section(&text, heading))
}

/// Values of an attribute of the resource, one for each run in the derivatives.
fn of_runs(output: &Path, attribute: &str) -> Vec<Option<String>> {
    otlp::resources(&output.join("logs")).iter().map(|resource| otlp::attribute(resource, attribute)).collect()
}

#[test]
fn a_study_and_an_invocation_are_processed_inside_apptainer() {
    let Some(peers) = common::nipoppy() else { return };
    let (Some(image), Some(path)) = (apptainer::image(), apptainer::path()) else { return };
    let steps = document("## With a container");
    for needed in ["nipoppy process", "nipoppy track-processing", "nipoppy extract", "bosh exec launch"] {
        assert!(steps.iter().any(|s| s.command.starts_with(needed)), "{needed} is not tried");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut environment = environment(dir.path(), &format!("{}:{path}", peers.display()));
    environment.push(("IMAGE", image.display().to_string()));
    environment.push(("OTEL_SERVICE_NAME", "from-outside".to_owned()));
    environment.push(("APPTAINERENV_NEURO_PREPROCESS_OUTPUT_SPACES", common::NO_TEMPLATE.1.to_owned()));
    environment.push(("APPTAINERENV_OTEL_RESOURCE_ATTRIBUTES", "site=inside".to_owned()));
    try_steps(&steps, dir.path(), &environment);

    let study = dir.path().join("boxed/derivatives/neuro-preprocess/0.1.0/output");
    for (output, runs, image) in [
        (study, 7, "neuro-preprocess_0.1.0.sif"), // Six sessions, one of them twice.
        (dir.path().join("out"), 2, "neuro-preprocess-scratch.sif"),
    ] {
        let expected = [("container.image.name", image), ("site", "inside"), ("service.name", env!("CARGO_PKG_NAME"))];
        for (attribute, value) in expected {
            assert_eq!(of_runs(&output, attribute), vec![Some(value.to_owned()); runs], "{attribute}");
        }
    }
}

#[test]
fn a_study_is_processed_by_the_nodes_of_a_cluster() {
    let Some(peers) = common::nipoppy() else { return };
    let Some(cluster) = slurm::Cluster::start() else { return };
    let steps = document("## On a cluster");
    let submissions = steps.iter().filter(|s| s.command.contains("--hpc slurm")).count();
    assert_eq!(submissions, 2, "one of all, one of what is left");
    let dir = tempfile::tempdir().unwrap();
    let mut environment = environment(dir.path(), &format!("{}:/usr/bin:/bin", peers.display()));
    environment.push(("SLURM_CONF", cluster.configuration().display().to_string()));
    for step in steps {
        if step.command.starts_with("squeue") {
            cluster.drain();
        }
        try_steps(&[step], dir.path(), &environment);
    }

    let output = dir.path().join("spread/derivatives/neuro-preprocess/0.1.0/output");
    let tasks: Vec<String> = of_runs(&output, "slurm.array.task.id").into_iter().map(Option::unwrap).collect();
    let mut tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["1", "1", "2", "3", "4", "5", "6"], "six tasks of the first array, one of the second");
    let nodes: BTreeSet<Option<String>> = of_runs(&output, "slurm.node").into_iter().collect();
    assert!(nodes.len() > 1 && nodes.iter().all(Option::is_some), "{nodes:?}");
}
