//! The tree of a commit: fetched, checked, kept, packed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use axum::http::Method;
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::repository::NewFile;

use crate::world::*;

/// The entries of a tar archive: what they are and what they hold.
fn entries(file: File) -> BTreeMap<String, (char, u32, String)> {
    let mut archive = tar::Archive::new(file);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mode = entry.header().mode().unwrap();
        let (kind, content) = match entry.header().entry_type() {
            tar::EntryType::Directory => ('d', String::new()),
            tar::EntryType::Symlink => {
                let target = entry.link_name().unwrap().unwrap();
                ('l', target.display().to_string())
            }
            _ => {
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                ('f', content)
            }
        };
        found.insert(path, (kind, mode, content));
    }
    found
}

fn archive() -> Call {
    Call::Path(Method::GET, "/repository/archive.tar.gz")
}

#[tokio::test]
async fn a_tree_is_packed_as_it_is_and_fetched_once() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let files = [
        ("keys/pgp/A.asc", NewFile::Text("key".to_owned())),
        ("keys.txt", NewFile::Text("beside".to_owned())),
        ("tool", NewFile::Program("#!/bin/sh\n".to_owned())),
        ("link", NewFile::Link("tool".to_owned())),
        (
            &*format!("long/{}/name", "x".repeat(120)),
            NewFile::Text("long".to_owned()),
        ),
    ];
    let commit = world.fake.push(id, "main", "x", &files).unwrap();
    let open = world.open().await;
    world.asked();
    let gtk4 = name("gtk4");
    let file = open.sources.tarball(&gtk4, &commit, None).await.unwrap();
    let found = entries(file);
    assert_eq!(found["tool"], ('f', 0o755, "#!/bin/sh\n".to_owned()));
    assert_eq!(found["link"], ('l', 0o777, "tool".to_owned()));
    assert_eq!(found["keys/pgp/A.asc"], ('f', 0o644, "key".to_owned()));
    assert_eq!(found[&format!("long/{}/name", "x".repeat(120))].2, "long");
    assert_eq!(found[".SRCINFO"].2, srcinfo("gtk4", "1"));
    assert_eq!(world.asked().len(), 2, "the commit and its archive");
    // From here on GitLab is not needed.
    world.fake.faults().always(Call::Any, Fault::Reset);
    let file = open
        .sources
        .tarball(&gtk4, &commit, Some("5"))
        .await
        .unwrap();
    let edited = entries(file);
    assert!(edited["PKGBUILD"].2.contains("pkgrel=5\n"));
    assert!(edited[".SRCINFO"].2.contains("pkgrel = 5\n"));
    assert_eq!(edited["tool"], found["tool"]);
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn an_archive_that_is_not_the_tree_is_refused() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let open = world.open().await;
    let gtk4 = name("gtk4");
    for attributes in ["tool export-ignore\n", "tool export-subst\n"] {
        let files = [
            (".gitattributes", NewFile::Text(attributes.to_owned())),
            ("tool", NewFile::Text("$Format:%H$\n".to_owned())),
        ];
        let commit = world.fake.push(id, "main", "x", &files).unwrap();
        let error = open
            .sources
            .tarball(&gtk4, &commit, None)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("another tree"), "{error}");
    }
}

#[tokio::test]
async fn a_submodule_is_an_empty_folder() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let submodule = "0123456789012345678901234567890123456789".parse().unwrap();
    let files = [("module", NewFile::Submodule(submodule))];
    let commit = world.fake.push(id, "main", "x", &files).unwrap();
    let open = world.open().await;
    let file = open
        .sources
        .tarball(&name("gtk4"), &commit, None)
        .await
        .unwrap();
    assert_eq!(entries(file)["module/"].0, 'd');
}

#[tokio::test]
async fn half_an_archive_is_not_taken_for_a_whole_one() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let commit = world.push(id, "gtk4", "2");
    let open = world.open().await;
    let gtk4 = name("gtk4");
    world.fake.faults().next(1, archive(), Fault::Truncated);
    let error = open
        .sources
        .tarball(&gtk4, &commit, None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("GitLab's archive"), "{error}");
    world.fake.faults().next(1, archive(), Fault::WrongShape);
    assert!(open.sources.tarball(&gtk4, &commit, None).await.is_err());
    // A connection that breaks is tried again.
    world.fake.faults().next(1, archive(), Fault::ResetInBody);
    open.sources.tarball(&gtk4, &commit, None).await.unwrap();
}

#[tokio::test]
async fn a_kept_tree_that_is_torn_is_fetched_anew() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let commit = world.push(id, "gtk4", "2");
    let open = world.open().await;
    let gtk4 = name("gtk4");
    open.sources.tarball(&gtk4, &commit, None).await.unwrap();
    let objects = world.config.data_dir.join("source-trees.git/objects");
    std::fs::remove_dir_all(&objects).unwrap();
    std::fs::create_dir(&objects).unwrap();
    let file = open.sources.tarball(&gtk4, &commit, None).await.unwrap();
    assert!(entries(file).contains_key("PKGBUILD"));
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_named() {
    let world = World::new().await;
    world.project("gtk4");
    let open = world.open().await;
    let gtk4 = name("gtk4");
    for commit in [
        "1111111111111111111111111111111111111111",
        "../../etc/passwd",
        "",
    ] {
        let error = open.sources.tarball(&gtk4, commit, None).await.unwrap_err();
        assert!(error.to_string().contains("gtk4"), "{error}");
    }
}
