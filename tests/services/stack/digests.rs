//! Digests are written into the definitions as a real registry says them.

use super::site::Site;
use crate::common::install::{or_skip, root, script};
use crate::common::run_command;
use crate::common::server::{Server, free_ports, get};
use std::fs;
use std::process::Command;

#[test]
fn digests_are_those_of_the_registry_and_stay() {
    let Some(program) = or_skip("a container registry", script("install_registry.sh", &[])) else { return };
    let site = Site::new();
    let [port] = free_ports();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
        site.path("registry").display()
    );
    fs::write(site.path("registry.yml"), config).unwrap();
    let mut registry = Command::new(program);
    registry.arg("serve").arg(site.path("registry.yml"));
    let address = format!("http://127.0.0.1:{port}");
    let _registry =
        Server::start(&mut registry, &site.path("registry.log"), || get(&format!("{address}/v2/")).is_some());

    let definitions = || -> String {
        let paths = fs::read_dir(site.path("containers")).unwrap().map(|f| f.unwrap().path());
        let mut paths: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == "def")).collect();
        paths.sort();
        paths.iter().map(|p| fs::read_to_string(p).unwrap()).collect()
    };
    let before = definitions();
    let mut images: Vec<&str> = before.lines().filter_map(|l| l.strip_prefix("From: ")).collect();
    images.sort_unstable();
    images.dedup();
    assert!(images.len() >= 8, "{images:?}");
    let missing = site.run("pin_digests.sh", &[&address]).exits(1).stderr;
    assert!(images.iter().all(|i| missing.contains(&format!("no digest of {i} at {address}"))), "{missing}");
    assert_eq!(definitions(), before, "what is not found is left as it was");

    let push = root("tests/peers/stack/push.sh");
    let pushed = run_command(Command::new("bash").arg(push).arg(&address).args(&images)).exits(0).stdout;
    site.run("pin_digests.sh", &[&address]).exits(0);
    let mut expected = format!("\n{before}");
    for (image, digest) in pushed.lines().map(|l| l.split_once(' ').unwrap()) {
        expected = expected.replace(&format!("\nFrom: {image}\n"), &format!("\nFrom: {image}@{digest}\n"));
    }
    assert_eq!(format!("\n{}", definitions()), expected);
    assert_eq!(expected.matches("@sha256:").count(), before.matches("\nFrom: ").count());
    assert_eq!(site.run("pin_digests.sh", &[&address]).exits(0).stdout, "", "what has a digest keeps it");
}
