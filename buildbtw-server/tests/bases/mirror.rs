//! A mirror that the test fills, changes and breaks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use buildbtw_repo::write::write_package;
use buildbtw_repo::{
    PackageInfo, ReadLimits, RepositoryState, Sha256Digest, add_packages, read_package,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A mirror on a port of its own; it ends when dropped.
pub struct Mirror {
    pub url: String,
    content: Content,
    serving: JoinHandle<()>,
}

type Content = Arc<Mutex<Shelves>>;

#[derive(Default)]
struct Shelves {
    files: HashMap<String, Bytes>,
    /// Whether a condition was sent, and the status that was answered.
    answers: Vec<(bool, u16)>,
}

impl Mirror {
    pub async fn start() -> Self {
        let content = Content::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(content.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            content,
            serving,
        }
    }

    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let mut shelves = self.content.lock().unwrap();
        shelves.files.insert(path.to_owned(), bytes.into());
    }

    /// What was asked and answered since the last call.
    pub fn answers(&self) -> Vec<(bool, u16)> {
        std::mem::take(&mut self.content.lock().unwrap().answers)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(content): State<Content>, uri: Uri, headers: HeaderMap) -> Response {
    let mut shelves = content.lock().unwrap();
    let asked = headers.get(header::IF_NONE_MATCH).cloned();
    let (status, etag, bytes) = match shelves.files.get(uri.path()) {
        None => (StatusCode::NOT_FOUND, String::new(), Bytes::new()),
        Some(bytes) => {
            let etag = format!("\"{}\"", buildbtw_repo::Sha256Digest::of(bytes));
            if asked.as_ref().is_some_and(|asked| asked == etag.as_str()) {
                (StatusCode::NOT_MODIFIED, etag, Bytes::new())
            } else {
                (StatusCode::OK, etag, bytes.clone())
            }
        }
    };
    shelves.answers.push((asked.is_some(), status.as_u16()));
    (status, [(header::ETAG, etag)], bytes).into_response()
}

/// The bytes of a db with packages of these names and versions.
pub fn db(packages: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let packages: Vec<_> = packages
        .iter()
        .map(|(name, version)| {
            let path = package(folder.path(), name, version);
            read_package(&path, &ReadLimits::PACKAGE).unwrap()
        })
        .collect();
    let change = add_packages(
        &RepositoryState::default(),
        |_| Err::<Vec<u8>, _>("a fresh repository needs no frame"),
        &packages,
    )
    .unwrap();
    let state = change.applied_to(&RepositoryState::default());
    let frames: HashMap<_, _> = change.new_frames.into_iter().collect();
    let load = |frame: &Sha256Digest| frames.get(frame).cloned().ok_or("unknown frame");
    state.frames.db_bytes(load).unwrap()
}

/// A package file in a folder.
pub fn package(folder: &Path, name: &str, version: &str) -> std::path::PathBuf {
    let path = folder.join(format!("{name}-{version}-x86_64.pkg.tar.zst"));
    let info = PackageInfo {
        pkgname: name.to_owned(),
        pkgbase: name.to_owned(),
        version: version.to_owned(),
        arch: "x86_64".to_owned(),
        packager: "Test <test@example.org>".to_owned(),
        ..PackageInfo::default()
    };
    write_package::<&str, &[u8]>(&path, &info, &[]).unwrap();
    path
}
