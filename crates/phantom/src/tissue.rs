//! The tissues of the head, and how bright each is in the two contrasts.

/// A tissue; its number is the value in the label image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tissue {
    /// Air, inside or outside the head.
    Air = 0,
    /// Cerebrospinal fluid: sulci, ventricles, subarachnoid space.
    Csf = 1,
    /// Cortical and cerebellar grey matter.
    Grey = 2,
    /// White matter, including brainstem and cord.
    White = 3,
    /// Basal ganglia, thalamus, hippocampus, amygdala.
    DeepGrey = 4,
    /// Dura mater.
    Dura = 5,
    /// Compact bone.
    Bone = 6,
    /// Bone marrow.
    Marrow = 7,
    /// Fat.
    Fat = 8,
    /// Skin and mucosa.
    Skin = 9,
    /// Muscle and other soft tissue.
    Muscle = 10,
    /// Vitreous body of the eye.
    Vitreous = 11,
    /// Blood in a venous sinus or vein.
    Vein = 12,
    /// Optic nerve.
    Nerve = 13,
    /// Cartilage and intervertebral discs.
    Cartilage = 14,
    /// Blood flowing into the slab: a large artery.
    Artery = 15,
}

/// What is known about one tissue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TissueRow {
    /// The tissue.
    pub tissue: Tissue,
    /// Its name in the label table.
    pub name: &'static str,
    /// Its abbreviation in the label table.
    pub abbreviation: &'static str,
    /// Brightness in T1w MPRAGE at 3 T, white matter 1000.
    pub t1w: f32,
    /// Brightness in fat-suppressed T2*-weighted EPI at 3 T, grey matter 1000.
    pub epi: f32,
}

const fn row(tissue: Tissue, name: &'static str, abbreviation: &'static str, t1w: f32, epi: f32) -> TissueRow {
    TissueRow { tissue, name, abbreviation, t1w, epi }
}

impl Tissue {
    /// Every tissue, at the index of its number.
    pub const TABLE: [TissueRow; 16] = [
        row(Self::Air, "Background and air", "BG", 0.0, 0.0),
        row(Self::Csf, "Cerebrospinal fluid", "CSF", 210.0, 1380.0),
        row(Self::Grey, "Grey matter", "GM", 650.0, 1000.0),
        row(Self::White, "White matter", "WM", 1000.0, 840.0),
        row(Self::DeepGrey, "Deep grey matter", "DGM", 780.0, 860.0),
        row(Self::Dura, "Dura mater", "DURA", 400.0, 300.0),
        row(Self::Bone, "Compact bone", "BONE", 70.0, 30.0),
        row(Self::Marrow, "Bone marrow", "MARROW", 520.0, 110.0),
        row(Self::Fat, "Fat", "FAT", 1150.0, 110.0),
        row(Self::Skin, "Skin and mucosa", "SKIN", 560.0, 200.0),
        row(Self::Muscle, "Muscle and soft tissue", "MUSCLE", 430.0, 240.0),
        row(Self::Vitreous, "Vitreous body", "EYE", 170.0, 1250.0),
        row(Self::Vein, "Venous blood", "VEIN", 480.0, 420.0),
        row(Self::Nerve, "Optic nerve", "NERVE", 760.0, 480.0),
        row(Self::Cartilage, "Cartilage and discs", "CART", 380.0, 140.0),
        row(Self::Artery, "Arterial blood", "ART", 1500.0, 650.0),
    ];

    /// Brightness in T1w.
    #[must_use]
    pub fn t1w(self) -> f32 {
        Self::TABLE[self as usize].t1w
    }

    /// Brightness in EPI.
    #[must_use]
    pub fn epi(self) -> f32 {
        Self::TABLE[self as usize].epi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_numbers() {
        for (number, row) in Tissue::TABLE.iter().enumerate() {
            assert_eq!(row.tissue as usize, number);
        }
    }
}
