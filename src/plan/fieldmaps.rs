//! Which fieldmap is for which bold run, by what the sidecars say: `B0FieldSource` of the run and `B0FieldIdentifier` of the
//! images first, `IntendedFor` of the images else. Nothing is guessed from names alone, but which images of `fmap/` belong
//! together. The rules are those of sdcflows.

use super::fieldmap::{EpiImage, FIELDMAP, FieldImage, FieldKind, Fieldmap, FieldmapPlan};
use super::units::ScanPlan;
use crate::bids::{Index, Modality, ScanFile, Suffix};
use imaging::distortion::PhaseEncoding;
use imaging::distortion::readout::{ReadoutFields, total_readout};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Longest difference of echo times, s; more is milliseconds.
const LONGEST_ECHO_S: f64 = 0.1;
/// Memory that a field takes besides its run, bytes: the images it is made from, itself on two grids, the run before and after.
const FIELD_BYTES: u64 = 150_000_000;
/// Lines of a usual image.
const USUAL_LINES: usize = 64;
/// Hz of a tesla.
const HZ_PER_TESLA: f64 = 42.577e6;

/// The images of a dataset that fieldmaps are made from, by participant.
pub(super) struct FieldImages<'a> {
    index: &'a Index,
    of: BTreeMap<&'a str, Vec<&'a ScanFile>>,
}

/// An image that a fieldmap may be made from.
struct Image<'a> {
    file: &'a ScanFile,
    metadata: Map<String, Value>,
    /// Why it cannot be used.
    broken: Option<String>,
}

/// Images that make a fieldmap, or why they do not.
struct Candidate {
    id: String,
    first: String,
    other_session: bool,
    kind: Result<FieldKind, String>,
}

impl<'a> FieldImages<'a> {
    pub fn new(index: &'a Index) -> Self {
        let mut of: BTreeMap<&str, Vec<&ScanFile>> = BTreeMap::new();
        let magnitude = |file: &&ScanFile| file.entities.get("part").is_none_or(|part| part == "mag");
        index.of_fields.iter().filter(magnitude).for_each(|file| of.entry(file.participant()).or_default().push(file));
        Self { index, of }
    }

    /// Says for each bold run of a session which fieldmap is for it.
    pub fn assign(&self, scans: &mut [ScanPlan]) {
        let participant = scans.first().and_then(|scan| scan.entities.get("sub")).unwrap_or_default().to_owned();
        let files = self.of.get(participant.as_str()).map(Vec::as_slice).unwrap_or_default();
        let images: Vec<Image<'_>> = files.iter().map(|file| self.image(file)).collect();
        for scan in scans.iter_mut().filter(|scan| is_run(scan)) {
            scan.fieldmap = Search { root: &self.index.root, images: &images, run: scan }.plan();
            if let Some(fieldmap) = scan.fieldmap.used() {
                let mut metadata = (*scan.metadata).clone();
                metadata.insert(FIELDMAP.into(), fieldmap.json());
                scan.metadata = Arc::new(metadata);
                scan.memory.bytes += FIELD_BYTES;
            }
        }
    }

    fn image(&self, file: &'a ScanFile) -> Image<'a> {
        let (metadata, unread) = match self.index.metadata(file) {
            Ok(metadata) => (metadata, None),
            Err(e) => {
                let root = format!("{}/", self.index.root.display());
                (Map::new(), Some(e.to_string().replace(&root, "")))
            }
        };
        let broken = file.unambiguous().err().map(|e| e.to_string()).or(unread);
        Image { file, metadata, broken }
    }
}

fn is_run(scan: &ScanPlan) -> bool {
    scan.modality == Modality::Bold
}

/// The search for the fieldmap of one run.
struct Search<'a> {
    root: &'a Path,
    images: &'a [Image<'a>],
    run: &'a ScanPlan,
}

