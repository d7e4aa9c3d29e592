//! What a row of the table of options is, and how clap takes it.

use super::options::Options;
use super::values::{self, Value};
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use std::path::PathBuf;

/// Bits of the forms of the command that take an option, and of what else takes it.
pub(super) mod form {
    /// All forms that process scans.
    pub const RUN: u8 = 1;
    /// All forms that take a dataset.
    pub const SELECT: u8 = 2;
    /// `demo`.
    pub const DEMO: u8 = 4;
    /// `telemetry config`.
    pub const OBSERVE: u8 = 8;
    /// The script of a Slurm task.
    pub const TASK: u8 = 16;
    /// Makes no sense with `--no-telemetry`.
    pub const ONLINE: u8 = 32;
}

/// A heading of the help, and the forms that take the options below it.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub heading: &'static str,
    pub forms: u8,
}

/// How an option is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    /// With a value, of this name in the help.
    Value(&'static str),
    /// With one or more.
    List(&'static str),
    /// Without a value.
    Flag,
    /// Without a value; stands for a text of this setting.
    Means(&'static str, &'static str),
    /// By the options that stand for its texts.
    Never,
}

/// One option: its name, help, value and twins.
#[derive(Clone, Copy)]
pub struct Row {
    /// The option is `--` and the key; also the key in the configuration file.
    pub key: &'static str,
    /// Section of the configuration file. Empty for an option without a twin there and in the environment.
    pub section: &'static str,
    /// Least and largest number, told in the Boutiques descriptor; the value's parser checks them.
    pub limits: Option<(f64, Option<f64>)>,
    /// The option without which it makes no sense.
    pub needs: &'static str,
    pub(super) typing: Typing,
    group: Group,
    pub(super) forms: u8,
    help: &'static str,
    values: &'static str,
    pub(super) field: fn(&mut Options) -> &mut dyn Value,
    clap: fn(Arg) -> Arg,
}

type Field = fn(&mut Options) -> &mut dyn Value;

const fn row(key: &'static str, typing: Typing, group: Group, help: &'static str, field: Field) -> Row {
    let (forms, clap) = (group.forms | form::TASK, as_it_is as fn(Arg) -> Arg);
    Row { key, section: "", limits: None, needs: "", typing, group, forms, help, values: "", field, clap }
}

fn as_it_is(arg: Arg) -> Arg {
    arg
}

/// An option with a value; `FILE` and `DIR` are paths.
pub(super) const fn value(
    key: &'static str,
    name: &'static str,
    group: Group,
    help: &'static str,
    field: Field,
) -> Row {
    row(key, Typing::Value(name), group, help, field)
}

/// An option with one or more values.
pub(super) const fn list(key: &'static str, name: &'static str, group: Group, help: &'static str, field: Field) -> Row {
    row(key, Typing::List(name), group, help, field)
}

/// An option without a value.
pub(super) const fn flag(key: &'static str, group: Group, help: &'static str, field: Field) -> Row {
    row(key, Typing::Flag, group, help, field)
}

/// An option that stands for `text` of the setting `of`.
pub(super) const fn means(
    key: &'static str,
    (of, text): (&'static str, &'static str),
    group: Group,
    help: &'static str,
    field: Field,
) -> Row {
    row(key, Typing::Means(of, text), group, help, field)
}

/// A setting that is typed by options that stand for its texts.
pub(super) const fn setting(key: &'static str, field: Field) -> Row {
    row(key, Typing::Never, Group { heading: "", forms: 0 }, "", field)
}

impl Row {
    /// Also a setting of the environment and the configuration file. `values` says what may be written, where neither the
    /// choices of the value nor its kind do.
    pub(super) const fn section(mut self, section: &'static str, values: &'static str) -> Self {
        self.section = section;
        self.values = values;
        self
    }

    /// Told to no Slurm task, or by other means.
    pub(super) const fn not_for_tasks(mut self) -> Self {
        self.forms &= !form::TASK;
        self
    }

    /// Cannot stand with `--no-telemetry`.
    pub(super) const fn online(mut self) -> Self {
        self.forms |= form::ONLINE;
        self
    }

    /// Makes sense only with the option `key`.
    pub(super) const fn needs(mut self, key: &'static str) -> Self {
        self.needs = key;
        self
    }

    /// A number within limits.
    pub(super) const fn limits(mut self, least: f64, largest: Option<f64>) -> Self {
        self.limits = Some((least, largest));
        self
    }

    /// What else clap is to know: letters, aliases, conflicts, a parser of its own.
    pub(super) const fn clap(mut self, more: fn(Arg) -> Arg) -> Self {
        self.clap = more;
        self
    }

    /// clap's name of it, also in the Boutiques descriptor.
    #[must_use]
    pub fn id(&self) -> String {
        self.key.replace('-', "_")
    }

    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("NEURO_PREPROCESS_{}", self.id().to_ascii_uppercase())
    }

    /// What may be written in a variable or the configuration file.
    #[must_use]
    pub fn values(&self) -> String {
        match self.typing {
            _ if !self.values.is_empty() => self.values.to_owned(),
            Typing::Flag => "true or false".to_owned(),
            _ => values::or(self.choices()),
        }
    }

    pub(super) fn choices(&self) -> &'static [&'static str] {
        (self.field)(&mut Options::default()).choices()
    }

    /// Sets it in `options`.
    ///
    /// # Errors
    /// What may be written.
    pub(super) fn set(&self, options: &mut Options, text: &str) -> Result<(), String> {
        (self.field)(options).read(text)
    }

    pub(super) fn arg(&'static self) -> Arg {
        let arg = Arg::new(self.id()).long(self.key).help(self.help).help_heading(self.group.heading);
        let arg = match self.typing {
            Typing::Value(name) => self.parsed(name, arg.value_name(name)),
            Typing::List(name) => self.parsed(name, arg.value_name(name).action(ArgAction::Append).num_args(1..)),
            _ => arg.action(ArgAction::SetTrue),
        };
        let arg = if self.forms & form::ONLINE == 0 { arg } else { arg.conflicts_with("no_telemetry") };
        let arg = if self.needs.is_empty() { arg } else { arg.requires(self.needs.replace('-', "_")) };
        (self.clap)(arg)
    }

    fn parsed(&'static self, name: &str, arg: Arg) -> Arg {
        match self.choices() {
            _ if matches!(name, "FILE" | "DIR") => arg.value_parser(clap::value_parser!(PathBuf)),
            [] => arg.value_parser(move |text: &str| {
                self.set(&mut Options::default(), text)?;
                Ok::<_, String>(text.to_owned())
            }),
            choices => {
                let arg = arg.value_parser(PossibleValuesParser::new(choices.iter().copied())).ignore_case(true);
                if matches!(self.typing, Typing::List(_)) { arg.value_delimiter(',') } else { arg }
            }
        }
    }

    /// What was typed of it: the setting and its text.
    pub(super) fn typed(&self, matches: &ArgMatches) -> Option<(&'static str, String)> {
        let id = self.id();
        if matches.value_source(&id) != Some(ValueSource::CommandLine) {
            return None;
        }
        Some(match self.typing {
            Typing::Flag => (self.key, "true".to_owned()),
            Typing::Means(of, text) => (of, text.to_owned()),
            _ => {
                let words = matches.get_raw(&id)?.map(|word| word.to_string_lossy());
                (self.key, words.collect::<Vec<_>>().join(","))
            }
        })
    }

    /// The words that set it as in `options`.
    pub(super) fn words(&self, options: &mut Options) -> Vec<String> {
        match (self.typing, (self.field)(options).text()) {
            (_, None) | (Typing::Means(..), _) => Vec::new(),
            (Typing::Flag, _) => vec![format!("--{}", self.key)],
            (Typing::Never, Some(text)) => vec![format!("--{text}")],
            (Typing::Value(_), Some(text)) => vec![format!("--{}={text}", self.key)],
            (Typing::List(_), Some(text)) => text.split(',').map(|word| format!("--{}={word}", self.key)).collect(),
        }
    }
}
