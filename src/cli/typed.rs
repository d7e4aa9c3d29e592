//! The options of the table as clap takes them, what was typed of them, and what a Slurm task is told.

use super::options::Options;
use super::row::{Row, form};
use super::table::OPTIONS;
use clap::{ArgMatches, Args, Command, FromArgMatches};

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
    use super::super::row::Typing;
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
            let choices = row.choices().iter().copied();
            let found = TEXTS.into_iter().chain(choices).filter_map(read).find(|options| *options != fresh);
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
