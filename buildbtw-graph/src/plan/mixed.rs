//! The world in which the builds of a plan install packages: those of the
//! members of the build set, newly made, before everything that is released.

use std::collections::HashMap;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::worlds::{Package, Released, Sources, World, sort_by_name};
use crate::index::SourceIndex;
use crate::names::{Architecture, PkgBase};
use crate::source::SourcePackage;
use crate::version::Version;

/// One source of the build set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    /// The source, with the pkgrel it is to have.
    pub source: &'a SourcePackage,
    /// The version its packages will have.
    pub version: &'a Version,
}

/// New packages first, then released ones. What is released of a member is not
/// to be seen: neither its packages nor other packages of the same names.
pub(super) struct Mixed<'a> {
    sources: Sources<'a>,
    released: Released<'a>,
    members: HashMap<&'a PkgBase, (u32, Member<'a>), FxBuildHasher>,
    made: FxHashSet<&'a str>,
}

impl<'a> Mixed<'a> {
    /// `members` are numbered in the order in which they are given.
    pub fn new(
        sources: Sources<'a>,
        released: Released<'a>,
        members: impl Iterator<Item = Member<'a>>,
    ) -> Self {
        let mut made = FxHashSet::default();
        let members = members
            .enumerate()
            .map(|(number, member)| {
                let packages = member.source.pkgnames(sources.on);
                made.extend(packages.map(|package| package.pkgname.as_str()));
                (&member.source.pkgbase, (number as u32, member))
            })
            .collect();
        Mixed {
            sources,
            released,
            members,
            made,
        }
    }

    /// The default branches.
    pub fn index(&self) -> &'a SourceIndex {
        self.sources.base
    }

    /// The number of the member that makes a package, if one does.
    pub fn member_of(&self, package: Package<'_>) -> Option<u32> {
        match package {
            Package::Released(_) => None,
            Package::Source(source, ..) => self.number(&source.pkgbase),
        }
    }

    /// The number of a member.
    pub fn number(&self, pkgbase: &PkgBase) -> Option<u32> {
        self.members.get(pkgbase).map(|&(number, _)| number)
    }

    fn hides(&self, package: Package<'_>) -> bool {
        self.members.contains_key(package.pkgbase())
            || self.made.contains(package.pkgname().as_str())
    }

    /// The member's own form of a package that was found in the sources.
    fn new_package(
        &self,
        source: &'a SourcePackage,
        package: &'a crate::source::SplitPackage,
    ) -> Option<Package<'a>> {
        let &(_, member) = self.members.get(&source.pkgbase)?;
        let own = if std::ptr::eq(member.source, source) {
            package
        } else {
            let mut packages = member.source.packages.iter();
            packages.find(|own| own.pkgname == package.pkgname)?
        };
        own.is_made_for(self.sources.on).then_some(Package::Source(
            member.source,
            own,
            member.version,
        ))
    }
}

impl<'a> World<'a> for Mixed<'a> {
    fn named(&self, name: &str, found: &mut Vec<Package<'a>>) {
        let start = found.len();
        self.sources.each_named(name, |source, package| {
            found.extend(self.new_package(source, package));
        });
        sort_by_name(&mut found[start..]);
        let released = found.len();
        self.released.named(name, found);
        hide(found, released, |package| self.hides(package));
    }

    fn providing(&self, name: &str, found: &mut Vec<Package<'a>>) {
        let start = found.len();
        self.sources.each_providing(name, |source, package| {
            found.extend(self.new_package(source, package));
        });
        sort_by_name(&mut found[start..]);
        let released = found.len();
        self.released.providing(name, found);
        hide(found, released, |package| self.hides(package));
    }

    fn on(&self) -> &'a Architecture {
        self.sources.on
    }
}

/// Takes out what is hidden among the packages from `start` on.
fn hide<'a>(found: &mut Vec<Package<'a>>, start: usize, hidden: impl Fn(Package<'a>) -> bool) {
    let mut kept = start;
    for at in start..found.len() {
        if !hidden(found[at]) {
            found[kept] = found[at];
            kept += 1;
        }
    }
    found.truncate(kept);
}
