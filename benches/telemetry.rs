//! What one span and one log line cost the thread that does the work: into nothing, and into the files of a run.
//!
//! `cargo bench --bench telemetry`; `benches/telemetry.sh` puts the numbers into benches/README.md.

use criterion::Criterion;
use neuro_preprocess::bids::Modality;
use neuro_preprocess::telemetry;
use neuro_preprocess::telemetry::config::TelemetryConfig;
use neuro_preprocess::telemetry::env::Environment;
use neuro_preprocess::telemetry::spans::{self, Parent, Scan};
use neuro_preprocess::vocabulary::{SessionId, Stage};
use opentelemetry::Context;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use tracing::Span;

fn main() -> Result<(), Box<dyn Error>> {
    // Every pass through here ends on the disk, so there are not many of them.
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for (name, enabled) in [("off", false), ("files", true)] {
        let folder = tempfile::tempdir()?;
        let config = TelemetryConfig { enabled, ..TelemetryConfig::default() };
        let env = Environment::default();
        let (telemetry, dispatch) = telemetry::build(&config, &env, Some(folder.path()), "bench");
        tracing::dispatcher::with_default(&dispatch, || one_scan(&mut criterion, name));
        let _ = telemetry.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// A stage's span, opened and ended, and a log line as the stage runner writes it, both inside the span of a scan.
fn one_scan(criterion: &mut Criterion, name: &str) {
    let unit = SessionId { participant: "01".into(), session: None };
    let path = Path::new("/data/sub-01/anat/sub-01_T1w.nii.gz");
    let scan =
        Scan { session: &unit, id: "sub-01_T1w", modality: Modality::T1w, format: "nifti", path, bytes: 12_500_000 };
    let nobody = Context::new();
    let scan: Span = spans::scan_span(&scan, Parent::Remote(&nobody));
    criterion.bench_function(&format!("span/{name}"), |b| b.iter(|| spans::stage_span(Stage::Intensity, &scan)));
    scan.in_scope(|| {
        criterion.bench_function(&format!("log_line/{name}"), |b| {
            b.iter(|| tracing::info!(target: spans::TARGET, duration_seconds = 0.5, "stage ended"));
        });
    });
}
