//! What shapes the packages of a build, written down; and what differs between two such lists.

use std::collections::BTreeMap;

use buildbtw_api::ingredients::ChangedIngredient;
use buildbtw_api::runs::RootMode;
use buildbtw_graph::PkgName;
use serde::{Deserialize, Serialize};

/// What shapes the packages of a build. A field more makes every key another one: nothing is then
/// taken over once, and no more. A field that was not written down in earlier times has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredients {
    /// The package base.
    pub pkgbase: String,
    /// The tree of the sources.
    pub tree: String,
    /// The version.
    pub version: String,
    /// The pkgrel that is written into the sources.
    pub pkgrel: Option<String>,
    /// The architecture.
    pub architecture: String,
    /// The pass.
    pub pass: u8,
    /// Whether the check is run.
    pub check: bool,
    /// The worker's builder.
    pub builder: String,
    /// What the worker says of its builder's settings.
    pub configuration: String,
    /// What lies beneath the root.
    pub root_mode: RootMode,
    /// What pacman is asked to install.
    pub install: Vec<String>,
    /// What counts as met.
    pub assumed: Vec<String>,
    /// The content digests of the namespace's own packages in the installation. Other packages are
    /// those of the base repositories.
    pub own: BTreeMap<PkgName, String>,
    /// The digests of the base repositories' dbs, in order.
    pub bases: Vec<String>,
}

/// What is in the one list and not in the other.
fn beyond(list: &[String], other: &[String]) -> Vec<String> {
    let new = list.iter().filter(|one| !other.contains(one));
    new.cloned().collect()
}

impl Ingredients {
    /// What differs from an earlier list, in the order of what people ask for first.
    pub fn changed_since(&self, earlier: &Self) -> Vec<ChangedIngredient> {
        let mut changed = Vec::new();
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        if self.tree != earlier.tree {
            let (from, to) = pair(&earlier.tree, &self.tree);
            changed.push(ChangedIngredient::Tree { from, to });
        }
        if self.version != earlier.version {
            let (from, to) = pair(&earlier.version, &self.version);
            changed.push(ChangedIngredient::Version { from, to });
        }
        if self.pkgrel != earlier.pkgrel {
            let (from, to) = (earlier.pkgrel.clone(), self.pkgrel.clone());
            changed.push(ChangedIngredient::Pkgrel { from, to });
        }
        if self.check != earlier.check {
            changed.push(ChangedIngredient::Check { run: self.check });
        }
        let names = earlier.own.keys().chain(self.own.keys());
        for pkgname in names.collect::<std::collections::BTreeSet<_>>() {
            let (from, to) = (earlier.own.get(pkgname), self.own.get(pkgname));
            if from != to {
                changed.push(ChangedIngredient::Package {
                    pkgname: pkgname.to_string(),
                    from: from.cloned(),
                    to: to.cloned(),
                });
            }
        }
        if self.install != earlier.install {
            changed.push(ChangedIngredient::Install {
                added: beyond(&self.install, &earlier.install),
                removed: beyond(&earlier.install, &self.install),
            });
        }
        if self.assumed != earlier.assumed {
            changed.push(ChangedIngredient::Assumed {
                added: beyond(&self.assumed, &earlier.assumed),
                removed: beyond(&earlier.assumed, &self.assumed),
            });
        }
        if self.bases != earlier.bases {
            changed.push(ChangedIngredient::Bases {
                names: Vec::new(),
                from: beyond(&earlier.bases, &self.bases),
                to: beyond(&self.bases, &earlier.bases),
            });
        }
        if self.builder != earlier.builder {
            let (from, to) = pair(&earlier.builder, &self.builder);
            changed.push(ChangedIngredient::Builder { from, to });
        }
        if self.configuration != earlier.configuration {
            let (from, to) = pair(&earlier.configuration, &self.configuration);
            changed.push(ChangedIngredient::Configuration { from, to });
        }
        if self.root_mode != earlier.root_mode {
            changed.push(ChangedIngredient::RootMode {
                from: root_mode(earlier.root_mode),
                to: root_mode(self.root_mode),
            });
        }
        changed
    }
}

/// The word for a mode, as it stands in JSON.
fn root_mode(mode: RootMode) -> String {
    crate::db::to_json(&mode).trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingredients() -> Ingredients {
        Ingredients {
            pkgbase: "app".to_owned(),
            tree: "t1".to_owned(),
            version: "1-1".to_owned(),
            pkgrel: None,
            architecture: "x86_64".to_owned(),
            pass: 1,
            check: true,
            builder: "sandbox".to_owned(),
            configuration: "c1".to_owned(),
            root_mode: RootMode::Host,
            install: vec!["lib".to_owned()],
            assumed: Vec::new(),
            own: BTreeMap::from([("lib".parse().unwrap(), "d1".to_owned())]),
            bases: vec!["b1".to_owned()],
        }
    }

    #[test]
    fn equal_lists_do_not_differ() {
        assert_eq!(ingredients().changed_since(&ingredients()), []);
    }

    #[test]
    fn each_ingredient_that_may_change_is_noticed() {
        let lib: PkgName = "lib".parse().unwrap();
        let changes: [fn(&mut Ingredients); 11] = [
            |one| one.tree = "t2".to_owned(),
            |one| one.version = "2-1".to_owned(),
            |one| one.pkgrel = Some("2".to_owned()),
            |one| one.check = false,
            |one| one.builder = "devtools".to_owned(),
            |one| one.configuration = "c2".to_owned(),
            |one| one.root_mode = RootMode::Packages,
            |one| one.install.push("cmake".to_owned()),
            |one| one.assumed.push("cmake".to_owned()),
            |one| one.own.clear(),
            |one| one.bases[0] = "b2".to_owned(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut now = ingredients();
            change(&mut now);
            let changed = now.changed_since(&ingredients());
            assert_eq!(changed.len(), 1, "{number}: {changed:?}");
        }
        let mut now = ingredients();
        now.own.insert(lib, "d2".to_owned());
        assert_eq!(
            now.changed_since(&ingredients()),
            [ChangedIngredient::Package {
                pkgname: "lib".to_owned(),
                from: Some("d1".to_owned()),
                to: Some("d2".to_owned()),
            }]
        );
    }
}
