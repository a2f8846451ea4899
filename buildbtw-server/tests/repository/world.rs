//! A database, a folder of packages and their repositories on a real socket.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use buildbtw_api::namespaces::{IterationReason, NamespaceOptions};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus};
use buildbtw_repo::write::{package_bytes, package_file_name};
use buildbtw_repo::{PackageFile, PackageInfo, Sha256Digest};
use buildbtw_server::artifacts::{self, Artifacts, Entering, PublishError, Repositories};
use buildbtw_server::db::keys::{BuildKey, BuildSetKey};
use buildbtw_server::db::plans::{self, NewBuild};
use buildbtw_server::db::{
    Db, Statements, Tx, builds, generations, iterations, namespaces, packages,
};
use tempfile::TempDir;

pub const UPLOAD_LIMIT: u64 = 1 << 20;

pub struct World {
    pub folder: TempDir,
    pub db: Db,
    pub artifacts: Artifacts,
    pub url: String,
    answers: Answers,
    serving: tokio::task::JoinHandle<()>,
}

/// The newest generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    pub number: u32,
    /// Its Last-Modified.
    pub published_at: i64,
    /// Whether it is a new one.
    pub new: bool,
}

/// Publishes packages as those of one build, as the publisher does.
pub async fn publish(
    tx: &mut Tx,
    set: Set,
    packages: &[PackageFile],
) -> Result<Published, PublishError> {
    let made = packages.iter().map(|package| (set.build, package));
    let entering = Entering::of(set.key, made)?;
    let (entrance, _) = entering.look_up(tx, 0).await?;
    let newest = entrance.newest;
    let mut writes = Statements::default();
    let number = entering.enter(tx, &mut writes, entrance).await?;
    writes.carry_out(tx).await?;
    let published_at = generations::published_at(tx, set.key, number).await?;
    Ok(Published {
        number,
        published_at: published_at.unwrap(),
        new: number > newest,
    })
}

/// Status and path of every answer.
type Answers = Arc<Mutex<Vec<(u16, String)>>>;

