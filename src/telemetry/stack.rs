//! The stack that `containers/start_stack.sh` started for this user on this machine: the only collector that is used without
//! being named.
//!
//! A usual port of a shared node may belong to another user, so no port is probed. The script leaves a file in the
//! stack's folder; it counts if it belongs to this user, only this user can write to it, and the process it names is running.

use super::env::Environment;
use crate::machine::host::Process;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Name of the file in the stack's folder.
const FILE: &str = "endpoint";
/// Longer is not what the script writes, in bytes.
const LONGEST: u64 = 4096;

/// What a look for the stack came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its Collector, which runs.
    Stack(Endpoints),
    /// None that may be used, and why.
    Nothing(String),
}

/// Where the Collector of a stack takes OTLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Over HTTP, without the path of a signal.
    pub http: String,
    /// Over gRPC.
    pub grpc: String,
    /// The file that says so.
    pub file: PathBuf,
}

/// Looks for it. Reads one small file and `/proc`; opens no connection.
#[must_use]
pub fn find(env: &Environment) -> Found {
    let Some(file) = folder(env).map(|folder| folder.join(FILE)) else {
        return Found::Nothing("neither HOME nor NEURO_PREPROCESS_STACK says where a stack would be".to_owned());
    };
    match read(&file) {
        Ok(text) => running(&text, &file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Found::Nothing(format!("no stack of start_stack.sh is here (no {})", file.display()))
        }
        Err(e) => Found::Nothing(format!("{} is not used: {e}", file.display())),
    }
}

/// The stack's folder, as `containers/stack.sh` has it.
fn folder(env: &Environment) -> Option<PathBuf> {
    let named = env.get("NEURO_PREPROCESS_STACK").map(PathBuf::from);
    let state = || env.get("XDG_STATE_HOME").map(PathBuf::from);
    let home = || env.get("HOME").map(|home| Path::new(home).join(".local/state"));
    named.or_else(|| Some(state().or_else(home)?.join("neuro-preprocess-stack")))
}

/// The text of a file that only this user can have written.
fn read(path: &Path) -> io::Result<String> {
    let named = std::fs::symlink_metadata(path)?;
    let file = File::open(path)?;
    let (found, me) = (file.metadata()?, std::fs::metadata("/proc/self")?.uid());
    if !found.is_file() || (named.dev(), named.ino()) != (found.dev(), found.ino()) {
        return Err(io::Error::other("it is no plain file"));
    }
    if found.uid() != me {
        return Err(io::Error::other(format!("it is of another user ({})", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("others can write to it (mode {:o})", found.mode() & 0o777)));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn running(text: &str, file: &Path) -> Found {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim);
    let url = |key| value(key).filter(|url| url.starts_with("http://") || url.starts_with("https://"));
    let (Some(http), Some(grpc), Some(process)) = (url("http"), url("grpc"), value("process").and_then(Process::parse))
    else {
        return Found::Nothing(format!("{} is not as start_stack.sh writes it", file.display()));
    };
    match process.is_alive() {
        Some(true) => {
            Found::Stack(Endpoints { http: http.to_owned(), grpc: grpc.to_owned(), file: file.to_path_buf() })
        }
        Some(false) => {
            Found::Nothing(format!("the Collector of {} has ended; start_stack.sh starts it", file.display()))
        }
        None => Found::Nothing(format!("the Collector of {} runs elsewhere; name it to send to it", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn announced(folder: &Path, process: &Process) -> Found {
        let file = folder.join(FILE);
        let text = format!("http=http://127.0.0.1:4318\ngrpc=http://127.0.0.1:4317\nprocess={process}\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        look(folder)
    }

    fn look(folder: &Path) -> Found {
        find(&Environment::from([("NEURO_PREPROCESS_STACK", folder.to_str().unwrap())]))
    }

    fn why(found: Found) -> String {
        match found {
            Found::Nothing(why) => why,
            Found::Stack(endpoints) => panic!("{endpoints:?}"),
        }
    }

    #[test]
    fn a_collector_that_lives_here_is_found_and_a_dead_or_distant_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(why(look(dir.path())).contains("no stack"));
        let Found::Stack(found) = announced(dir.path(), &Process::this()) else { panic!("not found") };
        assert_eq!((found.http.as_str(), found.grpc.as_str()), ("http://127.0.0.1:4318", "http://127.0.0.1:4317"));
        let dead = Process { started: "1".into(), ..Process::this() };
        assert!(why(announced(dir.path(), &dead)).contains("has ended"));
        let distant = Process { place: "elsewhere".into(), ..Process::this() };
        assert!(why(announced(dir.path(), &distant)).contains("runs elsewhere"));
    }

    #[test]
    fn a_file_that_others_could_have_written_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        announced(dir.path(), &Process::this());
        let file = dir.path().join(FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(why(look(dir.path())).contains("others can write"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&file, dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), &file).unwrap();
        assert!(why(look(dir.path())).contains("is not used"));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "http=ftp://x\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(why(look(dir.path())).contains("is not as"));
    }

    #[test]
    fn the_folder_is_that_of_the_scripts() {
        let at = |pairs: &[(&str, &str)]| {
            let env = pairs.iter().fold(Environment::default(), |env, (k, v)| env.with(k, Some((*v).to_owned())));
            folder(&env)
        };
        assert_eq!(at(&[("HOME", "/h")]), Some("/h/.local/state/neuro-preprocess-stack".into()));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]), Some("/s/neuro-preprocess-stack".into()));
        assert_eq!(at(&[("HOME", "/h"), ("NEURO_PREPROCESS_STACK", "/d")]), Some("/d".into()));
        assert_eq!(at(&[]), None);
    }
}
