//! The inputs of a descriptor and their groups, from clap's definitions: one input per argument that is shown.

use super::super::table::OPTIONS;
use clap::{Arg, ArgAction, Command};
use serde_json::{Value, json};
use std::any::TypeId;

/// What a command takes.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// In the order in which they stand on the command line.
    pub inputs: Vec<Value>,
    /// The headings of the help, with the inputs below each.
    pub groups: Vec<Value>,
}

/// The arguments of a built command that are shown and that `keep` accepts.
pub(super) fn of(command: &Command, keep: impl Fn(&Arg) -> bool) -> Inputs {
    let own = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
    let options = command.get_arguments().filter(|arg| !arg.is_positional());
    let args: Vec<&Arg> = command.get_positionals().chain(options).filter(own).filter(|arg| keep(arg)).collect();
    let inputs = args.iter().map(|arg| input(command, arg, &args)).collect();
    let mut headings: Vec<&str> = Vec::new();
    for heading in args.iter().filter_map(|arg| arg.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let group = |heading: &str| {
        let below = args.iter().filter(|arg| arg.get_help_heading() == Some(heading));
        let members: Vec<&str> = below.map(|arg| arg.get_id().as_str()).collect();
        json!({ "id": identifier(heading), "name": heading, "members": members })
    };
    Inputs { inputs, groups: headings.into_iter().map(group).collect() }
}

fn input(command: &Command, arg: &Arg, all: &[&Arg]) -> Value {
    let id = arg.get_id().as_str();
    // What clap checks but does not tell.
    let row = OPTIONS.iter().find(|row| row.id() == id);
    let kind = kind(arg);
    let required = arg.is_positional();
    let mut input = json!({
        "id": id,
        "name": sentence(id),
        "description": description(arg),
        "type": kind,
        "optional": !required,
        "value-key": format!("[{}]", id.to_ascii_uppercase()),
    });
    let mut set = |key: &str, value: Value| input[key] = value;
    if let Some(long) = arg.get_long() {
        set("command-line-flag", format!("--{long}").into());
    }
    if arg.get_action().takes_values() && arg.get_num_args().is_some_and(|n| n.max_values() > 1) {
        set("list", true.into());
        set("min-list-entries", 1.into());
    }
    let choices: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    if !choices.is_empty() && arg.get_action().takes_values() {
        set("value-choices", choices.into());
    }
    if kind == "Number" {
        set("integer", (!is_a::<f64>(arg)).into());
        if let Some((least, largest)) = row.and_then(|row| row.limits) {
            set("minimum", json!(least));
            largest.iter().for_each(|largest| set("maximum", json!(largest)));
        }
    }
    let known = |a: &&Arg| all.iter().any(|b| b.get_id() == a.get_id());
    let disabled: Vec<&str> =
        command.get_arg_conflicts_with(arg).into_iter().filter(known).map(|a| a.get_id().as_str()).collect();
    if !disabled.is_empty() {
        set("disables-inputs", disabled.into());
    }
    if let Some(row) = row.filter(|row| !row.needs.is_empty()) {
        set("requires-inputs", json!([row.needs.replace('-', "_")]));
    }
    input
}

/// A folder is a `String`: of a `File` that is one, Boutiques would hash all that is in it.
fn kind(arg: &Arg) -> &'static str {
    let file = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == "FILE"));
    if !arg.get_action().takes_values() {
        "Flag"
    } else if is_a::<u16>(arg) || is_a::<u32>(arg) || is_a::<u64>(arg) || is_a::<f64>(arg) {
        "Number"
    } else if file {
        "File"
    } else {
        "String"
    }
}

fn is_a<T: 'static>(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<T>()
}

/// The help, with the default that clap would add to it.
fn description(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if defaults.is_empty() || !arg.get_action().takes_values() {
        help
    } else {
        format!("{help} [default: {}]", defaults.join(" "))
    }
}

/// `participant_label` as words.
fn sentence(id: &str) -> String {
    let words = id.replace('_', " ").replace("bids", "BIDS");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A heading as an id.
fn identifier(heading: &str) -> String {
    heading.to_ascii_lowercase().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::super::super::command;
    use super::*;

    fn accepts(option: &str, value: f64) -> bool {
        command().try_get_matches_from(["np", "b", "o", "participant", option, &value.to_string()]).is_ok()
    }

    #[test]
    fn the_limits_told_are_those_that_are_checked() {
        let limited = OPTIONS.iter().filter_map(|row| Some((row.key, row.limits?)));
        for (key, (least, largest)) in limited.clone() {
            let option = format!("--{key}");
            assert!(accepts(&option, least), "{key}");
            assert!(!accepts(&option, least - 1.0), "{key}");
            if let Some(largest) = largest {
                assert!(accepts(&option, largest) && !accepts(&option, largest + 1.0), "{key}");
            }
        }
        let mut command = command();
        command.build();
        let numbers = of(&command, |arg| kind(arg) == "Number").inputs;
        assert_eq!(numbers.len(), limited.count(), "a number without limits");
    }

    #[test]
    fn the_needs_told_are_those_that_are_checked() {
        let base = ["np", "b", "o", "participant"];
        assert!(command().try_get_matches_from(base.into_iter().chain(["--format", "json"])).is_err());
        assert!(command().try_get_matches_from(base.into_iter().chain(["--format", "json", "--dry-run"])).is_ok());
    }

    #[test]
    fn inputs_have_the_type_of_their_argument() {
        let inputs = super::super::dataset()["inputs"].clone();
        let field = |id: &str, key: &str| {
            inputs.as_array().unwrap().iter().find(|i| i["id"] == id).unwrap_or_else(|| panic!("{id}"))[key].clone()
        };
        for (id, kind) in [("bids_dir", "String"), ("config", "File"), ("nprocs", "Number"), ("force", "Flag")] {
            assert_eq!(field(id, "type"), kind, "{id}");
        }
        assert_eq!(field("analysis_level", "value-choices"), json!(["participant", "group"]));
        assert_eq!(field("participant_label", "list"), true);
        assert_eq!(field("force", "list"), Value::Null);
        assert_eq!(field("quiet", "disables-inputs"), json!(["verbose", "debug"]));
        assert_eq!(field("format", "requires-inputs"), json!(["dry_run"]));
        assert_eq!(field("bids_dir", "optional"), false);
    }
}
