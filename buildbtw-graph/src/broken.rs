//! What only a built package shows: who is broken by what it really provides.
//!
//! A `.SRCINFO` names sonames without a number, so a plan cannot know that a
//! library's number changes. The built package says it.

use crate::index::ReleasedIndex;
use crate::names::PkgBase;
use crate::plan::Broken;
use crate::relation::Relation;
use crate::released::ReleasedPackage;
use crate::source::RelationKind;

/// What a build made, and the repositories that it goes into.
pub struct MadePackages<'a> {
    /// The namespace's own repository as it was before, then the base
    /// repositories.
    pub stack: &'a ReleasedIndex,
    /// The package base that was built.
    pub pkgbase: &'a PkgBase,
    /// The packages that it made.
    pub made: &'a [ReleasedPackage],
    /// Whether a package of the stack (by the number of its repository) is out
    /// of account, because a build that is still to come takes its place.
    pub replaced: &'a dyn Fn(&ReleasedPackage, usize) -> bool,
}

/// The run-time relations of other packages that the packages made before
/// satisfied, and nothing does any more. Sorted.
pub fn broken_by_packages(input: &MadePackages<'_>) -> Vec<Broken> {
    let before: Vec<&ReleasedPackage> = input
        .stack
        .packages_from(input.pkgbase.as_str())
        .map(|(_, package)| package)
        .collect();
    let mut names: Vec<&str> = before
        .iter()
        .flat_map(|package| {
            let provided = package
                .provides
                .iter()
                .map(|provision| provision.name.as_str());
            std::iter::once(package.pkgname.as_str()).chain(provided)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut broken = Vec::new();
    for name in names {
        for (repository, owner) in input.stack.packages_wanting(name) {
            if owner.pkgbase == *input.pkgbase
                || (input.replaced)(owner, repository)
                || is_hidden(input.stack, owner, repository)
            {
                continue;
            }
            for relation in owner
                .depends
                .iter()
                .filter(|relation| relation.name == name)
            {
                let was = before.iter().find(|package| package.satisfies(relation));
                if let Some(was) = was
                    && !is_satisfied(input, relation)
                {
                    broken.push(Broken {
                        pkgbase: owner.pkgbase.clone(),
                        pkgname: Some(owner.pkgname.clone()),
                        kind: RelationKind::Depends,
                        relation: relation.to_string(),
                        reason: no_longer(was, input.made),
                    });
                }
            }
        }
    }
    broken.sort();
    broken.dedup();
    broken
}

/// Whether pacman would never install a package, because an earlier repository
/// has one of that name.
fn is_hidden(stack: &ReleasedIndex, package: &ReleasedPackage, repository: usize) -> bool {
    let first = stack.packages_named(package.pkgname.as_str()).next();
    first.is_some_and(|(first, _)| first < repository)
}

fn is_satisfied(input: &MadePackages<'_>, relation: &Relation) -> bool {
    let named = input.stack.packages_named(&relation.name);
    let mut others = named.chain(input.stack.providers_of(&relation.name));
    input.made.iter().any(|package| package.satisfies(relation))
        || others.any(|(repository, other)| {
            other.pkgbase != *input.pkgbase
                && other.satisfies(relation)
                && !is_hidden(input.stack, other, repository)
        })
}

/// What satisfied a relation before, and what there is of it now.
fn no_longer(was: &ReleasedPackage, made: &[ReleasedPackage]) -> String {
    let (name, version) = (&was.pkgname, &was.version);
    match made.iter().find(|package| package.pkgname == *name) {
        Some(now) => format!(
            "{name} {version} satisfied it; {name} {} does not",
            now.version
        ),
        None => format!("{name} {version} satisfied it; {name} is not made any more"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::released::ReleasedRepository;

    fn package(name: &str, version: &str, provides: &[&str], depends: &[&str]) -> ReleasedPackage {
        ReleasedPackage {
            pkgname: name.parse().unwrap(),
            pkgbase: name.parse().unwrap(),
            version: version.parse().unwrap(),
            architecture: "x86_64".parse().unwrap(),
            depends: depends.iter().map(|text| text.parse().unwrap()).collect(),
            makedepends: Vec::new(),
            checkdepends: Vec::new(),
            provides: provides.iter().map(|text| text.parse().unwrap()).collect(),
            conflicts: Vec::new(),
            replaces: Vec::new(),
            groups: Vec::new(),
            optdepends: Vec::new(),
        }
    }

    fn stack(repositories: &[&[ReleasedPackage]]) -> ReleasedIndex {
        let repositories = repositories.iter().map(|packages| {
            Arc::new(ReleasedRepository {
                name: "any".to_owned(),
                packages: packages.to_vec(),
            })
        });
        ReleasedIndex::new(repositories.collect())
    }

    fn broken(stack: &ReleasedIndex, made: &[ReleasedPackage], replaced: &[&str]) -> Vec<String> {
        let replaced = |package: &ReleasedPackage, repository: usize| {
            repository > 0 && replaced.contains(&package.pkgbase.as_str())
        };
        let found = broken_by_packages(&MadePackages {
            stack,
            pkgbase: &made[0].pkgbase,
            made,
            replaced: &replaced,
        });
        found
            .into_iter()
            .map(|one| format!("{}: {}: {}", one.pkgbase, one.relation, one.reason))
            .collect()
    }

    #[test]
    fn a_soname_with_another_number_breaks_who_is_not_rebuilt() {
        let core = [
            package("lib", "1-1", &["lib.so=1-64"], &[]),
            package("kept", "1-1", &[], &["lib.so=1-64"]),
            package("rebuilt", "1-1", &[], &["lib.so=1-64"]),
            package("loose", "1-1", &[], &["lib"]),
        ];
        let stack = stack(&[&[], &core]);
        let bumped = [package("lib", "2-1", &["lib.so=2-64"], &[])];
        assert_eq!(
            broken(&stack, &bumped, &["rebuilt", "lib"]),
            ["kept: lib.so=1-64: lib 1-1 satisfied it; lib 2-1 does not"]
        );
        let same = [package("lib", "1-2", &["lib.so=1-64"], &[])];
        assert_eq!(broken(&stack, &same, &["rebuilt", "lib"]), [""; 0]);
    }

    #[test]
    fn what_was_built_in_the_namespace_before_may_be_broken_too() {
        let own = [package("early", "1-2", &[], &["lib.so=1-64"])];
        let core = [
            package("lib", "1-1", &["lib.so=1-64"], &[]),
            package("early", "1-1", &[], &["lib.so=1-64"]),
        ];
        let stack = stack(&[&own, &core]);
        let bumped = [package("lib", "2-1", &["lib.so=2-64"], &[])];
        assert_eq!(broken(&stack, &bumped, &["early", "lib"]).len(), 1);
    }

    #[test]
    fn another_provider_keeps_a_relation_satisfied() {
        let core = [
            package("lib", "1-1", &["lib.so=1-64"], &[]),
            package("lib1", "1-1", &["lib.so=1-64"], &[]),
            package("kept", "1-1", &[], &["lib.so=1-64"]),
        ];
        let stack = stack(&[&[], &core]);
        let bumped = [package("lib", "2-1", &["lib.so=2-64"], &[])];
        assert_eq!(broken(&stack, &bumped, &["lib"]), [""; 0]);
    }
}
