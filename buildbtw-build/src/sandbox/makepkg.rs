//! makepkg's command lines, and what its exit codes mean.

use crate::report::OutcomeClass;
use crate::request::{BuildRequest, NetworkMode, RootMode};

/// One call of makepkg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its arguments.
    pub arguments: Vec<&'static str>,
    /// Whether it may use the network.
    pub network: bool,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a call of makepkg is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It fetches and checks the sources, and nothing else.
    Sources,
    /// It builds, or does a part of it.
    Build,
}

/// The calls that make up a build, in order.
///
/// The sources are fetched by a call of their own: only that one needs the network, and its exit code
/// is the one sure sign that the sources, and not the build, are at fault.
pub fn calls(request: &BuildRequest) -> Vec<Call> {
    let usual = ["--noconfirm", "--noprogressbar", "--nosign"];
    let mut build = usual.to_vec();
    // Sources from version control are there; without the network they cannot be brought up to
    // date again. pkgver() runs all the same.
    build.push("--holdver");
    build.push(if request.check {
        "--check"
    } else {
        "--nocheck"
    });
    if !request.assumed.is_empty() {
        // What is assumed is in no db; the installation was compared as a whole instead.
        build.push("--nodeps");
    }
    let call = |purpose, network, base: &[&'static str], more: &[&'static str]| Call {
        arguments: [base, more].concat(),
        network,
        purpose,
    };
    let mut calls = vec![call(
        Purpose::Sources,
        true,
        &usual,
        &["--verifysource", "--nodeps"],
    )];
    match request.network {
        NetworkMode::Sources => calls.push(call(Purpose::Build, false, &build, &[])),
        NetworkMode::Prepare => {
            calls.push(call(Purpose::Build, true, &build, &["--nobuild"]));
            calls.push(call(Purpose::Build, false, &build, &["--noextract"]));
        }
        NetworkMode::All => calls.push(call(Purpose::Build, true, &build, &[])),
    }
    calls
}

/// The whole environment of makepkg.
pub fn environment(request: &BuildRequest, jobs: u32, library: &str) -> Vec<(String, String)> {
    let path = match request.root_mode {
        // bash as a login shell puts the folders of the installed packages first.
        RootMode::Packages => "/usr/local/sbin:/usr/local/bin:/usr/bin",
        RootMode::Host => "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    };
    let pairs = [
        ("PATH", path.to_owned()),
        ("HOME", "/build".to_owned()),
        ("USER", super::config::BUILD_USER.to_owned()),
        ("LOGNAME", super::config::BUILD_USER.to_owned()),
        ("SHELL", "/bin/bash".to_owned()),
        // makepkg's messages are read, so they must not be translated.
        ("LANG", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("BUILDDIR", "/build".to_owned()),
        ("PKGDEST", "/pkgdest".to_owned()),
        ("SRCDEST", "/srcdest".to_owned()),
        ("SRCPKGDEST", "/srcpkgdest".to_owned()),
        ("LOGDEST", "/logdest".to_owned()),
        ("PACKAGER", request.packager.clone()),
        ("SOURCE_DATE_EPOCH", request.source_date_epoch.to_string()),
        ("MAKEFLAGS", format!("-j{jobs}")),
        // The same under the name that makepkg 6 knows and under that of its successors.
        ("LIBRARY", library.to_owned()),
        ("MAKEPKG_LIBRARY", library.to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Whose business it is that makepkg ended with a code other than 0.
///
/// The codes are those of makepkg(8), "Errors". A PKGBUILD can end makepkg with any code it likes;
/// one that pretends to be the machine's fault is tried again a few times and no more.
pub fn class_of(code: i32, purpose: Purpose, root_mode: RootMode) -> OutcomeClass {
    match (code, purpose) {
        // A source is missing or is not what the PKGBUILD says.
        (1, Purpose::Sources) => OutcomeClass::Sources,
        // Our own configuration, our own command line, root, folders that cannot be written. Once
        // the sources are fetched all that is known to be right, and these codes come from programs
        // of the build: bash ends with 2 when it cannot start another process.
        (2 | 3 | 10 | 11, Purpose::Sources) => OutcomeClass::Infrastructure,
        (8, _) => OutcomeClass::Dependencies,
        // A tool that makepkg itself needs is missing: in the root, or on this machine.
        (15, _) => match root_mode {
            RootMode::Packages => OutcomeClass::Dependencies,
            RootMode::Host => OutcomeClass::Infrastructure,
        },
        // SIGTERM, which nobody here sent: the machine is being shut down.
        (143, _) => OutcomeClass::Infrastructure,
        _ => OutcomeClass::Package,
    }
}

/// What an exit code says, in words.
pub fn meaning(code: i32, purpose: Purpose) -> &'static str {
    match (code, purpose) {
        (1, Purpose::Sources) => {
            "a source could not be fetched, or is not what the PKGBUILD says it is"
        }
        (4, _) => "a function of the PKGBUILD failed",
        (5, _) => "a package could not be put together",
        (6, _) => "the PKGBUILD cannot be read",
        (7, _) => "the PKGBUILD uses a folder of another package",
        (8, _) => "something that the PKGBUILD depends on is not installed",
        (10, _) => "makepkg does not run as root",
        (11, _) => "a folder cannot be written",
        (12, _) => "the PKGBUILD is not valid",
        (13, _) => "the package is there already",
        (15, _) => "a program that makepkg needs is not there",
        (143, _) => "it was asked to end",
        _ => "it failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(network: NetworkMode) -> BuildRequest {
        serde_json::from_value(serde_json::json!({
            "pkgbase": "p", "architecture": "x86_64", "source": "/s", "packager": "P <p@example.org>",
            "source_date_epoch": 1, "check": true, "pass": 1, "root_mode": "host",
            "network": network, "repositories": [], "install": [], "assumed": [], "pkgnames": ["p"],
        }))
        .unwrap()
    }

    #[test]
    fn only_what_may_use_the_network_does() {
        let online = |network| -> Vec<bool> {
            calls(&request(network))
                .iter()
                .map(|call| call.network)
                .collect()
        };
        assert_eq!(online(NetworkMode::Sources), [true, false]);
        assert_eq!(online(NetworkMode::Prepare), [true, true, false]);
        assert_eq!(online(NetworkMode::All), [true, true]);
    }

    #[test]
    fn check_and_nodeps_follow_the_request() {
        let mut request = request(NetworkMode::Sources);
        let build = |request: &BuildRequest| calls(request).pop().unwrap().arguments;
        assert!(build(&request).contains(&"--check") && !build(&request).contains(&"--nodeps"));
        request.check = false;
        request.assumed = vec!["x".into()];
        assert!(build(&request).contains(&"--nocheck") && build(&request).contains(&"--nodeps"));
    }

    #[test]
    fn codes_are_classed_by_what_the_call_was_for() {
        use OutcomeClass::{Dependencies, Infrastructure, Package, Sources};
        for (code, sources, build) in [
            (1, Sources, Package),
            (2, Infrastructure, Package),
            (4, Package, Package),
            (8, Dependencies, Dependencies),
            (12, Package, Package),
            (15, Infrastructure, Infrastructure),
            (137, Package, Package),
            (143, Infrastructure, Infrastructure),
        ] {
            assert_eq!(
                class_of(code, Purpose::Sources, RootMode::Host),
                sources,
                "{code}"
            );
            assert_eq!(
                class_of(code, Purpose::Build, RootMode::Host),
                build,
                "{code}"
            );
        }
    }
}