impl<'a> Search<'a> {
    fn plan(&self) -> FieldmapPlan {
        let there = self.images.iter().any(|image| image.file.suffix != Suffix::Sbref);
        let without = |why: &str, wrong| FieldmapPlan::Without { why: why.into(), there, wrong };
        let sources = strings(self.run.metadata.get("B0FieldSource"));
        let (by, candidates) = match &sources {
            Some(ids) => ("B0FieldSource", ids.iter().map(|id| self.identified(id)).collect()),
            None if !there => return without("there is no fieldmap", false),
            None => ("IntendedFor", self.intended()),
        };
        if candidates.is_empty() {
            return without(&self.nobody(), false);
        }
        match self.chosen(by, candidates) {
            Ok(fieldmap) => FieldmapPlan::With(Arc::new(fieldmap)),
            Err(why) => without(&why, true),
        }
    }

    /// Of several what was made in the same session; else in the order in which sdcflows finds them, the first that can be used.
    fn chosen(&self, by: &'static str, candidates: Vec<Candidate>) -> Result<Fieldmap, String> {
        let (here, elsewhere): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c: &Candidate| !c.other_session);
        let mut candidates: Vec<Candidate> = here.into_iter().chain(elsewhere).collect();
        let at = candidates.iter().position(|candidate| candidate.kind.is_ok()).unwrap_or(0);
        let taken = candidates.remove(at);
        let kind = taken.kind?;
        let (direction, readout) = encoding(&self.run.metadata, &self.run.id)?;
        let others = candidates.into_iter().map(|candidate| (candidate.first, candidate.kind.err())).collect();
        Ok(Fieldmap { id: taken.id, by, kind, direction, readout, other_session: taken.other_session, others })
    }

    /// Why there is none, where no image is for this run.
    fn nobody(&self) -> String {
        let has = |key: &str| self.images.iter().any(|image| image.metadata.contains_key(key));
        if let Some(image) = self.images.iter().find_map(|image| image.broken.as_ref()) {
            return format!(
                "no fieldmap names this run in IntendedFor, and of one the sidecar cannot be used: {image}"
            );
        }
        if let Some((image, named)) = self.images.iter().find_map(|i| Some((i, i.metadata.get("IntendedFor")?))) {
            let named = match named {
                Value::Array(list) => list.first().unwrap_or(named),
                one => one,
            };
            return format!(
                "no fieldmap names this run in IntendedFor as func/… or bids::sub-…/func/… ({} names {named})",
                name(image)
            );
        }
        if has("B0FieldIdentifier") {
            return "the run has no B0FieldSource, and no fieldmap names it in IntendedFor".to_owned();
        }
        "no sidecar of the fieldmaps has IntendedFor or B0FieldIdentifier, which would say which runs they are for"
            .to_owned()
    }

    /// The fieldmap of this identifier.
    fn identified(&self, id: &str) -> Candidate {
        let has = |metadata: &Map<String, Value>| {
            strings(metadata.get("B0FieldIdentifier")).is_some_and(|ids| ids.iter().any(|other| other == id))
        };
        let all: Vec<&Image<'_>> = self.images.iter().filter(|image| has(&image.metadata)).collect();
        // Converters give each session the same identifiers: what was made in the run's own session is meant.
        let here: Vec<&Image<'_>> = all.iter().filter(|image| !self.elsewhere(&[image])).copied().collect();
        let members = if here.is_empty() { all } else { here };
        let kind = match members.as_slice() {
            [] if has(&self.run.metadata) => {
                Err(format!("no image but the run itself has the B0FieldIdentifier {id:?}"))
            }
            [] => {
                Err(format!("B0FieldSource is {id:?}, which no image in fmap/ and no sbref has as B0FieldIdentifier"))
            }
            members => self.kind(members, has(&self.run.metadata)),
        };
        let first = members.first().map_or_else(|| id.to_owned(), |image| name(image));
        let label: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        let id = if label.is_empty() { self.numbered(members.first().copied()) } else { label };
        Candidate { id, first, other_session: self.elsewhere(&members), kind }
    }

    /// What is made of all images with one identifier.
    fn kind(&self, members: &[&Image<'_>], own: bool) -> Result<FieldKind, String> {
        let of = |suffix: Suffix| members.iter().find(|image| image.file.suffix == suffix).copied();
        if let Some(map) = [Suffix::Phasediff, Suffix::Phase1, Suffix::Fieldmap].into_iter().find_map(of) {
            return self.map(map);
        }
        let epis: Vec<&Image<'_>> = members.iter().filter(|image| is_epi(image)).copied().collect();
        match epis.as_slice() {
            [] => Err(format!(
                "{} has no field, phase or EPI image beside it",
                members.first().map_or_else(String::new, |i| name(i))
            )),
            [first, rest @ ..] => self.pair(first, rest, own),
        }
    }

    /// The fieldmaps whose images name this run in `IntendedFor`, in the order of sdcflows: maps, then pairs.
    fn intended(&self) -> Vec<Candidate> {
        let meant = |image: &&Image<'_>| self.is_meant(image);
        let is_map =
            |image: &&Image<'_>| matches!(image.file.suffix, Suffix::Phasediff | Suffix::Phase1 | Suffix::Fieldmap);
        let beside =
            |image: &Image<'_>| self.images.iter().filter(|other| same(other, image)).any(|other| self.is_meant(other));
        let maps = self.images.iter().filter(is_map).filter(|image| beside(image));
        let mut found: Vec<Candidate> = maps
            .map(|image| Candidate {
                id: self.numbered(Some(image)),
                first: name(image),
                other_session: self.elsewhere(&[image]),
                kind: self.map(image),
            })
            .collect();
        let mut taken: Vec<&Path> = Vec::new();
        for image in self.images.iter().filter(|image| is_epi(image)).filter(meant) {
            if taken.contains(&image.file.path.as_path()) {
                continue;
            }
            let partners = self.partners(image);
            let kind = self.pair(image, &partners, true);
            taken.extend(kind.iter().flat_map(FieldKind::images).filter_map(|used| {
                self.images.iter().map(|i| i.file.path.as_path()).find(|path| *path == used.relative)
            }));
            let other_session = self.elsewhere(&[image]);
            found.push(Candidate { id: self.numbered(Some(image)), first: name(image), other_session, kind });
        }
        found
    }

    /// Whether an image names the run in `IntendedFor`, in either way of writing.
    fn is_meant(&self, image: &Image<'_>) -> bool {
        let files = || std::iter::once(&self.run.relative).chain(self.run.echoes.iter().map(|echo| &echo.relative));
        let participant = format!("sub-{}", image.file.participant());
        let named = |text: &String| {
            let path = text.strip_prefix("bids::").unwrap_or(text).trim_start_matches("./");
            let whole = if path.starts_with("sub-") { path.into() } else { Path::new(&participant).join(path) };
            files().any(|file| *file == whole)
        };
        strings(image.metadata.get("IntendedFor")).is_some_and(|list| list.iter().any(named))
    }

    /// The EPI images that an EPI image may be compared with, the most fitting first: all but the direction alike, then those of
    /// another run; then the run's own reference.
    fn partners(&self, image: &Image<'a>) -> Vec<&'a Image<'a>> {
        let without = |other: &Image<'_>, keys: &[&str]| -> Vec<String> {
            let pairs = other.file.entities.iter().filter(|(key, _)| !keys.contains(key));
            pairs.map(|(key, label)| format!("{key}-{label}")).collect()
        };
        let alike = |keys: &'static [&'static str]| {
            self.images.iter().filter(move |other| {
                other.file.suffix == Suffix::Epi
                    && other.file.path != image.file.path
                    && without(other, keys) == without(image, keys)
            })
        };
        let reference = self.images.iter().filter(|other| {
            other.file.suffix == Suffix::Sbref
                && other.file.entities.is_subset_of(&self.run.entities)
                && self.run.entities.is_subset_of(&other.file.entities)
        });
        alike(&["dir"]).chain(alike(&["dir", "run"])).chain(reference).collect()
    }

    /// A pair of opposite phase encoding: `first` with the first of `others` that is its opposite, or with the run itself.
    fn pair(&self, first: &Image<'_>, others: &[&Image<'_>], own: bool) -> Result<FieldKind, String> {
        let one = self.epi(first)?;
        let mut why = None;
        let mut opposite = None;
        for other in others {
            match self.epi(other) {
                Ok(epi) if epi.direction == one.direction.reversed() => {
                    opposite = Some(epi);
                    break;
                }
                Ok(_) => {}
                Err(e) => drop(why.get_or_insert(e)),
            }
        }
        let (direction, readout) = encoding(&self.run.metadata, &self.run.id)?;
        let itself = || EpiImage { image: None, direction, readout };
        let opposite = opposite.or_else(|| (own && direction == one.direction.reversed()).then(itself));
        let second = opposite.ok_or_else(|| {
            why.unwrap_or_else(|| {
                format!(
                    "{} has phase encoding {}, and there is no EPI image with {} to compare it with",
                    name(first),
                    one.direction,
                    one.direction.reversed()
                )
            })
        })?;
        // The field is found where the head lies in the first image: best in that which is distorted as the run is.
        Ok(FieldKind::Opposite(if second.direction == direction { [second, one] } else { [one, second] }))
    }

    fn epi(&self, image: &Image<'_>) -> Result<EpiImage, String> {
        usable(image)?;
        let (direction, readout) = encoding(&image.metadata, &name(image))?;
        Ok(EpiImage { image: Some(self.file(image)), direction, readout })
    }

    /// A field from phases, or as such.
    fn map(&self, image: &Image<'_>) -> Result<FieldKind, String> {
        usable(image)?;
        let beside =
            |suffix: Suffix| self.images.iter().find(|other| other.file.suffix == suffix && same(other, image));
        let magnitude = |order: [Suffix; 3]| {
            let found = order
                .into_iter()
                .find_map(beside)
                .ok_or_else(|| format!("{} has no magnitude image beside it", name(image)))?;
            usable(found)?;
            Ok::<_, String>(self.file(found))
        };
        let of_phases = [Suffix::Magnitude1, Suffix::Magnitude2, Suffix::Magnitude];
        let field = self.file(image);
        match image.file.suffix {
            Suffix::Phasediff => {
                let times = [number(image, "EchoTime1")?, number(image, "EchoTime2")?];
                Ok(FieldKind::PhaseDifference {
                    seconds: between(times, &name(image))?,
                    magnitude: magnitude(of_phases)?,
                    phase: field,
                })
            }
            Suffix::Phase1 => {
                let second =
                    beside(Suffix::Phase2).ok_or_else(|| format!("{} has no phase2 beside it", name(image)))?;
                usable(second)?;
                let times = [number(image, "EchoTime")?, number(second, "EchoTime")?];
                let (seconds, magnitude) = (between(times, &name(image))?, magnitude(of_phases)?);
                Ok(FieldKind::TwoPhases { seconds, magnitude, phases: [field, self.file(second)] })
            }
            _ => {
                let hz = hz(image)?;
                let magnitude = magnitude([Suffix::Magnitude, Suffix::Magnitude1, Suffix::Magnitude2])?;
                Ok(FieldKind::Direct { field, magnitude, hz })
            }
        }
    }

    fn file(&self, image: &Image<'_>) -> FieldImage {
        FieldImage { path: self.root.join(&image.file.path), relative: image.file.path.clone() }
    }

    fn elsewhere(&self, members: &[&Image<'_>]) -> bool {
        members.first().is_some_and(|image| image.file.session() != self.run.entities.get("ses"))
    }

    /// `auto` and a number that no other fieldmap of the session has, and that does not depend on fieldmaps of other kinds.
    fn numbered(&self, image: Option<&Image<'_>>) -> String {
        let Some(image) = image else { return "auto90000".to_owned() };
        let kind = [Suffix::Phasediff, Suffix::Phase1, Suffix::Fieldmap].iter().position(|s| *s == image.file.suffix);
        let alike =
            |other: &&Image<'_>| other.file.suffix == image.file.suffix && other.file.session() == image.file.session();
        let at = self.images.iter().filter(alike).position(|other| other.file.path == image.file.path);
        format!("auto{}{:04}", kind.unwrap_or(3), at.unwrap_or_default())
    }
}

