//! What is rebuilt, how long it takes, and what comes out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use buildbtw_api::runs::Assignment;
use buildbtw_graph::{PlanInput, PlanOptions, SourceIndex, SourcePackage, plan, read_srcinfo};
use buildbtw_repo::{Md5Digest, PackageFile, PackageInfo, Sha256Digest};
use buildbtw_server::planner::Calculation;
use buildbtw_server::sources::SourceCommit;
use fastrand::Rng;

/// Runs that the machinery fails, in percent.
const FAILING: u8 = 2;

/// What is rebuilt, and how long it takes.
pub struct Work {
    sources: HashMap<String, SourcePackage>,
    pub calculation: Box<dyn Fn() -> Calculation>,
    /// What each build really takes on a worker of speed one, in milliseconds.
    pub durations: HashMap<String, i64>,
}

/// The `.SRCINFO` texts of a folder of packages.
pub fn read(folder: &Path) -> Vec<SourcePackage> {
    let entries = std::fs::read_dir(folder).expect("BUILDBTW_CORPUS names a folder");
    let texts = entries
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join(".SRCINFO")).ok());
    texts
        .filter_map(|text| Some(read_srcinfo(&text).ok()?.package))
        .collect()
}

/// A distribution of packages that each need some of those before them.
pub fn made_up(count: usize) -> Vec<SourcePackage> {
    let mut rng = Rng::with_seed(1);
    (0..count)
        .map(|number| {
            let mut text =
                format!("pkgbase = p{number}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n");
            if number > 0 {
                text.push_str(&format!("\tdepends = p{}\n", rng.usize(0..number)));
            }
            text.push_str(&format!("\npkgname = p{number}\n"));
            read_srcinfo(&text).unwrap().package
        })
        .collect()
}

impl Work {
    pub fn of(sources: Vec<SourcePackage>, changed: &str) -> Self {
        let mut index = SourceIndex::new();
        for package in &sources {
            index.insert(package.clone());
        }
        let changes: Vec<SourcePackage> = sources
            .iter()
            .filter(|source| source.pkgbase.as_str() == changed)
            .cloned()
            .collect();
        let options = PlanOptions {
            host_tools: true,
            bootstrap: true,
            rounds: 0,
            ..PlanOptions::default()
        };
        let input = PlanInput {
            sources: &index,
            released: &BTreeMap::new(),
            changes: &changes,
            options: &options,
        };
        let planned = plan(&input).unwrap();
        let commits: HashMap<_, _> = sources
            .iter()
            .map(|source| {
                let commit = SourceCommit {
                    commit: format!("commit of {}", source.pkgbase),
                    tree: format!("tree of {}", source.pkgbase),
                    committed_at: 1,
                };
                (source.pkgbase.clone(), commit)
            })
            .collect();
        // Long-tailed, as build times are: most take a minute, a few take hours.
        let mut rng = Rng::with_seed(7);
        let mut names: Vec<String> = sources
            .iter()
            .map(|source| source.pkgbase.to_string())
            .collect();
        names.sort_unstable();
        let durations = names
            .into_iter()
            .map(|name| {
                (
                    name,
                    (60_000.0 * (1.2 * normal(&mut rng)).exp()).clamp(2_000.0, 1.4e7) as i64,
                )
            })
            .collect();
        Self {
            sources: sources
                .into_iter()
                .map(|source| (source.pkgbase.to_string(), source))
                .collect(),
            calculation: Box::new(move || Calculation {
                plan: planned.clone(),
                bases: BTreeMap::new(),
                commits: commits.clone(),
            }),
            durations,
        }
    }

    /// How many runs of each package the machinery fails before one succeeds: of most none. That is decided
    /// beforehand, so that it is the same whatever the schedule.
    pub fn failures(&self, seed: u64) -> HashMap<String, u32> {
        let mut rng = Rng::with_seed(!seed);
        let mut names: Vec<&String> = self.durations.keys().collect();
        names.sort_unstable();
        let mut of_one = || {
            let tries = std::iter::repeat_with(|| rng.u8(0..100) < FAILING);
            u32::try_from(tries.take_while(|failed| *failed).count()).unwrap_or(u32::MAX)
        };
        names
            .into_iter()
            .map(|name| (name.clone(), of_one()))
            .collect()
    }

    /// What each package really takes with all its runs, of which each takes as long.
    pub fn with_failures(&self, seed: u64) -> HashMap<String, i64> {
        let mut durations = self.durations.clone();
        for (name, failed) in self.failures(seed) {
            if let Some(takes) = durations.get_mut(&name) {
                *takes *= 1 + i64::from(failed);
            }
        }
        durations
    }

    /// What a worker makes of a run: packages that provide and need what their sources say.
    pub fn made(&self, assignment: &Assignment) -> Vec<PackageFile> {
        let build = &assignment.build;
        let source = &self.sources[build.pkgbase.as_str()];
        let packages = source
            .packages
            .iter()
            .filter(|package| build.pkgnames.contains(&package.pkgname));
        packages
            .map(|package| {
                let version = build.version.to_string();
                PackageFile {
                    info: PackageInfo {
                        pkgname: package.pkgname.to_string(),
                        pkgbase: build.pkgbase.to_string(),
                        version: version.clone(),
                        arch: build.architecture.to_string(),
                        depends: package
                            .depends
                            .on(&build.architecture)
                            .map(ToString::to_string)
                            .collect(),
                        provides: package
                            .provides
                            .on(&build.architecture)
                            .map(ToString::to_string)
                            .collect(),
                        ..PackageInfo::default()
                    },
                    file_name: format!(
                        "{}-{version}-{}.pkg.tar.zst",
                        package.pkgname, build.architecture
                    ),
                    size: 1,
                    sha256: Sha256Digest::of(
                        format!("{} {}", package.pkgname, assignment.run).as_bytes(),
                    ),
                    md5: Md5Digest::from_bytes([0; 16]),
                    content_digest: Sha256Digest::of(package.pkgname.as_str().as_bytes()),
                    files: Vec::new(),
                }
            })
            .collect()
    }
}

/// A number of the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A factor between one half and two.
pub fn factor(rng: &mut Rng) -> f64 {
    2.0_f64.powf(rng.f64() * 2.0 - 1.0)
}
