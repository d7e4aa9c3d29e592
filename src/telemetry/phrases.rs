//! Texts that stand inside other texts: many of them are looked for at once, in a time that does not depend on how many.

use std::collections::{BTreeSet, HashMap, HashSet};

/// Texts, each with what it stands for.
#[derive(Debug)]
pub struct Phrases<T> {
    all: HashMap<String, T>,
    lengths: BTreeSet<usize>,
    /// The first bytes of all, as many as the shortest has; made again when a shorter one comes.
    starts: HashSet<Vec<u8>>,
}

impl<T> Default for Phrases<T> {
    fn default() -> Self {
        Self { all: HashMap::new(), lengths: BTreeSet::new(), starts: HashSet::new() }
    }
}

impl<T> Phrases<T> {
    /// Looks for `phrase` from now on; an empty one is nowhere.
    pub fn add(&mut self, phrase: String, what: T) {
        let shortest = self.shortest();
        if phrase.is_empty() {
            return;
        }
        self.lengths.insert(phrase.len());
        match shortest {
            Some(start) if start <= phrase.len() => drop(self.starts.insert(phrase.as_bytes()[..start].to_vec())),
            _ => {
                let start = phrase.len();
                self.starts = self.all.keys().chain([&phrase]).map(|p| p.as_bytes()[..start].to_vec()).collect();
            }
        }
        self.all.insert(phrase, what);
    }

    /// `text` with each phrase in it replaced, the first first and of those at one place the longest.
    pub fn replaced(&self, text: &str, with: impl Fn(&str, &T) -> String) -> String {
        let Some(start) = self.shortest() else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        let (mut kept, mut at) = (0, 0);
        while let Some(first) = text.as_bytes().get(at..at + start) {
            let found = self.starts.contains(first).then(|| self.longest(text, at)).flatten();
            match found {
                Some((phrase, what)) => {
                    out.push_str(&text[kept..at]);
                    out.push_str(&with(phrase, what));
                    at += phrase.len();
                    kept = at;
                }
                None => at += 1,
            }
        }
        out.push_str(&text[kept..]);
        out
    }

    fn shortest(&self) -> Option<usize> {
        self.lengths.first().copied()
    }

    /// The longest phrase that stands at a byte of `text`.
    fn longest<'t>(&self, text: &'t str, at: usize) -> Option<(&'t str, &T)> {
        let here = |length: &usize| {
            let piece = text.get(at..at + length)?;
            Some((piece, self.all.get(piece)?))
        };
        self.lengths.iter().rev().find_map(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_at_a_place_is_replaced_and_the_rest_stays() {
        let mut phrases = Phrases::default();
        for phrase in ["/data/a b/sub-01", "a b", "/data/a b", "é x", ""] {
            phrases.add(phrase.to_owned(), phrase.len());
        }
        let shown =
            |text: &str| phrases.replaced(text, |phrase, length| format!("<{}{length}>", &phrase[..1.min(length % 2)]));
        assert_eq!(shown("in /data/a b/sub-01.nii and /data/a b/sub-02"), "in <16>.nii and </9>/sub-02");
        assert_eq!(shown("a ba b a  b éé xa bé"), "<a3><a3> a  b é<4><a3>é");
        assert_eq!(shown("a "), "a ");
        assert_eq!(Phrases::<()>::default().replaced("a b", |_, ()| "x".into()), "a b");
    }
}
