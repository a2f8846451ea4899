//! Base repositories: where released packages come from.
//!
//! A snapshot fetches the dbs as they are now and keeps their bytes by digest. Whatever is planned
//! and built from a snapshot sees just those bytes, however often the mirror moves on.

mod fetch;
mod serve;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use buildbtw_api::NamespaceName;
use buildbtw_api::namespaces::{BaseOrigin, BaseRepository};
use buildbtw_graph::{Architecture, ReleasedIndex, ReleasedRepository};
use buildbtw_repo::{ReadLimits, Sha256Digest};

use crate::artifacts;
use crate::config::Config;
use crate::db::keys::BuildSetKey;
use crate::db::{Db, DbError, base_snapshots};

pub use serve::router;

/// How many indexes stay in memory though nobody uses them. One of Arch's takes some 40 MB.
const RECENT: usize = 2;

/// Why a base repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BasesError {
    /// The mirror cannot be reached, or what it sends is broken off.
    #[error("base repository {name}: {url} cannot be fetched: {reason}")]
    Fetch {
        /// The repository.
        name: String,
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The bytes are no db.
    #[error("base repository {name}: its db is broken: {reason}")]
    Broken {
        /// The repository.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The namespace has published nothing for that architecture.
    #[error(
        "base repository namespace:{name}: that namespace has published nothing for {architecture}; \
         build it first, or plan without it (`--base none`)"
    )]
    NothingPublished {
        /// The namespace.
        name: NamespaceName,
        /// The architecture.
        architecture: Architecture,
    },
    /// Two repositories of one name: pacman keeps one db a name.
    #[error("two base repositories are called {0}; pacman tells repositories apart by their names")]
    SameName(String),
    /// The bytes of a pinned db are gone or damaged.
    #[error("the kept db of base repository {name} ({digest}) cannot be read: {reason}")]
    Kept {
        /// The repository.
        name: String,
        /// The digest.
        digest: String,
        /// What went wrong.
        reason: String,
    },
    /// A file of the data folder.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// HTTP cannot be set up.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A base repository as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRepository {
    /// Its name.
    pub name: String,
    /// Where it came from, as configured.
    pub origin: String,
    /// SHA-256 of its db, in hexadecimal.
    pub digest: String,
    /// The folder of its packages: a URL, or a path on this server.
    pub packages_url: String,
    /// The build set that published it, where it is a namespace's.
    pub published_by: Option<BuildSetKey>,
}

/// Base repositories as they were seen together.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The repositories, in order.
    pub repositories: Vec<SnapshotRepository>,
    /// Their packages.
    pub index: Arc<ReleasedIndex>,
}

/// The base repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    db: Db,
    http: reqwest::Client,
    fetched: Mutex<HashMap<String, fetch::Fetched>>,
    /// What was parsed stays as long as somebody uses it.
    parsed: Mutex<HashMap<String, Weak<ReleasedRepository>>>,
    indexes: Mutex<HashMap<Vec<String>, Weak<ReleasedIndex>>>,
    /// The indexes that were used last stay for the next plan, which most likely uses one of them.
    recent: Mutex<VecDeque<Arc<ReleasedIndex>>>,
}

impl Bases {
    /// Opens the folder of kept dbs.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or HTTP cannot be set up.
    pub async fn open(config: &Config, db: Db) -> Result<Self, BasesError> {
        let folder = config.data_dir.join("bases");
        std::fs::create_dir_all(&folder).map_err(|source| BasesError::Io {
            path: folder.clone(),
            source,
        })?;
        let http = fetch::client()?;
        let wanted = base_snapshots::digests(&mut *db.read().await?).await?;
        remove_others(&folder, &wanted);
        Ok(Self(Arc::new(Inner {
            folder,
            db,
            http,
            fetched: Mutex::default(),
            parsed: Mutex::default(),
            indexes: Mutex::default(),
            recent: Mutex::default(),
        })))
    }

    /// The base repositories of an architecture as they are now.
    ///
    /// # Errors
    ///
    /// When one of them cannot be had: planning without it would plan something else.
    pub async fn snapshot(
        &self,
        base: &[BaseRepository],
        architecture: &Architecture,
    ) -> Result<Snapshot, BasesError> {
        let mut repositories: Vec<SnapshotRepository> = Vec::new();
        for repository in base {
            if repository
                .architecture
                .as_ref()
                .is_some_and(|only| only != architecture)
            {
                continue;
            }
            let seen = self.see(repository, architecture).await?;
            if repositories.iter().any(|other| other.name == seen.name) {
                return Err(BasesError::SameName(seen.name));
            }
            repositories.push(seen);
        }
        let index = self.pinned(&repositories).await?;
        Ok(Snapshot {
            repositories,
            index,
        })
    }

    async fn see(
        &self,
        repository: &BaseRepository,
        architecture: &Architecture,
    ) -> Result<SnapshotRepository, BasesError> {
        let origin = match &repository.origin {
            // What is shown to everybody has no password in it.
            BaseOrigin::Mirror { name, url } => format!("{name}={}", fetch::shown(url)),
            BaseOrigin::Namespace(_) => repository.to_string(),
        };
        let (name, bytes, packages_url, published_by) = match &repository.origin {
            BaseOrigin::Namespace(name) => {
                let mut tx = self.0.db.read().await?;
                let published = artifacts::published_db(&mut tx, name, architecture).await?;
                let published = published.ok_or_else(|| BasesError::NothingPublished {
                    name: name.clone(),
                    architecture: architecture.clone(),
                })?;
                let set = Some(published.set);
                (name.to_string(), published.db, published.packages_path, set)
            }
            BaseOrigin::Mirror { name, url } => {
                let folder = url
                    .replace("$repo", name.as_str())
                    .replace("$arch", architecture.as_ref());
                let bytes = self.fetch(name.as_str(), &folder).await?;
                (name.to_string(), bytes, folder, None)
            }
        };
        let digest = self.keep(bytes).await?;
        Ok(SnapshotRepository {
            name,
            origin,
            digest,
            packages_url,
            published_by,
        })
    }

