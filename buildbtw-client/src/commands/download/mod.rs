//! `bbtw download`

mod fetch;
mod part;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::namespaces::Iteration;
use buildbtw_api::runs::RunPackage;
use buildbtw_api::{BuildStatus, NamespaceName};
use buildbtw_graph::{Architecture, PkgBase};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;

use crate::asking;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::words::{count, size, some_of};

/// How many builds are asked about at once.
const ASKED: usize = 8;

/// How many packages are fetched at once.
const FETCHED: usize = 4;

/// A package to fetch.
#[derive(Debug, Serialize)]
struct Wanted {
    architecture: Architecture,
    pkgbase: PkgBase,
    file_name: String,
    sha256: String,
    size: u64,
    /// Where it is put.
    path: PathBuf,
    /// Its path on the server.
    #[serde(skip)]
    source: String,
    /// Whether it was fetched; else it was there already.
    fetched: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    namespace: &'a str,
    iteration: u32,
    packages: &'a [Wanted],
    /// Package bases whose packages are not there (yet).
    missing: &'a [PkgBase],
}

/// Fetches the packages of an iteration.
pub async fn run(session: &Session, arguments: &cli::Download) -> Outcome {
    let name = &arguments.namespace;
    let details = session
        .client
        .namespace_with(name, arguments.iteration)
        .await?;
    let iteration = asking::iteration(&details, arguments.iteration)?;
    if let Some(architecture) = &arguments.arch
        && !iteration.build_sets.contains_key(architecture)
    {
        let there: Vec<&str> = iteration
            .build_sets
            .keys()
            .map(|one| one.as_str())
            .collect();
        let message = format!(
            "iteration {} of {name} builds nothing for {architecture}",
            iteration.number
        );
        return Err(Failure::new(message)
            .hint(format!("it builds for {}", there.join(" and ")))
            .usage());
    }
    let builds = asking::builds(
        &session.client,
        name,
        iteration.number,
        BuildQuery::default(),
    )
    .await?;
    check_named(arguments, iteration, &builds)?;
    let (sources, missing) = sources(arguments, &builds);
    let folder = match &arguments.dir {
        Some(folder) => folder.clone(),
        None => Path::new(name.as_str()).join(iteration.number.to_string()),
    };
    let mut wanted = wanted(session, name, iteration, &folder, &sources).await?;
    if wanted.is_empty() && !session.json {
        return Err(nothing_there(arguments, iteration, &builds));
    }
    fetch_all(session, &mut wanted).await?;
    if session.json {
        session.print_json(&Report {
            namespace: name.as_str(),
            iteration: iteration.number,
            packages: &wanted,
            missing: &missing,
        })?;
    } else {
        session.print(|out| {
            let (new, old): (Vec<&Wanted>, Vec<&Wanted>) =
                wanted.iter().partition(|package| package.fetched);
            let bytes = new.iter().map(|package| package.size).sum();
            writeln!(
                out,
                "{} in {}: {} fetched ({}), {} there already.",
                count(wanted.len(), "package"),
                folder.display(),
                new.len(),
                size(bytes),
                old.len()
            )?;
            if !missing.is_empty() {
                writeln!(out, "Without packages so far: {}.", some_of(&missing, 8))?;
            }
            Ok(())
        })?;
    }
    match wanted.is_empty() {
        true => Err(nothing_there(arguments, iteration, &builds)),
        false => Ok(()),
    }
}

/// There are no packages, and perhaps there will be none.
fn nothing_there(arguments: &cli::Download, iteration: &Iteration, builds: &[Build]) -> Failure {
    let (name, number) = (&arguments.namespace, iteration.number);
    match builds.iter().all(|build| build.status.is_final()) {
        true => Failure::new(format!("iteration {number} of {name} has no packages")).hint(
            format!("`bbtw show {name} --iteration {number}` says what became of its builds"),
        ),
        false => Failure::new(format!("iteration {number} of {name} has no packages yet"))
            .hint(format!("`bbtw watch {name}` follows it until it is done")),
    }
}

/// Refuses package bases that are not built, or not yet: who names one wants just that one.
fn check_named(arguments: &cli::Download, iteration: &Iteration, builds: &[Build]) -> Outcome {
    let name = &arguments.namespace;
    for pkgbase in &arguments.pkgbases {
        let mut own = builds
            .iter()
            .filter(|build| build.pkgbase == *pkgbase)
            .peekable();
        if own.peek().is_none() {
            let message = format!(
                "iteration {} of {name} does not build {pkgbase}",
                iteration.number
            );
            return Err(Failure::new(message)
                .hint(format!("`bbtw show {name} --all` lists what it builds")));
        }
        if let Some(build) = own.find(|build| build.pass == 1 && !has_packages(build.status)) {
            let message = format!("{pkgbase} has no packages: it is {}", build.status);
            return Err(
                Failure::new(message).hint(format!("`bbtw show {name} {pkgbase}` says more"))
            );
        }
    }
    Ok(())
}

fn has_packages(status: BuildStatus) -> bool {
    matches!(status, BuildStatus::Built | BuildStatus::Reused)
}

