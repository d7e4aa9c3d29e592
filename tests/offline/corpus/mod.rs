//! The fault corpus: every bad or odd input that turns up in practice, made here byte by byte, through the real binary.
//!
//! One table says for each what must come of it, and `expected.md` is made from the same table
//! (`UPDATE_DOCS=1 cargo test --release --test offline corpus::`). Bad scans stand in one dataset beside good ones, which must finish.
//! What is accepted is compared with nibabel, number by number; accepted without a note is only what nibabel reads the same.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod case;
mod datasets;
mod document;
mod files;
mod headers;
mod names;
mod play;
mod sidecars;

use case::Case;
use play::{Corpus, Played};

/// Cases that belong together, under a title of the document.
struct Group {
    title: &'static str,
    cases: Vec<Case>,
    place: Place,
}

/// In which dataset a group's cases are.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// One in which nothing is left out.
    Beside,
    /// One of which much is left out.
    Names,
    /// One that is processed by a user whom file permissions bind.
    Locked,
}

fn groups() -> Vec<Group> {
    let group = |title, place, cases| Group { title, cases, place };
    vec![
        group("Files", Place::Beside, files::cases()),
        group("Headers and voxels", Place::Beside, headers::cases()),
        group("Sidecars and time", Place::Beside, sidecars::cases()),
        group("Two files for one scan", Place::Beside, names::twins()),
        group("Names and folders", Place::Names, names::left_out()),
        group("Permissions", Place::Locked, files::locked()),
    ]
}

fn cases(place: Place) -> Vec<Case> {
    groups().into_iter().filter(|g| g.place == place).flat_map(|g| g.cases).collect()
}

#[test]
fn bad_scans_get_their_word_and_good_ones_finish() {
    let corpus = Corpus::make(cases(Place::Beside), false);
    let played = corpus.run(&[]);
    let mut problems = corpus.check(&played, false);
    problems.extend(corpus.compare_with_nibabel(&played));
    let strict = corpus.run_again_strictly();
    problems.extend(corpus.check(&strict, true));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn what_is_left_out_is_told_and_refused_when_strict() {
    let corpus = Corpus::make(cases(Place::Names), false);
    let played = corpus.run(&[]);
    let problems = corpus.check(&played, false);
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    let more = corpus.left_out() - 10;
    assert!(played.stderr.contains(&format!("left out: {more} more")), "{}", played.stderr);
    let strict = corpus.run(&["--strict"]);
    assert_eq!(strict.code, 16, "{}", strict.stderr);
    assert!(strict.stderr.contains("[NP-STRICT]"), "{}", strict.stderr);
}

#[test]
fn what_may_not_be_read_is_told_and_the_rest_goes_on() {
    let corpus = Corpus::make(cases(Place::Locked), true);
    let played: Played = corpus.run(&[]);
    let problems = corpus.check(&played, false);
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn datasets_and_requests_end_with_their_code() {
    let problems: Vec<String> = datasets::runs().iter().flat_map(play::alone).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_document_says_what_the_table_says() {
    document::compare(&groups(), &datasets::runs());
}
