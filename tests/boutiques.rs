//! The Boutiques files: made from the code, valid by the Boutiques schema, and run by the real `bosh`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use neuro_preprocess::cli::descriptor;
use serde_json::Value;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

/// A descriptor and where its copies stand: one for Boutiques, one in each Nipoppy bundle, which must be whole by itself.
fn descriptors() -> [(Value, &'static str); 3] {
    [
        (descriptor::dataset(), "boutiques/neuro-preprocess.json"),
        (descriptor::dataset(), "nipoppy/neuro-preprocess/descriptor.json"),
        (descriptor::extraction(), "nipoppy/neuro-preprocess-idps/descriptor.json"),
    ]
}

#[test]
fn the_files_are_what_the_code_says() {
    for (made, path) in descriptors() {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(root().join(path), format!("{made:#}\n")).unwrap();
        }
        let advice = "run UPDATE_DOCS=1 cargo test --release --test boutiques, and read the change";
        assert!(read(path) == made, "{path} is not what the code says; {advice}");
    }
}
