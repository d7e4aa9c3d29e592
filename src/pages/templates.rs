//! The templates of all pages, in the binary, and the one place where they are filled.

use super::PageError;
use crate::printable;
use minijinja::{Environment, Value};
use serde::Serialize;
use std::sync::LazyLock;

/// Name and text; the ending `.html` turns escaping on.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("subject.html", include_str!("templates/subject.html")),
    ("index.html", include_str!("templates/index.html")),
];

const STYLE: &str = include_str!("assets/style.css");

static PAGES: LazyLock<Result<Environment<'static>, String>> = LazyLock::new(|| {
    let mut env = Environment::new();
    for (name, text) in TEMPLATES {
        env.add_template(name, text).map_err(|e| format!("{e:#}"))?;
    }
    env.add_global("style", Value::from_safe_string(STYLE.to_owned()));
    env.add_global("version", concat!(env!("CARGO_PKG_VERSION"), "+", env!("NEURO_PREPROCESS_COMMIT")));
    Ok(env)
});

/// Fills the template `page` with `data`.
///
/// # Errors
/// [`PageError::Template`] when the two do not fit.
pub(super) fn render(page: &'static str, data: &impl Serialize) -> Result<String, PageError> {
    let failed = |message| PageError::Template { page, message };
    let env = PAGES.as_ref().map_err(|e| failed(e.clone()))?;
    env.get_template(page)
        .and_then(|t| t.render(Value::from(minijinja::value::Serde(data))))
        .map(printable::owned)
        .map_err(|e| failed(format!("{e:#}")))
}
