//! What a build made, and what is different from the package of the same name that was made before.

use std::collections::BTreeSet;

use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::page::{build_page, bytes};
use crate::db::DbResult;
use crate::db::made::{self, Before, Made};
use crate::problems::{HttpProblem, HttpResult};

/// How many things of a kind are named; the others are counted.
const NAMED: usize = 12;

/// A package of a build.
pub struct PackageRow {
    pub file_name: String,
    pub size: String,
    /// How much it takes once it is installed.
    pub installed: String,
    /// The libraries it offers to others, with the numbers of their interfaces.
    pub sonames: Vec<String>,
    /// What else it provides.
    pub provides: Vec<String>,
    /// The package that it takes the place of.
    pub before: Option<BeforeRow>,
}

/// The package of the same name that was made before.
pub struct BeforeRow {
    pub version: String,
    pub page: String,
    /// Where it was built.
    pub place: String,
    /// Nothing of what is in it is.
    pub same: bool,
    /// What is different, in words; those that matter to others are marked.
    pub differences: Vec<(bool, String)>,
}

/// The packages of a build with what came before them, as they are stored.
pub async fn gather(
    db: &mut SqliteConnection,
    build: crate::db::keys::BuildKey,
) -> DbResult<Vec<(Made, Option<Before>)>> {
    let mut packages = Vec::new();
    for package in made::of_build(&mut *db, build).await? {
        let before = made::before(&mut *db, &package).await?;
        packages.push((package, before));
    }
    Ok(packages)
}

/// The same for people. Packages of many files are unpacked beside those who wait for other pages.
pub async fn rows(packages: Vec<(Made, Option<Before>)>) -> HttpResult<Vec<PackageRow>> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tokio::task::spawn_blocking(move || packages.iter().map(row).collect());
    let rows: DbResult<Vec<PackageRow>> =
        rows.await.map_err(|error| HttpProblem::internal(&error))?;
    Ok(rows?)
}

fn row((made, before): &(Made, Option<Before>)) -> DbResult<PackageRow> {
    let package = made.package()?;
    let before = match before {
        Some(before) => Some(before_row(before, &package)?),
        None => None,
    };
    let (sonames, provides) = package
        .info
        .provides
        .iter()
        .cloned()
        .partition(|provided: &String| is_soname(provided));
    Ok(PackageRow {
        file_name: made.file_name.clone(),
        size: bytes(package.size),
        installed: bytes(package.info.isize),
        sonames: some(sonames),
        provides: some(provides),
        before,
    })
}

fn before_row(before: &Before, package: &PackageFile) -> DbResult<BeforeRow> {
    let earlier = before.made.package()?;
    Ok(BeforeRow {
        page: build_page(
            &before.namespace,
            before.iteration,
            &before.built_for,
            &before.pkgbase,
            before.pass,
        ),
        place: format!("iteration {} of {}", before.iteration, before.namespace),
        same: earlier.content_digest == package.content_digest,
        differences: differences(&earlier, package),
        version: earlier.info.version,
    })
}

/// Whether a provision is a library with the number of its interface, such as `libz.so=1-64`.
fn is_soname(provided: &str) -> bool {
    let name = provided.split('=').next().unwrap_or(provided);
    name.ends_with(".so") || name.contains(".so.")
}

/// The first ones of a list, and how many there are besides.
fn some(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(NAMED);
    if more > 0 {
        names.truncate(NAMED);
        names.push(format!("and {more} more"));
    }
    names
}

/// What is different in a package, in words. What others link to or depend on is marked.
fn differences(before: &PackageFile, after: &PackageFile) -> Vec<(bool, String)> {
    if before.content_digest == after.content_digest {
        return Vec::new();
    }
    let mut found = Vec::new();
    let (from, to) = (&before.info, &after.info);
    let (sonames_before, provides_before) = halves(&from.provides);
    let (sonames_after, provides_after) = halves(&to.provides);
    list(&mut found, true, "library", sonames_before, sonames_after);
    list(
        &mut found,
        true,
        "provides",
        provides_before,
        provides_after,
    );
    list(
        &mut found,
        false,
        "depends on",
        names(&from.depends),
        names(&to.depends),
    );
    list(
        &mut found,
        false,
        "conflicts with",
        names(&from.conflicts),
        names(&to.conflicts),
    );
    if from.isize != to.isize {
        let sign = if to.isize > from.isize { '+' } else { '−' };
        let by = bytes(to.isize.abs_diff(from.isize));
        found.push((false, format!("{sign}{by} installed")));
    }
    // Lists that are too long to be compared come empty.
    if !before.files.is_empty() && !after.files.is_empty() {
        list(
            &mut found,
            false,
            "file",
            names(&before.files),
            names(&after.files),
        );
    }
    if found.is_empty() {
        found.push((false, "the same files with other content".to_owned()));
    }
    found
}

fn names(all: &[String]) -> BTreeSet<&str> {
    all.iter().map(String::as_str).collect()
}

fn halves(provides: &[String]) -> (BTreeSet<&str>, BTreeSet<&str>) {
    names(provides)
        .into_iter()
        .partition(|provided| is_soname(provided))
}

fn list(
    found: &mut Vec<(bool, String)>,
    matters: bool,
    what: &str,
    before: BTreeSet<&str>,
    after: BTreeSet<&str>,
) {
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    let gone = some(owned(&before - &after));
    let new = some(owned(&after - &before));
    if !gone.is_empty() {
        let text = format!("no longer {what} {}", gone.join(", "));
        found.push((matters, text));
    }
    if !new.is_empty() {
        found.push((matters, format!("now {what} {}", new.join(", "))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(digest: &str, lines: &str, files: &[&str]) -> PackageFile {
        let text = format!("pkgname = a\npkgver = 1-1\narch = any\nbuilddate = 1\n{lines}");
        serde_json::from_value(serde_json::json!({
            "info": buildbtw_repo::read_pkginfo(&text).unwrap(),
            "file_name": "a-1-1-any.pkg.tar.zst", "size": 7, "sha256": "00".repeat(32), "md5": "11".repeat(16),
            "content_digest": digest.repeat(32), "files": files,
        }))
        .unwrap()
    }

    #[test]
    fn a_new_soname_is_told_and_marked() {
        let before = package(
            "22",
            "size = 10\nprovides = liba.so=1-64\ndepend = z\n",
            &["usr/lib/liba.so.1"],
        );
        let after = package(
            "33",
            "size = 1034\nprovides = liba.so=2-64\ndepend = z\n",
            &["usr/lib/liba.so.2"],
        );
        let expected = [
            (true, "no longer library liba.so=1-64"),
            (true, "now library liba.so=2-64"),
            (false, "+1.0 KiB installed"),
            (false, "no longer file usr/lib/liba.so.1"),
            (false, "now file usr/lib/liba.so.2"),
        ];
        let found = differences(&before, &after);
        let found: Vec<(bool, &str)> = found.iter().map(|(m, text)| (*m, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_the_same_is_told_in_a_word() {
        let one = package("22", "size = 10\n", &["usr/a"]);
        assert_eq!(differences(&one, &one), []);
        let other = package("33", "size = 10\n", &["usr/a"]);
        assert_eq!(
            differences(&one, &other)[0].1,
            "the same files with other content"
        );
        assert!(is_soname("libz.so=1-64") && is_soname("libz.so.1") && !is_soname("sound=1"));
        assert_eq!(
            some((0..14).map(|n| n.to_string()).collect())
                .last()
                .unwrap(),
            "and 2 more"
        );
    }
}
