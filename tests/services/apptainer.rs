//! Our image under the real Apptainer, in the ways that Boutiques, Nipoppy and people call it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::apptainer;
use crate::common::install::{or_skip, root};
use crate::common::otlp;
use crate::common::{NO_TEMPLATE, Ran, as_nobody, binary, run, run_command};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// `apptainer ARGS IMAGE WORDS` with nothing of this machine's environment.
fn command(image: &Path, args: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new(apptainer::program().unwrap());
    command.env_clear().env("PATH", "/usr/bin:/bin").args(args).arg(image).args(words);
    command.env("APPTAINERENV_NEURO_PREPROCESS_OUTPUT_SPACES", NO_TEMPLATE.1);
    command
}

fn in_image(image: &Path, args: &[&str], words: &[&str]) -> Ran {
    run_command(&mut command(image, args, words))
}

/// A folder that others may enter, with a dataset of one tiny scan in `bids`.
fn dataset() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    run(["synth", bids.to_str().unwrap(), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    (dir, bids, out)
}

fn bound(path: &Path, mode: &str) -> String {
    let path = path.display();
    format!("--bind={path}:{path}:{mode}")
}

#[test]
fn the_image_is_small_labelled_and_passes_its_own_test() {
    let Some(image) = apptainer::image() else { return };
    let size = fs::metadata(&image).unwrap().len();
    assert!(size <= 25_000_000, "{size} bytes");
    let labels = in_image(&image, &["inspect", "--json"], &[]).exits(0).stdout;
    let labels: serde_json::Value = serde_json::from_str(&labels).unwrap();
    let labels = &labels["data"]["attributes"]["labels"];
    let label = |name: &str| labels[format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default().to_owned();
    let version = run(["--version"]).exits(0).stdout;
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), "Apache-2.0");
    assert_eq!(in_image(&image, &["exec"], &["neuro-preprocess", "--version"]).exits(0).stdout, version);
    assert_eq!(label("revision").len(), 12, "{labels}");
    let help = in_image(&image, &["run-help"], &[]).exits(0).stdout;
    assert!(help.contains("apptainer exec --cleanenv"), "{help}");
    let tested = in_image(&image, &["test", "--writable-tmpfs"], &[]).exits(0);
    assert!(tested.stdout.contains("1 scans: 1 ok, 0 failed"), "{}", tested.stdout);
}

#[test]
fn it_is_found_by_exec_by_run_and_by_a_login_shell() {
    let Some(image) = apptainer::image() else { return };
    let version = run(["--version"]).exits(0).stdout;
    assert_eq!(in_image(&image, &["run", "--cleanenv"], &["--version"]).exits(0).stdout, version);
    // As Boutiques calls it.
    let script = ["/bin/sh", "-l", "-c", "neuro-preprocess --version"];
    assert_eq!(in_image(&image, &["exec", "--cleanenv"], &script).exits(0).stdout, version);
    let refused = in_image(&image, &["exec", "--cleanenv"], &["sh", "-c", "echo x > /x"]);
    assert_ne!(refused.code, 0, "the root is read-only");
    assert_eq!(in_image(&image, &["exec"], &["neuro-preprocess", "/no/such", "/out", "participant"]).code, 66);
}

