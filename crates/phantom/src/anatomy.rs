//! One person's head as a function of position: what tissue is where, and whether it belongs to the brain.
//!
//! Nothing is stored on a voxel grid. Every question is answered from signed distances, so the same head can be
//! rendered at any voxel size and pose, at sub-voxel positions for partial volumes, and in parallel.

use super::atlas::Atlas;
use super::head::{FORAMEN, Head, Near, Sample};
use super::random::{Field, Stream, Waves, stream};
use super::shapes::{Point, capsule};
use super::tissue::Tissue;
use super::warp::{SCALE, Warp};
use super::{brain, coverings};
use rand::RngExt;

/// Fluid (mm) that the template's mask takes in around the brain.
const RIM: f32 = 0.3;

impl Head {
    /// The head that belongs to a seed. Size, ventricles, cortex, layers and face differ from seed to seed within the
    /// range of healthy adults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = stream(seed, Stream::Anatomy, 0);
        let mut jitter = |centre: f32, half: f32| centre + rng.random_range(-half..half);
        let size = jitter(0.975, 0.03);
        let scale = [size * jitter(1.0, 0.02), size * jitter(1.0, 0.02), size * jitter(1.0, 0.02)];
        let slow = Waves { wavelength: 75.0, bandwidth: 0.3, count: 40, spacing: 10.0, extent: [130.0, 150.0, 220.0] };
        let fine = Waves { wavelength: 15.0, bandwidth: 0.3, count: 40, spacing: 4.0, extent: [100.0, 110.0, 170.0] };
        let folds = Waves { wavelength: 14.0, bandwidth: 0.25, count: 48, spacing: 3.0, extent: [80.0, 98.0, 84.0] };
        let grain = Waves { wavelength: 8.0, bandwidth: 0.4, count: 40, spacing: 2.5, extent: [80.0, 100.0, 80.0] };
        let mut layer = stream(seed, Stream::Layers, 0);
        Self {
            scale,
            ribbon: jitter(0.0, 1.0),
            atrophy: jitter(0.0, 3.0),
            fluid: jitter(1.9, 0.6),
            fat: jitter(4.5, 1.5),
            nose: jitter(0.0, 3.0),
            warp: Warp::new(seed),
            folds: Field::new(&mut stream(seed, Stream::Folding, 0), &folds),
            layers: [Field::new(&mut layer, &slow), Field::new(&mut layer, &slow)],
            streaks: Field::new(&mut stream(seed, Stream::Tissue, 0), &fine),
            texture: Field::new(&mut stream(seed, Stream::Texture, 0), &grain),
        }
    }

    /// What is at a point `[x, y, z]`, millimetres from the centre of the brain to the right, front and top.
    #[must_use]
    pub fn at(&self, point: [f32; 3]) -> Sample {
        let p = [point[0] / self.scale[0], point[1] / self.scale[1], point[2] / self.scale[2]];
        // A cheap bound around head, neck and shoulders saves most of the work in the air around it.
        let crown = (p[0] / 94.0).powi(2) + (p[1] / 114.0).powi(2) + ((p[2] - 5.0) / 94.0).powi(2);
        if (p[2] > 0.0 && crown > 1.0) || (p[2] > -140.0 && (p[0].abs() > 100.0 || p[1].abs() > 130.0)) {
            return Sample { tissue: Tissue::Air, brain: false };
        }
        let layers = [self.layers[0].at(p), self.layers[1].at(p)];
        let near = self.near(p, layers);
        let canal = near.cord - 3.5;
        let tissue = if near.dura < 0.0 || (canal < 0.0 && p[2] < FORAMEN + 4.0) {
            brain::tissue(self, p, &near)
        } else {
            coverings::tissue(self, p, &near, layers)
        };
        Sample { tissue, brain: near.hull < 0.0 && p[2] > FORAMEN }
    }

    /// Relative variation of brightness within a tissue: 2 % in grains of some millimetres, and in patches of a centimetre
    /// what differs more in some tissues than in others: fat and marrow are mixed with much else, cortex holds more or less
    /// myelin. Nothing slower and alike in all tissues: that is a coil's field, whoever made it.
    pub(super) fn texture(&self, point: [f32; 3], tissue: Tissue) -> f32 {
        let patches = match tissue {
            Tissue::Marrow => 0.20,
            Tissue::Fat => 0.10,
            Tissue::Muscle => 0.08,
            Tissue::Grey => 0.03,
            _ => 0.0,
        };
        let uneven = if patches > 0.0 { patches * self.streaks.at(point) } else { 0.0 };
        (0.02 * self.texture.at(point) + uneven).max(-0.9)
    }

    fn near(&self, p: Point, layers: [f32; 2]) -> Near {
        let template = self.warp.at(p);
        let [brain, bag] = Atlas::get().surfaces(template).map(|d| d / SCALE);
        let cord = capsule(p, [0.0, -26.5, -70.0], [0.0, -42.0, -260.0], 7.0, 5.5);
        // The dura bridges the clefts the brain leaves open; between lies the fluid of the cisterns.
        let gap = (self.fluid + 1.1 * layers[0] + if p[2] > 35.0 { 0.02 * (p[2] - 35.0) } else { 0.0 }).max(0.5);
        let bag = bag.min(brain);
        // Deep in a cleft the fluid is enclosed by brain and counts as such.
        // The template's own mask takes in a rim of the fluid around it.
        let hull = brain.min(bag + 3.5) + RIM;
        let dura = (bag - gap).max(FORAMEN - 1.0 - p[2]);
        Near { folded: [p[0].abs(), p[1], p[2]], template, cord, hull, dura }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Head {
        /// Where a landmark of the average head lies in this one.
        fn scaled(&self, p: Point) -> Point {
            [p[0] * self.scale[0], p[1] * self.scale[1], p[2] * self.scale[2]]
        }
    }

    fn count(head: &Head, want: impl Fn(Sample) -> bool) -> f32 {
        let step = 3.0_f32;
        let mut n = 0_usize;
        for k in -30..34 {
            for j in -36..36 {
                for i in -28..28 {
                    n += usize::from(want(head.at([i as f32 * step, j as f32 * step, k as f32 * step])));
                }
            }
        }
        n as f32 * step.powi(3) / 1000.0
    }

    #[test]
    fn brains_have_adult_volumes_and_proportions() {
        let head = Head::new(11);
        let brain = count(&head, |s| s.brain);
        let of = |t: &[Tissue]| count(&head, |s| s.brain && t.contains(&s.tissue)) / brain;
        assert!((1100.0..1650.0).contains(&brain), "brain {brain} ml");
        let (grey, white) = (of(&[Tissue::Grey, Tissue::DeepGrey]), of(&[Tissue::White]));
        assert!((0.42..0.62).contains(&grey), "grey {grey}");
        assert!((0.25..0.45).contains(&white), "white {white}");
        assert!((0.04..0.25).contains(&of(&[Tissue::Csf])), "fluid");
    }

    #[test]
    fn known_places_hold_their_tissue_and_seeds_differ() {
        let (a, b) = (Head::new(1), Head::new(2));
        assert_eq!(a.at(a.scaled([0.0, -9.0, -36.0])).tissue, Tissue::White, "pons");
        assert_eq!(a.at(a.scaled([32.0, 77.0, -36.0])).tissue, Tissue::Vitreous, "eye");
        assert_eq!(a.at([0.0, 0.0, 200.0]).tissue, Tissue::Air);
        assert!(!a.at([0.0, -38.0, -120.0]).brain, "cord is not brain");
        let other = (-60..60).filter(|&i| {
            let p = [i as f32, 10.0, 30.0];
            a.at(p) != b.at(p)
        });
        assert!(other.count() > 10);
    }
}
