//! What a row of the table of options is, how clap takes the options of the table, and what was typed of them.

use super::options::{OPTIONS, Options};
use super::values::{self, Value};
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
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
enum Typing {
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
    typing: Typing,
    group: Group,
    forms: u8,
    help: &'static str,
    values: &'static str,
    field: fn(&mut Options) -> &mut dyn Value,
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

    fn choices(&self) -> &'static [&'static str] {
        (self.field)(&mut Options::default()).choices()
    }

    /// Sets it in `options`.
    ///
    /// # Errors
    /// What may be written.
    pub(super) fn set(&self, options: &mut Options, text: &str) -> Result<(), String> {
        (self.field)(options).read(text)
    }

    fn arg(&'static self) -> Arg {
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
    fn typed(&self, matches: &ArgMatches) -> Option<(&'static str, String)> {
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
    fn words(&self, options: &mut Options) -> Vec<String> {
        match (self.typing, (self.field)(options).text()) {
            (_, None) | (Typing::Means(..), _) => Vec::new(),
            (Typing::Flag, _) => vec![format!("--{}", self.key)],
            (Typing::Never, Some(text)) => vec![format!("--{text}")],
            (Typing::Value(_), Some(text)) => vec![format!("--{}={text}", self.key)],
            (Typing::List(_), Some(text)) => text.split(',').map(|word| format!("--{}={word}", self.key)).collect(),
        }
    }
}

/// The row of this key.
pub(super) fn of(key: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.key == key)
}

/// The rows that are also keys of the configuration file and variables.
pub fn settings() -> impl Iterator<Item = &'static Row> + Clone {
    OPTIONS.iter().filter(|row| !row.section.is_empty())
}

/// The options of a Slurm task that does what `options` say.
#[must_use]
pub fn words(options: &Options) -> Vec<String> {
    let without = if options.no_telemetry { form::ONLINE } else { 0 };
    let rows = OPTIONS.iter().filter(|row| row.forms & form::TASK != 0 && row.forms & without == 0);
    let mut options = options.clone();
    rows.flat_map(|row| row.words(&mut options)).collect()
}

/// Texts of settings by their keys; of two for one key the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts(pub Vec<(&'static str, String)>);

impl Texts {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rfind(|(known, _)| *known == key).map(|(_, text)| text.as_str())
    }

    /// With one more, where there is one.
    pub fn with(mut self, key: &'static str, text: Option<String>) -> Self {
        self.0.extend(text.map(|text| (key, text)));
        self
    }
}

/// What was typed of the options of the table that the forms of `FORM` take.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed<const FORM: u8>(pub Texts);

impl<const FORM: u8> Typed<FORM> {
    fn rows() -> impl Iterator<Item = &'static Row> {
        OPTIONS.iter().filter(|row| row.forms & FORM != 0)
    }
}

impl<const FORM: u8> Args for Typed<FORM> {
    fn augment_args(command: Command) -> Command {
        command.args(Self::rows().map(Row::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const FORM: u8> FromArgMatches for Typed<FORM> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Texts(Self::rows().filter_map(|row| row.typed(matches)).collect())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of which each value understands one.
    const TEXTS: [&str; 7] = ["true", "0.25", "4", "8GB", "http://c:4317", "load:2", "json"];

    #[test]
    fn every_option_is_read_and_written_back() {
        for row in OPTIONS {
            let fresh = Options::default();
            let read = |text: &str| {
                let mut options = Options::default();
                row.set(&mut options, text).ok().map(|()| options)
            };
            let last = row.choices().last().copied();
            let found = TEXTS.into_iter().chain(last).filter_map(read).find(|options| *options != fresh);
            let mut found = found.unwrap_or_else(|| panic!("{} changes nothing", row.key));
            if row.forms & form::TASK != 0 {
                let text = (row.field)(&mut found).text().unwrap_or_else(|| panic!("{} is not written", row.key));
                assert_eq!(read(&text), Some(found), "{}", row.key);
            }
            assert_eq!(OPTIONS.iter().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
            assert!(row.section.is_empty() || !row.values().is_empty(), "{}: what may be written?", row.key);
            if let Typing::Means(setting, text) = row.typing {
                assert!(of(setting).unwrap().set(&mut Options::default(), text).is_ok(), "{}", row.key);
            }
        }
    }

    #[test]
    fn what_a_task_is_told_is_what_was_typed() {
        let typed = "--modalities T1w,bold --output-spaces T1w func --ignore slicetiming --strict --no-report --debug \
                     --resume verify --log-format json --fail-rate 0.5 --seed 3 --flush-timeout 2.5 --force --mem 8GB";
        let options = |words: &[String]| {
            let words = std::iter::once("np").chain(words.iter().map(String::as_str));
            let matches = Typed::<{ form::RUN }>::augment_args(Command::new("np")).get_matches_from(words);
            let mut options = Options::default();
            for (key, text) in Typed::<{ form::RUN }>::from_arg_matches(&matches).unwrap().0.0 {
                of(key).unwrap().set(&mut options, &text).unwrap();
            }
            options
        };
        let first = options(&typed.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert!(first.strict && first.force && first.mem.is_some() && first.ignore.slicetiming);
        let again = options(&words(&first));
        assert_eq!(again, Options { force: false, mem: None, ..first.clone() }, "force and mem are told otherwise");
        let off = words(&Options { no_telemetry: true, ..first });
        assert!(off.iter().all(|word| !word.starts_with("--flush-timeout")), "{off:?}");
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        let bad = [("nprocs", "0"), ("nprocs", "four"), ("nprocs", "-1"), ("nprocs", "5000"), ("mem", "lots")];
        let more = [("modalities", "T2w"), ("modalities", ","), ("trace", "perhaps"), ("log-format", "xml")];
        for (key, text) in bad.into_iter().chain(more).chain([("verbosity", "loud"), ("flush-timeout", "-1")]) {
            assert!(of(key).unwrap().set(&mut Options::default(), text).is_err(), "{key}={text}");
        }
    }
}
