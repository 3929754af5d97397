use super::LicenseClass::{self, Copyleft, Permissive, PublicDomain, Restricted, WeakCopyleft};

/// The licences whose terms are known here, by SPDX identifier.
pub const KNOWN: &[(&str, LicenseClass)] = &[
    ("0BSD", PublicDomain),
    ("AFL-3.0", Permissive),
    ("AGPL-3.0", Copyleft),
    ("AGPL-3.0-only", Copyleft),
    ("AGPL-3.0-or-later", Copyleft),
    ("Apache-1.1", Permissive),
    ("Apache-2.0", Permissive),
    ("Artistic-2.0", WeakCopyleft),
    ("BlueOak-1.0.0", Permissive),
    ("BSD-1-Clause", Permissive),
    ("BSD-2-Clause", Permissive),
    ("BSD-2-Clause-Patent", Permissive),
    ("BSD-3-Clause", Permissive),
    ("BSD-3-Clause-Clear", Permissive),
    ("BSL-1.0", Permissive),
    ("bzip2-1.0.6", Permissive),
    ("CC-BY-3.0", Permissive),
    ("CC-BY-4.0", Permissive),
    ("CC-BY-NC-4.0", Restricted),
    ("CC-BY-NC-ND-4.0", Restricted),
    ("CC-BY-NC-SA-4.0", Restricted),
    ("CC-BY-ND-4.0", Restricted),
    ("CC-BY-SA-3.0", Copyleft),
    ("CC-BY-SA-4.0", Copyleft),
    ("CC0-1.0", PublicDomain),
    ("CDDL-1.0", WeakCopyleft),
    ("CDLA-Permissive-1.0", Permissive),
    ("CDLA-Permissive-2.0", Permissive),
    ("CDLA-Sharing-1.0", Copyleft),
    ("curl", Permissive),
    ("ECL-2.0", Permissive),
    ("EPL-1.0", WeakCopyleft),
    ("EPL-2.0", WeakCopyleft),
    ("EUPL-1.2", Copyleft),
    ("GFDL-1.3-only", Copyleft),
    ("GFDL-1.3-or-later", Copyleft),
    ("GPL-2.0", Copyleft),
    ("GPL-2.0-only", Copyleft),
    ("GPL-2.0-or-later", Copyleft),
    ("GPL-3.0", Copyleft),
    ("GPL-3.0-only", Copyleft),
    ("GPL-3.0-or-later", Copyleft),
    ("HPND", Permissive),
    ("ICU", Permissive),
    ("ISC", Permissive),
    ("LGPL-2.1", WeakCopyleft),
    ("LGPL-2.1-only", WeakCopyleft),
    ("LGPL-2.1-or-later", WeakCopyleft),
    ("LGPL-3.0", WeakCopyleft),
    ("LGPL-3.0-only", WeakCopyleft),
    ("LGPL-3.0-or-later", WeakCopyleft),
    ("MIT", Permissive),
    ("MIT-0", PublicDomain),
    ("MPL-1.1", WeakCopyleft),
    ("MPL-2.0", WeakCopyleft),
    ("MS-PL", WeakCopyleft),
    ("MulanPSL-2.0", Permissive),
    ("NCSA", Permissive),
    ("ODbL-1.0", Copyleft),
    ("ODC-By-1.0", Permissive),
    ("OFL-1.1", WeakCopyleft),
    ("OpenSSL", Permissive),
    ("PDDL-1.0", PublicDomain),
    ("PostgreSQL", Permissive),
    ("PSF-2.0", Permissive),
    ("Python-2.0", Permissive),
    ("Unicode-3.0", Permissive),
    ("Unicode-DFS-2016", Permissive),
    ("Unlicense", PublicDomain),
    ("UPL-1.0", Permissive),
    ("W3C", Permissive),
    ("WTFPL", PublicDomain),
    ("X11", Permissive),
    ("Zlib", Permissive),
    ("ZPL-2.1", Permissive),
];

const EXCEPTIONS: &[&str] = &[
    "Autoconf-exception-3.0",
    "Bison-exception-2.2",
    "Classpath-exception-2.0",
    "GCC-exception-3.1",
    "LLVM-exception",
    "OpenSSL-exception",
];

/// The identifier in SPDX spelling; SPDX compares without regard to case.
pub(super) fn id(name: &str) -> Option<&'static str> {
    KNOWN.iter().map(|(id, _)| *id).find(|id| id.eq_ignore_ascii_case(name))
}

pub(super) fn class(id: &str) -> Option<LicenseClass> {
    KNOWN.iter().find(|(known, _)| *known == id).map(|(_, class)| *class)
}

pub(super) fn exception(name: &str) -> Option<&'static str> {
    EXCEPTIONS.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}