/// The name of an image, as sidecars and messages have it.
fn name(image: &Image<'_>) -> String {
    image.file.id()
}

fn is_epi(image: &Image<'_>) -> bool {
    matches!(image.file.suffix, Suffix::Epi | Suffix::Sbref)
}

/// Whether two images have the same entities, and so are parts of one acquisition.
fn same(a: &Image<'_>, b: &Image<'_>) -> bool {
    a.file.datatype == b.file.datatype && a.file.entities == b.file.entities
}

fn usable(image: &Image<'_>) -> Result<(), String> {
    image.broken.clone().map_or(Ok(()), Err)
}

/// A text or a list of texts.
fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => Some(list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()),
        _ => None,
    }
}

fn number(image: &Image<'_>, key: &str) -> Result<f64, String> {
    match image.metadata.get(key) {
        None => Err(format!("{} has no {key} in its sidecar", name(image))),
        Some(value) => value
            .as_f64()
            .ok_or_else(|| format!("{key} of {} is {value}; write a number of seconds, without quotes", name(image))),
    }
}

/// Seconds between two echoes; the shorter is the first.
fn between([first, second]: [f64; 2], name: &str) -> Result<f64, String> {
    let seconds = second - first;
    if seconds > 0.0 && seconds <= LONGEST_ECHO_S {
        return Ok(seconds);
    }
    Err(format!("the echo times of {name} are {first} and {second}; write seconds, the shorter first"))
}

