//! The packages that a build finds: the members' new ones first.

use rustc_hash::{FxHashMap, FxHashSet};

use super::worlds::{After, AsReleased, By, Lookup, Pkg, Worlds};
use crate::index::address;
use crate::names::PkgBase;
use crate::source::SourcePackage;
use crate::version::Version;

/// A member of the build set in the form in which it is built.
pub(super) struct Member<'w> {
    pub source: std::borrow::Cow<'w, SourcePackage>,
    pub version: Version,
}

/// A build root's repositories: the members' new packages before what is
/// released of all others.
pub(super) struct Root<'v, 'w> {
    worlds: &'v Worlds<'w>,
    members: &'w [Member<'w>],
    numbers: FxHashMap<&'w str, u32>,
    /// The same by where the sources stand.
    keys: FxHashMap<usize, u32>,
    made: FxHashSet<&'w str>,
}

impl<'v, 'w> Root<'v, 'w> {
    pub fn new(worlds: &'v Worlds<'w>, members: &'w [Member<'w>]) -> Self {
        let mut root = Root {
            worlds,
            members,
            numbers: FxHashMap::default(),
            keys: FxHashMap::default(),
            made: FxHashSet::default(),
        };
        for (number, member) in members.iter().enumerate() {
            let name = member.source.pkgbase.as_str();
            root.numbers.insert(name, number as u32);
            root.keys
                .insert(address::<SourcePackage>(&member.source), number as u32);
            let made = member.source.packages.iter();
            let made = made.filter(|split| split.is_made_for(worlds.on));
            root.made.extend(made.map(|split| split.pkgname.as_str()));
        }
        root
    }

    /// The member that makes a package new.
    pub fn maker(&self, pkg: Pkg<'_>) -> Option<u32> {
        match pkg {
            Pkg::Stored(_) => None,
            Pkg::Made { source, .. } => {
                let known = self.keys.get(&address::<SourcePackage>(source)).copied();
                known.or_else(|| self.number(&source.pkgbase))
            }
        }
    }

    pub fn number(&self, pkgbase: &PkgBase) -> Option<u32> {
        self.numbers.get(pkgbase.as_str()).copied()
    }

    /// The form in which a member makes a package.
    fn as_built(&self, pkg: Pkg<'w>) -> Option<Pkg<'w>> {
        let member = &self.members[self.maker(pkg)? as usize];
        let splits = member.source.packages.iter();
        let mut splits = splits.filter(|split| split.is_made_for(self.worlds.on));
        Some(Pkg::Made {
            source: &member.source,
            split: splits.find(|split| split.pkgname == *pkg.name())?,
            version: &member.version,
        })
    }
}

impl<'w> Lookup<'w> for Root<'_, 'w> {
    fn look_up(&self, name: &str, by: By, found: &mut Vec<Pkg<'w>>) {
        let mut new = Vec::new();
        After(self.worlds).look_up(name, by, &mut new);
        // All that is new lies in one repository, whichever it is released to.
        new.sort_by_key(|pkg| {
            let other = pkg.name().as_str() != pkg.base().as_str();
            (pkg.name(), other, pkg.base())
        });
        found.extend(new.into_iter().filter_map(|pkg| self.as_built(pkg)));
        let mut old = Vec::new();
        AsReleased(self.worlds).look_up(name, by, &mut old);
        old.retain(|pkg| {
            let replaced = match pkg {
                Pkg::Made { .. } => self.maker(*pkg).is_some(),
                Pkg::Stored(_) => self.numbers.contains_key(pkg.base().as_str()),
            };
            !replaced && !self.made.contains(pkg.name().as_str())
        });
        found.extend(old);
    }
}
