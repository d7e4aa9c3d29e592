//! The outline of a mask as an SVG path, along the edges of pixels.

use ndarray::ArrayView2;
use std::fmt::Write;

/// East, south, west, north.
const STEPS: [(isize, isize); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// The outlines of all regions and holes of `mask` (rows, columns) as one path whose numbers are pixels.
pub(super) fn outline(mask: ArrayView2<bool>) -> String {
    let (height, width) = mask.dim();
    // For each corner of a pixel the directions that an edge leaves it in, a bit each; the inside is on the right.
    let mut leaving = vec![0_u8; (height + 1) * (width + 1)];
    let corner = |x: usize, y: usize| y * (width + 1) + x;
    let inside = |y: usize, x: usize| mask.get((y, x)).copied().unwrap_or(false);
    for ((y, x), _) in mask.indexed_iter().filter(|(_, m)| **m) {
        let outside = [y == 0 || !inside(y - 1, x), !inside(y, x + 1), !inside(y + 1, x), x == 0 || !inside(y, x - 1)];
        let starts = [corner(x, y), corner(x + 1, y), corner(x + 1, y + 1), corner(x, y + 1)];
        for direction in (0..4).filter(|d| outside[*d]) {
            leaving[starts[direction]] |= 1 << direction;
        }
    }
    let mut path = String::new();
    for start in 0..leaving.len() {
        while leaving[start] != 0 {
            follow(&mut leaving, width, start, &mut path);
        }
    }
    path
}

/// Follows one outline from `start` until it closes, taking its edges away.
fn follow(leaving: &mut [u8], width: usize, start: usize, path: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(path, "M{} {}", start % (width + 1), start / (width + 1));
    let (mut at, mut heading, mut run) = (start, leaving[start].trailing_zeros() as usize, 0_usize);
    while leaving[at] != 0 {
        // Where two regions touch at a corner, the right turn stays with the same region.
        let turns = [(heading + 1) % 4, heading, (heading + 3) % 4];
        let next = turns.into_iter().find(|d| leaving[at] & (1 << d) != 0).unwrap_or(heading);
        if next != heading {
            write_run(path, heading, run);
            (heading, run) = (next, 0);
        }
        leaving[at] &= !(1 << next);
        let (dx, dy) = STEPS[next];
        let Some(to) = at.checked_add_signed(dy * (width as isize + 1) + dx) else { break };
        (at, run) = (to, run + 1);
        if at == start {
            break;
        }
    }
    write_run(path, heading, run);
    path.push('z');
}

fn write_run(path: &mut String, heading: usize, run: usize) {
    if run > 0 {
        let (letter, sign) = [('h', ""), ('v', ""), ('h', "-"), ('v', "-")][heading];
        let _ = write!(path, "{letter}{sign}{run}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn of(rows: &[&str]) -> String {
        let mask = Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y].as_bytes()[x] == b'#');
        outline(mask.view())
    }

    #[test]
    fn outlines_go_round_regions_and_holes() {
        assert_eq!(of(&["....", "....", "...."]), "");
        assert_eq!(of(&["....", ".##.", "...."]), "M1 1h2v1h-2v-1z");
        assert_eq!(of(&["###", "#.#", "###"]), "M0 0h3v3h-3v-3zM1 1v1h1v-1h-1z");
        // Two regions that touch at a corner stay two.
        assert_eq!(of(&["#.", ".#"]), "M0 0h1v1h-1v-1zM1 1h1v1h-1v-1z");
    }
}
