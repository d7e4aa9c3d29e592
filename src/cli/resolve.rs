//! Options, environment, configuration file and defaults → one request. Every check is made here or called from here.

use super::args::{DemoArgs, ExtractArgs, ReportArgs, ScoreArgs, SynthArgs, VerifyArgs};
use super::command::{Cli, Verb};
use super::error::Refusal;
use super::help_args::ListArgs;
use super::layers::Layers;
use super::memory::Memory;
use super::request::{DemoConfig, ExtractConfig, Format, ListConfig, ReportConfig, Request, ScoreConfig, VerifyConfig};
use super::resolve_run::{each_once, run_file, run_folder, selection, without_verb};
use super::resolve_telemetry::telemetry;
use super::typed::Texts;
use super::values::{Env, Value as _};
use super::{paths, resolve_slurm, resolve_telemetry};
use phantom::SynthConfig;
use std::path::PathBuf;

/// Turns what was typed into a request.
pub(super) fn resolve(cli: Cli, env: Env) -> Result<Request, Refusal> {
    match cli.verb {
        Some(Verb::Process { scan, output, run }) => run_file(scan, output.output, run, env).map(Request::Run),
        Some(Verb::Batch { folder, output, run }) => run_folder(folder, output.output, run, env).map(Request::Run),
        Some(Verb::Slurm(args)) => resolve_slurm::resolve(*args, env).map(Request::Slurm),
        Some(Verb::Synth(args)) => synth(args),
        Some(Verb::Demo(args)) => demo(args, env),
        Some(Verb::Score(args)) => score(args),
        Some(Verb::Telemetry(verb)) => resolve_telemetry::resolve(verb, env),
        Some(Verb::Extract(args)) => extract(args),
        Some(Verb::Report(args)) => report(args, env),
        Some(Verb::Verify(args)) => verify(args, env),
        Some(Verb::Descriptor) => Ok(Request::Descriptor),
        Some(Verb::Bundle(args)) => bundle(args.dir),
        Some(Verb::List(args)) => list(args, env),
        Some(Verb::Explain(args)) => Ok(Request::Explain(args.code)),
        Some(Verb::Completions(args)) => Ok(Request::Completions(args.shell)),
        Some(Verb::Man(args)) => manual(args.dir),
        None if cli.boutiques.bids_exec_spec => Ok(Request::Descriptor),
        None => without_verb(cli.dataset, cli.run, env).map(Request::Run),
    }
}

fn synth(args: SynthArgs) -> Result<Request, Refusal> {
    paths::output_folder("output", &args.dir, None)?;
    let filled = std::fs::read_dir(&args.dir).is_ok_and(|mut entries| entries.next().is_some());
    if filled {
        let problem = "it is not empty; choose a new folder".to_owned();
        return Err(Refusal::OutputUnusable { role: "output", folder: args.dir, problem });
    }
    let whole = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(Request::Synth(SynthConfig {
        dir: args.dir,
        participants: whole(args.participants),
        sessions: whole(args.sessions),
        modalities: each_once(args.modalities).into_iter().map(Into::into).collect(),
        voxel_mm: args.voxel_size,
        volumes: whole(args.volumes),
        seed: args.seed,
    }))
}

fn demo(args: DemoArgs, env: Env) -> Result<Request, Refusal> {
    paths::output_folder("output", &args.output, None)?;
    let Layers { options, threads, mut notes, .. } = Layers::gather(&args.settings.0, env)?;
    notes.extend(options.mem.as_ref().map(Memory::understood));
    Ok(Request::Demo(DemoConfig {
        scenario: args.scenario,
        dir: args.output,
        threads,
        memory_bytes: options.mem.as_ref().map(|m| m.bytes),
        telemetry: telemetry(&options, &args.settings.0, env, &mut notes)?,
        notes,
    }))
}

fn score(args: ScoreArgs) -> Result<Request, Refusal> {
    for folder in std::iter::once(&args.derivatives).chain(&args.truth) {
        paths::input_folder(folder, "name the folder of the dataset", paths::bound_hint(folder))?;
    }
    Ok(Request::Score(ScoreConfig { derivatives: args.derivatives, truth: args.truth, format: args.format }))
}

fn extract(args: ExtractArgs) -> Result<Request, Refusal> {
    let ExtractArgs { derivatives, table } = args;
    paths::input_folder(&derivatives, "name the folder of the derivatives", paths::bound_hint(&derivatives))?;
    let unusable =
        |problem: &str| Refusal::OutputUnusable { role: "table", folder: table.clone(), problem: problem.to_owned() };
    if table.extension().is_none_or(|extension| extension != "tsv") {
        return Err(unusable("its name must end in .tsv; the data dictionary beside it ends in .json"));
    }
    if table.is_dir() {
        return Err(unusable("it is a folder; name a file in it"));
    }
    Ok(Request::Extract(ExtractConfig { derivatives, table }))
}

fn report(args: ReportArgs, env: Env) -> Result<Request, Refusal> {
    let (derivatives, threads) = finished(args.derivatives, args.nprocs, env)?;
    Ok(Request::Report(ReportConfig { derivatives, threads }))
}

fn verify(args: VerifyArgs, env: Env) -> Result<Request, Refusal> {
    let (derivatives, threads) = finished(args.derivatives, args.nprocs, env)?;
    let format = if args.json { Format::Json } else { args.format };
    Ok(Request::Verify(VerifyConfig { derivatives, threads, format }))
}

/// Derivatives that are there, and the threads to work on them with.
fn finished(derivatives: PathBuf, nprocs: Option<u16>, env: Env) -> Result<(PathBuf, usize), Refusal> {
    paths::input_folder(&derivatives, "name the folder of the derivatives", paths::bound_hint(&derivatives))?;
    let typed = Texts::default().with("nprocs", nprocs.map(|n| n.to_string()));
    let Layers { threads, .. } = Layers::gather(&typed, env)?;
    Ok((derivatives, threads))
}

fn manual(dir: PathBuf) -> Result<Request, Refusal> {
    paths::output_folder("manual", &dir, None)?;
    Ok(Request::Manual(dir))
}

fn bundle(dir: PathBuf) -> Result<Request, Refusal> {
    paths::output_folder("bundle", &dir, None)?;
    Ok(Request::Bundle(dir))
}

/// The verb `list` as a request.
fn list(args: ListArgs, env: Env) -> Result<Request, Refusal> {
    let dir = args.bids_dir;
    paths::input_folder(&dir, "name the folder of the dataset", paths::bound_hint(&dir))?;
    let typed = args.select.settings.0.clone().with("modalities", args.modalities.text());
    let layers = Layers::gather(&typed, env)?;
    let mut selection = selection(args.select)?;
    selection.modalities = each_once(layers.options.modalities);
    let skip_validation = layers.options.skip_bids_validation;
    Ok(Request::List(ListConfig { dir, selection, threads: layers.threads, skip_validation, format: args.format }))
}
