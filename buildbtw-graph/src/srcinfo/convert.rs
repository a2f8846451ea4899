//! What alpm-srcinfo read, in our types.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use alpm_srcinfo::SourceInfoV1;
use alpm_srcinfo::source_info::v1::package::{Override, Package};
use alpm_srcinfo::source_info::v1::package_base::{PackageBase, PackageBaseArchitecture};
use alpm_types::Architectures;

use super::{MAX_PACKAGES, SrcinfoError};
use crate::names::{Architecture, NameError};
use crate::relation::{Relation, RelationError};
use crate::source::{PerArchitecture, SourcePackage, SplitPackage};

/// The package that a file describes.
pub(super) fn convert(info: &SourceInfoV1) -> Result<SourcePackage, SrcinfoError> {
    if info.packages.len() > MAX_PACKAGES {
        return Err(SrcinfoError::TooManyPackages {
            count: info.packages.len(),
        });
    }
    let mut names = BTreeSet::new();
    for package in &info.packages {
        let pkgname = package.name.to_string();
        if let Some(pkgname) = names.replace(pkgname) {
            return Err(SrcinfoError::Twice { pkgname });
        }
    }
    let base = &info.base;
    let architectures = convert_architectures(&base.architectures)?;
    Ok(SourcePackage {
        pkgbase: base.name.to_string().parse()?,
        version: base.version.to_string().parse()?,
        depends: base_list(base, &base.dependencies, |p| &p.dependencies)?,
        makedepends: base_list(base, &base.make_dependencies, |p| &p.make_dependencies)?,
        checkdepends: base_list(base, &base.check_dependencies, |p| &p.check_dependencies)?,
        packages: info
            .packages
            .iter()
            .map(|package| convert_package(base, package, &architectures))
            .collect::<Result<_, _>>()?,
        architectures,
    })
}

fn convert_architectures(architectures: &Architectures) -> Result<Vec<Architecture>, NameError> {
    match architectures {
        Architectures::Any => Ok(vec![Architecture::any()]),
        Architectures::Some(list) => list.iter().map(|a| a.to_string().parse()).collect(),
    }
}

fn convert_package(
    base: &PackageBase,
    package: &Package,
    inherited: &[Architecture],
) -> Result<SplitPackage, SrcinfoError> {
    let architectures = match &package.architectures {
        Some(own) => convert_architectures(own)?,
        None => inherited.to_vec(),
    };
    let of_base = &base.architecture_properties;
    let of_package = &package.architecture_properties;
    // Each list may be replaced or cleared by the package, as a whole and for
    // single architectures, and the two do not touch each other.
    macro_rules! list {
        ($field:ident) => {{
            let mut list = PerArchitecture {
                every: parse_all(overridden(&base.$field, &package.$field))?,
                only: BTreeMap::new(),
            };
            let all: BTreeSet<_> = of_base.keys().chain(of_package.keys()).collect();
            for architecture in all {
                let base = of_base.get(architecture).map_or(&[][..], |p| &p.$field);
                let values = match of_package.get(architecture) {
                    Some(package) => overridden(base, &package.$field),
                    None => base,
                };
                if !values.is_empty() {
                    let name = architecture.to_string().parse()?;
                    list.only.insert(name, parse_all(values)?);
                }
            }
            list
        }};
    }
    let groups = match &package.groups {
        Override::No => base.groups.clone(),
        Override::Clear => Vec::new(),
        Override::Yes { value } => value.clone(),
    };
    Ok(SplitPackage {
        pkgname: package.name.to_string().parse()?,
        architectures,
        depends: list!(dependencies),
        provides: list!(provides),
        conflicts: list!(conflicts),
        replaces: list!(replaces),
        optdepends: list!(optional_dependencies),
        groups,
    })
}

fn overridden<'a, T>(base: &'a [T], package: &'a Override<Vec<T>>) -> &'a [T] {
    match package {
        Override::No => base,
        Override::Clear => &[],
        Override::Yes { value } => value,
    }
}

/// A list of the pkgbase section, with what it has for single architectures.
fn base_list<T: ToString>(
    base: &PackageBase,
    every: &[T],
    only: impl Fn(&PackageBaseArchitecture) -> &[T],
) -> Result<PerArchitecture<Relation>, SrcinfoError> {
    let mut list = PerArchitecture {
        every: parse_all(every)?,
        only: BTreeMap::new(),
    };
    for (architecture, properties) in &base.architecture_properties {
        let values = only(properties);
        if !values.is_empty() {
            let name = architecture.to_string().parse()?;
            list.only.insert(name, parse_all(values)?);
        }
    }
    Ok(list)
}

/// Goes through the text, whose form is pacman's own: alpm-types' versions
/// compare differently, so none of its types stay.
fn parse_all<T, P>(values: &[T]) -> Result<Vec<P>, RelationError>
where
    T: ToString,
    P: FromStr<Err = RelationError>,
{
    values
        .iter()
        .map(|value| {
            let text = value.to_string();
            // Only optdepends have a reason behind a colon and a blank.
            text.split_once(": ")
                .map_or(&*text, |(relation, _)| relation)
                .parse()
        })
        .collect()
}