async fn note(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    answers
        .lock()
        .unwrap()
        .push((response.status().as_u16(), path));
    response
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A build set, and a build that packages are published for.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub key: BuildSetKey,
    pub build: BuildKey,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(None, folder.path()).await.unwrap();
        let artifacts = Artifacts::open(folder.path(), UPLOAD_LIMIT).unwrap();
        let repositories = Repositories {
            db: db.clone(),
            artifacts: artifacts.clone(),
        };
        let answers = Answers::default();
        let app = artifacts::router::<Repositories>()
            .layer(middleware::from_fn_with_state(answers.clone(), note))
            .with_state(repositories);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            folder,
            db,
            artifacts,
            url,
            answers,
            serving,
        }
    }

    /// Status and path of every answer since this was asked last.
    pub fn answers(&self) -> Vec<(u16, String)> {
        std::mem::take(&mut *self.answers.lock().unwrap())
    }

    /// All that is built in a build set is done.
    pub async fn complete(&self, set: Set) {
        let mut tx = self.db.write().await.unwrap();
        let state = builds::state(&mut tx, set.build).await.unwrap();
        builds::set_status(&mut tx, &state, BuildStatus::Waived, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Makes the next iteration of a namespace, and the namespace if there is none.
    pub async fn iteration(&self, name: &str) -> Set {
        let name: NamespaceName = name.parse().unwrap();
        let mut tx = self.db.write().await.unwrap();
        let known = namespaces::by_name(&mut tx, &name).await.unwrap();
        let namespace = match known.filter(|known| known.status != NamespaceStatus::Archived) {
            Some(known) => known.key,
            None => namespaces::insert(&mut tx, &name, &NamespaceOptions::default(), &[])
                .await
                .unwrap(),
        };
        if let Some(before) = iterations::newest(&mut tx, namespace).await.unwrap() {
            iterations::set_status(&mut tx, &before, IterationStatus::Superseded, None)
                .await
                .unwrap();
        }
        let (key, _) = iterations::insert(&mut tx, namespace, &IterationReason::Created, &[])
            .await
            .unwrap();
        let iteration = iterations::by_key(&mut tx, key).await.unwrap();
        iterations::set_status(&mut tx, &iteration, IterationStatus::Current, None)
            .await
            .unwrap();
        let set = plans::insert_build_set(&mut tx, key, &"x86_64".parse().unwrap(), 1, 0, 0)
            .await
            .unwrap();
        let mut keys = HashMap::new();
        plans::insert_builds(&mut tx, set, &[build()], &mut keys)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Set {
            key: set,
            build: *keys.values().next().unwrap(),
        }
    }

    pub async fn archive(&self, name: &str) {
        let mut tx = self.db.write().await.unwrap();
        let namespace = namespaces::by_name(&mut tx, &name.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        namespaces::set_status(&mut tx, namespace.key, NamespaceStatus::Archived, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Receives a package and notes it.
    pub async fn receive(&self, made: &Made) -> PackageFile {
        let digest = Sha256Digest::of(&made.bytes).to_string();
        let body = Body::from(made.bytes.clone());
        let package = self
            .artifacts
            .receive(&made.file_name, &digest, body)
            .await
            .unwrap();
        let mut tx = self.db.write().await.unwrap();
        packages::insert(&mut tx, &package).await.unwrap();
        tx.commit().await.unwrap();
        package
    }

    pub async fn try_publish(
        &self,
        set: Set,
        packages: &[PackageFile],
    ) -> Result<Published, PublishError> {
        let mut tx = self.db.write().await.unwrap();
        let published = publish(&mut tx, set, packages).await?;
        tx.commit().await.unwrap();
        Ok(published)
    }

    /// Receives and publishes packages as one generation.
    pub async fn publish(&self, set: Set, all: &[Made]) -> Published {
        let mut received = Vec::new();
        for made in all {
            received.push(self.receive(made).await);
        }
        self.try_publish(set, &received).await.unwrap()
    }

    /// The files in a folder of the data folder, with those of its folders.
    pub fn files_in(&self, name: &str) -> Vec<String> {
        files_below(&self.folder.path().join(name))
    }
}

pub fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    files.sort();
    files
}

fn build() -> NewBuild {
    NewBuild {
        pkgbase: "a".parse().unwrap(),
        pass: 1,
        status: BuildStatus::Pending,
        reason: None,
        version: "1-1".to_owned(),
        pkgrel: None,
        commit: String::new(),
        tree: String::new(),
        committed_at: 0,
        wave: 0,
        nocheck: false,
        pkgnames: Vec::new(),
        because: String::new(),
        because_of: None,
        install: Vec::new(),
        assumed: Vec::new(),
        waits_for: 0,
        weight: buildbtw_server::scheduler::Weight::default(),
        refers_to: None,
    }
}

/// A package as a worker would send it.
#[derive(Debug, Clone)]
pub struct Made {
    pub file_name: String,
    pub bytes: Vec<u8>,
}

/// Makes a package with one file of some content.
pub fn make(pkgname: &str, version: &str, content: &str) -> Made {
    let info = PackageInfo {
        pkgname: pkgname.to_owned(),
        pkgbase: pkgname.to_owned(),
        version: version.to_owned(),
        pkgdesc: format!("{pkgname} for a test"),
        packager: "Test <test@example.org>".to_owned(),
        builddate: 1_700_000_000,
        arch: "x86_64".to_owned(),
        license: vec!["0BSD".to_owned()],
        ..PackageInfo::default()
    };
    Made {
        file_name: package_file_name(&info).unwrap().to_string(),
        bytes: package_bytes(
            &info,
            &[(format!("usr/share/{pkgname}/content"), content, 0o644)],
        )
        .unwrap(),
    }
}
