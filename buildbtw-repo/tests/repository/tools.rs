//! Running the real tools.

use std::path::Path;
use std::process::{Command, Output};

use buildbtw_repo::PackageInfo;

/// Runs a command that must succeed; gives its stdout.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command; whether it succeeded is for the caller to judge.
pub fn output(command: &mut Command) -> Output {
    command
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"))
}

/// A shell line in a folder; must succeed.
pub fn shell(folder: &Path, line: &str) -> String {
    run(Command::new("bash")
        .args(["-euo", "pipefail", "-c", line])
        .current_dir(folder))
}

/// The least that a package says about itself.
pub fn info(pkgname: &str, version: &str) -> PackageInfo {
    PackageInfo {
        pkgname: pkgname.to_owned(),
        pkgbase: pkgname.to_owned(),
        version: version.to_owned(),
        pkgdesc: format!("{pkgname} for a test"),
        packager: "Test <test@example.org>".to_owned(),
        builddate: 1_700_000_000,
        arch: "x86_64".to_owned(),
        ..PackageInfo::default()
    }
}
