//! Selects the scans of a dataset. A label that does not exist is an error, never an empty result.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::error::{BidsError, LabelKind, UnknownLabel};
use super::filter::Filter;
use super::index::{Index, Participant};
use super::label::{Label, LabelError};
use super::nearest::nearest;
use super::scan::ScanFile;
use super::{Modality, Selection};

/// The session of scans that have none, as Nipoppy calls it.
const UNNAMED: &str = "unnamed";

impl Index {
    /// The scans that a selection asks for, by participant, session, datatype and name.
    ///
    /// # Errors
    /// [`BidsError::BadLabel`] and [`BidsError::UnknownLabels`] for participants and sessions that cannot be or are not
    /// in the dataset, [`BidsError::BadFilter`] for the filter file, and [`BidsError::NothingMatches`] when a section of
    /// the filter file fits no scan of the dataset or, saying after which step, when nothing was left.
    pub fn select(&self, s: &Selection) -> Result<Vec<&ScanFile>, BidsError> {
        let nothing = |reason: String| BidsError::NothingMatches { reason };
        if self.description.derivative {
            return Err(nothing("the dataset holds derivatives (DatasetType), not scans".to_owned()));
        }
        if self.participants.is_empty() {
            return Err(nothing(format!("{} has no folder sub-LABEL", self.root.display())));
        }
        let participants = self.known_participants(&s.participants)?;
        let sessions = self.known_sessions(&s.sessions, &participants)?;
        let pairs = self.known_pairs(&s.subcohort)?;
        let tasks = self.known_tasks(s)?;
        let modalities: &[Modality] = if s.modalities.is_empty() { &Modality::ALL } else { &s.modalities };
        let filter = s.filter_file.as_deref().map(Filter::read).transpose()?;
        if let (Some(filter), Some(file)) = (&filter, &s.filter_file) {
            self.refuse_idle_sections(filter, file, modalities)?;
        }

        let mut left: Vec<&ScanFile> = self.scans.iter().collect();
        let mut steps = vec![format!("{} in the dataset", left.len())];
        let mut keep = |what: &str, wanted: &dyn Fn(&ScanFile) -> bool| {
            left.retain(|scan| wanted(scan));
            steps.push(format!("{} {what}", left.len()));
        };
        keep("of the modalities", &|scan| scan.modality().is_some_and(|m| modalities.contains(&m)));
        if !participants.is_empty() {
            keep("of the participants", &|scan| participants.contains(scan.participant()));
        }
        if !sessions.is_empty() {
            keep("of the sessions", &|scan| sessions.contains(scan.session().unwrap_or(UNNAMED)));
        }
        if !tasks.is_empty() {
            keep("of the tasks", &|scan| task(scan).is_none_or(|task| tasks.contains(task)));
        }
        if !pairs.is_empty() {
            keep("of the subcohort", &|scan| pairs.contains(&(scan.participant(), scan.session())));
        }
        if let Some(filter) = &filter {
            keep("by the filter file", &|scan| filter.matches(scan));
        }
        if left.is_empty() { Err(nothing(format!("scans left: {}", steps.join(", ")))) } else { Ok(left) }
    }

    /// A section that no scan of the whole dataset satisfies is a typing error. Without this, the other modality
    /// would be processed and this one silently left out.
    fn refuse_idle_sections(&self, filter: &Filter, file: &Path, modalities: &[Modality]) -> Result<(), BidsError> {
        for suffix in filter.suffixes() {
            let wanted = |m: Modality| m.as_str() == suffix.as_str() && modalities.contains(&m);
            let mut concerned = self.scans.iter().filter(|scan| scan.modality().is_some_and(wanted)).peekable();
            if concerned.peek().is_some() && !concerned.any(|scan| filter.matches(scan)) {
                let kind = suffix.as_str();
                let reason = format!(
                    "{}: no {kind} scan of the dataset satisfies the section {kind:?}; correct it, or leave {kind} out \
                     with --modalities",
                    file.display()
                );
                return Err(BidsError::NothingMatches { reason });
            }
        }
        Ok(())
    }

