//! The packages that a simulated namespace is about: small made-up distributions.

use std::collections::{BTreeMap, HashMap};

use buildbtw_api::runs::Assignment;
use buildbtw_graph::{
    PlanInput, PlanOptions, Scope, SourceIndex, SourcePackage, plan, read_srcinfo,
};
use buildbtw_repo::{Md5Digest, PackageFile, PackageInfo, Sha256Digest};
use buildbtw_server::planner::Calculation;
use buildbtw_server::sources::SourceCommit;
use fastrand::Rng;

/// A distribution: each package depends on some of those before it.
#[derive(Debug, Clone)]
pub struct Distribution {
    needs: Vec<Vec<usize>>,
    /// How often the source of each was changed.
    pub revisions: Vec<u32>,
}

impl Distribution {
    pub fn new(rng: &mut Rng) -> Self {
        let count = rng.usize(2..9);
        let needs = (0..count)
            .map(|number| (0..number).filter(|_| rng.u8(0..100) < 35).collect())
            .collect();
        Self {
            needs,
            revisions: vec![1; count],
        }
    }

    /// Commits to some packages.
    pub fn commit(&mut self, rng: &mut Rng) {
        for revision in &mut self.revisions {
            *revision += u32::from(rng.u8(0..100) < 30);
        }
    }

    /// What a planner makes of it: every package is built, in order.
    pub fn calculation(&self) -> Calculation {
        let packages: Vec<SourcePackage> = self
            .needs
            .iter()
            .enumerate()
            .map(|(number, needs)| {
                let version = self.revisions[number];
                let mut text = format!(
                    "pkgbase = p{number}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n"
                );
                for need in needs {
                    text.push_str(&format!("\tdepends = p{need}\n"));
                }
                text.push_str(&format!("\npkgname = p{number}\n"));
                read_srcinfo(&text).unwrap().package
            })
            .collect();
        let options = PlanOptions {
            scope: Scope::None,
            bootstrap: true,
            implicit: Vec::new(),
            ..PlanOptions::default()
        };
        let mut sources = SourceIndex::new();
        for package in &packages {
            sources.insert(package.clone());
        }
        let made = plan(&PlanInput {
            sources: &sources,
            released: &BTreeMap::new(),
            changes: &packages,
            options: &options,
        });
        let commits: HashMap<_, _> = packages
            .iter()
            .zip(&self.revisions)
            .map(|(package, revision)| {
                let commit = SourceCommit {
                    commit: format!("commit-{}-{revision}", package.pkgbase),
                    tree: format!("tree-{}-{revision}", package.pkgbase),
                    committed_at: 1,
                };
                (package.pkgbase.clone(), commit)
            })
            .collect();
        Calculation {
            plan: made.unwrap(),
            bases: BTreeMap::new(),
            commits,
        }
    }
}

/// What a worker makes of a run: each time other bytes, but often of equal content.
pub fn made(assignment: &Assignment) -> Vec<PackageFile> {
    let build = &assignment.build;
    let made = build.pkgnames.iter().map(|pkgname| {
        let version = build.version.to_string();
        let content = format!("{pkgname} {version}");
        let bytes = format!("{content} {}", assignment.run);
        PackageFile {
            info: PackageInfo {
                pkgname: pkgname.to_string(),
                pkgbase: build.pkgbase.to_string(),
                version: version.clone(),
                arch: build.architecture.to_string(),
                ..PackageInfo::default()
            },
            file_name: format!("{pkgname}-{version}-{}.pkg.tar.zst", build.architecture),
            size: 1,
            sha256: Sha256Digest::of(bytes.as_bytes()),
            md5: Md5Digest::from_bytes([0; 16]),
            content_digest: Sha256Digest::of(content.as_bytes()),
            files: Vec::new(),
        }
    });
    made.collect()
}
