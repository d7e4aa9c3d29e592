//! The table of measures: name, title, what is better, how many digits.

/// Which values of a measure are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Better {
    /// Higher ones.
    High,
    /// Lower ones.
    Low,
    /// Those near this value.
    Near(f64),
}

macro_rules! measures {
    ($($variant:ident $name:literal $title:literal $better:expr, $decimals:literal, $doc:literal;)*) => {
        /// What is measured, in the order of the columns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Measure { $(#[doc = $doc] $variant,)* }

        impl Measure {
            /// Every measure.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The key in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }

            /// The head of its column.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }

            /// Which values are better.
            #[must_use]
            pub const fn better(self) -> Better { match self { $(Self::$variant => $better,)* } }

            /// Digits after the point in the text table.
            #[must_use]
            pub const fn decimals(self) -> usize { match self { $(Self::$variant => $decimals,)* } }
        }
    };
}

measures! {
    Dice "dice" "Dice" Better::High, 4, "Overlap of the brain masks, 2|A∩B| / (|A|+|B|).";
    Hd95 "hd95_mm" "HD95 mm" Better::Low, 2, "95 % quantile of the distances between the masks' surfaces, mm.";
    FalsePositive "false_positive_ml" "false+ ml" Better::Low, 1, "Volume in the mask that is not brain, ml.";
    FalseNegative "false_negative_ml" "false- ml" Better::Low, 1, "Volume of brain that is not in the mask, ml.";
    FieldR "field_r" "field r" Better::High, 4, "Pearson correlation of the log fields in the true brain.";
    FieldResidual "field_residual_percent" "residual %" Better::Low, 2,
        "Standard deviation of log(estimated / true field) in the true brain, %.";
    Cjv "cjv" "CJV" Better::Low, 4,
        "Joint variation of true grey and white matter, (σ + σ) / |µ − µ|, on the preprocessed image.";
    CjvIdeal "cjv_ideal" "CJV ideal" Better::Low, 4, "The same on the raw image divided by the true field.";
    CjvExcess "cjv_excess_percent" "above ideal %" Better::Low, 1, "By how much the joint variation exceeds the ideal, %.";
    WhiteMatter "white_matter_level" "white matter" Better::Near(1.0), 4,
        "Median of true white matter over the level it was to be given (`IntensityTarget` of the sidecar).";
    GreyDice "grey_dice" "GM Dice" Better::High, 4, "Overlap of the labels of grey matter (deep nuclei included) in the true brain.";
    WhiteDice "white_dice" "WM Dice" Better::High, 4, "Overlap of the labels of white matter in the true brain.";
    FluidDice "csf_dice" "CSF Dice" Better::High, 4, "Overlap of the labels of fluid in the true brain.";
    MotionMean "motion_rms_mean_mm" "motion mean mm" Better::Low, 4,
        "RMS deviation (Jenkinson 1999) of the volumes' estimated from their true positions, mean over volumes, mm.";
    MotionP95 "motion_rms_p95_mm" "p95 mm" Better::Low, 4, "The same, 95 % quantile over volumes, mm.";
    MotionMax "motion_rms_max_mm" "max mm" Better::Low, 4, "The same, of the worst volume, mm.";
}

impl Measure {
    /// How bad a value is, on no scale but its own: more is worse.
    pub(super) fn badness(self, value: f64) -> f64 {
        match self.better() {
            Better::High => -value,
            Better::Low => value,
            Better::Near(target) => (value - target).abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_values_are_worse() {
        assert!(Measure::Dice.badness(0.9) > Measure::Dice.badness(0.95));
        assert!(Measure::Hd95.badness(3.0) > Measure::Hd95.badness(2.0));
        assert!(Measure::WhiteMatter.badness(0.8) > Measure::WhiteMatter.badness(1.1));
    }
}
