//! Output spaces as fMRIPrep spells them: `MNI152NLin2009cAsym:res-2`, `MNIPediatricAsym:cohort-2:res-1`, `T1w`, `func`.
//!
//! What a space is called, what it puts into file names, what it needs; nothing here reads a file. Finding the
//! templates is for who reads them.
//!
//! Sources: fMRIPrep's documentation of `--output-spaces` (the language, several values of one modifier multiply) and of its
//! outputs (`space-`, `cohort-`, `res-`; `to-MNIPediatricAsym+2` in names of transforms); TemplateFlow's archive for the names
//! and cohorts of templates.

mod error;
mod known;
mod parse;

pub use error::SpaceError;

use std::fmt;

/// The template that is built in and the default.
pub const DEFAULT_TEMPLATE: &str = "MNI152NLin2009cAsym";

/// A template of TemplateFlow, with the cohort where it has several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId {
    name: String,
    cohort: Option<u8>,
}

/// On which of a template's grids the output lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Not said: an anatomical image on the template's own grid, a bold series in its own voxel size; `res-` is not in names.
    Unsaid,
    /// `res-native`: the image's own voxel size over the template's field of view.
    Native,
    /// `res-1`, `res-2`: the grid of this number of the template, 1 to 99.
    Numbered(u8),
}

/// A space in which outputs are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// That of a template.
    Template(TemplateId, Resolution),
    /// That of the participant's T1w image: `T1w`, or `anat`.
    T1w,
    /// That of the bold run itself: `func`, or `bold`, `run`, `boldref`.
    Func,
}

/// The requested spaces: at least one, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spaces(Vec<Space>);

impl TemplateId {
    /// The template that is built in.
    #[must_use]
    pub fn built_in() -> Self {
        Self { name: DEFAULT_TEMPLATE.to_owned(), cohort: None }
    }

    /// Its name, such as `MNI152NLin2009cAsym`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its cohort, where it has cohorts.
    #[must_use]
    pub fn cohort(&self) -> Option<u8> {
        self.cohort
    }

    /// As in `from-` and `to-` of a transform's name, where a label may not have dashes: `MNIPediatricAsym+2`.
    #[must_use]
    pub fn label(&self) -> String {
        self.cohort.map_or_else(|| self.name.clone(), |cohort| format!("{}+{cohort}", self.name))
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.cohort.map_or(Ok(()), |cohort| write!(f, ":cohort-{cohort}"))
    }
}

impl Resolution {
    /// As in `res-` of a file's name; `None` where the name has no `res-`.
    #[must_use]
    pub fn label(self) -> Option<String> {
        match self {
            Self::Unsaid => None,
            Self::Native => Some("native".to_owned()),
            Self::Numbered(number) => Some(number.to_string()),
        }
    }
}

impl Space {
    /// The entities an output in this space has in its name, in their order there. A bold series in its own space has none,
    /// one in the T1w's has `space-T1w`; the anatomical image itself, in its own space, has none either, which is for its
    /// writer to know.
    #[must_use]
    pub fn entities(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Func => Vec::new(),
            Self::T1w => vec![("space", "T1w".to_owned())],
            Self::Template(id, resolution) => {
                let cohort = id.cohort.map(|cohort| ("cohort", cohort.to_string()));
                let resolution = resolution.label().map(|label| ("res", label));
                [Some(("space", id.name.clone())), cohort, resolution].into_iter().flatten().collect()
            }
        }
    }

    /// Whether a bold series can only be brought there by way of the participant's T1w image.
    #[must_use]
    pub fn needs_anatomy(&self) -> bool {
        !matches!(self, Self::Func)
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::T1w => f.write_str("T1w"),
            Self::Func => f.write_str("func"),
            Self::Template(id, resolution) => {
                id.fmt(f)?;
                resolution.label().map_or(Ok(()), |label| write!(f, ":res-{label}"))
            }
        }
    }
}

impl Spaces {
    /// The spaces written in some texts, each one or several with blanks between them. `also_known` are names of templates
    /// beyond those of TemplateFlow's archive: what a site has in its own folder.
    ///
    /// # Errors
    /// [`SpaceError`], naming the space, for the first that is not one.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>, also_known: &[String]) -> Result<Self, SpaceError> {
        let mut spaces = Vec::new();
        for word in texts.into_iter().flat_map(str::split_ascii_whitespace) {
            for space in parse::expand(word, also_known)? {
                if !spaces.contains(&space) {
                    spaces.push(space);
                }
            }
        }
        if spaces.is_empty() { Err(SpaceError::None) } else { Ok(Self(spaces)) }
    }

    /// Only the run's own.
    #[must_use]
    pub fn own() -> Self {
        Self(vec![Space::Func])
    }

    /// The spaces in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Space> {
        self.0.iter()
    }

    /// The templates among them, each once, in order: to each of them the anatomy is registered once, whatever the number of
    /// resolutions.
    #[must_use]
    pub fn templates(&self) -> Vec<&TemplateId> {
        let mut ids = Vec::new();
        for space in &self.0 {
            if let Space::Template(id, _) = space
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
        ids
    }

    /// The resolutions asked for of a template, in order.
    pub fn resolutions<'a>(&'a self, of: &'a TemplateId) -> impl Iterator<Item = Resolution> + 'a {
        self.0.iter().filter_map(move |space| match space {
            Space::Template(id, resolution) if id == of => Some(*resolution),
            _ => None,
        })
    }

    /// Those that a bold run can only be brought to by way of the participant's T1w image.
    pub fn beyond_own(&self) -> impl Iterator<Item = &Space> {
        self.0.iter().filter(|space| space.needs_anatomy())
    }

    /// Whether any of them needs the participant's T1w image.
    #[must_use]
    pub fn need_anatomy(&self) -> bool {
        self.0.iter().any(Space::needs_anatomy)
    }
}

impl Default for Spaces {
    fn default() -> Self {
        Self(vec![Space::Template(TemplateId::built_in(), Resolution::Numbered(2)), Space::Func])
    }
}

impl fmt::Display for Spaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, space) in self.0.iter().enumerate() {
            write!(f, "{}{space}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
