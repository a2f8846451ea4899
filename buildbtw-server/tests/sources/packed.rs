//! Trees as archives.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use buildbtw_graph::read_srcinfo;
use buildbtw_server::sources::SourceError;

use crate::world::*;

#[derive(Debug, PartialEq, Eq)]
struct Packed {
    kind: tar::EntryType,
    mode: u32,
    mtime: u64,
    owner: (u64, u64),
    content: Vec<u8>,
    link: Option<PathBuf>,
}

fn unpack(file: std::fs::File) -> BTreeMap<String, Packed> {
    let mut archive = tar::Archive::new(file);
    let mut all = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let packed = Packed {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            mtime: header.mtime().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            content,
            link: entry.link_name().unwrap().map(|link| link.into_owned()),
        };
        all.insert(entry.path().unwrap().to_str().unwrap().to_owned(), packed);
    }
    all
}

async fn unpacked(
    open: &Open,
    pkgbase: &str,
    commit: &str,
    pkgrel: Option<&str>,
) -> BTreeMap<String, Packed> {
    unpack(
        open.sources
            .tarball(&name(pkgbase), commit, pkgrel)
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn an_archive_holds_the_tree_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let path = world.repository("foo");
    std::fs::create_dir_all(path.join("keys/pgp")).unwrap();
    std::fs::write(path.join("keys/pgp/A.asc"), "key").unwrap();
    std::fs::write(path.join("run.sh"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(path.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run.sh", path.join("link")).unwrap();
    // git archive would leave this out; makepkg in a work tree sees it.
    std::fs::write(path.join(".gitattributes"), "run.sh export-ignore\n").unwrap();
    let long = "d".repeat(120);
    std::fs::create_dir(path.join(&long)).unwrap();
    std::fs::write(path.join(&long).join("f".repeat(120)), "long").unwrap();
    let module = world.repository("module");
    let pin = git(&module, &["rev-parse", "HEAD"]);
    git(
        &path,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{pin},module"),
        ],
    );
    git(&path, &["add", "--all", "--", ".", ":!module"]);
    git(&path, &["commit", "--quiet", "--message", "x"]);
    let id = git(&path, &["rev-parse", "HEAD"]);
    let time: u64 = git(&path, &["log", "-1", "--format=%ct"]).parse().unwrap();

    let open = world.open().await;
    let packed = unpacked(&open, "foo", &id, None).await;
    let names: Vec<&str> = packed.keys().map(String::as_str).collect();
    let (folder, file) = (format!("{long}/"), format!("{long}/{}", "f".repeat(120)));
    let expected = [
        ".SRCINFO",
        ".gitattributes",
        "PKGBUILD",
        &folder,
        &file,
        "keys/",
        "keys/pgp/",
        "keys/pgp/A.asc",
        "link",
        "module/",
        "run.sh",
    ];
    assert_eq!(names, expected);
    assert!(
        packed
            .values()
            .all(|entry| entry.mtime == time && entry.owner == (0, 0))
    );
    assert_eq!(packed["run.sh"].mode, 0o755);
    assert_eq!(packed["PKGBUILD"].mode, 0o644);
    assert_eq!(packed["link"].link.as_deref(), Some(Path::new("run.sh")));
    assert_eq!(packed["keys/pgp/A.asc"].content, b"key");
    assert_eq!(packed[&file].content, b"long");
    assert_eq!(packed["module/"].kind, tar::EntryType::Directory);

    let bytes = |mut file: std::fs::File| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let first = bytes(open.sources.tarball(&name("foo"), &id, None).await.unwrap());
    assert_eq!(
        first,
        bytes(open.sources.tarball(&name("foo"), &id, None).await.unwrap())
    );
}

#[tokio::test]
async fn a_pkgrel_is_written_into_both_files() {
    let world = World::new();
    let path = world.repository("foo");
    let id = git(&path, &["rev-parse", "HEAD"]);
    let open = world.open().await;
    let plain = unpacked(&open, "foo", &id, None).await;
    let edited = unpacked(&open, "foo", &id, Some("1.1")).await;
    assert!(String::from_utf8_lossy(&edited["PKGBUILD"].content).contains("\npkgrel=1.1\n"));
    let text = String::from_utf8(edited[".SRCINFO"].content.clone()).unwrap();
    assert_eq!(
        read_srcinfo(&text).unwrap().package.version.to_string(),
        "1-1.1"
    );
    assert_eq!(
        plain.keys().collect::<Vec<_>>(),
        edited.keys().collect::<Vec<_>>()
    );
    // The repository itself is never written to.
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn what_cannot_be_edited_safely_is_named() {
    let world = World::new();
    let path = world.repository("foo");
    std::fs::write(path.join("PKGBUILD"), "pkgname=foo\npkgrel=$(date +%s)\n").unwrap();
    let id = commit_srcinfo(&path, srcinfo("foo", "1").as_bytes());
    let open = world.open().await;
    let error = open
        .sources
        .tarball(&name("foo"), &id, Some("2"))
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::NotEditable { .. }), "{error}");
    assert!(error.to_string().contains("line 2 of PKGBUILD"), "{error}");
    assert!(open.sources.tarball(&name("foo"), &id, None).await.is_ok());
}

#[tokio::test]
async fn a_made_up_tree_cannot_escape() {
    let world = World::new();
    let path = world.repository("foo");
    let blob = git(&path, &["rev-parse", "HEAD:PKGBUILD"]);
    let mut tree = Vec::new();
    for bad in ["..", "../../evil"] {
        tree.clear();
        tree.extend_from_slice(b"100644 ");
        tree.extend_from_slice(bad.as_bytes());
        tree.push(0);
        tree.extend(
            (0..blob.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()),
        );
        let file = world.folder.path().join("tree");
        std::fs::write(&file, &tree).unwrap();
        let hash = [
            "hash-object",
            "-t",
            "tree",
            "-w",
            "--literally",
            file.to_str().unwrap(),
        ];
        let id = git(&path, &hash);
        let id = git(&path, &["commit-tree", "-m", "x", &id]);
        let open = world.open().await;
        let error = open
            .sources
            .tarball(&name("foo"), &id, None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SourceError::Unpackable { .. }),
            "{bad}: {error}"
        );
        open.db.close().await;
    }
}
