//! The table of stages: the one place where a stage has its label, its span, its phase, the kinds of scan that go through
//! it and the attributes it may set. Names, telemetry, documents and the plan are made from it.

use crate::bids::Modality::{self, Bold, T1w};

/// An attribute that a stage sets on its span: the key and, for the documents, what its value is.
pub type StageAttribute = (&'static str, &'static str);

/// Declares the stages. A row is: variant, label, span, phase, kinds of scan, what it does, attributes.
macro_rules! stages {
    ($($name:ident $label:literal $span:literal $phase:ident $kinds:tt $what:literal { $($key:literal: $value:literal),* })*) => {
        /// The parts of a scan's way that get a span, a duration and a count. The order is the order of the way.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Stage { $(#[doc = $what] $name,)* }

        impl Stage {
            /// Every stage in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The `stage` label and log field.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $label),* } }

            /// The name of its span.
            #[must_use]
            pub const fn span(self) -> &'static str { match self { $(Self::$name => $span),* } }

            /// The phase it belongs to: [`Stage::Load`], [`Stage::Process`] or [`Stage::Save`].
            #[must_use]
            pub const fn phase(self) -> Self { match self { $(Self::$name => Self::$phase),* } }

            /// The kinds of scan that go through it.
            #[must_use]
            pub const fn kinds(self) -> &'static [Modality] { match self { $(Self::$name => &$kinds),* } }

            /// What it does, for the documents.
            #[must_use]
            pub const fn what(self) -> &'static str { match self { $(Self::$name => $what),* } }

            /// The attributes of its span, besides `stage`.
            #[must_use]
            pub const fn attributes(self) -> &'static [StageAttribute] {
                match self { $(Self::$name => &[$(($key, $value)),*]),* }
            }
        }

        /// The spans of all stages, in order.
        pub const STAGE_SPANS: &[&str] = &[$($span),*];
    };
}

stages! {
    Load "load" "load_scan" Load [T1w, Bold] "reading the file" {
        "file.path": "the input file",
        "file.name": "its name",
        "file.size": "its size in bytes",
        "image.shape": "voxels along each axis, and volumes",
        "image.voxel_size_mm": "mm along each axis",
        "image.dtype": "type of the stored voxels"
    }
    Validate "validate" "validate_data" Load [T1w, Bold] "checking what was read" {}
    Process "process" "process_scan" Process [T1w, Bold] "all between load and save" {
        "processing.quality_score": "0 (bad) to 100",
        "processing.motion_detected": "true or false",
        "processing.steps": "the stages that ran"
    }
    MotionCorrect "motion_correct" "motion_correct" Process [Bold] "aligning the volumes" {
        "fd_mean_mm": "mean framewise displacement, mm",
        "fd_max_mm": "largest framewise displacement, mm",
        "n_volumes": "volumes aligned"
    }
    SliceTiming "slice_timing" "correct_slice_timing" Process [Bold] "interpolating all slices to one time" {
        "slice_timing.moment_s": "the time, seconds after the start of a volume"
    }
    SkullStrip "skull_strip" "skull_strip" Process [T1w, Bold] "finding the brain" {
        "brain.volume_ml": "volume of the mask, ml",
        "brain.likeness": "mean local correlation of scan and template in the brain, -1 to 1",
        "method": "the method, where there is a choice"
    }
    EchoCombination "echo_combination" "combine_echoes" Process [Bold] "combining the echoes of a multi-echo run" {
        "echoes": "number of echoes",
        "t2star_median_ms": "median T2* in the brain, ms",
        "echoes.all_share": "part of the brain in which all echoes have signal, 0 to 1"
    }
    Distortion "distortion" "correct_distortion" Process [Bold] "correcting distortion with a fieldmap" {
        "distortion.kind": "what the field was made from",
        "distortion.largest_mm": "largest displacement in the brain, mm",
        "distortion.likeness_before": "mutual information with the T1w image without the correction, nats",
        "distortion.likeness": "the same with it",
        "distortion.likeness_reversed": "the same with the opposite sign",
        "distortion.corrected": "true or false; false if the run is worse with it"
    }
    BiasCorrection "bias_correction" "bias_correction" Process [T1w, Bold] "estimating the slow intensity field" {
        "bias.iterations": "iterations done",
        "bias.cv_before": "coefficient of variation in the tissue before",
        "bias.cv_after": "the same after"
    }
    Intensity "normalization" "normalization" Process [T1w, Bold] "scaling to a reference intensity" {
        "method": "the method, where there is a choice",
        "reference_intensity": "the reference in input units"
    }
    Normalization "spatial_normalization" "spatial_normalization" Process [T1w] "registering the brain to the templates" {
        "template": "the templates",
        "normalization.likeness": "mean squared local correlation of scan and template after the warp, 0 to 1, the least of all templates",
        "normalization.mask_overlap": "Dice overlap of the brain masks after the warp, the least of all templates"
    }
    Tissues "tissues" "segment_tissues" Process [T1w] "labelling grey matter, white matter and CSF" {
        "tissues.gm_ml": "volume of grey matter, ml",
        "tissues.wm_ml": "volume of white matter, ml",
        "tissues.csf_ml": "volume of cerebrospinal fluid, ml"
    }
    Coregistration "coregistration" "coregister" Process [Bold] "registering the run to the T1w image" {
        "coregistration.accepted": "true or false",
        "coregistration.cost": "cost of the answer along the border of white matter, 0 to 2; 1 is no contrast",
        "coregistration.share": "part of that border in view, 0 to 1",
        "coregistration.depth": "how much lower the cost is than 6 mm and 6 degrees away"
    }
    Resampling "resampling" "resample" Process [T1w, Bold] "resampling to the output spaces" {}
    Quality "quality" "quality_check" Process [T1w, Bold] "measuring the quality" {}
    Figures "figures" "make_figures" Process [T1w, Bold] "drawing the pictures of the reports" {}
    Save "save" "save_scan" Save [T1w, Bold] "writing the derivatives" {
        "output.path": "main output",
        "output.size_mb": "size of all outputs, MB",
        "compression_ratio": "uncompressed by compressed bytes"
    }
}

impl Stage {
    /// The phases, in order.
    pub const PHASES: [Self; 3] = [Self::Load, Self::Process, Self::Save];

    /// Whether it is a phase, which holds other stages.
    #[must_use]
    pub fn is_phase(self) -> bool {
        self.phase() == self
    }

    /// Whether scans of this kind go through it.
    #[must_use]
    pub fn applies_to(self, modality: Modality) -> bool {
        self.kinds().contains(&modality)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_comes_before_its_steps_and_phases_in_order() {
        let phases: Vec<Stage> = Stage::ALL.iter().copied().filter(|stage| stage.is_phase()).collect();
        assert_eq!(phases, Stage::PHASES);
        assert!(Stage::ALL.iter().all(|stage| stage.phase() <= *stage));
        assert!(Stage::ALL.is_sorted_by_key(|stage| stage.phase()));
    }
}
