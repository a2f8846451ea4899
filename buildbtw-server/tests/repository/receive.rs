//! Receiving packages: whole, checked and durable, or not at all.

use axum::body::{Body, Bytes};
use buildbtw_api::ProblemType;
use buildbtw_repo::Sha256Digest;
use buildbtw_server::artifacts::{Artifacts, ReceiveError};
use buildbtw_server::problems::HttpProblem;
use futures_util::{StreamExt, stream};

use crate::world::{Made, UPLOAD_LIMIT, World, make};

fn digest(bytes: &[u8]) -> String {
    Sha256Digest::of(bytes).to_string()
}

/// A body that comes in pieces, and whose length nobody said.
fn in_pieces(bytes: &[u8], size: usize) -> Body {
    let pieces: Vec<std::io::Result<Bytes>> = bytes
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_package_is_kept_under_its_digest_once() {
    let world = World::start().await;
    let Made { file_name, bytes } = make("a", "1-1", "content");
    let expected = digest(&bytes);
    for body in [
        Body::from(bytes.clone()),
        in_pieces(&bytes, 1),
        in_pieces(&bytes, 100),
    ] {
        let package = world
            .artifacts
            .receive(&file_name, &expected, body)
            .await
            .unwrap();
        assert_eq!(package.sha256.to_string(), expected);
        assert_eq!(package.size, bytes.len() as u64);
        assert_eq!(package.info.pkgname, "a");
        assert_eq!(
            package.files,
            ["usr/", "usr/share/", "usr/share/a/", "usr/share/a/content"]
        );
        assert_eq!(world.files_in("packages"), [expected.as_str()]);
        assert_eq!(world.files_in("incoming"), [""; 0]);
    }
    let path = world
        .folder
        .path()
        .join("packages")
        .join(&expected[..2])
        .join(&expected);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // Sent again, it heals what the disk lost.
    std::fs::write(&path, "damaged").unwrap();
    world
        .artifacts
        .receive(&file_name, &expected, bytes.clone().into())
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn of_what_is_refused_nothing_stays() {
    let world = World::start().await;
    let Made { file_name, bytes } = make("a", "1-1", "content");
    let good = digest(&bytes);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let rubbish = vec![7_u8; 100_000];
    let large = vec![0_u8; usize::try_from(UPLOAD_LIMIT).unwrap() + 1];
    let broken = stream::iter([
        Ok(Bytes::copy_from_slice(&bytes[..50])),
        Err(std::io::Error::other("gone")),
    ]);
    let cases: Vec<(&str, String, Body, ProblemType)> = vec![
        (
            "../a-1-1-x86_64.pkg.tar.zst",
            good.clone(),
            bytes.clone().into(),
            ProblemType::InvalidName,
        ),
        (
            "a-1-1-x86_64.tar.zst",
            good.clone(),
            bytes.clone().into(),
            ProblemType::InvalidName,
        ),
        (
            &file_name,
            "abc".to_owned(),
            bytes.clone().into(),
            ProblemType::BadRequest,
        ),
        // Another name than its content says.
        (
            "b-1-1-x86_64.pkg.tar.zst",
            good.clone(),
            bytes.clone().into(),
            ProblemType::UnexpectedPackage,
        ),
        (
            "a-2-1-x86_64.pkg.tar.zst",
            good.clone(),
            bytes.clone().into(),
            ProblemType::UnexpectedPackage,
        ),
        (
            "a-1-1-any.pkg.tar.zst",
            good.clone(),
            bytes.clone().into(),
            ProblemType::UnexpectedPackage,
        ),
        // No package at all.
        (
            &file_name,
            digest(&rubbish),
            rubbish.clone().into(),
            ProblemType::UnexpectedPackage,
        ),
        (
            &file_name,
            digest(b""),
            Body::empty(),
            ProblemType::UnexpectedPackage,
        ),
        (
            &file_name,
            digest(&bytes[..100]),
            bytes[..100].to_vec().into(),
            ProblemType::UnexpectedPackage,
        ),
        // Changed on its way, which is nothing to blame the package for.
        (
            &file_name,
            good.clone(),
            flipped.into(),
            ProblemType::BadRequest,
        ),
        (
            &file_name,
            good.clone(),
            bytes[..100].to_vec().into(),
            ProblemType::BadRequest,
        ),
        (
            &file_name,
            good.clone(),
            rubbish.into(),
            ProblemType::BadRequest,
        ),
        (
            &file_name,
            good.clone(),
            Body::from_stream(broken),
            ProblemType::BadRequest,
        ),
        // Too large, said before or not.
        (
            &file_name,
            digest(&large),
            large.clone().into(),
            ProblemType::TooLarge,
        ),
        (
            &file_name,
            digest(&large),
            in_pieces(&large, 10_000),
            ProblemType::TooLarge,
        ),
    ];
    for (number, (name, announced, body, expected)) in cases.into_iter().enumerate() {
        let error = world
            .artifacts
            .receive(name, &announced, body)
            .await
            .unwrap_err();
        let text = error.to_string();
        let HttpProblem { problem, .. } = error.into();
        assert_eq!(problem.kind, expected, "case {number}: {text}");
        assert_eq!(world.files_in("incoming"), [""; 0], "case {number}");
        assert_eq!(world.files_in("packages"), [""; 0], "case {number}");
    }
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_by_its_number() {
    let world = World::start().await;
    let large = vec![0_u8; usize::try_from(UPLOAD_LIMIT).unwrap() + 1];
    let result = world
        .artifacts
        .receive("a-1-1-any.pkg.tar.zst", &digest(&large), large.into())
        .await;
    let Err(ReceiveError::TooLarge { limit, length }) = result else {
        panic!("{result:?}")
    };
    assert_eq!((limit, length), (UPLOAD_LIMIT, Some(UPLOAD_LIMIT + 1)));
}

#[tokio::test]
async fn what_a_crash_left_is_swept_away() {
    let world = World::start().await;
    let half = world.folder.path().join("incoming/half");
    std::fs::write(&half, "half a package").unwrap();
    Artifacts::open(world.folder.path(), UPLOAD_LIMIT).unwrap();
    assert!(!half.exists());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let world = World::start().await;
    let Made { file_name, bytes } = make("a", "1-1", "content");
    let expected = digest(&bytes);
    let first = Bytes::copy_from_slice(&bytes[..50]);
    let (handed_out, begun) = tokio::sync::oneshot::channel();
    let body = stream::once(async { std::io::Result::Ok(first) }).chain(stream::once(async {
        handed_out.send(()).unwrap();
        std::future::pending().await
    }));
    let receiving = tokio::spawn({
        let artifacts = world.artifacts.clone();
        async move {
            artifacts
                .receive(&file_name, &expected, Body::from_stream(body))
                .await
        }
    });
    begun.await.unwrap();
    // As when the connection closes: the request is dropped.
    receiving.abort();
    assert!(receiving.await.unwrap_err().is_cancelled());
    let gone = async {
        while !world.files_in("incoming").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone)
        .await
        .unwrap();
    assert_eq!(world.files_in("packages"), [""; 0]);
}
