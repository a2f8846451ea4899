//! Writes the packages that a `.SRCINFO` promises.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use buildbtw_graph::{
    Architecture, MAX_SRCINFO_LENGTH, Provision, Relation, SourcePackage, SplitPackage,
    SrcinfoError, read_srcinfo,
};
use buildbtw_repo::PackageInfo;
use buildbtw_repo::write::{WriteError, package_file_name, write_package};

use super::{FakeRule, FakeRules};
use crate::request::BuildRequest;
use crate::sandbox::open_archive;

/// Why no packages were written.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// The source cannot be read, or the folder not be made.
    #[error("the source tree cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is no `.SRCINFO`.
    #[error("the source tree has no .SRCINFO, from which fake packages are made")]
    NoSrcinfo,
    /// It is not one.
    #[error("the .SRCINFO cannot be read: {0}")]
    Srcinfo(#[from] SrcinfoError),
    /// The architecture is none.
    #[error("{0:?} is no architecture")]
    Architecture(String),
    /// A package cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Nothing is made for the architecture.
    #[error("{pkgbase} makes no package for {architecture}")]
    Nothing {
        /// The package base.
        pkgbase: String,
        /// The architecture.
        architecture: String,
    },
}

impl FakeError {
    /// Whether the fault lies in the package and not on this machine.
    pub fn is_of_the_package(&self) -> bool {
        !matches!(
            self,
            Self::Io(_) | Self::Write(WriteError::Io { .. }) | Self::Architecture(_)
        )
    }
}

/// Writes all packages of a build into a folder and hands back where they are.
pub fn write(
    request: &BuildRequest,
    rule: &FakeRule,
    rules: &FakeRules,
    folder: &Path,
) -> Result<Vec<PathBuf>, FakeError> {
    let architecture: Architecture = request
        .architecture
        .parse()
        .map_err(|_| FakeError::Architecture(request.architecture.clone()))?;
    let source = read_srcinfo(&srcinfo(&request.source)?)?.package;
    std::fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    let mut add = |info: PackageInfo| -> Result<(), FakeError> {
        let name = package_file_name(&info).map_err(WriteError::from)?;
        let path = folder.join(name.to_string());
        // Something to install, at a place that no other package has.
        let file = format!("usr/share/buildbtw-fake/{}", info.pkgname);
        let mut content = format!("{} {}\n", info.pkgname, info.version).into_bytes();
        content.extend(noise(rule.size));
        write_package(&path, &info, &[(file, content, 0o644)])?;
        paths.push(path);
        Ok(())
    };
    let soname = |name: &str| rules.soname(rule, name);
    for package in source.pkgnames(&architecture) {
        if rule
            .missing_packages
            .iter()
            .any(|name| name == package.pkgname.as_str())
        {
            continue;
        }
        add(info(
            request,
            rule,
            &source,
            package,
            &architecture,
            &soname,
        ))?;
    }
    for name in &rule.additional_packages {
        add(PackageInfo {
            pkgname: name.clone(),
            ..basics(request, rule, &source, &architecture)
        })?;
    }
    if paths.is_empty() && rule.missing_packages.is_empty() {
        return Err(FakeError::Nothing {
            pkgbase: source.pkgbase.to_string(),
            architecture: request.architecture.clone(),
        });
    }
    Ok(paths)
}

/// The text of `.SRCINFO`, which lies at the top of the archive or in the only folder there.
/// Bytes that do not compress, the same every time (a linear congruential generator; its high
/// bits are used, which repeat latest).
fn noise(length: usize) -> impl Iterator<Item = u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(length)
}

fn srcinfo(archive: &Path) -> Result<String, FakeError> {
    let mut archive = tar::Archive::new(open_archive(archive)?);
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let depth = path
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .count();
        if path.file_name().is_some_and(|name| name == ".SRCINFO") && depth <= 2 {
            let mut text = String::new();
            entry
                .take(MAX_SRCINFO_LENGTH as u64 + 1)
                .read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(FakeError::NoSrcinfo)
}

fn basics(
    request: &BuildRequest,
    rule: &FakeRule,
    source: &SourcePackage,
    architecture: &Architecture,
) -> PackageInfo {
    PackageInfo {
        pkgbase: source.pkgbase.to_string(),
        version: match &rule.version {
            Some(version) => version.clone(),
            None => source.version.to_string(),
        },
        pkgdesc: "Made by the fake builder: it has no content".to_owned(),
        builddate: request.source_date_epoch,
        packager: request.packager.clone(),
        arch: architecture.to_string(),
        ..PackageInfo::default()
    }
}

fn info(
    request: &BuildRequest,
    rule: &FakeRule,
    source: &SourcePackage,
    package: &SplitPackage,
    on: &Architecture,
    soname: &dyn Fn(&str) -> u64,
) -> PackageInfo {
    let relation = |relation: &Relation| match relation.constraint {
        None if is_soname(&relation.name) => with_number(&relation.name, soname),
        _ => relation.to_string(),
    };
    let provision = |provision: &Provision| match provision.version {
        None if is_soname(&provision.name) => with_number(&provision.name, soname),
        _ => provision.to_string(),
    };
    let all =
        |list: &buildbtw_graph::PerArchitecture<Relation>| list.on(on).map(relation).collect();
    let plain = |list: &buildbtw_graph::PerArchitecture<Relation>| {
        list.on(on).map(ToString::to_string).collect()
    };
    let any = package.architectures.iter().find(|own| own.is_any());
    PackageInfo {
        pkgname: package.pkgname.to_string(),
        groups: package.groups.clone(),
        depends: all(&package.depends),
        provides: package.provides.on(on).map(provision).collect(),
        conflicts: plain(&package.conflicts),
        replaces: plain(&package.replaces),
        optdepends: plain(&package.optdepends),
        makedepends: plain(&source.makedepends),
        checkdepends: plain(&source.checkdepends),
        ..basics(request, rule, source, any.unwrap_or(on))
    }
}

/// Whether makepkg would look for a library of this name and fill in its number.
fn is_soname(name: &str) -> bool {
    name.ends_with(".so")
}

/// `libgreet.so=2-64`: 64 is the class of the library's ELF header, 64 bits everywhere here.
fn with_number(name: &str, soname: &dyn Fn(&str) -> u64) -> String {
    format!("{name}={}-64", soname(name))
}
