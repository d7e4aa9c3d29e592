//! What a registration does at each resolution.

use super::WarpError;
use super::spans::MARGIN;

/// One resolution of a registration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Doublings of the template's voxel: 0 is its own spacing, 3 is 8 mm on a template of 1 mm.
    pub doublings: u32,
    /// Number of iterations; there is no other stopping rule.
    pub iterations: usize,
    /// Edge of the blocks whose sums the windows are made of, in nodes: 1 or 2.
    pub block: usize,
    /// Edge of a window, in blocks.
    pub window: usize,
    /// Whether the field lies on a grid twice as coarse as the images.
    pub coarse_field: bool,
    /// Smoothing of each update, σ in nodes of the field.
    pub update_sigma: f64,
    /// Smoothing of the fields after each update, σ in nodes of the field.
    pub field_sigma: f64,
    /// Largest displacement of one update, in nodes of the images, of both sides together.
    pub step: f32,
    /// Weight of the difference of intensities beside the local correlation; 0 for contrasts that differ.
    pub difference: f32,
    /// The fields are mended where their Jacobian falls below this; 0 leaves them.
    pub least_jacobian: f32,
}

/// How a registration is done, from coarse to fine.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// From coarse to fine.
    pub levels: Vec<Level>,
    /// How often the inverse is corrected by sending the brain there and back.
    pub inverse_rounds: usize,
}

/// Coarse levels of both recipes.
fn coarse(doublings: u32, iterations: usize) -> Level {
    Level {
        doublings,
        iterations,
        block: 1,
        window: 5,
        coarse_field: false,
        update_sigma: 1.732,
        field_sigma: 0.707,
        step: 1.0,
        difference: 0.0,
        least_jacobian: 0.0,
    }
}

impl Level {
    /// Doublings of the template's voxel of the field's grid.
    pub(super) fn of_field(&self) -> usize {
        self.doublings as usize + usize::from(self.coarse_field)
    }
}

impl Recipe {
    /// For a template of 1 mm: images compared at 8, 4, 2 and 1 mm, the field at 2 mm.
    #[must_use]
    pub fn default_quality() -> Self {
        let finest = Level {
            block: 2,
            window: 4,
            coarse_field: true,
            update_sigma: 1.5,
            field_sigma: 0.45,
            difference: 0.1,
            least_jacobian: 0.3,
            ..coarse(0, 12)
        };
        let middle = Level { block: 2, window: 3, ..coarse(1, 25) };
        Self { levels: vec![coarse(3, 30), coarse(2, 30), middle, finest], inverse_rounds: 1 }
    }

    /// For a template of 1 mm: images compared at 8, 4 and 2 mm, the field at 4 mm.
    #[must_use]
    pub fn fast() -> Self {
        let finest = Level {
            coarse_field: true,
            update_sigma: 1.0,
            field_sigma: 0.4,
            difference: 0.05,
            least_jacobian: 0.3,
            ..coarse(1, 20)
        };
        Self { levels: vec![coarse(3, 20), coarse(2, 20), finest], inverse_rounds: 1 }
    }

    /// `default` or `fast`, with or without the difference of intensities; any other is `own`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let is = |recipe: Self| *self == recipe || *self == recipe.correlation_only();
        let own = || if is(Self::fast()) { "fast" } else { "own" };
        if is(Self::default_quality()) { "default" } else { own() }
    }

    /// Without the difference of intensities: for images of different contrast, or whose tissues are not known.
    #[must_use]
    pub fn correlation_only(mut self) -> Self {
        self.levels.iter_mut().for_each(|level| level.difference = 0.0);
        self
    }

    /// Whether every level can be done and the levels go from coarse to fine.
    pub(super) fn check(&self) -> Result<(), WarpError> {
        let wrong = |why: String| Err(WarpError::Recipe { why });
        if self.levels.is_empty() {
            return wrong("it has no level".into());
        }
        let falls = |pair: &[Level]| pair[1].doublings < pair[0].doublings && pair[1].of_field() <= pair[0].of_field();
        if !self.levels.windows(2).all(falls) {
            return wrong("its levels must go from coarse to fine".into());
        }
        for (at, level) in self.levels.iter().enumerate() {
            if !(1..=2).contains(&level.block) || level.window < 2 || level.window / 2 * level.block > MARGIN - 1 {
                return wrong(format!(
                    "level {at}: blocks have 1 or 2 nodes, windows 2 to {} of them",
                    6 / level.block * 2 + 1
                ));
            }
            let numbers = [f64::from(level.step), f64::from(level.difference)];
            let numbers =
                numbers.into_iter().chain([level.update_sigma, level.field_sigma, f64::from(level.least_jacobian)]);
            if !numbers.clone().all(|v| (0.0..100.0).contains(&v)) || level.step > 2.0 || level.doublings > 6 {
                return wrong(format!("level {at}: a number is negative or far too large"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_of_the_program_are_right_and_wrong_ones_are_told() {
        assert_eq!(Recipe::default_quality().check(), Ok(()));
        assert_eq!(Recipe::fast().check(), Ok(()));
        let mut recipe = Recipe::fast().correlation_only();
        assert!(recipe.levels.iter().all(|level| level.difference == 0.0));
        assert_eq!([Recipe::default_quality().correlation_only().name(), recipe.name()], ["default", "fast"]);
        recipe.levels.reverse();
        assert_eq!(recipe.name(), "own");
        assert!(matches!(recipe.check(), Err(WarpError::Recipe { .. })));
        let mut recipe = Recipe::fast();
        recipe.levels[0].step = f32::NAN;
        assert!(recipe.check().is_err());
        recipe.levels.clear();
        assert!(recipe.check().is_err());
    }
}
