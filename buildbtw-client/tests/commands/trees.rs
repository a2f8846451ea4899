//! `bbtw plan` and `bbtw why` without a server, over a folder of `.SRCINFO` files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Finished, bbtw, finish};

/// Nobody listens there: whoever asks a server gets an error.
const NO_SERVER: &str = "http://127.0.0.1:1";

/// A package source in a few words: lines of the pkgbase section, then of each package.
fn write(folder: &Path, pkgbase: &str, lines: &[&str], packages: &[(&str, &[&str])]) {
    let lines = [&["pkgver = 1", "pkgrel = 1", "arch = x86_64"], lines].concat();
    write_all(folder, pkgbase, &lines, packages);
}

/// The same with version and architecture among the lines.
fn write_all(folder: &Path, pkgbase: &str, lines: &[&str], packages: &[(&str, &[&str])]) {
    let mut text = format!("pkgbase = {pkgbase}\n");
    for line in lines {
        text.push_str(&format!("\t{line}\n"));
    }
    for (pkgname, lines) in packages {
        text.push_str(&format!("\npkgname = {pkgname}\n"));
        for line in *lines {
            text.push_str(&format!("\t{line}\n"));
        }
    }
    let folder = folder.join(pkgbase);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(".SRCINFO"), text).unwrap();
}

/// A small distribution: a library, what depends on it, and what nearly does.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(
        at,
        "libtone",
        &["provides = libtone.so"],
        &[("libtone", &[])],
    );
    write(at, "organ", &["depends = libtone>=1"], &[("organ", &[])]);
    write(
        at,
        "band",
        &["makedepends = organ"],
        &[
            ("band", &[]),
            ("band-live", &["depends = organ", "depends = libtone.so"]),
        ],
    );
    write(at, "tuner", &["makedepends = libtone"], &[("tuner", &[])]);
    write(
        at,
        "shop",
        &["optdepends = organ: to play"],
        &[("shop", &[])],
    );
    write(at, "baker", &[], &[("baker", &[])]);
    write(at, "softtone", &["provides = tone"], &[("softtone", &[])]);
    write(at, "hardtone", &["provides = tone"], &[("hardtone", &[])]);
    write(at, "choir", &["depends = tone"], &[("choir", &[])]);
    folder
}

async fn without_server(folder: &TempDir, arguments: &[&str]) -> Finished {
    let mut command = bbtw(NO_SERVER, arguments);
    // Messages name files as they were named: in a folder of its own they are the same each time.
    command.current_dir(folder.path());
    finish(command).await
}

async fn shown(folder: &TempDir, arguments: &[&str]) -> String {
    without_server(folder, arguments).await.shown()
}

async fn plan_of_libtone(folder: &TempDir) -> String {
    shown(folder, &["plan", "--srcinfo-dir", ".", "libtone/main"]).await
}

async fn why(folder: &TempDir, changes: &[&str], pkgbase: &str) -> String {
    let mut arguments = vec!["why", "--srcinfo-dir", "."];
    arguments.extend(changes);
    arguments.push(pkgbase);
    shown(folder, &arguments).await
}

#[tokio::test]
async fn the_json_of_a_plan() {
    let folder = tree();
    let arguments = ["plan", "--json", "--srcinfo-dir", ".", "libtone/main"];
    insta::assert_snapshot!(shown(&folder, &arguments).await);
}

#[tokio::test]
async fn a_plan_as_a_graph() {
    let folder = tree();
    let arguments = ["plan", "--dot", "--srcinfo-dir", ".", "libtone/main"];
    insta::assert_snapshot!(shown(&folder, &arguments).await);
}

#[tokio::test]
async fn a_changed_package_breaks_its_dependents() {
    let folder = tree();
    let changed = folder.path().join("changed");
    write(
        &changed,
        "libtone",
        &["provides = libtone.so"],
        &[("libtone2", &[])],
    );
    let arguments = [
        "plan",
        "--srcinfo-dir",
        ".",
        "--changed-dir",
        "changed",
        "libtone/main",
    ];
    insta::assert_snapshot!(shown(&folder, &arguments).await);
}

#[tokio::test]
async fn of_two_files_of_a_pkgbase_that_in_its_own_folder_counts() {
    let folder = tree();
    // It comes first by name.
    let alias = folder.path().join("alias");
    std::fs::create_dir(&alias).unwrap();
    std::fs::copy(
        folder.path().join("libtone/.SRCINFO"),
        alias.join(".SRCINFO"),
    )
    .unwrap();
    let told = plan_of_libtone(&folder).await;
    assert!(
        told.contains("./alias/.SRCINFO: the file of another folder has this pkgbase already"),
        "{told}"
    );
}

#[tokio::test]
async fn a_folder_without_a_file_is_no_unknown_package() {
    let folder = tree();
    std::fs::remove_file(folder.path().join("libtone/.SRCINFO")).unwrap();
    let told = plan_of_libtone(&folder).await;
    assert!(
        told.contains("./libtone/.SRCINFO: there is no such file"),
        "{told}"
    );
}

