//! Adding packages to a repository of 5,000, beside the real repo-add.
//!
//! `cargo bench -p buildbtw-server --bench publish` measures and judges; run in any other way it
//! only shows that it works, on a small repository.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![allow(dead_code, reason = "the tests use more of it")]

#[path = "../tests/repository/world.rs"]
mod world;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use buildbtw_repo::write::{package_bytes, package_file_name};
use buildbtw_repo::{PackageFile, PackageInfo, ReadLimits, read_package_from};
use buildbtw_server::artifacts::published_db;
use buildbtw_server::db::packages;
use world::{Made, Set, World};

/// Files of each package.
const FILES: usize = 200;

/// What adding and publishing one package may take.
const BUDGET: Duration = Duration::from_millis(60);

/// What it may take for each of many that arrive together.
const BUDGET_OF_MANY: Duration = Duration::from_millis(10);

/// How many arrive together.
const MANY: usize = 50;

/// How often one package alone is measured.
const ROUNDS: usize = 30;

#[tokio::main]
async fn main() -> ExitCode {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (size, rounds) = if measuring { (5000, ROUNDS) } else { (100, 2) };
    let world = World::start().await;
    let set = world.iteration("bench").await;
    let seed: Vec<PackageFile> = (0..size).map(|number| read(&made(number, "1-1"))).collect();
    let begin = Instant::now();
    for chunk in seed.chunks(500) {
        note_and_publish(&world, set, chunk).await;
    }
    println!(
        "a repository of {size} packages with {FILES} files each ({:.1} s)",
        begin.elapsed().as_secs_f64()
    );

    let (mut received, mut published, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let made = made(size + round, "1-1");
        let begin = Instant::now();
        let package = world.receive(&made).await;
        received.push(begin.elapsed());
        published.push(publish(&world, set, &[package]).await);
        let newer = read(&self::made(round * size / rounds, "2-1"));
        replaced.push(publish(&world, set, &[newer]).await);
    }
    let many: Vec<Made> = (0..MANY)
        .map(|number| made(2 * size + number, "1-1"))
        .collect();
    let begin = Instant::now();
    let mut packages = Vec::new();
    for made in &many {
        packages.push(world.receive(made).await);
    }
    let received_many = begin.elapsed() / u32::try_from(MANY).unwrap();
    let published_many = publish(&world, set, &packages).await / u32::try_from(MANY).unwrap();

    row("receive one package (durable)", &received);
    row("publish it", &published);
    row("publish a newer version of one in the middle", &replaced);
    row("receive one of 50", &[received_many]);
    row("publish one of 50, together", &[published_many]);
    repo_add(&world, &made(3 * size, "1-1")).await;
    let one = median(&received) + median(&published);
    let each = received_many + published_many;
    let verdict =
        |taken: Duration, budget: Duration| if taken < budget { "within" } else { "OVER" };
    println!(
        "add one and publish: {one:.1?}, {} {BUDGET:?}",
        verdict(one, BUDGET)
    );
    println!(
        "each of {MANY}: {each:.1?}, {} {BUDGET_OF_MANY:?}",
        verdict(each, BUDGET_OF_MANY)
    );
    if measuring && (one >= BUDGET || each >= BUDGET_OF_MANY) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn info(number: usize, version: &str) -> PackageInfo {
    let pkgname = format!("package-{number}");
    PackageInfo {
        pkgbase: pkgname.clone(),
        version: version.to_owned(),
        pkgdesc: "A package that is like many others, with a description of usual length"
            .to_owned(),
        url: format!("https://example.org/projects/{pkgname}"),
        builddate: 1_700_000_000,
        packager: "A Packager With A Name <packager@example.org>".to_owned(),
        arch: "x86_64".to_owned(),
        license: vec!["GPL-2.0-or-later".to_owned()],
        depends: (0..12)
            .map(|other| format!("package-{}>=1.2.3", (number + other * 37) % 5000))
            .collect(),
        makedepends: (0..6)
            .map(|other| format!("package-{}", (number + other * 41) % 5000))
            .collect(),
        provides: vec![format!("lib{pkgname}.so=1-64")],
        pkgname,
        ..PackageInfo::default()
    }
}

fn made(number: usize, version: &str) -> Made {
    let info = info(number, version);
    let files: Vec<(String, String, u32)> = (0..FILES)
        .map(|file| {
            let path = format!(
                "usr/share/{}/part-{}/file-{file}.data",
                info.pkgname,
                file % 9
            );
            (path, format!("content {number} {file}"), 0o644)
        })
        .collect();
    Made {
        file_name: package_file_name(&info).unwrap().to_string(),
        bytes: package_bytes(&info, &files).unwrap(),
    }
}

fn read(made: &Made) -> PackageFile {
    read_package_from(
        &*made.bytes,
        &made.file_name.parse().unwrap(),
        &ReadLimits::PACKAGE,
    )
    .unwrap()
}

async fn note_and_publish(world: &World, set: Set, all: &[PackageFile]) {
    let mut tx = world.db.write().await.unwrap();
    for package in all {
        packages::insert(&mut tx, package).await.unwrap();
    }
    tx.commit().await.unwrap();
    world.try_publish(set, all).await.unwrap();
}

/// Publishes packages, and says how long it took until that was durable.
async fn publish(world: &World, set: Set, all: &[PackageFile]) -> Duration {
    let mut tx = world.db.write().await.unwrap();
    for package in all {
        packages::insert(&mut tx, package).await.unwrap();
    }
    tx.commit().await.unwrap();
    let begin = Instant::now();
    let published = world.try_publish(set, all).await.unwrap();
    assert!(published.new);
    begin.elapsed()
}

/// Adds a package to the same repository with the real repo-add.
async fn repo_add(world: &World, made: &Made) {
    let folder = tempfile::tempdir().unwrap();
    let mut tx = world.db.read().await.unwrap();
    let db = published_db(
        &mut tx,
        &"bench".parse().unwrap(),
        &"x86_64".parse().unwrap(),
    )
    .await
    .unwrap();
    drop(tx);
    std::fs::write(folder.path().join("bench.db.tar.zst"), db.unwrap().db).unwrap();
    let files = format!("{}/repo/bench/1/os/x86_64/bench.files", world.url);
    let files = fetch(&files).await;
    std::fs::write(folder.path().join("bench.files.tar.zst"), files).unwrap();
    std::fs::write(folder.path().join(&made.file_name), &made.bytes).unwrap();
    let begin = Instant::now();
    let output = Command::new("repo-add")
        .args(["bench.db.tar.zst", &made.file_name])
        .current_dir(folder.path())
        .output();
    match output {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            row(
                "repo-add, the same package to the same db",
                &[begin.elapsed()],
            );
        }
        Err(error) => {
            println!("repo-add cannot be run, so there is nothing to compare with: {error}")
        }
    }
}

async fn fetch(url: &str) -> Vec<u8> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let response = reqwest::get(url).await.unwrap().error_for_status().unwrap();
    response.bytes().await.unwrap().to_vec()
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn row(what: &str, times: &[Duration]) {
    let (median, max) = (median(times), times.iter().max().unwrap());
    println!(
        "{what:<45} median {median:>9.2?}   worst {max:>9.2?}   of {}",
        times.len()
    );
}