#[test]
fn a_run_in_it_joins_the_trace_and_has_the_variables_given_for_it() {
    let Some(image) = apptainer::image() else { return };
    let (_dir, bids, out) = dataset();
    let words =
        ["neuro-preprocess", bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--traceparent", PARENT];
    let (input, output) = (bound(&bids, "ro"), bound(&out, "rw"));
    let mut exec = command(&image, &["exec", "--cleanenv", "--no-home", &input, &output], &words);
    exec.env("OTEL_SERVICE_NAME", "from-outside").env("APPTAINERENV_OTEL_RESOURCE_ATTRIBUTES", "site=inside");
    let ran = run_command(&mut exec).exits(0);
    assert!(ran.last_line().starts_with("1 scans: 1 ok"), "{}", ran.stdout);
    let spans = otlp::spans(&out.join("logs"));
    let of = |name: &str| spans.iter().find(|s| s.name == name).unwrap();
    assert_eq!(
        (of("preprocess_run").trace.as_str(), of("preprocess_run").parent.as_str()),
        (&PARENT[3..35], &PARENT[36..52])
    );
    assert_eq!(of("preprocess_subject").links, [of("preprocess_run").id.as_str()]);
    let resource = otlp::resource(&out.join("logs"));
    let value = |key: &str| otlp::attribute(&resource, key);
    assert_eq!(value("site").as_deref(), Some("inside"));
    assert_eq!(value("service.name").as_deref(), Some("neuro-preprocess"), "--cleanenv keeps the outside out");
    assert_eq!(value("container.image.name").as_deref(), Some("neuro-preprocess-scratch.sif"));
}

#[test]
fn anybody_may_run_it_and_gets_the_same_images_as_outside() {
    let Some(image) = apptainer::image() else { return };
    let (dir, bids, out) = dataset();
    let copy = dir.path().join("image.sif");
    fs::copy(&image, &copy).unwrap();
    let Some(mut nobody) = or_skip("another user", as_nobody()) else { return };
    nobody.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", dir.path()).current_dir(dir.path());
    nobody.arg(apptainer::program().unwrap());
    nobody.args(["exec", "--cleanenv", "--no-home", &bound(&bids, "ro"), &bound(&out, "rw")]).arg(&copy);
    nobody.args(["neuro-preprocess", bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--no-telemetry"]);
    run_command(&mut nobody).exits(0);
    let bare = dir.path().join("bare");
    let mut outside = binary();
    run_command(outside.arg(&bids).arg(&bare).args(["participant", "--no-telemetry"])).exits(0);
    let file = "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz";
    assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(bare.join(file)).unwrap());
}

/// The static binary has its own resolver, which reads what Apptainer binds into the image.
#[test]
fn names_of_collectors_are_looked_up() {
    let Some(image) = apptainer::image() else { return };
    let (_dir, bids, out) = dataset();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://localhost:{}", collector.local_addr().unwrap().port());
    let words =
        ["neuro-preprocess", bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--otel-endpoint", &address];
    collector.set_nonblocking(true).unwrap();
    in_image(&image, &["exec", "--cleanenv", "--no-home", &bound(&bids, "ro"), &bound(&out, "rw")], &words).exits(0);
    assert!(collector.accept().is_ok(), "nobody came to {address}");
}

#[test]
fn building_names_what_it_cannot_build() {
    let Some(ran) = apptainer::containers("build_all.sh", &["no-such"]) else { return };
    let ran = ran.exits(64);
    assert!(ran.stderr.contains("no-such") && ran.stderr.contains("neuro-preprocess-scratch.def"), "{}", ran.stderr);
}

/// Without what the images are made with the scripts say what to install.
#[test]
fn building_names_what_is_missing() {
    let Some(apptainer) = apptainer::program() else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["bash", "dirname", "sed", "head", "git", "awk", "cargo", "gcc"] {
        let found = run_command(Command::new("sh").args(["-c", &format!("command -v {name}")])).exits(0);
        std::os::unix::fs::symlink(found.stdout.trim(), dir.path().join(name)).unwrap();
    }
    let script = |name: &str, args: &[&str]| {
        let mut bash = Command::new("/bin/bash");
        bash.arg(root("containers").join(name)).args(args).env_clear().env("PATH", dir.path());
        run_command(bash.env("APPTAINER", &apptainer)).exits(66).stderr
    };
    let said = script("build_all.sh", &["neuro-preprocess-scratch"]);
    assert!(said.contains("mksquashfs is missing: install the package squashfs-tools"), "{said}");
    let said = script("static.sh", &[]);
    assert!(said.contains("cc is missing: install gcc"), "{said}");
    std::os::unix::fs::symlink("/usr/bin/gcc", dir.path().join("cc")).unwrap();
    let said = script("static.sh", &[]);
    assert!(said.contains("make is missing") && said.contains("install the package make"), "{said}");
}

/// No registry is asked in tests; what can be held against each other without one is.
#[test]
fn the_three_definitions_make_the_same_program_in_the_same_place() {
    let read = |name: &str| fs::read_to_string(root("containers").join(name)).unwrap();
    let (docker, debian, scratch) =
        (read("Dockerfile"), read("neuro-preprocess.def"), read("neuro-preprocess-scratch.def"));
    let place = " /usr/local/bin/neuro-preprocess\n";
    for text in [&docker, &debian] {
        assert!(
            text.contains("containers/static.sh\n") && text.contains("/target/containers/neuro-preprocess /usr"),
            "{text}"
        );
    }
    for text in [&docker, &debian, &scratch] {
        assert!(text.contains(place), "{text}");
    }
    // What the program is made of gets into the images, and the allocator is built with make.
    let sources = ["Cargo.toml", "Cargo.lock", "build.rs", "benches", "crates", "nipoppy", "src"];
    let sources = sources.iter().chain(&["containers/lookups.c", "containers/static.sh"]);
    let let_in = read("Dockerfile.dockerignore");
    for source in sources {
        assert!(
            let_in.contains(&format!("!{source}\n")) && debian.contains(&format!(" {source} /source/{source}\n")),
            "{source}"
        );
        assert!(docker.lines().any(|line| line.starts_with("COPY") && line.contains(source)), "{source}");
    }
    for text in [&docker, &debian] {
        assert!(text.contains(" install --yes --no-install-recommends make\n"), "{text}");
    }
    let tail = |text: &str| text[text.find("%environment").unwrap()..].to_owned();
    assert_eq!(tail(&debian), tail(&scratch));
    let toolchain = fs::read_to_string(root("rust-toolchain.toml")).unwrap();
    let channel = toolchain.split('"').nth(1).unwrap();
    for (from, base) in [(&docker, "FROM "), (&debian, "From: ")] {
        assert!(from.contains(&format!("{base}rust:{channel}-slim-bookworm")), "not the toolchain of this checkout");
        assert!(from.contains(&format!("{base}debian:bookworm-20250520-slim")));
    }
}
