//! Looks at what a build made: packages with the names it was to make, and no others.

use std::collections::BTreeSet;

use buildbtw_repo::PackageFileName;

use crate::report::{BuildOutcome, OutcomeClass};
use crate::request::BuildRequest;

/// Turns a success into a failure of the package if a package is missing, or if there is one that was
/// not asked for. `<pkgbase>-debug` may be there: makepkg makes it from what it strips.
pub(crate) fn check(outcome: &mut BuildOutcome, request: &BuildRequest) {
    let debug = format!("{}-debug", request.pkgbase);
    let mut missing: BTreeSet<&str> = request.pkgnames.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for path in &outcome.packages {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        match name.parse::<PackageFileName>() {
            Ok(parsed) => {
                let pkgname = parsed.pkgname().as_str();
                let asked = request.pkgnames.iter().any(|other| other == pkgname);
                if !asked && pkgname != debug {
                    wrong.push(format!("{pkgname} was made, but is not in the .SRCINFO"));
                }
                missing.remove(pkgname);
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong.extend(missing.iter().map(|name| format!("{name} was not made")));
    if request.pkgnames.is_empty() || wrong.is_empty() {
        return;
    }
    outcome.class = OutcomeClass::Package;
    outcome.failed_step = Some("package".to_owned());
    outcome.message = format!(
        "the packages are not those of the .SRCINFO: {}",
        wrong.join("; ")
    );
    for path in outcome.packages.drain(..) {
        // The caller removes the folder; this only makes room early.
        let _ = std::fs::remove_file(path);
    }
}
