use std::str::FromStr;

use proptest::prelude::*;

use super::{License, LicenseClass, TrainingUse, allows_training};
use crate::CorpusError;

#[test]
fn expressions_are_read_as_spdx_reads_them() {
    let check = |text: &str, canonical: &str, class: LicenseClass| {
        let license = License::from_str(text).unwrap();
        assert_eq!((license.to_string().as_str(), license.class()), (canonical, class), "{text}");
        assert_eq!(License::from_str(canonical).unwrap(), license);
    };
    check("MIT", "MIT", LicenseClass::Permissive);
    check("MIT/Apache-2.0", "MIT OR Apache-2.0", LicenseClass::Permissive);
    check("mit or apache-2.0", "MIT OR Apache-2.0", LicenseClass::Permissive);
    check("GPL-2.0+", "GPL-2.0+", LicenseClass::Copyleft);
    check("MIT OR GPL-3.0-only", "MIT OR GPL-3.0-only", LicenseClass::Permissive);
    check("MIT AND MPL-2.0", "MIT AND MPL-2.0", LicenseClass::WeakCopyleft);
    check(
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        LicenseClass::Permissive,
    );
    check("MIT OR Zlib AND GPL-3.0-only", "MIT OR Zlib AND GPL-3.0-only", LicenseClass::Permissive);
    check(
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        LicenseClass::WeakCopyleft,
    );
    check(
        "Apache-2.0 WITH LLVM-exception OR CC0-1.0",
        "Apache-2.0 WITH LLVM-exception OR CC0-1.0",
        LicenseClass::PublicDomain,
    );
}

#[test]
fn an_unknown_licence_is_refused_with_the_list() {
    for text in ["Proprietary", "MIT AND Mine", "MIT WITH my-exception", "LicenseRef-x"] {
        let error = License::from_str(text).unwrap_err();
        assert!(matches!(error, CorpusError::UnknownLicense { .. }), "{text}");
        assert!(error.to_string().contains("Apache-2.0, Artistic-2.0"), "{error}");
    }
}

#[test]
fn broken_grammar_is_refused() {
    for text in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0", "()", &"(".repeat(200)] {
        assert!(matches!(License::from_str(text), Err(CorpusError::BadLicense { .. })), "{text}");
    }
    assert!(matches!(License::from_str(&"M".repeat(300)), Err(CorpusError::TooLarge { .. })));
}

#[test]
fn copyleft_is_flagged_and_restriction_denied_for_training() {
    assert_eq!(allows_training("MIT OR GPL-3.0-only").unwrap(), TrainingUse::Allowed);
    assert_eq!(allows_training("GPL-3.0-only").unwrap(), TrainingUse::Flagged);
    assert_eq!(allows_training("CC-BY-NC-4.0").unwrap(), TrainingUse::Denied);
    let license = License::from_str("MPL-2.0").unwrap();
    assert!(license.require_at_most(LicenseClass::WeakCopyleft).is_ok());
    assert!(license.require_at_most(LicenseClass::Permissive).is_err());
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_accepted_has_a_canonical_form(text in "(MIT|Zlib|GPL-2.0|OR|AND|WITH|LLVM-exception|/|\\(|\\)|\\+| ){0,24}") {
        if let Ok(license) = License::from_str(&text) {
            prop_assert_eq!(License::from_str(&license.to_string()).unwrap().class(), license.class());
        }
    }
}
