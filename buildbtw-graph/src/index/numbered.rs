//! Relations by number.
//!
//! A distribution has over a hundred thousand relations, and fewer than seven
//! thousand different ones. The index numbers them, so that whoever looks at all
//! of them need not look at their texts.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::sources::SourceIndex;
use crate::names::Architecture;
use crate::relation::Relation;
use crate::source::{PerArchitecture, RelationKind, SourcePackage};

/// What is known about a source since it was taken in.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    /// Where the numbers of each list begin: `depends`, `makedepends` and
    /// `checkdepends` of the pkgbase section, then `depends` of each package.
    starts: Box<[u32]>,
    numbers: Box<[u32]>,
    /// Whether a relation or provision names exactly the source's version.
    pub names_own_version: bool,
}

impl Numbered {
    /// Numbers all relations of a source.
    pub fn new<'s>(
        source: &'s SourcePackage,
        mut number: impl FnMut(&'s Relation, Section) -> u32,
    ) -> Self {
        let mut starts = Vec::with_capacity(source.packages.len() + 3);
        let mut numbers = Vec::new();
        let build = [&source.depends, &source.makedepends, &source.checkdepends];
        let build = build.into_iter().map(|list| (list, None));
        let packages = source.packages.iter().enumerate();
        let packages = packages.map(|(item, package)| (&package.depends, Some(item as u32)));
        for (list, section) in build.chain(packages) {
            starts.push(numbers.len() as u32);
            numbers.extend(list.all().map(|relation| number(relation, section)));
        }
        Numbered {
            starts: starts.into(),
            numbers: numbers.into(),
            names_own_version: source.names_own_version(),
        }
    }

    /// How many relations makepkg installs to build the source, on all architectures together.
    pub fn build_count(&self) -> usize {
        let packages = self.starts.get(3).map(|&start| start as usize);
        packages.unwrap_or(self.numbers.len())
    }

    /// What makepkg installs to build the source, with numbers.
    pub fn build_relations<'n, 's>(
        &'n self,
        source: &'s SourcePackage,
        on: &'n Architecture,
    ) -> impl Iterator<Item = (RelationKind, &'s Relation, u32)> + use<'n, 's> {
        let lists = [
            (RelationKind::Depends, &source.depends),
            (RelationKind::Makedepends, &source.makedepends),
            (RelationKind::Checkdepends, &source.checkdepends),
        ];
        let lists = lists.into_iter().enumerate();
        lists.flat_map(move |(at, (kind, list))| {
            let all = self.list(at, list, on);
            all.map(move |(relation, number)| (kind, relation, number))
        })
    }

    /// The run-time dependencies of one of the source's packages, with numbers.
    pub fn depends<'n, 's>(
        &'n self,
        source: &'s SourcePackage,
        item: usize,
        on: &'n Architecture,
    ) -> impl Iterator<Item = (&'s Relation, u32)> + use<'n, 's> {
        self.list(item + 3, &source.packages[item].depends, on)
    }

    fn list<'n, 's>(
        &'n self,
        at: usize,
        list: &'s PerArchitecture<Relation>,
        on: &'n Architecture,
    ) -> impl Iterator<Item = (&'s Relation, u32)> + use<'n, 's> {
        let (every, only) = list.slices(on);
        let numbers = &self.numbers[self.starts[at] as usize..];
        let mut begin = every.len();
        if !only.is_empty() {
            let before = list.only.iter().take_while(|&(other, _)| other != on);
            begin += before.map(|(_, list)| list.len()).sum::<usize>();
        }
        let every = every.iter().zip(numbers);
        let only = only.iter().zip(&numbers[begin..]);
        every
            .chain(only)
            .map(|(relation, &number)| (relation, number))
    }
}

/// The number of a package in its source; `None` for the pkgbase section.
pub(super) type Section = Option<u32>;

/// The numbers of relations of one index, and of those that are met besides.
pub(crate) struct Numbering<'a> {
    index: &'a SourceIndex,
    /// Relations of other packages than those of the index.
    others: FxHashMap<&'a Relation, u32>,
    bound: u32,
}

impl<'a> Numbering<'a> {
    pub fn new(index: &'a SourceIndex) -> Self {
        Numbering {
            index,
            others: FxHashMap::default(),
            bound: index.relations() as u32,
        }
    }

    /// A bound that all numbers given so far are below of.
    pub fn bound(&self) -> usize {
        self.bound as usize
    }

