//! The request to spread a run over a Slurm cluster.

use super::args::DatasetArgs;
use super::error::Refusal;
use super::paths;
use super::request::{Level, SlurmConfig};
use super::resolve_run::run_dataset;
use super::slurm_args::SlurmArgs;
use super::values::{Env, threads};
use std::path::PathBuf;

/// Processors of a task: what one scan makes good use of.
const CPUS: usize = 2;

/// Turns what was typed into a request.
pub(super) fn resolve(args: SlurmArgs, env: Env) -> Result<SlurmConfig, Refusal> {
    let typed = &args.run.0;
    if typed.get("format").is_some() || args.submit && typed.get("dry-run").is_some() {
        let first = if args.submit { "--submit" } else { "--format" };
        let advice = "with slurm, --dry-run prints the script of a task and sends nothing".to_owned();
        return Err(Refusal::Conflict { first, second: "--dry-run", advice });
    }
    if let Some(image) = &args.image {
        paths::side_file(image, "the image")?;
    }
    let named = [("--partition", args.partition), ("--account", args.account)];
    let named = named.into_iter().filter_map(|(option, value)| Some(format!("{option}={}", value?)));
    let cpus = typed.get("nprocs").and_then(|text| threads(text).ok()).unwrap_or(CPUS);
    let dataset = DatasetArgs {
        bids_dir: None,
        output_dir: Some(args.output_dir),
        level: Some(Level::Participant),
        extra: Vec::new(),
        select: args.select,
        input: None,
        input_dir: None,
        output: None,
    };
    let whole = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(SlurmConfig {
        submit: args.submit,
        batch: args.batch.map(whole),
        max_concurrent: args.max_concurrent.map(whole),
        cpus,
        time: args.time,
        options: named.chain(args.sbatch_option).collect(),
        image: args.image,
        config_file: typed.get("config").map(PathBuf::from),
        key_file: typed.get("pseudonymize-key").map(PathBuf::from),
        run: run_dataset(args.bids_dir, dataset, args.run, env)?,
    })
}
