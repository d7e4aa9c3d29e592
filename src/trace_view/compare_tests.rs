//! Tests of the comparison of two runs.
use super::super::Subject;
use super::*;

/// A run of scans with one stage that took so many milliseconds, and an output of so many MB.
fn archive(scans: &[(&str, u64, f64)]) -> Archive {
    let subjects = scans.iter().map(|(id, ms, mb)| {
        let measured = vec![(Measure::OutputMb, *mb)];
        let stage = Some("save".into());
        let span = Span { name: "save_scan".into(), stage, end_ns: ms * 1_000_000, measured, ..Span::default() };
        let scan =
            Scan { id: Some((*id).to_owned()), modality: Some("T1w".to_owned()), spans: vec![span], ..Scan::default() };
        Subject { scans: vec![scan], ..Subject::default() }
    });
    let run =
        Run { id: "r".into(), version: "1".into(), host: "h".into(), subjects: subjects.collect(), ..Run::default() };
    Archive { runs: vec![run], torn_lines: 0 }
}

fn of(comparison: &Comparison, measure: Measure) -> &Row {
    comparison.rows.iter().find(|row| row.measure == measure).unwrap()
}

#[test]
fn the_same_scans_are_compared_one_by_one() {
    let first = archive(&[("a", 1000, 5.0), ("b", 2000, 5.0), ("c", 9000, 5.0)]);
    // Twice as slow each; the long one is missing and a short one is new, so that the medians alone say nothing.
    let second = archive(&[("a", 2000, 5.0), ("b", 4000, 5.0), ("c", 18000, 5.0), ("d", 100, 5.0), ("e", 100, 5.0)]);
    let compared = compare([&first, &second], 0.1);
    let time = of(&compared, Measure::Seconds);
    assert_eq!((time.pairs, time.count, time.ratio, time.verdict), (3, [3, 5], Some(2.0), Verdict::Worse));
    assert_eq!(of(&compared, Measure::OutputMb).verdict, Verdict::Same);
    assert_eq!(compared.rows[0].measure, Measure::Seconds, "what got worse comes first");
    let text = compared.text();
    assert!(text.contains("+100 % slower, 3 pairs"), "{text}");
    let back = compare([&second, &first], 0.1);
    assert_eq!((of(&back, Measure::Seconds).ratio, of(&back, Measure::Seconds).verdict), (Some(0.5), Verdict::Better));
}

#[test]
fn what_is_small_or_disagrees_is_no_difference() {
    let first = archive(&[("a", 1000, 5.0), ("b", 1000, 5.0), ("c", 1000, 5.0), ("d", 1000, 5.0)]);
    let little = archive(&[("a", 1050, 5.0), ("b", 1050, 5.0), ("c", 1050, 5.0), ("d", 1050, 5.0)]);
    assert_eq!(of(&compare([&first, &little], 0.1), Measure::Seconds).verdict, Verdict::Same);
    assert_eq!(of(&compare([&first, &little], 0.01), Measure::Seconds).verdict, Verdict::Worse);
    let torn = archive(&[("a", 1500, 5.0), ("b", 1500, 5.0), ("c", 500, 5.0), ("d", 500, 5.0)]);
    assert_eq!(of(&compare([&first, &torn], 0.1), Measure::Seconds).verdict, Verdict::Same, "two against two");
    let quick = [archive(&[("a", 1, 1.0)]), archive(&[("a", 2, 1.0)])];
    assert_eq!(of(&compare([&quick[0], &quick[1]], 0.1), Measure::Seconds).verdict, Verdict::Same, "a millisecond");
}

#[test]
fn what_only_one_has_is_said_so_and_failures_are_not_compared() {
    let (nothing, one) = (Archive::default(), archive(&[("a", 1000, 5.0)]));
    assert!(compare([&one, &nothing], 0.1).text().contains("only in 1"));
    assert!(compare([&nothing, &one], 0.1).text().contains("only in 2"));
    let mut failed = archive(&[("a", 1000, 5.0)]);
    failed.runs[0].subjects[0].scans[0].status = Status::Failed;
    let compared = compare([&failed, &failed], 0.1);
    assert_eq!((compared.rows.len(), compared.sides[0].ok, compared.sides[0].failed), (0, 0, 1));
}