/// For each architecture and package base the builds that may have its packages, later passes
/// first; and the package bases that have none.
fn sources<'a>(arguments: &cli::Download, builds: &'a [Build]) -> (Vec<Source<'a>>, Vec<PkgBase>) {
    let mut found: BTreeMap<(&Architecture, &PkgBase), Vec<&Build>> = BTreeMap::new();
    let mut missing = Vec::new();
    for build in builds {
        let chosen = (arguments.pkgbases.is_empty() || arguments.pkgbases.contains(&build.pkgbase))
            && arguments
                .arch
                .as_ref()
                .is_none_or(|wanted| *wanted == build.architecture);
        if !chosen {
            continue;
        }
        if !has_packages(build.status) {
            if build.pass == 1 {
                missing.push(build.pkgbase.clone());
            }
            continue;
        }
        found
            .entry((&build.architecture, &build.pkgbase))
            .or_default()
            .push(build);
    }
    missing.sort();
    missing.dedup();
    let sources = found
        .into_iter()
        .map(|((architecture, pkgbase), mut own)| {
            own.sort_by_key(|build| std::cmp::Reverse(build.pass));
            // A build that stands for another architecture's may have no packages of its own.
            let others = builds.iter().filter(|other| {
                other.pkgbase == *pkgbase
                    && other.architecture != *architecture
                    && has_packages(other.status)
            });
            own.extend(others);
            Source {
                architecture,
                pkgbase,
                builds: own,
            }
        })
        .collect();
    (sources, missing)
}

/// Where the packages of a package base on one architecture may come from.
struct Source<'a> {
    architecture: &'a Architecture,
    pkgbase: &'a PkgBase,
    builds: Vec<&'a Build>,
}

/// Asks the builds what they have in the repository.
async fn wanted(
    session: &Session,
    namespace: &NamespaceName,
    iteration: &Iteration,
    folder: &Path,
    sources: &[Source<'_>],
) -> Result<Vec<Wanted>, Failure> {
    let several = iteration.build_sets.len() > 1;
    let lists: Vec<Vec<Wanted>> = stream::iter(sources)
        .map(async |source| {
            let (architecture, pkgbase) = (source.architecture, source.pkgbase);
            // Packages for any architecture may differ in their bytes from one build to another.
            let folder = if several {
                folder.join(architecture.as_str())
            } else {
                folder.to_owned()
            };
            let repository = &iteration
                .build_sets
                .get(architecture)
                .ok_or_else(|| {
                    Failure::new(format!(
                        "the server lists a build for {architecture}, but no build set"
                    ))
                })?
                .repository;
            let want = |package: RunPackage| Wanted {
                architecture: architecture.clone(),
                pkgbase: pkgbase.clone(),
                path: folder.join(&package.file_name),
                source: format!("{repository}/{}", package.file_name),
                file_name: package.file_name,
                sha256: package.sha256,
                size: package.size,
                fetched: false,
            };
            let packages = packages(session, namespace, iteration.number, source).await?;
            Ok::<_, Failure>(packages.into_iter().map(want).collect())
        })
        .buffered(ASKED)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
}

/// The packages of the first build that has some in the repository.
async fn packages(
    session: &Session,
    namespace: &NamespaceName,
    iteration: u32,
    source: &Source<'_>,
) -> Result<Vec<RunPackage>, Failure> {
    for build in &source.builds {
        let details = session
            .client
            .build(
                namespace,
                iteration,
                &build.architecture,
                &build.pkgbase,
                build.pass,
            )
            .await?;
        if let Some(bad) = details
            .packages
            .iter()
            .find(|package| !is_file_name(&package.file_name))
        {
            let message = format!(
                "the server names a package `{}`, which cannot be a file name",
                bad.file_name
            );
            return Err(Failure::new(message));
        }
        if !details.packages.is_empty() {
            return Ok(details.packages);
        }
    }
    Err(Failure::new(format!(
        "the server does not say which packages {} has in the repository",
        source.pkgbase
    ))
    .hint(format!(
        "`bbtw show {namespace} {}` says more",
        source.pkgbase
    )))
}

/// Whether a name from the server stays in the folder and means nothing to a shell or terminal.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

/// Fetches what is not there yet.
async fn fetch_all(session: &Session, wanted: &mut [Wanted]) -> Outcome {
    let bytes = wanted.iter().map(|package| package.size).sum();
    let bar = ProgressBar::new(bytes).with_finish(ProgressFinish::AndClear);
    let style = ProgressStyle::with_template("[{bar:25}] {bytes}/{total_bytes} {eta} {wide_msg}")
        .expect("a constant, and a good template")
        .progress_chars("=> ");
    bar.set_style(if session.json {
        ProgressStyle::default_bar()
    } else {
        style
    });
    if session.json {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    stream::iter(wanted)
        .map(Ok::<_, Failure>)
        .try_for_each_concurrent(FETCHED, async |package| {
            package.fetched = fetch::fetch(session, package, &bar).await?;
            Ok(())
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in [
            "",
            "..",
            ".hidden",
            "-rf",
            "a/b",
            "a\u{1b}[2J",
            &"a".repeat(256),
        ] {
            assert!(!is_file_name(name), "{name:?} was taken");
        }
        assert!(is_file_name("gtk+-1:2.3~rc1-1-any.pkg.tar.zst"));
    }
}
