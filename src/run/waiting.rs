//! The items of a run that wait for memory, in their order: the first that fits is found in a few steps however many wait.

/// A tournament: each node knows the least need below it, so the first item that needs no more than there is lies at the
/// end of one way down.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The root at 1, the children of `n` at `2n` and `2n + 1`, the items in the second half; `None` where nothing waits.
    nodes: Vec<Option<u64>>,
    left: usize,
}

impl Waiting {
    /// Items by what each needs.
    pub fn new(needs: &[u64]) -> Self {
        let width = needs.len().next_power_of_two();
        let mut nodes = vec![None; width];
        nodes.extend(needs.iter().copied().map(Some));
        nodes.resize(2 * width, None);
        let mut waiting = Self { nodes, left: needs.len() };
        (1..width).rev().for_each(|node| waiting.decide(node));
        waiting
    }

    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Takes the first item that needs at most `free`, and says what it needs.
    pub fn take(&mut self, free: u64) -> Option<(usize, u64)> {
        let fits = |waiting: &Self, node: usize| waiting.need(node).is_some_and(|need| need <= free);
        let mut node = 1;
        if !fits(self, node) {
            return None;
        }
        while 2 * node < self.nodes.len() {
            node = if fits(self, 2 * node) { 2 * node } else { 2 * node + 1 };
        }
        let need = self.nodes.get_mut(node)?.take()?;
        self.left -= 1;
        let item = node - self.nodes.len() / 2;
        while node > 1 {
            node /= 2;
            self.decide(node);
        }
        Some((item, need))
    }

    fn need(&self, node: usize) -> Option<u64> {
        self.nodes.get(node).copied().flatten()
    }

    /// Of its two children the lesser need, or the only one.
    fn decide(&mut self, node: usize) {
        let least = [2 * node, 2 * node + 1].into_iter().filter_map(|child| self.need(child)).min();
        if let Some(place) = self.nodes.get_mut(node) {
            *place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_is_taken_as_by_looking_at_all() {
        for count in [0, 1, 2, 3, 7, 8, 50] {
            let needs: Vec<u64> = (0..count).map(|i| i * 7919 % 13).collect();
            let (mut waiting, mut all) = (Waiting::new(&needs), (0..needs.len()).collect::<Vec<_>>());
            for free in (0..).map(|step| step * 31 % 14) {
                let first = all.iter().position(|&i| needs[i] <= free);
                let expected = first.map(|place| all.remove(place)).map(|i| (i, needs[i]));
                assert_eq!(waiting.take(free), expected, "{count} items, {free} free");
                assert_eq!(waiting.is_empty(), all.is_empty());
                if all.is_empty() {
                    break;
                }
            }
            assert_eq!(waiting.take(u64::MAX), None);
        }
    }
}
