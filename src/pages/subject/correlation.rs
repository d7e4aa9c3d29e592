//! The correlation of the confounds of a run with each other and with the global signal, as the numbers of an SVG of 1000 units
//! across; the template draws them.

use super::files::Columns;
use serde_json::{Value, json};

/// What is shown, in this order; of components the first few. Terms made of these are left out.
const SHOWN: [&str; 23] = [
    "csf",
    "white_matter",
    "std_dvars",
    "framewise_displacement",
    "rmsd",
    "trans_x",
    "trans_y",
    "trans_z",
    "rot_x",
    "rot_y",
    "rot_z",
    "t_comp_cor_00",
    "t_comp_cor_01",
    "t_comp_cor_02",
    "c_comp_cor_00",
    "c_comp_cor_01",
    "c_comp_cor_02",
    "w_comp_cor_00",
    "w_comp_cor_01",
    "w_comp_cor_02",
    "edge_comp_00",
    "edge_comp_01",
    "edge_comp_02",
];
/// Where the matrix begins, the sides of a cell, and the gap before the bars.
const LEFT: usize = 190;
const CELL: usize = 18;
const GAP: usize = 30;
/// Room above for the names of the columns.
const TOP: usize = 132;
/// Units of a bar that stands for a correlation of 1.
const BAR: f64 = 200.0;

/// The matrix and the bars; null where there are not two courses that change.
pub(super) fn matrix(confounds: &Columns) -> Value {
    let steady = |t: usize| {
        !confounds
            .iter()
            .any(|(name, values)| name.starts_with("non_steady_state_outlier") && values.get(t) == Some(&Some(1.0)))
    };
    let course = |name: &str| confounds.get(name).map(|values| standardised(values, &steady)).filter(|c| !c.is_empty());
    let shown: Vec<(&str, Vec<f64>)> = SHOWN.iter().filter_map(|name| Some((*name, course(name)?))).collect();
    let Some(global) = course("global_signal").filter(|_| shown.len() > 1) else { return Value::Null };
    let bars = LEFT + shown.len() * CELL + GAP;
    let rows: Vec<Value> = shown
        .iter()
        .enumerate()
        .map(|(row, (name, values))| {
            let cells: Vec<Value> = shown
                .iter()
                .enumerate()
                .take(row + 1)
                .map(|(column, (other, others))| {
                    let r = product(values, others);
                    json!({ "name": other, "x": LEFT + column * CELL, "sign": sign(r), "strength": format!("{:.2}", r.abs()),
                            "r": format!("{r:.2}") })
                })
                .collect();
            let r = product(values, &global);
            let bar = json!({ "x": bars, "width": format!("{:.1}", BAR * r.abs()), "sign": sign(r), "r": format!("{r:.2}") });
            json!({ "name": name, "y": TOP + row * CELL, "cells": cells, "global": bar })
        })
        .collect();
    let column = |(at, (name, _)): (usize, &(&str, Vec<f64>))| json!({ "name": name, "x": LEFT + at * CELL + 13 });
    let columns: Vec<Value> = shown.iter().enumerate().map(column).collect();
    let height = TOP + shown.len() * CELL + GAP / 2;
    json!({ "left": LEFT, "bars": bars, "top": TOP - 6, "height": height, "columns": columns, "rows": rows,
            "strongest": strongest(&shown) })
}

/// The three pairs that go together most, in words.
fn strongest(shown: &[(&str, Vec<f64>)]) -> String {
    let later = |(at, (name, values)): (usize, &(&str, Vec<f64>))| {
        let pairs = shown[at + 1..].iter().map(|(other, others)| (product(values, others), *name, *other));
        pairs.map(|(r, a, b)| (r, a.to_owned(), b.to_owned())).collect::<Vec<_>>()
    };
    let mut pairs: Vec<(f64, String, String)> = shown.iter().enumerate().flat_map(later).collect();
    pairs.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    pairs.iter().take(3).map(|(r, a, b)| format!("{a} and {b} {r:.2}")).collect::<Vec<_>>().join(", ")
}

const fn sign(r: f64) -> &'static str {
    if r < 0.0 { "minus" } else { "plus" }
}

/// The values of steady volumes around their mean, with a sum of squares of 1; empty where nothing changes. A value that is not
/// defined is as the mean.
fn standardised(values: &[Option<f64>], steady: &impl Fn(usize) -> bool) -> Vec<f64> {
    let kept: Vec<Option<f64>> =
        values.iter().enumerate().filter(|(t, _)| steady(*t)).map(|(_, value)| *value).collect();
    let known = || kept.iter().flatten();
    #[expect(clippy::cast_precision_loss, reason = "a count of volumes")]
    let mean = known().sum::<f64>() / known().count().max(1) as f64;
    let norm = known().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 { kept.iter().map(|v| v.map_or(0.0, |v| (v - mean) / norm)).collect() } else { Vec::new() }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_together_is_shown_so() {
        let of = |values: [f64; 5]| values.map(Some).to_vec();
        let mut confounds = Columns::new();
        assert_eq!(matrix(&confounds), Value::Null);
        confounds.insert("global_signal".into(), of([99.0, 1.0, 2.0, 3.0, 4.0]));
        confounds.insert("csf".into(), of([0.0, 4.0, 3.0, 2.0, 1.0]));
        confounds.insert("trans_x".into(), vec![None, Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
        confounds.insert("trans_y".into(), of([7.0; 5]));
        confounds.insert("non_steady_state_outlier00".into(), of([1.0, 0.0, 0.0, 0.0, 0.0]));
        let found = matrix(&confounds);
        let rows = found["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2, "what never changes is left out: {found}");
        assert_eq!((&rows[1]["name"], &rows[1]["cells"][0]["r"]), (&json!("trans_x"), &json!("-1.00")));
        assert_eq!((&rows[0]["global"]["r"], &rows[1]["global"]["r"]), (&json!("-1.00"), &json!("1.00")));
        assert_eq!(found["strongest"], "csf and trans_x -1.00");
    }
}
