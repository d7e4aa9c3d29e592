//! The wheel: built by the project's own script, installed by pip into an empty environment, and run there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::install::{must, or_skip, python, root, without_cargo};
use crate::common::{NO_TEMPLATE, binary, outputs, run, run_command, text};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The wheel, of the present source; made once for all tests of this file.
fn wheel() -> Option<PathBuf> {
    static WHEEL: OnceLock<Option<PathBuf>> = OnceLock::new();
    WHEEL.get_or_init(build).clone()
}

fn build() -> Option<PathBuf> {
    let python = or_skip("maturin", python("wheel", "tests/peers/requirements-wheel.txt"))?;
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut script = Command::new("bash");
    script.arg(root("containers/static.sh")).arg("--wheel").env("PATH", path);
    let ran = run_command(without_cargo(&mut script)).exits(0);
    Some(ran.last_line().into())
}

/// An environment with nothing but the wheel. Its `pip` is another environment's.
fn environment(dir: &Path, wheel: &Path) -> PathBuf {
    let home = dir.join("environment");
    must(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&home)).unwrap();
    let mut pip = Command::new(root(".cache/uv/bin/python"));
    pip.args(["-m", "pip", "--quiet", "--python", text(&home.join("bin/python")), "install", "--no-index"]).arg(wheel);
    must(&mut pip).unwrap();
    home
}

#[test]
fn pip_installs_a_program_that_runs_anywhere_and_gives_the_same_bytes() {
    let Some(wheel) = wheel() else { return };
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    let expected = format!("neuro_preprocess-{}-py3-none-manylinux", env!("CARGO_PKG_VERSION"));
    assert!(name.starts_with(&expected) && name.contains("manylinux2014"), "{name}");
    let size = fs::metadata(&wheel).unwrap().len();
    assert!(size < 20_000_000, "{size} bytes");

    let dir = tempfile::tempdir().unwrap();
    let program = environment(dir.path(), &wheel).join("bin/neuro-preprocess");
    // No program interpreter and no shared library: it asks nothing of the C library that is there, however old.
    let headers = run_command(Command::new("readelf").args(["--program-headers", "--dynamic", "--wide"]).arg(&program));
    let headers = headers.exits(0).stdout;
    assert!(headers.contains("LOAD") && !headers.contains("INTERP") && !headers.contains("NEEDED"), "{headers}");
    assert_eq!(fs::read(&program).unwrap(), fs::read(root("target/containers/neuro-preprocess")).unwrap());

    let [demo, local] = ["demo", "local"].map(|name| dir.path().join(name));
    let ran = run_command(Command::new(&program).env_clear().args(["demo", "normal", "-o"]).arg(&demo)).exits(0);
    assert!(ran.stdout.contains("\n10 scans: 10 ok, 0 failed"), "{}", ran.stdout);
    // With templates, as the demo.
    let mut ordinary = binary();
    ordinary.env_remove(NO_TEMPLATE.0).arg(demo.join("bids")).arg(&local);
    run_command(ordinary.args(["participant", "--participant-label", "01"])).exits(0);
    let files = |output: &Path| outputs::files(&output.join("sub-01"));
    let (installed, local) = (files(&demo.join("derivatives")), files(&local));
    assert!(local.len() > 50 && installed.keys().eq(local.keys()), "{:?}", local.keys());
    let other: Vec<&PathBuf> = local.keys().filter(|path| installed[*path] != local[*path]).collect();
    assert!(other.is_empty(), "{other:?} are not the same");
}

/// A library that ends the process it is loaded into.
const TRAP: &str = "__attribute__((constructor)) static void end(void) {
#if defined(__x86_64__)
    __asm__ volatile(\"syscall\" : : \"a\"(231), \"D\"(42));
#else
    __builtin_trap();
#endif
}";

/// Of the machine's libraries for looking up names, which are made for its own C library, none is loaded; the ordinary build does
/// load the one of this test.
#[test]
fn names_are_looked_up_without_libraries_of_the_machine() {
    let Some(_) = wheel() else { return };
    let dir = tempfile::tempdir().unwrap();
    let [bids, source, config] = ["bids", "trap.c", "nsswitch.conf"].map(|name| dir.path().join(name));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    fs::write(&source, TRAP).unwrap();
    fs::write(&config, "hosts: trap files dns\npasswd: trap files\n").unwrap();
    let library = dir.path().join("libnss_trap.so.2");
    must(Command::new("cc").args(["-shared", "-nostdlib", "-fPIC", "-o"]).args([&library, &source])).unwrap();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    collector.set_nonblocking(true).unwrap();
    let endpoint = format!("http://localhost:{}", collector.local_addr().unwrap().port());
    let under_the_trap = |program: &Path, out: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        unshare.arg("mount --bind \"$0\" /etc/nsswitch.conf && exec \"$@\"").args([&config, program, &bids]);
        unshare.arg(dir.path().join(out)).args(["participant", "--otel-endpoint", &endpoint, "--flush-timeout", "1"]);
        run_command(unshare.env("LD_LIBRARY_PATH", dir.path()).env(NO_TEMPLATE.0, NO_TEMPLATE.1).env_remove("HOME"))
    };
    let ordinary = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess"));
    assert_ne!(under_the_trap(ordinary, "ordinary").code, 0, "the trap can be sprung");
    while collector.accept().is_ok() {}
    under_the_trap(&root("target/containers/neuro-preprocess"), "static").exits(0);
    assert!(collector.accept().is_ok(), "nobody came to {endpoint}");
}
