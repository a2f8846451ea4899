use std::io::Read;
use std::process::Command;

use buildbtw_fake_gitlab::push::Move;
use buildbtw_fake_gitlab::repository::NewFile;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::*;

#[tokio::test]
async fn an_archive_is_the_tree_of_a_commit() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let files = [
        ("keys/pgp/ABC.asc", NewFile::Text("key".to_owned())),
        ("tool", NewFile::Program("#!/bin/sh\n".to_owned())),
        ("link", NewFile::Link("PKGBUILD".to_owned())),
    ];
    let commit = world.fake.push(id, "main", "more", &files).unwrap();
    let path = format!("projects/{id}/repository/archive.tar.gz?sha={commit}");
    let answer = world.rest(TOKEN, Method::GET, &path, Value::Null).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let bytes = answer.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    let mut archive = tar::Archive::new(&unpacked[..]);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        found.push((path, entry.header().mode().unwrap() & 0o111 != 0));
    }
    let top = format!("gtk4-{commit}-{commit}");
    assert!(found.contains(&(format!("{top}/tool"), true)), "{found:?}");
    assert!(
        found.contains(&(format!("{top}/PKGBUILD"), false)),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|(path, _)| *path == format!("{top}/keys/pgp/ABC.asc"))
    );
    let (status, _) = world
        .get(&format!(
            "projects/{id}/repository/archive.tar.gz?sha=nowhere"
        ))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_repositories_are_real_ones() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let folder = world.fake.git_folder(id).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(elsewhere.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "x")
            .env("GIT_AUTHOR_EMAIL", "x@example.org")
            .env("GIT_COMMITTER_NAME", "x")
            .env("GIT_COMMITTER_EMAIL", "x@example.org")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["clone", "--quiet", folder.to_str().unwrap(), "."]);
    git(&["fsck", "--strict"]);
    let before = git(&["rev-parse", "HEAD"]);
    std::fs::write(elsewhere.path().join("PKGBUILD"), "pkgver=2\n").unwrap();
    git(&["commit", "--quiet", "--all", "--message", "by hand"]);
    git(&["push", "--quiet", "origin", "main"]);
    let after = git(&["rev-parse", "HEAD"]);
    let id_of = |text: &str| gix::ObjectId::from_hex(text.as_bytes()).ok();
    world
        .fake
        .pushed(
            id,
            &[Move {
                reference: "refs/heads/main".to_owned(),
                before: id_of(&before),
                after: id_of(&after),
            }],
        )
        .unwrap();
    let (_, commit) = world
        .get(&format!("projects/{id}/repository/commits/main"))
        .await;
    assert_eq!(commit["id"], after);
    assert_eq!(commit["title"], "by hand");
    let (_, raw) = world
        .get(&format!(
            "projects/{id}/repository/files/PKGBUILD/raw?ref=main"
        ))
        .await;
    assert_eq!(raw, "pkgver=2\n");
}

#[tokio::test]
async fn branches_and_tags_have_their_commits() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let commit = world.push(id, "testing/next", "2");
    world.fake.tag(id, "1-2", &commit).unwrap();
    let (_, branches) = world
        .get(&format!("projects/{id}/repository/branches"))
        .await;
    let names: Vec<&str> = branches
        .as_array()
        .unwrap()
        .iter()
        .map(|branch| branch["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["main", "testing/next"]);
    assert_eq!(branches[1]["commit"]["id"], commit);
    assert_eq!(branches[0]["default"], true);
    let (_, tags) = world.get(&format!("projects/{id}/repository/tags")).await;
    assert_eq!(tags[0]["commit"]["id"], commit, "tags are peeled");
}