#[tokio::test]
async fn why_a_package_is_rebuilt() {
    let folder = tree();
    let mut told = String::new();
    for pkgbase in ["libtone", "organ", "band"] {
        told.push_str(&why(&folder, &["libtone/main"], pkgbase).await);
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn why_a_package_is_not_rebuilt() {
    let folder = tree();
    let mut told = String::new();
    for (changes, pkgbase) in [
        (&["libtone/main"][..], "tuner"),
        (&["--scope", "direct", "libtone/main"], "band"),
        (&["organ/main"], "shop"),
        (&["softtone/main"], "choir"),
        (&["libtone/main"], "baker"),
        (&["libtone/main"], "band-live"),
        (&["libtone/main"], "nobody"),
        (&["--architecture", "aarch64", "libtone/main"], "organ"),
    ] {
        told.push_str(&why(&folder, changes, pkgbase).await);
    }
    insta::assert_snapshot!(told);
}

/// Names with everything a name may have, packages for any architecture alone, sonames with their
/// numbers on both sides.
fn unusual_tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let any = |pkgbase: &str, version: &str, lines: &[&str], packages: &[(&str, &[&str])]| {
        let (pkgver, pkgrel) = version.split_once('-').unwrap();
        let (pkgver, pkgrel) = (format!("pkgver = {pkgver}"), format!("pkgrel = {pkgrel}"));
        let lines = [&[pkgver.as_str(), pkgrel.as_str(), "arch = any"], lines].concat();
        write_all(at, pkgbase, &lines, packages);
    };
    any(
        "libsigc++-2.0",
        "2.12-1",
        &["epoch = 1", "provides = libsigc-2.0.so=0-64"],
        &[("libsigc++-2.0", &[])],
    );
    any(
        "r@base",
        "4-2",
        &["depends = libsigc-2.0.so=0-64", "provides = libR.so=4-64"],
        &[("r@base", &[])],
    );
    any(
        "_hidden.pkg",
        "1.0-1.2",
        &["depends = r@base>=4", "depends = libR.so=4-64"],
        &[
            ("_hidden.pkg", &[]),
            ("g++_tools.x", &["depends = libR.so"]),
        ],
    );
    // Of a number that nobody provides any more.
    any(
        "old-soname",
        "1-1",
        &["depends = libR.so=3-64"],
        &[("old-soname", &[])],
    );
    any(
        "user.of+tools",
        "1-1",
        &["makedepends = g++_tools.x", "depends = _hidden.pkg=1.0"],
        &[("user.of+tools", &[])],
    );
    any(
        "r@base-next",
        "5-1",
        &["depends = libsigc-2.0.so=0-64", "provides = libR.so=5-64"],
        &[("r@base-next", &[])],
    );
    folder
}

#[tokio::test]
async fn a_tree_of_unusual_names_and_numbers() {
    let folder = unusual_tree();
    let mut told = String::new();
    for arguments in [
        &["plan", "--srcinfo-dir", ".", "libsigc++-2.0/main"][..],
        &[
            "plan",
            "--srcinfo-dir",
            ".",
            "--via",
            "depends,makedepends",
            "r@base/main",
        ],
        &["plan", "--srcinfo-dir", ".", "r@base-next/main"],
        &["why", "--srcinfo-dir", ".", "r@base/main", "user.of+tools"],
        &["why", "--srcinfo-dir", ".", "r@base/main", "old-soname"],
    ] {
        told.push_str(&shown(&folder, arguments).await);
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_harms_nothing_else() {
    let folder = tree();
    let at = folder.path();
    write(at, "rubbish", &["depends = ="], &[("rubbish", &[])]);
    write(
        at,
        "organ",
        &["depends = libtone", "url = no address"],
        &[("organ", &[])],
    );
    std::fs::write(at.join("README"), "beside the folders").unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();
    let plan = plan_of_libtone(&folder).await;
    insta::assert_snapshot!(plan);
}

#[tokio::test]
async fn mistakes_are_told() {
    let folder = tree();
    let empty = folder.path().join("baker");
    let mut told = String::new();
    for arguments in [
        &["plan", "--srcinfo-dir", "nowhere", "libtone/main"][..],
        &[
            "plan",
            "--srcinfo-dir",
            empty.file_name().unwrap().to_str().unwrap(),
            "libtone/main",
        ],
        &["plan", "--srcinfo-dir", ".", "band-live/main"],
        &["plan", "--changed-dir", ".", "libtone/main"],
        &[
            "plan",
            "--srcinfo-dir",
            ".",
            "--base",
            "none",
            "libtone/main",
        ],
        &[
            "plan",
            "--srcinfo-dir",
            ".",
            "--architecture",
            "any",
            "libtone/main",
        ],
        &["plan", "--dot", "--json", "libtone/main"],
    ] {
        told.push_str(&shown(&folder, arguments).await);
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn repositories_come_in_the_order_of_their_first_lines() {
    let folder = tree();
    // By name alone it would be hardtone.
    let text = "# source\npkgbase\trepo\nsofttone\tcore\t-\nhardtone\textra\nchoir\textra\n";
    std::fs::write(folder.path().join("repos.tsv"), text).unwrap();
    let plan = |changes: &'static str| {
        let arguments = ["plan", "--json", "--srcinfo-dir", ".", changes];
        let command = bbtw(NO_SERVER, &arguments);
        let folder = folder.path().to_owned();
        async move {
            let mut command = command;
            command.current_dir(folder);
            let plan: Value = serde_json::from_str(&finish(command).await.stdout).unwrap();
            let builds = plan["architectures"]["x86_64"]["builds"].clone();
            builds.as_array().unwrap().len()
        }
    };
    assert_eq!(plan("softtone/main").await, 2);
    assert_eq!(plan("hardtone/main").await, 1);
}
