//! What a snapshot sees and keeps.

use buildbtw_api::namespaces::BaseRepository;
use buildbtw_graph::{Architecture, ReleasedIndex};
use buildbtw_server::bases::{Bases, BasesError};
use buildbtw_server::config::Config;
use buildbtw_server::db::Db;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::mirror::{Mirror, db};

struct World {
    folder: TempDir,
    config: Config,
    db: Db,
    bases: Bases,
}

impl World {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let config = Config::for_folders(folder.path(), folder.path());
        let db = Db::open(None, folder.path()).await.unwrap();
        let bases = Bases::open(&config, db.clone()).await.unwrap();
        Self {
            folder,
            config,
            db,
            bases,
        }
    }

    /// The same after a restart.
    async fn again(self) -> Self {
        let bases = Bases::open(&self.config, self.db.clone()).await.unwrap();
        Self { bases, ..self }
    }

    fn kept(&self) -> Vec<std::path::PathBuf> {
        let folder = std::fs::read_dir(self.folder.path().join("bases")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }
}

fn x86_64() -> Architecture {
    "x86_64".parse().unwrap()
}

fn base(texts: &[String]) -> Vec<BaseRepository> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn names(index: &ReleasedIndex) -> Vec<String> {
    let names: Vec<&str> = index.repositories().collect();
    let packages = index.packages();
    packages
        .map(|(number, package)| {
            let name = names[number];
            format!("{name}/{}={}", package.pkgname, package.version)
        })
        .collect()
}

#[tokio::test]
async fn repositories_come_in_order_for_their_architecture() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core/os/x86_64/core.db", db(&[("glibc", "2.40-1")]));
    mirror.put(
        "/extra/os/x86_64/extra.db",
        db(&[("curl", "1:8-1"), ("zlib", "1-1")]),
    );
    let url = &mirror.url;
    let base = base(&[
        format!("extra={url}/$repo/os/$arch"),
        format!("aarch64/ports={url}/$repo/os/$arch"),
        format!("x86_64/core={url}/core/os/x86_64/"),
    ]);
    let snapshot = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    let seen = names(&snapshot.index);
    assert_eq!(
        seen,
        ["extra/curl=1:8-1", "extra/zlib=1-1", "core/glibc=2.40-1"]
    );
    let urls: Vec<&str> = snapshot
        .repositories
        .iter()
        .map(|one| one.packages_url.as_str())
        .collect();
    assert_eq!(
        urls,
        [
            format!("{url}/extra/os/x86_64"),
            format!("{url}/core/os/x86_64")
        ]
    );
    assert_eq!(
        mirror.answers().len(),
        2,
        "another architecture's mirror is not asked"
    );
    assert!(
        world
            .bases
            .snapshot(&[], &x86_64())
            .await
            .unwrap()
            .index
            .is_empty()
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_fetched_again() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let base = base(&[format!("core={}", mirror.url)]);
    let first = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    let second = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    assert_eq!(mirror.answers(), [(false, 200), (true, 304)]);
    assert_eq!(first.repositories, second.repositories);

    mirror.put("/core.db", db(&[("a", "2-1")]));
    let third = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    assert_eq!(mirror.answers(), [(true, 200)]);
    assert_ne!(first.repositories[0].digest, third.repositories[0].digest);
    assert_eq!(names(&third.index), ["core/a=2-1"]);
    assert_eq!(names(&first.index), ["core/a=1-1"]);
}

#[tokio::test]
async fn a_kept_db_that_is_gone_is_fetched_anew() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let base = base(&[format!("core={}", mirror.url)]);
    let first = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    for path in world.kept() {
        std::fs::remove_file(path).unwrap();
    }
    let second = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    assert_eq!(first.repositories, second.repositories);
    assert_eq!(world.kept().len(), 1);
}