    /// The number of a relation; equal ones have the same.
    pub fn number(&mut self, relation: &'a Relation) -> u32 {
        if let Some(&known) = self.others.get(relation) {
            return known;
        }
        let number = self.index.number_of(relation).unwrap_or_else(|| {
            self.bound += 1;
            self.bound - 1
        });
        self.others.insert(relation, number);
        number
    }

    /// The numbers of a source's relations, whether it is of the index or not.
    pub fn of(&mut self, source: &'a SourcePackage) -> Cow<'a, Numbered> {
        match self.index.numbered(source) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(Numbered::new(source, |relation, _| self.number(relation))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_srcinfo;

    fn source(name: &str, more: &str) -> SourcePackage {
        let text = format!(
            "pkgbase = {name}\npkgver = 1\npkgrel = 1\narch = x86_64\narch = aarch64\n\
             arch = riscv64\n{more}\npkgname = {name}\npkgname = {name}-more\n\
             depends = foo>=2\ndepends_riscv64 = last\n"
        );
        read_srcinfo(&text).unwrap().package
    }

    fn index() -> SourceIndex {
        let lists = "depends = foo\nmakedepends = foo>=2\nmakedepends_aarch64 = a\n\
                     makedepends_riscv64 = b\ncheckdepends = foo";
        [source("one", lists), source("two", "depends = foo")]
            .into_iter()
            .collect()
    }

    #[test]
    fn numbers_stand_beside_the_relations_of_each_architecture() {
        let index = index();
        for source in index.iter() {
            let numbered = index.numbered(source).unwrap();
            for on in ["x86_64", "aarch64", "riscv64"].map(|on| on.parse().unwrap()) {
                let listed: Vec<_> = numbered.build_relations(source, &on).collect();
                let plain: Vec<_> = source.build_relations(&on).collect();
                let kinds = listed.iter().map(|&(kind, relation, _)| (kind, relation));
                assert_eq!(kinds.collect::<Vec<_>>(), plain);
                let mut all: Vec<_> = listed.into_iter().map(|(_, r, n)| (r, n)).collect();
                for (item, package) in source.packages.iter().enumerate() {
                    let listed: Vec<_> = numbered.depends(source, item, &on).collect();
                    let relations = listed.iter().map(|&(relation, _)| relation);
                    assert!(relations.eq(package.depends.on(&on)));
                    all.extend(listed);
                }
                assert!(
                    all.iter()
                        .all(|&(relation, n)| index.number_of(relation) == Some(n))
                );
            }
        }
    }

    #[test]
    fn a_number_is_free_again_when_nobody_has_the_relation() {
        let mut index = index();
        let bound = index.relations();
        let users = |index: &SourceIndex, name: &str| -> Vec<usize> {
            let wanted = &index.slot(name).unwrap().wanted;
            wanted.iter().map(|wanted| wanted.users.len()).collect()
        };
        // `foo`: the section and the first package of each; `foo>=2`: one section, two packages.
        assert_eq!(users(&index, "foo"), [4, 3]);
        let one = index.remove(&"one".parse().unwrap()).unwrap();
        assert_eq!(users(&index, "foo"), [2, 1]);
        assert!(index.slot("a").is_none() && index.number_of(&"b".parse().unwrap()).is_none());
        index.insert(one);
        assert_eq!(index.relations(), bound);
        let mut numbers: Vec<u32> = ["foo", "foo>=2", "a", "b", "last"]
            .map(|text| index.number_of(&text.parse().unwrap()).unwrap())
            .to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 5);
    }

    #[test]
    fn relations_from_elsewhere_get_numbers_of_their_own() {
        let index = index();
        let [known, other, again] = ["foo", "foo>=3", "foo>=3"].map(|text| text.parse().unwrap());
        let mut numbering = Numbering::new(&index);
        assert_eq!(Some(numbering.number(&known)), index.number_of(&known));
        let bound = numbering.bound();
        assert_eq!(numbering.number(&other) as usize, bound);
        assert_eq!(numbering.number(&again) as usize, bound);
        assert_eq!(numbering.bound(), bound + 1);
        // A copy is not the source itself, but its relations are the same.
        let source = index.iter().next().unwrap();
        let copy = SourcePackage::clone(source);
        assert!(index.numbered(&copy).is_none());
        let of_copy = numbering.of(&copy).into_owned();
        assert_eq!(of_copy.numbers, index.numbered(source).unwrap().numbers);
    }
}
