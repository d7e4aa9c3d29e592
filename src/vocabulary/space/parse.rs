//! Parses one word: a name, then modifiers after colons. Several values of one modifier mean several spaces.

use super::known::{FUNC, T1W, TEMPLATES, nearest, unsupported};
use super::{Resolution, Space, SpaceError, TemplateId};

/// The spaces a word stands for, cohorts in their order and within each the resolutions.
pub(super) fn expand(word: &str, also_known: &[String]) -> Result<Vec<Space>, SpaceError> {
    let (name, modifiers) = word.split_once(':').map_or((word, None), |(name, rest)| (name, Some(rest)));
    let own = [(Space::T1w, "T1w", &T1W[..]), (Space::Func, "func", &FUNC[..])];
    if let Some((space, plain, _)) = own.into_iter().find(|(_, _, names)| names.contains(&name)) {
        return match modifiers {
            None => Ok(vec![space]),
            Some(_) => Err(SpaceError::NoVariants { space: word.to_owned(), name: plain }),
        };
    }
    if let Some(reason) = unsupported(name) {
        return Err(SpaceError::Unsupported { name: name.to_owned(), reason });
    }
    let known = TEMPLATES.iter().find(|t| t.name == name).map(|t| t.cohorts);
    if known.is_none() && !also_known.iter().any(|other| other == name) {
        return Err(SpaceError::Unknown { name: name.to_owned(), nearest: nearest(name, also_known) });
    }
    let (cohorts, resolutions) = modified(word, modifiers)?;
    let cohorts = allowed(word, name, known, cohorts)?;
    let with = |cohort: Option<u8>| {
        let id = TemplateId { name: name.to_owned(), cohort };
        resolutions.iter().map(move |resolution| Space::Template(id.clone(), *resolution))
    };
    Ok(cohorts.into_iter().flat_map(with).collect())
}

/// The cohorts and resolutions among the modifiers; no cohort and an unsaid resolution where there is none.
fn modified(word: &str, modifiers: Option<&str>) -> Result<(Vec<u8>, Vec<Resolution>), SpaceError> {
    let (mut cohorts, mut resolutions) = (Vec::new(), Vec::new());
    for modifier in modifiers.into_iter().flat_map(|rest| rest.split(':')) {
        match modifier.split_once('-') {
            Some(("den", _)) => {
                let reason = "den- is the density of a surface, and surfaces are not reconstructed";
                return Err(SpaceError::Unsupported { name: word.to_owned(), reason });
            }
            Some(("cohort", value)) if number(value).is_some() => cohorts.extend(number(value)),
            Some(("res", "native")) => resolutions.push(Resolution::Native),
            Some(("res", value)) if number(value).is_some() => {
                resolutions.extend(number(value).map(Resolution::Numbered));
            }
            _ => return Err(SpaceError::Modifier { space: word.to_owned(), modifier: modifier.to_owned() }),
        }
    }
    if resolutions.is_empty() {
        resolutions.push(Resolution::Unsaid);
    }
    Ok((cohorts, resolutions))
}

/// The cohorts, compared with those of the template: `known` is their number, `None` for a template of the site's own, where
/// only its folder can tell.
fn allowed(word: &str, name: &str, known: Option<u8>, cohorts: Vec<u8>) -> Result<Vec<Option<u8>>, SpaceError> {
    let (space, template) = (word.to_owned(), name.to_owned());
    match known {
        Some(0) if !cohorts.is_empty() => Err(SpaceError::NoCohorts { space, template }),
        Some(last) if last > 0 && (cohorts.is_empty() || cohorts.iter().any(|&cohort| cohort > last)) => {
            Err(SpaceError::Cohort { space, template, last })
        }
        _ if cohorts.is_empty() => Ok(vec![None]),
        _ => Ok(cohorts.into_iter().map(Some).collect()),
    }
}

/// A number from 1 to 99, with or without a leading zero.
fn number(text: &str) -> Option<u8> {
    let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&n| digits && n > 0)
}
