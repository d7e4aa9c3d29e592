//! Reads the TOML configuration file: `--config FILE`, else `neuro-preprocess/config.toml` in the user's configuration
//! folder. Every key is a row of the table of options; an unknown one is refused, naming the nearest.

use super::error::Refusal;
use super::options::Options;
use super::small_file;
use super::typed::{self, Texts, settings};
use super::values::nearest;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What the file that applies says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Loaded {
    pub options: Options,
    /// The file; `None` when there is none.
    pub path: Option<PathBuf>,
    /// Each key with what was written.
    pub texts: Texts,
    /// A remark when the user's own file had to be left out.
    pub note: Option<String>,
}

/// Reads the file that applies.
pub(super) fn load(asked: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Refusal> {
    if let Some(file) = asked {
        let text = small_file::text(file).map_err(|e| unreadable(file, &e))?;
        return read(file, &text);
    }
    let Some(file) = usual_place(env) else { return Ok(Loaded::default()) };
    match small_file::text(&file) {
        Ok(text) => read(&file, &text),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Loaded::default()),
        // In a container HOME may be somebody else's: a file nobody asked for must not stop the run.
        Err(e) => {
            let note = Some(format!("configuration file {} not used: {e}", file.display()));
            Ok(Loaded { note, ..Loaded::default() })
        }
    }
}

/// `$XDG_CONFIG_HOME`, else `~/.config`, as the XDG base directory specification has it; `None` without a home.
fn usual_place(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
    Some(base.join("neuro-preprocess").join("config.toml"))
}

fn read(file: &Path, text: &str) -> Result<Loaded, Refusal> {
    let bad = |problem: String| Refusal::BadConfig { file: file.to_owned(), problem };
    let table: Table = text.trim_start_matches('\u{feff}').parse().map_err(|e: toml::de::Error| bad(e.to_string()))?;
    let mut loaded = Loaded { path: Some(file.to_owned()), ..Loaded::default() };
    for (section, content) in &table {
        let content = content.as_table().ok_or_else(|| bad(misplaced(section)))?;
        if !settings().any(|s| s.section == section) {
            return Err(bad(unknown_section(section)));
        }
        for (key, value) in content {
            set(&mut loaded, section, key, value).map_err(|e| bad(format!("[{section}] {key}: {e}")))?;
        }
    }
    Ok(loaded)
}

fn set(loaded: &mut Loaded, section: &str, key: &str, value: &Value) -> Result<(), String> {
    let written = key.replace('_', "-");
    let row = match typed::of(&written) {
        Some(row) if row.section == section => row,
        Some(other) if !other.section.is_empty() => return Err(format!("belongs to the section [{}]", other.section)),
        _ => return Err(unknown_key(&written, settings().filter(|row| row.section == section).map(|row| row.key))),
    };
    let text = text_of(value)?;
    row.set(&mut loaded.options, text.trim())?;
    loaded.texts.0.push((row.key, text));
    Ok(())
}

/// The value as it would be written in an environment variable.
fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Integer(i) => Ok(i.to_string()),
        Value::Float(x) => Ok(x.to_string()),
        Value::Boolean(b) => Ok(b.to_string()),
        Value::Array(list) => Ok(list.iter().map(text_of).collect::<Result<Vec<_>, _>>()?.join(",")),
        Value::Datetime(_) | Value::Table(_) => Err("write a text, a number, true or false".to_owned()),
    }
}

