//! Made-up distributions as the planner takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildbtw_graph::{
    Architecture, Plan, PlanInput, PlanOptions, ReleasedIndex, ReleasedPackage, ReleasedRepository,
    Scope, SourceIndex, SourcePackage, Via, plan, read_srcinfo,
};

use crate::model::{Base, Dep, Distribution, Rel};

fn source(base: &Base) -> SourcePackage {
    let reading = read_srcinfo(&base.srcinfo()).unwrap();
    assert_eq!(reading.warnings, []);
    reading.package
}

fn released(package: &Rel) -> ReleasedPackage {
    let provides = package
        .provides
        .iter()
        .map(|provision| match provision.version {
            None => provision.name.clone(),
            Some(version) if provision.name.ends_with(".so") => {
                format!("{}={version}-64", provision.name)
            }
            Some(version) => format!("{}={version}", provision.name),
        });
    let depends = package.depends.iter().map(|dep| match dep.constraint {
        Some((_, version)) if dep.name.ends_with(".so") => format!("{}={version}-64", dep.name),
        _ => dep.text(),
    });
    let conflicts = package.conflicts.iter().map(Dep::text);
    ReleasedPackage {
        pkgname: package.name.parse().unwrap(),
        pkgbase: package.base.parse().unwrap(),
        version: format!("{}-{}", package.version, package.pkgrel)
            .parse()
            .unwrap(),
        architecture: "x86_64".parse().unwrap(),
        depends: depends.map(|text| text.parse().unwrap()).collect(),
        makedepends: Vec::new(),
        checkdepends: Vec::new(),
        provides: provides.map(|text| text.parse().unwrap()).collect(),
        conflicts: conflicts.map(|text| text.parse().unwrap()).collect(),
        replaces: Vec::new(),
        groups: Vec::new(),
        optdepends: Vec::new(),
    }
}

/// What a plan is made from, all but the options.
pub struct Input {
    pub sources: SourceIndex,
    pub released: BTreeMap<Architecture, Arc<ReleasedIndex>>,
    pub changes: Vec<SourcePackage>,
}

impl Input {
    pub fn new(distribution: &Distribution) -> Self {
        let numbered = distribution.repositories.iter().enumerate();
        let repositories = numbered.map(|(number, packages)| {
            Arc::new(ReleasedRepository {
                name: format!("repository{number}"),
                packages: packages.iter().map(released).collect(),
            })
        });
        let index = Arc::new(ReleasedIndex::new(repositories.collect()));
        Input {
            sources: distribution.bases.iter().map(source).collect(),
            released: BTreeMap::from([("x86_64".parse().unwrap(), index)]),
            changes: distribution.changes.iter().map(source).collect(),
        }
    }

    pub fn with<'a>(&'a self, options: &'a PlanOptions) -> PlanInput<'a> {
        PlanInput {
            sources: &self.sources,
            released: &self.released,
            changes: &self.changes,
            options,
        }
    }

    /// The plan; the same one each time.
    pub fn plan(&self, options: &PlanOptions) -> Plan {
        let made = plan(&self.with(options)).unwrap();
        let again = plan(&self.with(options)).unwrap();
        assert_eq!(made, again, "two plans of one input differ");
        made
    }
}

/// The options that a number stands for.
pub fn options(distribution: &Distribution, dice: u64) -> PlanOptions {
    PlanOptions {
        scope: match dice % 5 {
            0 => Scope::None,
            1 => Scope::Direct,
            _ => Scope::Transitive,
        },
        via: Via {
            makedepends: (dice / 5).is_multiple_of(4),
            checkdepends: (dice / 20).is_multiple_of(4),
        },
        implicit: distribution
            .implicit
            .iter()
            .map(|dep| dep.text().parse().unwrap())
            .collect(),
        bootstrap: (dice / 80).is_multiple_of(3),
        passes: 1 + (dice / 240 % 2) as u8,
        ..PlanOptions::default()
    }
}
