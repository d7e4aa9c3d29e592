//! Tests of the language of output spaces.

use super::*;

fn parse(text: &str) -> Result<Spaces, SpaceError> {
    Spaces::parse([text], &[])
}

#[test]
fn what_is_written_comes_back() {
    for text in [
        "MNI152NLin2009cAsym:res-2",
        "MNI152NLin6Asym:res-native",
        "MNI152NLin6Asym",
        "MNIPediatricAsym:cohort-2:res-1",
        "T1w",
        "func",
        "T1w MNI152NLin2009cAsym:res-2 func MNI152NLin2009cAsym:res-1",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn other_spellings_become_one() {
    assert_eq!(parse("anat bold run boldref func T1w").unwrap().to_string(), "T1w func");
    assert_eq!(parse("MNI152NLin6Asym:res-02 MNI152NLin6Asym:res-2").unwrap().to_string(), "MNI152NLin6Asym:res-2");
    assert_eq!(parse("MNIPediatricAsym:res-1:cohort-3").unwrap().to_string(), "MNIPediatricAsym:cohort-3:res-1");
}

#[test]
fn several_values_multiply() {
    let spaces = parse("MNIPediatricAsym:cohort-5:cohort-6:res-2:res-native").unwrap();
    let expected = "MNIPediatricAsym:cohort-5:res-2 MNIPediatricAsym:cohort-5:res-native \
                    MNIPediatricAsym:cohort-6:res-2 MNIPediatricAsym:cohort-6:res-native";
    assert_eq!(spaces.to_string(), expected);
    let [five, six] = spaces.templates()[..] else { panic!("{spaces}") };
    assert_eq!((five.label(), six.to_string()), ("MNIPediatricAsym+5".into(), "MNIPediatricAsym:cohort-6".into()));
    let resolutions: Vec<Resolution> = spaces.resolutions(five).collect();
    assert_eq!(resolutions, [Resolution::Numbered(2), Resolution::Native]);
}

#[test]
fn the_default_is_what_the_documentation_says() {
    let spaces = Spaces::default();
    assert_eq!(spaces.to_string(), "MNI152NLin2009cAsym:res-2 func");
    assert_eq!(parse(&spaces.to_string()).unwrap(), spaces);
    assert!(spaces.need_anatomy());
    assert!(!parse("func").unwrap().need_anatomy());
    assert!(parse("T1w").unwrap().need_anatomy());
    assert_eq!(spaces.templates(), [&TemplateId::built_in()]);
}

#[test]
fn names_of_files_have_the_entities() {
    let entities = |text: &str| {
        let spaces = parse(text).unwrap();
        let pairs = spaces.iter().flat_map(Space::entities).map(|(key, label)| format!("{key}-{label}"));
        pairs.collect::<Vec<_>>().join("_")
    };
    assert_eq!(entities("func"), "");
    assert_eq!(entities("anat"), "space-T1w");
    assert_eq!(entities("MNI152NLin2009cAsym"), "space-MNI152NLin2009cAsym");
    assert_eq!(entities("MNI152NLin2009cAsym:res-02"), "space-MNI152NLin2009cAsym_res-2");
    assert_eq!(entities("MNI152NLin6Asym:res-native"), "space-MNI152NLin6Asym_res-native");
    assert_eq!(entities("MNIPediatricAsym:cohort-2:res-1"), "space-MNIPediatricAsym_cohort-2_res-1");
}

#[test]
fn what_is_unknown_is_refused_with_the_nearest() {
    for (wrong, right) in [
        ("MNI152NLin2009cAsm:res-2", "MNI152NLin2009cAsym"),
        ("mni152nlin6asym", "MNI152NLin6Asym"),
        ("t1w", "T1w"),
        ("BOLD", "bold"),
        ("MNIPediatric:cohort-1", "MNIPediatricAsym"),
        ("MNI152NLin2009c", "MNI152NLin2009cSym"),
    ] {
        let Err(SpaceError::Unknown { name, nearest }) = parse(wrong) else { panic!("{wrong}") };
        assert_eq!((name.as_str(), nearest.as_str()), (wrong.split(':').next().unwrap(), right));
    }
    let error = parse("MNI152NLin2009cAsm").unwrap_err().to_string();
    assert_eq!(error, r#""MNI152NLin2009cAsm" is not an output space; did you mean MNI152NLin2009cAsym?"#);
}

#[test]
fn what_is_known_and_not_made_is_refused_with_a_reason() {
    for (text, word) in [
        ("fsaverage", "surface"),
        ("fsaverage5:den-10k", "surface"),
        ("fsLR:den-32k", "surface"),
        ("fsnative", "surface"),
        ("MNI152NLin6Asym:den-91k", "den-"),
        ("session", "T1w"),
        ("MouseIn", "human"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, SpaceError::Unsupported { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains(word) && error.to_string().lines().count() == 1, "{error}");
    }
}

#[test]
fn modifiers_that_do_not_fit_are_refused() {
    for text in [
        "MNI152NLin6Asym:",
        "MNI152NLin6Asym:2",
        "MNI152NLin6Asym:res-",
        "MNI152NLin6Asym:res-0",
        "MNI152NLin6Asym:res-iso1.6mm",
        "MNI152NLin6Asym:res-+2",
        "MNI152NLin6Asym:res-100",
        "MNI152NLin6Asym::res-2",
        "MNIPediatricAsym:cohort-x",
    ] {
        assert!(matches!(parse(text), Err(SpaceError::Modifier { .. })), "{text}: {:?}", parse(text));
    }
    assert!(matches!(parse("T1w:res-2"), Err(SpaceError::NoVariants { name: "T1w", .. })));
    assert!(matches!(parse("bold:res-native"), Err(SpaceError::NoVariants { name: "func", .. })));
    assert!(matches!(parse("MNIPediatricAsym:res-1"), Err(SpaceError::Cohort { last: 6, .. })));
    assert!(matches!(parse("MNIPediatricAsym:cohort-7"), Err(SpaceError::Cohort { .. })));
    assert!(matches!(parse("MNI152NLin6Asym:cohort-1"), Err(SpaceError::NoCohorts { .. })));
    assert_eq!(parse(" "), Err(SpaceError::None));
}

#[test]
fn a_site_s_own_template_is_taken() {
    let own = ["Lab42".to_owned()];
    let spaces = Spaces::parse(["Lab42:res-1", "Lab42:cohort-3"], &own).unwrap();
    assert_eq!(spaces.to_string(), "Lab42:res-1 Lab42:cohort-3");
    let Err(SpaceError::Unknown { nearest, .. }) = Spaces::parse(["lab4"], &own) else { panic!() };
    assert_eq!(nearest, "Lab42");
}
