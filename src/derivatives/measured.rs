//! What was measured of a scan and is written down: quality, and the columns of the confounds table.

/// One column of the confounds table: a name and a value per volume, `None` where it is not defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Confound {
    /// fMRIPrep's name of the column, where it has one.
    pub name: String,
    /// What the column holds, for the sidecar.
    pub description: &'static str,
    /// The unit, for the sidecar; `None` for indicators.
    pub units: Option<&'static str>,
    /// One value per volume.
    pub values: Vec<Option<f64>>,
}

/// A measure of image quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its short name, lower case, as MRIQC writes it.
    pub name: &'static str,
    /// Its value; measures that are not defined for a scan are left out.
    pub value: f64,
}

/// How good a scan is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// All measures.
    pub measures: Vec<Measure>,
    /// 0 (unusable) to 100; `None` where nothing could be measured.
    pub score: Option<f64>,
    /// Whether the subject moved more than the documented limit.
    pub motion_detected: bool,
}
