//! Publishing: packages enter a build set's repository, and a generation begins.
//!
//! All of it is rows of the caller's transaction, so that a generation is there whole or not at
//! all; the bytes of its packages were durable long before. What is read and written does not grow
//! with the repository: only the frames that the new packages go into, or that they leave.
//!
//! Last-Modified has whole seconds, and pacman takes a db only if that is later than what it has.
//! So it grows by at least a second from generation to generation, and from iteration to iteration
//! of a name. Where more than one generation is published a second it runs ahead of the clock, and
//! falls back to it when there are fewer again. That does no harm: pacman sends back the time that
//! it was given, and it is only ever compared with times that were given in the same way. The
//! alternative would be to hold packages back that others wait for.

use std::collections::{BTreeMap, HashMap};

use buildbtw_graph::PkgName;
use buildbtw_repo::{
    ChangeError, PackageFile, RepositoryChange, RepositoryState, Sha256Digest, add_packages,
};
use sqlx::SqliteConnection;

use crate::db::generations::{self, Candidate, Changes, Entrance, NewFile, NewGeneration};
use crate::db::keys::{BuildKey, BuildSetKey, PackageKey};
use crate::db::{DbError, DbResult, Statements, Tx, frames, now};

/// Why nothing was published. The transaction may hold a part of it and must be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// These packages cannot enter this repository.
    #[error("{0}")]
    Refused(String),
    /// The repository as it is cannot be changed: a defect of the server or its database.
    #[error("the repository cannot be changed: {0}")]
    Broken(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Packages of some builds that are to enter the repository of a build set, in one generation. They must have
/// been noted ([`crate::db::packages::insert`]).
#[derive(Debug)]
pub struct Entering<'a> {
    set: BuildSetKey,
    names: Vec<&'a str>,
    given: Vec<(BuildKey, &'a PackageFile)>,
}

impl<'a> Entering<'a> {
    /// The packages, each with its build.
    ///
    /// # Errors
    ///
    /// When two of them have the same name.
    pub fn of(
        set: BuildSetKey,
        made: impl Iterator<Item = (BuildKey, &'a PackageFile)>,
    ) -> Result<Self, PublishError> {
        let mut given: Vec<(BuildKey, &PackageFile)> = Vec::new();
        for (build, package) in made {
            // Several builds may have taken over the same package.
            if !given
                .iter()
                .any(|(_, other)| other.sha256 == package.sha256)
            {
                given.push((build, package));
            }
        }
        let names = names(&given)?.into_keys().collect();
        Ok(Self { set, names, given })
    }

    /// Reads what the repository is to them, and what changed in it since a generation. The transaction begins
    /// with it, if it has not begun.
    pub async fn look_up(&self, tx: &mut Tx, since: u32) -> DbResult<(Entrance, Changes)> {
        let asked: Vec<(&str, &Sha256Digest)> = self
            .given
            .iter()
            .map(|(_, package)| (package.file_name.as_str(), &package.sha256))
            .collect();
        generations::entrance(tx, self.set, &asked, &self.names, since).await
    }

    /// Adds to what is to be written that they are published; the number of the newest generation then. Each takes the
    /// place of one of the same name.
    ///
    /// # Errors
    ///
    /// When a file name would get other bytes than it has in this iteration, when a package cannot
    /// stand in a repository, or when the database fails. The caller then drops the transaction.
    pub async fn enter(
        self,
        tx: &mut Tx,
        writes: &mut Statements,
        entrance: Entrance,
    ) -> Result<u32, PublishError> {
        let mut entering: Vec<(BuildKey, PackageKey, &PackageFile)> = Vec::new();
        for ((build, package), found) in self.given.into_iter().zip(&entrance.candidates) {
            if let Some(key) = entry(package, found)? {
                entering.push((build, key, package));
            }
        }
        if entering.is_empty() {
            return Ok(entrance.newest);
        }
        let known: Vec<PkgName> = entrance.touched.packages.keys().cloned().collect();
        let packages = entering.iter().map(|&(_, _, package)| package.clone());
        let change = change(tx, entrance.touched, entrance.frames, packages.collect()).await?;
        let replaced: Vec<&PkgName> = known
            .iter()
            .filter(|name| change.packages.contains_key(*name))
            .collect();
        let (files, moved) = listed(&entering, &change)?;
        let number = entrance.newest + 1;
        let clock = now() / 1_000_000;
        let new = NewGeneration {
            set: self.set,
            number,
            at: clock.max(entrance.published_at + 1),
            replaced: &replaced,
            files: &files,
            moved: &moved,
            change: &change,
        };
        generations::add(tx, writes, &new).await?;
        Ok(number)
    }
}

/// The names of all packages that are to enter, each of which only one file may have.
fn names<'a>(
    given: &[(BuildKey, &'a PackageFile)],
) -> Result<HashMap<&'a str, &'a PackageFile>, PublishError> {
    let mut names: HashMap<&str, &PackageFile> = HashMap::new();
    for &(_, package) in given {
        let other = names.insert(&package.info.pkgname, package);
        if let Some(other) = other.filter(|other| other.sha256 != package.sha256) {
            return Err(PublishError::Refused(format!(
                "{} and {} are both package {}; a repository has one of a name",
                other.file_name, package.file_name, package.info.pkgname
            )));
        }
    }
    Ok(names)
}

/// The row of a package that is to enter a repository; `None` if it is listed there already.
fn entry(package: &PackageFile, found: &Candidate) -> Result<Option<PackageKey>, PublishError> {
    let file_name = &package.file_name;
    if found.listed.is_some() && found.listed != found.package {
        return Err(PublishError::Refused(format!(
            "{file_name} was published before in this iteration with other content; \
             a file name never changes its bytes, so raise pkgrel"
        )));
    }
    if found.current {
        return Ok(None);
    }
    let key = found.package;
    let key = key.ok_or_else(|| PublishError::Broken(format!("{file_name} was never received")))?;
    Ok(Some(key))
}

/// The files that the manifest gets, and where packages lie that made room for others.
#[expect(clippy::type_complexity, reason = "two lists, each used once")]
fn listed<'a>(
    entering: &'a [(BuildKey, PackageKey, &PackageFile)],
    change: &'a RepositoryChange,
) -> Result<(Vec<NewFile<'a>>, Vec<(&'a str, u32)>), PublishError> {
    let mut places: BTreeMap<&str, (&PkgName, u32)> = BTreeMap::new();
    for (pkgname, place) in &change.packages {
        if let Some(place) = place {
            places.insert(pkgname.as_str(), (pkgname, *place));
        }
    }
    let mut files = Vec::with_capacity(entering.len());
    for (build, package, file) in entering {
        let pkgname = file.info.pkgname.as_str();
        let (pkgname, place) = places
            .remove(pkgname)
            .ok_or_else(|| PublishError::Broken(format!("{pkgname} lies in no frame")))?;
        files.push(NewFile {
            file_name: &file.file_name,
            package: *package,
            pkgname,
            build: *build,
            place,
        });
    }
    let moved = places
        .into_iter()
        .map(|(name, (_, place))| (name, place))
        .collect();
    Ok((files, moved))
}

/// Works out the frames with the new packages in them.
async fn change(
    db: &mut SqliteConnection,
    state: RepositoryState,
    loaded: HashMap<Sha256Digest, Vec<u8>>,
    entering: Vec<PackageFile>,
) -> Result<RepositoryChange, PublishError> {
    // Packing is work for the processor; frames come from the database. So one that turns out to
    // be needed as well is fetched, and the work done again.
    let mut work = (state, entering, loaded);
    loop {
        let (result, back) = tokio::task::spawn_blocking(move || {
            let (state, entering, loaded) = &work;
            let load =
                |digest: &Sha256Digest| loaded.get(digest).cloned().ok_or("it is not loaded yet");
            (add_packages(state, load, entering), work)
        })
        .await
        .map_err(|error| PublishError::Broken(error.to_string()))?;
        work = back;
        match result {
            Ok(change) => return Ok(change),
            Err(ChangeError::Load { digest, .. }) => {
                let bytes = frames::bytes(&mut *db, &digest).await?;
                work.2.insert(digest, bytes);
            }
            Err(
                error @ (ChangeError::Package(_)
                | ChangeError::Twice(_)
                | ChangeError::Write { .. }),
            ) => {
                return Err(PublishError::Refused(error.to_string()));
            }
            Err(
                error @ (ChangeError::Damaged { .. }
                | ChangeError::Unpack { .. }
                | ChangeError::Misplaced { .. }
                | ChangeError::Compress(_)),
            ) => {
                return Err(PublishError::Broken(error.to_string()));
            }
        }
    }
}

/// Names the bytes of a db by the frames that it consists of: as good as a digest of the bytes, and
/// known without reading them.
pub(super) fn digest<'a>(frames: impl Iterator<Item = &'a Sha256Digest>) -> Sha256Digest {
    let all: Vec<u8> = frames.flat_map(|frame| *frame.as_bytes()).collect();
    Sha256Digest::of(&all)
}
