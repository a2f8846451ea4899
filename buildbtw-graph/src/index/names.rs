//! What is known about a name: who is called so, who provides it, who wants it.
//!
//! The table is cut into shards, each behind an [`Arc`]. A clone shares them
//! all, and a change copies only the shards that it touches: a plan can hold
//! the table of a moment while the next change goes in.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::relation::Relation;

/// Where a package stands: the source (or repository) it belongs to, and its
/// number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the source or repository.
    pub container: u32,
    /// The number of the package in it, or [`Place::BUILD`].
    pub item: u32,
}

impl Place {
    /// Stands for the pkgbase section of a source instead of one package.
    pub const BUILD: u32 = u32::MAX;
}

/// What is known about one name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    /// Whose pkgbase has the name.
    pub bases: Vec<Place>,
    /// Packages of that name.
    pub packages: Vec<Place>,
    /// Packages that provide the name, besides their own.
    pub providers: Vec<Place>,
    /// Released packages with a relation to the name; each once.
    pub wanted_by: Vec<Place>,
    /// The relations of sources to the name.
    pub wanted: Vec<Wanted>,
}

/// A relation, with the sources that have it. Thousands of packages have the
/// same few.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub relation: Arc<Relation>,
    /// The relation's number in its index.
    pub number: u32,
    /// The packages (or pkgbase sections) that have it on some architecture;
    /// each once.
    pub users: Vec<Place>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.bases.is_empty()
            && self.packages.is_empty()
            && self.providers.is_empty()
            && self.wanted_by.is_empty()
            && self.wanted.is_empty()
    }
}

/// The list of a [`Slot`] that an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Bases,
    Packages,
    Providers,
    WantedBy,
}

impl List {
    fn of(self, slot: &mut Slot) -> &mut Vec<Place> {
        match self {
            List::Bases => &mut slot.bases,
            List::Packages => &mut slot.packages,
            List::Providers => &mut slot.providers,
            List::WantedBy => &mut slot.wanted_by,
        }
    }
}

const SHARD_BITS: u32 = 8;

type Shard = HashMap<Box<str>, Slot, FxBuildHasher>;

/// All names with their [`Slot`]s.
#[derive(Debug, Clone)]
pub(crate) struct NameTable {
    shards: Vec<Arc<Shard>>,
}

impl Default for NameTable {
    fn default() -> Self {
        NameTable {
            shards: vec![Arc::default(); 1 << SHARD_BITS],
        }
    }
}

impl NameTable {
    /// What is known about a name.
    pub fn get(&self, name: &str) -> Option<&Slot> {
        self.shards[shard_of(name)].get(name)
    }

    /// Adds an entry; one that is there already stays single.
    pub fn add(&mut self, list: List, name: &str, place: Place) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let slot = match shard.get_mut(name) {
            Some(slot) => slot,
            None => shard.entry(name.into()).or_default(),
        };
        let entries = list.of(slot);
        // Entries of one package come one after the other, so a double one is
        // the last.
        if entries.last() != Some(&place) {
            entries.push(place);
        }
    }

    /// Adds a user of a relation, which gets the number of `free` if nobody has
    /// had it; answers with its number.
    pub fn add_user(
        &mut self,
        relation: &Relation,
        place: Place,
        free: impl FnOnce() -> u32,
    ) -> u32 {
        let name = relation.name.as_str();
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let slot = match shard.get_mut(name) {
            Some(slot) => slot,
            None => shard.entry(name.into()).or_default(),
        };
        let known = slot.wanted.iter_mut().find(|it| *it.relation == *relation);
        if let Some(known) = known {
            if known.users.last() != Some(&place) {
                known.users.push(place);
            }
            return known.number;
        }
        let number = free();
        slot.wanted.push(Wanted {
            relation: Arc::new(relation.clone()),
            number,
            users: vec![place],
        });
        number
    }

    /// Takes a user of a relation out again; answers with the relation's number
    /// if nobody else has it.
    pub fn remove_user(&mut self, relation: &Relation, place: Place) -> Option<u32> {
        let name = relation.name.as_str();
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let slot = shard.get_mut(name)?;
        let mut wanted = slot.wanted.iter();
        let at = wanted.position(|it| *it.relation == *relation)?;
        let users = &mut slot.wanted[at].users;
        users.retain(|&user| user != place);
        if !users.is_empty() {
            return None;
        }
        let number = slot.wanted.swap_remove(at).number;
        if slot.is_empty() {
            shard.remove(name);
        }
        Some(number)
    }

    /// Adds an entry at its place in a list that is in order; one that is there
    /// already stays single. `is_before` says whether another entry comes first.
    pub fn add_in_order(
        &mut self,
        list: List,
        name: &str,
        place: Place,
        is_before: impl Fn(Place) -> bool,
    ) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let entries = list.of(shard.entry(name.into()).or_default());
        let at = entries.partition_point(|&other| is_before(other));
        if entries.get(at) != Some(&place) {
            entries.insert(at, place);
        }
    }

    /// Takes an entry out again, if it is there.
    pub fn remove(&mut self, list: List, name: &str, place: Place) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let Some(slot) = shard.get_mut(name) else {
            return;
        };
        list.of(slot).retain(|&entry| entry != place);
        if slot.is_empty() {
            shard.remove(name);
        }
    }
}

fn shard_of(name: &str) -> usize {
    // The highest bits: the table inside the shard uses the lowest.
    (FxBuildHasher.hash_one(name) >> (64 - SHARD_BITS)) as usize
}
