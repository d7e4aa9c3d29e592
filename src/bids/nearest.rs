//! "Did you mean": the names closest to one that does not exist.

/// Up to `count` of the candidates, the closest to `text` first. Case and leading zeros count for nothing, because
/// they are what people get wrong most (`1` for `01`).
pub(super) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let wanted = fold(text);
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&wanted, &fold(candidate)), candidate))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// Whether two labels differ at most in leading zeros and case.
pub(super) fn alike(a: &str, b: &str) -> bool {
    fold(a) == fold(b)
}

fn fold(label: &str) -> String {
    label.trim_start_matches('0').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_case_come_first() {
        assert_eq!(nearest("1", ["10", "01", "11"], 1), ["01"]);
        assert_eq!(nearest("bl", ["m12", "BL", "b1"], 2), ["BL", "b1"]);
        assert!(nearest("x", [], 3).is_empty());
    }
}