/// Hz that a unit of a field is.
fn hz(image: &Image<'_>) -> Result<f64, String> {
    let Some(units) = image.metadata.get("Units") else {
        return Err(format!("{} has no Units in its sidecar", name(image)));
    };
    let units = units.as_str().unwrap_or_default();
    match units.to_ascii_lowercase().as_str() {
        "hz" => Ok(1.0),
        "rad/s" => Ok(1.0 / std::f64::consts::TAU),
        "t" | "tesla" => Ok(HZ_PER_TESLA),
        _ => Err(format!("Units of {} is {units:?}; write Hz, rad/s or T", name(image))),
    }
}

/// How an image was encoded, by its sidecar.
fn encoding(metadata: &Map<String, Value>, name: &str) -> Result<(PhaseEncoding, ReadoutFields), String> {
    let direction = match metadata.get("PhaseEncodingDirection") {
        // One that says something else has been taken out, with a note.
        None => {
            return Err(format!(
                "{name} has no usable PhaseEncodingDirection in its sidecar; write i, i-, j, j-, k or k-"
            ));
        }
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("PhaseEncodingDirection of {name} is {value}; write i, i-, j, j-, k or k-"))?,
    };
    let number = |key: &str| match metadata.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| format!("{key} of {name} is {value}; write a number, without quotes")),
    };
    let readout = ReadoutFields {
        total_readout_time: number("TotalReadoutTime")?,
        effective_echo_spacing: number("EffectiveEchoSpacing")?,
        recon_matrix_pe: number("ReconMatrixPE")?,
        water_fat_shift: number("WaterFatShift")?,
        magnetic_field_strength: number("MagneticFieldStrength")?,
        estimated_total_readout_time: number("EstimatedTotalReadoutTime")?,
    };
    let philips = readout.water_fat_shift.and(readout.magnetic_field_strength);
    let known = readout.total_readout_time.or(readout.effective_echo_spacing).or(philips);
    if known.or(readout.estimated_total_readout_time).is_none() {
        return Err(format!("{name} has neither TotalReadoutTime nor EffectiveEchoSpacing in its sidecar"));
    }
    // Of any number of lines: only what cannot be for any is refused here.
    total_readout(&readout, USUAL_LINES)
        .map_err(|e| format!("{name}: {}", e.to_string().replace("distortion: ", "")))?;
    Ok((direction, readout))
}
