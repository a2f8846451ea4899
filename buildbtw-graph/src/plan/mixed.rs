//! The world in which the builds of a plan install packages: those of the
//! members of the build set, newly made, before everything that is released.

use std::collections::{HashMap, HashSet};

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::worlds::{Package, Released, Sources, World, sort_by_name};
use crate::index::{Numbered, SourceIndex, address};
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
    members: Vec<Member<'a>>,
    numbers: HashMap<&'a PkgBase, u32, FxBuildHasher>,
    /// The same by the address of the source, which is found without reading a name.
    addresses: FxHashMap<usize, u32>,
    made: FxHashSet<&'a str>,
}

impl<'a> Mixed<'a> {
    /// `members` are numbered in the order in which they are given.
    pub fn new(
        sources: Sources<'a>,
        released: Released<'a>,
        members: impl Iterator<Item = Member<'a>>,
    ) -> Self {
        let members: Vec<Member<'a>> = members.collect();
        let mut mixed = Mixed {
            sources,
            released,
            numbers: HashMap::with_capacity_and_hasher(members.len(), FxBuildHasher),
            addresses: HashMap::with_capacity_and_hasher(members.len(), FxBuildHasher),
            made: HashSet::with_capacity_and_hasher(members.len(), FxBuildHasher),
            members,
        };
        for (number, member) in mixed.members.iter().enumerate() {
            let packages = member.source.pkgnames(sources.on);
            let names = packages.map(|package| package.pkgname.as_str());
            mixed.made.extend(names);
            mixed.numbers.insert(&member.source.pkgbase, number as u32);
            let address = address::<SourcePackage>(member.source);
            mixed.addresses.insert(address, number as u32);
        }
        mixed
    }

    /// The default branches.
    pub fn index(&self) -> &'a SourceIndex {
        self.sources.base
    }

    /// The number of the member that makes a package, if one does.
    pub fn member_of(&self, package: Package<'_>) -> Option<u32> {
        match package {
            Package::Released(_) => None,
            Package::Source(source, ..) => self.number_of(source),
        }
    }

    /// The numbers of the relations of a package's source, if the index has them, with its place there.
    pub fn numbered(
        &self,
        package: Package<'a>,
    ) -> Option<(&'a Numbered, &'a SourcePackage, usize)> {
        let Package::Source(source, package, _) = package else {
            return None;
        };
        let numbered = self.index().numbered(source)?;
        let mut packages = source.packages.iter();
        let item = packages.position(|it| std::ptr::eq(it, package))?;
        Some((numbered, source, item))
    }

    /// The number of a member.
    pub fn number(&self, pkgbase: &PkgBase) -> Option<u32> {
        self.numbers.get(pkgbase).copied()
    }

    /// The number of the member that a source is, in this form or in another one.
    fn number_of(&self, source: &SourcePackage) -> Option<u32> {
        let known = self
            .addresses
            .get(&address::<SourcePackage>(source))
            .copied();
        known.or_else(|| self.number(&source.pkgbase))
    }

    fn hides(&self, package: Package<'_>) -> bool {
        let is_member = match package {
            Package::Source(source, ..) => self.number_of(source),
            Package::Released(package) => self.number(&package.pkgbase),
        };
        is_member.is_some() || self.made.contains(package.pkgname().as_str())
    }

    /// The member's own form of a package that was found in the sources.
    fn new_package(
        &self,
        source: &'a SourcePackage,
        package: &'a crate::source::SplitPackage,
    ) -> Option<Package<'a>> {
        let member = self.members[self.number_of(source)? as usize];
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