    fn known_participants(&self, asked: &[String]) -> Result<HashSet<String>, BidsError> {
        let asked = labels(asked, Label::participant)?;
        let known: HashSet<&str> = self.participants.iter().map(|p| p.label.as_str()).collect();
        refuse_unknown(LabelKind::Participant, &asked, &known)?;
        Ok(asked.into_iter().collect())
    }

    /// A pair must exist as it is: a participant of the list without that session is a mistake in the list.
    fn known_pairs<'a>(
        &self,
        asked: &'a [(String, Option<String>)],
    ) -> Result<HashSet<(&'a str, Option<&'a str>)>, BidsError> {
        self.known_participants(&asked.iter().map(|(participant, _)| participant.clone()).collect::<Vec<_>>())?;
        let sessions = |p: &'_ Participant| p.sessions.iter().map(|s| (p.label.clone(), s.clone())).collect::<Vec<_>>();
        let known: HashSet<(String, Option<String>)> = self.participants.iter().flat_map(sessions).collect();
        let pairs = asked.iter().map(|(p, s)| (p.as_str(), s.as_deref().filter(|s| *s != UNNAMED)));
        for (participant, session) in pairs.clone() {
            if !known.contains(&(participant.to_owned(), session.map(str::to_owned))) {
                let session = session.map_or_else(|| "scans without a session".to_owned(), |s| format!("session {s}"));
                let reason = format!("the subcohort lists participant {participant}, who has no {session}");
                return Err(BidsError::NothingMatches { reason });
            }
        }
        Ok(pairs.collect())
    }

    /// A task must exist somewhere in the dataset.
    fn known_tasks(&self, s: &Selection) -> Result<HashSet<String>, BidsError> {
        let asked = labels(&s.tasks, |text| Label::new(text.strip_prefix("task-").unwrap_or(text)))?;
        if s.checks_tasks() {
            let known: HashSet<&str> = self.scans.iter().filter_map(task).collect();
            refuse_unknown(LabelKind::Task, &asked, &known)?;
        }
        Ok(asked.into_iter().collect())
    }

    /// A session must exist for one of the selected participants, not for all of them.
    fn known_sessions(&self, asked: &[String], participants: &HashSet<String>) -> Result<HashSet<String>, BidsError> {
        let asked = labels(asked, Label::session)?;
        let selected = |p: &&Participant| participants.is_empty() || participants.contains(&p.label);
        let sessions = self.participants.iter().filter(selected).flat_map(|p| &p.sessions);
        let known: HashSet<&str> = sessions.map(|s| s.as_deref().unwrap_or(UNNAMED)).collect();
        refuse_unknown(LabelKind::Session, &asked, &known)?;
        Ok(asked.into_iter().collect())
    }
}

/// The task of a bold run; `None` for scans that have none.
fn task(scan: &ScanFile) -> Option<&str> {
    scan.modality().filter(|modality| *modality == Modality::Bold).and_then(|_| scan.entities.get("task"))
}

fn labels(asked: &[String], parse: impl Fn(&str) -> Result<Label, LabelError>) -> Result<BTreeSet<String>, BidsError> {
    asked.iter().map(|text| Ok(parse(text)?.into())).collect()
}

/// How many unknown labels a message spells out; finding the nearest of thousands would take minutes.
const SPELLED_OUT: usize = 5;

fn refuse_unknown(kind: LabelKind, asked: &BTreeSet<String>, known: &HashSet<&str>) -> Result<(), BidsError> {
    let missing: Vec<&String> = asked.iter().filter(|label| !known.contains(label.as_str())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let with_nearest = |label: &&String| UnknownLabel {
        label: (*label).clone(),
        nearest: nearest(label, known.iter().copied(), 3).into_iter().map(str::to_owned).collect(),
    };
    let unknown: Vec<UnknownLabel> = missing.iter().take(SPELLED_OUT).map(with_nearest).collect();
    let more = missing.len() - unknown.len();
    Err(BidsError::UnknownLabels { kind, unknown, more })
}
