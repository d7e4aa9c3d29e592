//! The request to spread a run over a Slurm cluster.

use super::args::DatasetArgs;
use super::error::Refusal;
use super::paths;
use super::request::{Level, SlurmConfig};
use super::resolve_run::run_dataset;
use super::settings::Env;
use super::slurm_args::SlurmArgs;

/// Processors of a task: what one scan makes good use of.
const CPUS: usize = 2;

/// Turns what was typed into a request.
pub(super) fn resolve(args: SlurmArgs, env: Env) -> Result<SlurmConfig, Refusal> {
    if args.run.format.is_some() || args.submit && args.run.dry_run {
        let first = if args.submit { "--submit" } else { "--format" };
        let advice = "with slurm, --dry-run prints the script of a task and sends nothing".to_owned();
        return Err(Refusal::Conflict { first, second: "--dry-run", advice });
    }
    if let Some(image) = &args.image {
        paths::side_file(image, "the image")?;
    }
    let named = [("--partition", args.partition), ("--account", args.account)];
    let named = named.into_iter().filter_map(|(option, value)| Some(format!("{option}={}", value?)));
    let cpus = args.run.resources.nprocs.map_or(CPUS, usize::from);
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
        config_file: args.run.observe.config.clone(),
        key_file: args.run.observe.pseudonymize_key.clone(),
        run: run_dataset(args.bids_dir, dataset, args.run, env)?,
    })
}