fn unknown_key<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(key, known.clone()) {
        Some(meant) => format!("unknown key; did you mean {meant}?"),
        None => format!("unknown key; the keys are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn unknown_section(section: &str) -> String {
    match nearest(section, ["run", "observability"]) {
        Some(meant) => format!("unknown section [{section}]; did you mean [{meant}]?"),
        None => format!("unknown section [{section}]; the sections are [run] and [observability]"),
    }
}

fn misplaced(key: &str) -> String {
    match settings().find(|s| s.key == key.replace('_', "-")) {
        Some(s) => format!("{key} stands outside a section; put it under [{}]", s.section),
        None => format!("{key} stands outside a section; the sections are [run] and [observability]"),
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Refusal {
    match error.kind() {
        ErrorKind::NotFound => {
            Refusal::InputMissing { role: "the configuration file", path: file.to_owned(), hint: String::new() }
        }
        _ => Refusal::BadConfig { file: file.to_owned(), problem: format!("cannot be read: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bids::Modality;
    use crate::telemetry::config::Verbosity;

    fn problem(text: &str) -> String {
        read(Path::new("c.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = "[run]\nnprocs = 3\nmem = \"4GB\"\nmodalities = [\"bold\"]\n\
                    [observability]\nno-telemetry = false\npseudonymize_key = \"/w\"\nverbosity = \"debug\"\n";
        let s = read(Path::new("c.toml"), text).unwrap().options;
        assert_eq!((s.nprocs, s.no_telemetry, s.verbosity), (Some(3), false, Verbosity::Debug));
        assert_eq!(s.mem.unwrap().bytes, 4_000_000_000);
        assert_eq!((s.pseudonymize_key, s.modalities), (Some(PathBuf::from("/w")), vec![Modality::Bold]));
        assert_eq!(read(Path::new("c.toml"), "\u{feff}").unwrap().options, Options::default());
    }

    proptest::proptest! {
        #[test]
        fn any_settings_are_read_as_written(
            nprocs in 1_usize..=4096, megabytes in 256_u64..1_000_000, seconds in 0.0..3600.0_f64, yes: bool,
            folder in "/\\PC{0,20}", quoted: bool,
        ) {
            // A TOML writer of its own; numbers may also stand in quotes.
            let word = |text: String| if quoted { format!("\"{text}\"") } else { text };
            let text = format!(
                "[run]\nnprocs = {}\nmem = \"{megabytes}MB\"\nstrict = {}\n[observability]\nflush_timeout = {}\npseudonymize-key = {}\n",
                word(nprocs.to_string()), word(yes.to_string()), word(format!("{seconds:?}")), Value::String(folder.clone()),
            );
            let read = read(Path::new("c.toml"), &text).unwrap().options;
            proptest::prop_assert_eq!((read.nprocs, read.strict), (Some(nprocs), yes));
            proptest::prop_assert_eq!(read.mem.unwrap().bytes, megabytes * 1_000_000);
            proptest::prop_assert_eq!(read.pseudonymize_key, Some(PathBuf::from(folder.trim())));
            proptest::prop_assert_eq!(read.flush_timeout, Some(std::time::Duration::from_secs_f64(seconds)));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_nearest() {
        assert!(problem("[run]\nnproc = 3").contains("[run] nproc: unknown key; did you mean nprocs?"));
        assert!(problem("[run]\ncolour = 3").contains("the keys are skip-bids-validation, modalities"));
        assert!(problem("[run]\ntrace = true").contains("belongs to the section [observability]"));
        assert!(problem("[observabilty]\ntrace = true").contains("did you mean [observability]?"));
        assert!(problem("nprocs = 3").contains("put it under [run]"));
        assert!(problem("[run]\nnprocs = 0").contains("[run] nprocs: write a whole number from 1"));
        assert!(problem("[run]\nmem = {}").contains("write a text"));
        assert!(problem("[run\nx").contains("line 1"));
    }

    #[test]
    fn the_usual_place_follows_xdg_and_may_be_missing() {
        let place = |list: &'static [(&str, &str)]| {
            usual_place(&move |name| list.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[("HOME", "/h")]), Some("/h/.config/neuro-preprocess/config.toml".into()));
        assert_eq!(place(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Some("/x/neuro-preprocess/config.toml".into()));
        // The specification says to ignore a relative path.
        assert_eq!(
            place(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]),
            Some("/h/.config/neuro-preprocess/config.toml".into())
        );
    }
}
