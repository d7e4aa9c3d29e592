//! The stack in images: the definitions that are shipped, with folders on this machine in place of their base images, built
//! by the real Apptainer and started as instances by the commands of the documentation.

use super::site::{SERVICES, Site};
use crate::common::run_command;
use crate::common::{apptainer, collector, loki, prometheus};
use std::fs;
use std::path::Path;

/// Puts a file into what will be the root of a base image.
fn put(base: &Path, place: &str, file: &Path) {
    let place = base.join(place);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(file, place).unwrap();
}

/// A site whose definitions have bases of its own: those with a program from a package registry hold that, in the place
/// where the official image has it; the others hold a script that only says a version.
fn site() -> Option<Site> {
    let (apptainer, collector) = (apptainer::program()?, collector::program()?);
    let (prometheus, loki) = (prometheus::programs()?, loki::program()?);
    let site = Site::new();
    site.install("apptainer", &apptainer);
    let base = |name: &str| site.path("bases").join(name);
    put(&base("shell"), "bin/busybox", Path::new("/bin/busybox"));
    put(&base("otel-collector"), "otelcol-contrib", &collector);
    put(&base("loki"), "usr/bin/loki", &loki);
    // Debian's is linked to its C library; the official one is not.
    put(&base("prometheus"), "bin/prometheus", &prometheus.join("prometheus"));
    for library in ["lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"] {
        put(&base("prometheus"), library, &Path::new("/").join(library));
    }
    let says_version = site.path("version.sh");
    fs::write(&says_version, "#!/bin/sh\necho nothing but a version\n").unwrap();
    fs::set_permissions(&says_version, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    put(&base("tempo"), "tempo", &says_version);
    put(&base("grafana"), "usr/share/grafana/bin/grafana", &says_version);
    for with_shell in ["prometheus", "grafana"] {
        put(&base(with_shell), "bin/sh", Path::new("/bin/busybox"));
    }
    for service in SERVICES {
        let definition = site.path("containers").join(format!("{service}.def"));
        let text = fs::read_to_string(&definition).unwrap().replace("Bootstrap: docker", "Bootstrap: localimage");
        let lines = text.lines().map(|line| match line.strip_prefix("From: ") {
            Some(image) => {
                let of = if image.starts_with("busybox") { base("shell") } else { base(service) };
                format!("From: {}\n", of.display())
            }
            None => format!("{line}\n"),
        });
        let text: String = lines.collect();
        fs::write(&definition, text).unwrap();
    }
    Some(site)
}

/// What is run by another user than root must be that user's.
fn give_to_nobody(site: &mut Site) {
    if run_command(&mut site.command(&["id", "-u"])).stdout.trim() != "0" {
        return;
    }
    run_command(&mut site.command(&["chown", "-R", "65534:65534", "home"])).exits(0);
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    site.before = words.iter().map(|w| (*w).to_owned()).collect();
}

#[test]
fn images_are_built_and_run_as_documented_by_anybody() {
    let Some(mut site) = site() else { return };
    // The folder of the stack begins with its ports, as after a start with --ports-from.
    fs::create_dir_all(site.stack()).unwrap();
    let ports = site.ports();
    fs::copy(&ports, site.stack().join("ports.env")).unwrap();
    let commands = site.commands_of("docs/01-setup.md");
    let (build, run): (Vec<_>, Vec<_>) = commands.into_iter().partition(|c| c.contains("build_all.sh"));
    assert_eq!(build.len(), SERVICES.len(), "{build:?}");
    site.shell(&build);
    for nothing_real in ["tempo", "grafana"] {
        let image = site.path("target/containers").join(format!("{nothing_real}.sif"));
        fs::remove_file(image).unwrap_or_else(|e| panic!("{nothing_real} was built: {e}"));
    }
    site.small_demo("failures");
    give_to_nobody(&mut site);

    let ran = site.shell(&run);
    for service in ["prometheus", "loki", "otel-collector"] {
        let up = ran.stdout.lines().filter(|l| l.starts_with(service) && l.contains(" yes      yes "));
        // After each of the two starts, and when asked.
        assert_eq!(up.filter(|l| l.contains(&format!("instance np-{service}-"))).count(), 3, "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("tempo is skipped: no image"), "{}", ran.stdout);
    let (_, proof) = ran.stdout.split_once("job:").unwrap();
    assert!(proof.contains("is 5, of 5"), "four scans of the demonstration and one of the proof: {proof}");
    assert!(proof.contains(" log lines of trace "), "{proof}");
    assert!(!site.stack().exists(), "{}", ran.stdout);
    let left = run_command(&mut site.command(&["apptainer", "instance", "list"])).exits(0).stdout;
    assert_eq!(left.lines().count(), 1, "instances are left: {left}");
}

#[test]
fn a_service_that_dies_in_its_image_is_seen_and_started_again() {
    let Some(site) = site() else { return };
    let ports = site.ports();
    site.shell(&["containers/build_all.sh otel-collector".to_owned()]);
    let start = ["--ports-from", ports.to_str().unwrap(), "--only", "otel-collector"];
    site.run("start_stack.sh", &start).exits(0);
    site.kill("otel-collector");
    assert!(site.run("status_stack.sh", &[]).exits(1).stdout.contains("has ended"));
    assert!(site.run("test_telemetry.sh", &[]).exits(1).stderr.contains("broken: tool -> collector"));
    site.run("start_stack.sh", &start).exits(0);
    site.run("test_telemetry.sh", &[]).exits(0);
    let log = site.stack().join("run/otel-collector.log");
    assert!(fs::read_to_string(log).unwrap().contains("Everything is ready"), "the log of the instance is at hand");
    // Named for somebody who has only the definition.
    let help = run_command(&mut site.command(&["apptainer", "run-help", "target/containers/otel-collector.sif"]));
    assert!(help.exits(0).stdout.contains("/configs"));
}