#[tokio::test]
async fn a_pinned_snapshot_needs_no_mirror() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let base = base(&[format!("core={}", mirror.url)]);
    let snapshot = world.bases.snapshot(&base, &x86_64()).await.unwrap();
    drop(mirror);
    // Nothing refers to it in the database yet, and still it must be there for who has just seen it.
    let index = world.bases.pinned(&snapshot.repositories).await.unwrap();
    assert_eq!(names(&index), ["core/a=1-1"]);
    let error = world.bases.snapshot(&base, &x86_64()).await.unwrap_err();
    assert!(matches!(error, BasesError::Fetch { .. }), "{error}");
}

#[tokio::test]
async fn damaged_bytes_are_not_taken_for_what_was_pinned() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let base = base(&[format!("core={}", mirror.url)]);
    let pinned = world
        .bases
        .snapshot(&base, &x86_64())
        .await
        .unwrap()
        .repositories;
    std::fs::write(&world.kept()[0], db(&[("evil", "1-1")])).unwrap();
    // In memory there may still be what was right; after a restart there is only the file.
    let bases = Bases::open(&world.config, world.db.clone()).await.unwrap();
    let error = bases.pinned(&pinned).await.unwrap_err();
    assert!(matches!(error, BasesError::Kept { .. }), "{error}");
    assert!(error.to_string().contains(&pinned[0].digest), "{error}");
}

#[tokio::test]
async fn errors_name_what_was_asked_for() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/rubbish.db", "no db at all".repeat(100));
    let url = &mirror.url;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for (text, expected) in [
        (
            format!("core={url}/nowhere"),
            format!("{url}/nowhere/core.db"),
        ),
        (format!("core={url}/nowhere"), "404".to_owned()),
        (
            format!("core=http://{closed}"),
            format!("http://{closed}/core.db"),
        ),
        (
            format!("rubbish={url}"),
            "base repository rubbish: its db is broken".to_owned(),
        ),
        (
            "core=file:///nowhere/at/all".to_owned(),
            "file:///nowhere/at/all/core.db".to_owned(),
        ),
        ("namespace:nobody".to_owned(), "namespace:nobody".to_owned()),
    ] {
        let error = world
            .bases
            .snapshot(&base(&[text]), &x86_64())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(&expected), "{error}");
    }
    let twice = base(&[format!("core={url}/a"), format!("core={url}/b")]);
    mirror.put("/a/core.db", db(&[]));
    mirror.put("/b/core.db", db(&[("b", "1-1")]));
    let error = world.bases.snapshot(&twice, &x86_64()).await.unwrap_err();
    assert!(matches!(error, BasesError::SameName(_)), "{error}");
}

#[tokio::test]
async fn a_password_is_for_the_mirror_only() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    let url = mirror.url.replace("http://", "http://me:s3cret@");
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let snapshot = world
        .bases
        .snapshot(&base(&[format!("core={url}")]), &x86_64())
        .await
        .unwrap();
    assert!(
        !snapshot.repositories[0].origin.contains("s3cret"),
        "{:?}",
        snapshot.repositories
    );
    let error = world
        .bases
        .snapshot(&base(&[format!("extra={url}")]), &x86_64())
        .await
        .unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn too_large_a_db_is_refused_before_it_is_read() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mirror = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            300_u64 << 20
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // Nothing else ever comes: whoever waits for it waits for its own time-out.
        std::future::pending::<()>().await;
    });
    let base = base(&[format!("core=http://{address}")]);
    let error = world
        .bases
        .snapshot(&base, &x86_64())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("larger than"), "{error}");
    mirror.abort();
}

#[tokio::test]
async fn what_nobody_refers_to_goes_at_the_start() {
    let world = World::new().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("a", "1-1")]));
    let base = base(&[format!("core={}", mirror.url)]);
    world.bases.snapshot(&base, &x86_64()).await.unwrap();
    assert_eq!(world.kept().len(), 1);
    let world = world.again().await;
    assert_eq!(world.kept().len(), 0);
}
