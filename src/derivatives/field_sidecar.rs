//! The JSON beside what the correction of distortion leaves.

use super::measured::Distortion;
use super::sidecar::{SidecarContext, object};
use serde_json::{Value, json};

impl SidecarContext<'_> {
    /// Of the field on the grid of a run.
    #[must_use]
    pub fn field(&self, told: Option<&Distortion>) -> Value {
        self.of_field(
            "The field on the grid of the run, as its distortion was corrected with it; positive values move signal \
                       to higher indices along a PhaseEncodingDirection without minus",
            told,
        )
    }

    /// Of the control points of the field.
    #[must_use]
    pub fn field_coefficients(&self, told: Option<&Distortion>) -> Value {
        self.of_field(
            "Control points of the cubic B-spline that the field is, from one before the first voxel of the fieldmap",
            told,
        )
    }

    fn of_field(&self, description: &str, told: Option<&Distortion>) -> Value {
        let mut fields = object(json!({ "Description": description, "Units": "Hz" }));
        fields.extend(Distortion::in_sidecar(told));
        let files = told.map(|told| told.files.as_slice()).unwrap_or_default();
        let sources = files.iter().map(String::as_str).chain(self.sources.iter().map(String::as_str));
        fields.insert("Sources".into(), sources.map(|path| format!("bids:raw:{path}")).collect());
        Value::Object(fields)
    }

    /// Of the map of points of a run to its fieldmap.
    #[must_use]
    pub fn to_fieldmap(&self) -> Value {
        self.with_sources(object(json!({
            "Description": "Rigid transform in ITK's text format: takes points of the run's reference volume to the fieldmap",
        })))
    }
}