    /// Keeps the bytes of a db and hands back their digest.
    async fn keep(&self, bytes: Vec<u8>) -> Result<String, BasesError> {
        let folder = self.0.folder.clone();
        tokio::task::spawn_blocking(move || {
            let digest = Sha256Digest::of(&bytes).to_string();
            let path = folder.join(&digest);
            if path.exists() {
                return Ok(digest);
            }
            write_durably(&folder, &path, &bytes)
                .map_err(|source| BasesError::Io { path, source })?;
            Ok(digest)
        })
        .await
        .unwrap_or_else(|error| {
            Err(BasesError::Io {
                path: self.0.folder.clone(),
                source: io::Error::other(error),
            })
        })
    }

    /// The bytes of a kept db.
    ///
    /// # Errors
    ///
    /// When they are gone.
    pub async fn bytes(&self, digest: &Sha256Digest) -> io::Result<Vec<u8>> {
        tokio::fs::read(self.0.folder.join(digest.to_string())).await
    }

    /// The packages of kept dbs, in order.
    ///
    /// # Errors
    ///
    /// When a db is gone or damaged.
    pub async fn pinned(
        &self,
        repositories: &[SnapshotRepository],
    ) -> Result<Arc<ReleasedIndex>, BasesError> {
        let key: Vec<String> = repositories
            .iter()
            .map(|repository| format!("{}/{}", repository.name, repository.digest))
            .collect();
        let known = lock(&self.0.indexes).get(&key).and_then(Weak::upgrade);
        if let Some(index) = known {
            self.remember(&index);
            return Ok(index);
        }
        let mut parsed = Vec::with_capacity(repositories.len());
        for repository in repositories {
            parsed.push(self.parsed(repository).await?);
        }
        let index = Arc::new(ReleasedIndex::new(parsed));
        let mut indexes = lock(&self.0.indexes);
        indexes.retain(|_, index| index.strong_count() > 0);
        indexes.insert(key, Arc::downgrade(&index));
        drop(indexes);
        self.remember(&index);
        Ok(index)
    }

    fn remember(&self, index: &Arc<ReleasedIndex>) {
        let mut recent = lock(&self.0.recent);
        recent.retain(|other| !Arc::ptr_eq(other, index));
        recent.push_back(Arc::clone(index));
        if recent.len() > RECENT {
            recent.pop_front();
        }
    }

    async fn parsed(
        &self,
        repository: &SnapshotRepository,
    ) -> Result<Arc<ReleasedRepository>, BasesError> {
        let key = format!("{}/{}", repository.name, repository.digest);
        if let Some(parsed) = lock(&self.0.parsed).get(&key).and_then(Weak::upgrade) {
            return Ok(parsed);
        }
        let path = self.0.folder.join(&repository.digest);
        let (name, digest) = (repository.name.clone(), repository.digest.clone());
        let task = tokio::task::spawn_blocking(move || {
            let kept = |reason: String| BasesError::Kept {
                name: name.clone(),
                digest: digest.clone(),
                reason,
            };
            let bytes = std::fs::read(&path).map_err(|error| kept(error.to_string()))?;
            if Sha256Digest::of(&bytes).to_string() != digest {
                return Err(kept("it has other bytes".to_owned()));
            }
            read(&name, &bytes)
        });
        let parsed = task.await.unwrap_or_else(|error| {
            Err(BasesError::Broken {
                name: repository.name.clone(),
                reason: error.to_string(),
            })
        })?;
        let parsed = Arc::new(parsed);
        let mut all = lock(&self.0.parsed);
        all.retain(|_, repository| repository.strong_count() > 0);
        all.insert(key, Arc::downgrade(&parsed));
        Ok(parsed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is only ever replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The packages of a db. An entry that cannot be read is left out and logged: pacman reads past it
/// as well, and one strange package must not keep all others from being planned with.
fn read(name: &str, bytes: &[u8]) -> Result<ReleasedRepository, BasesError> {
    let broken = |reason: String| BasesError::Broken {
        name: name.to_owned(),
        reason,
    };
    let entries = buildbtw_repo::read_db(bytes, &ReadLimits::DB)
        .map_err(|error| broken(error.to_string()))?;
    let mut packages = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.to_released() {
            Ok(package) => packages.push(package),
            Err(error) => tracing::warn!(repository = name, %error, "an entry of a db is left out"),
        }
    }
    Ok(ReleasedRepository {
        name: name.to_owned(),
        packages,
    })
}

/// Removes dbs that nothing refers to: of plans that were only looked at. Called before anybody can
/// have seen one of them, so none is taken away from a plan in the making.
fn remove_others(folder: &Path, wanted: &HashSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry
            .file_name()
            .to_str()
            .is_none_or(|name| !wanted.contains(name))
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            // It takes room, and does no other harm.
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove a db that nothing refers to");
        }
    }
}

/// Writes a file so that it is there whole, or not at all, whatever happens.
fn write_durably(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}
