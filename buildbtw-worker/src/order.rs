//! From the server's words to the builder's, and back.

use std::path::PathBuf;

use buildbtw_api::OutcomeClass;
use buildbtw_api::runs::{BuildOrder, InstalledPackage, NetworkMode, RootMode};
use buildbtw_build::{BuildRequest, ExpectedPackage, Repository};

use crate::Workplace;

/// What the builder is to carry out.
pub fn request(place: &Workplace, order: &BuildOrder, source: PathBuf) -> BuildRequest {
    let base = place.client.base().as_str();
    BuildRequest {
        pkgbase: order.pkgbase.to_string(),
        architecture: order.architecture.to_string(),
        source,
        packager: order.packager.clone(),
        source_date_epoch: order.source_date_epoch,
        check: order.check,
        pass: order.pass,
        root_mode: root_mode(order.root_mode),
        network: network(order.network),
        repositories: order
            .repositories
            .iter()
            .map(|repository| Repository {
                name: repository.name.clone(),
                server: on_server(base, &repository.server),
                sig_level: None,
            })
            .collect(),
        install: order.install.clone(),
        assumed: order.assumed.clone(),
        expected: Some(
            order
                .expected
                .iter()
                .map(|package| ExpectedPackage {
                    pkgname: package.pkgname.to_string(),
                    version: package.version.to_string(),
                    sha256: package.sha256.clone(),
                    repository: package.repository.clone(),
                })
                .collect(),
        ),
        limits: place.limits.clone(),
        pkgnames: order.pkgnames.iter().map(ToString::to_string).collect(),
        makepkg_conf: None,
        fake: None,
    }
}

/// The address of a repository: what begins with `/` is on the server at `base`, which may itself
/// lie under a path. Variables such as `$arch` stay for pacman.
fn on_server(base: &str, server: &str) -> String {
    if server.starts_with('/') {
        format!("{}{server}", base.trim_end_matches('/'))
    } else {
        server.to_owned()
    }
}

fn root_mode(mode: RootMode) -> buildbtw_build::RootMode {
    match mode {
        RootMode::Packages => buildbtw_build::RootMode::Packages,
        RootMode::Host => buildbtw_build::RootMode::Host,
    }
}

/// A root mode that the builder can set up, in the server's words.
pub fn offered(mode: buildbtw_build::RootMode) -> RootMode {
    match mode {
        buildbtw_build::RootMode::Packages => RootMode::Packages,
        buildbtw_build::RootMode::Host => RootMode::Host,
    }
}

fn network(mode: NetworkMode) -> buildbtw_build::NetworkMode {
    match mode {
        NetworkMode::Sources => buildbtw_build::NetworkMode::Sources,
        NetworkMode::Prepare => buildbtw_build::NetworkMode::Prepare,
        NetworkMode::All => buildbtw_build::NetworkMode::All,
    }
}

/// How a build ended, in the server's words.
pub fn class(class: buildbtw_build::OutcomeClass) -> OutcomeClass {
    match class {
        buildbtw_build::OutcomeClass::Success => OutcomeClass::Success,
        buildbtw_build::OutcomeClass::Package => OutcomeClass::Package,
        buildbtw_build::OutcomeClass::Sources => OutcomeClass::Sources,
        buildbtw_build::OutcomeClass::Dependencies => OutcomeClass::Dependencies,
        buildbtw_build::OutcomeClass::Timeout => OutcomeClass::Timeout,
        buildbtw_build::OutcomeClass::Infrastructure => OutcomeClass::Infrastructure,
        buildbtw_build::OutcomeClass::Cancelled => OutcomeClass::Cancelled,
    }
}

/// What was installed, in the server's words.
pub fn installed(packages: Vec<buildbtw_build::InstalledPackage>) -> Vec<InstalledPackage> {
    packages
        .into_iter()
        .map(|package| InstalledPackage {
            pkgname: package.pkgname,
            version: package.version,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_on_the_server_get_its_address() {
        for (base, server, url) in [
            (
                "http://h:1/",
                "/repo/x/os/$arch",
                "http://h:1/repo/x/os/$arch",
            ),
            ("https://h/sub/", "/bases/00", "https://h/sub/bases/00"),
            ("http://h/", "https://mirror/$repo", "https://mirror/$repo"),
            ("http://h/", "file:///srv/repo", "file:///srv/repo"),
        ] {
            assert_eq!(on_server(base, server), url);
        }
    }
}
