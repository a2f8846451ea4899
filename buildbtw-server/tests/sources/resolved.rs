//! What a changeset stands for.

use buildbtw_server::sources::SourceError;

use crate::world::*;

#[tokio::test]
async fn a_branch_comes_before_a_tag_and_a_tag_before_a_commit() {
    let world = World::new();
    let path = world.repository("foo");
    let first = git(&path, &["rev-parse", "HEAD"]);
    git(&path, &["tag", "--annotate", "--message", "x", "v1"]);
    git(&path, &["tag", "both"]);
    let second = commit(&path, "foo", "2");
    git(&path, &["branch", "both"]);
    git(&path, &["branch", "feature/x"]);
    git(&path, &["update-ref", "refs/merge-requests/1/head", &first]);
    let open = world.open().await;
    for (reference, expected) in [
        ("main", &second),
        ("feature/x", &second),
        ("both", &second),
        ("refs/tags/both", &first),
        ("v1", &first),
        ("refs/merge-requests/1/head", &first),
        (first.as_str(), &first),
        (&first[..7], &first),
    ] {
        let resolved = open.resolve(&format!("foo/{reference}")).await;
        assert_eq!(&resolved.unwrap(), expected, "{reference}");
    }
    // A branch that is called like a commit is a branch.
    git(&path, &["branch", &first[..8], &second]);
    assert_eq!(
        open.resolve(&format!("foo/{}", &first[..8])).await.unwrap(),
        second
    );
}

#[tokio::test]
async fn what_is_unknown_is_named_with_what_there_is() {
    let world = World::new();
    let path = world.repository("openimageio");
    let tree = git(&path, &["rev-parse", "HEAD^{tree}"]);
    let open = world.open().await;
    for reference in [
        "nope",
        "refs/heads/nope",
        "0000000",
        "abc",
        tree.as_str(),
        "HEAD",
    ] {
        let error = open
            .resolve(&format!("openimageio/{reference}"))
            .await
            .unwrap_err();
        match error {
            SourceError::UnknownReference { hint, .. } => {
                assert_eq!(hint, "its branches are: main", "{reference}")
            }
            other => panic!("{reference}: {other}"),
        }
    }
    match open.resolve("openimagio/main").await.unwrap_err() {
        SourceError::UnknownPackage { hint, .. } => assert_eq!(hint, "there is: openimageio"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_pinned_commit_stays_what_it_was() {
    let world = World::new();
    let path = world.repository("foo");
    let open = world.open().await;
    let pinned = open
        .sources
        .resolve(&"foo/main".parse().unwrap())
        .await
        .unwrap();
    commit(&path, "foo", "2");
    let again = open
        .sources
        .resolve_pinned(&pinned.changeset, &pinned.commit.commit)
        .await
        .unwrap();
    assert_eq!(again.commit, pinned.commit);
    assert_eq!(again.package, pinned.package);
    assert_eq!(
        open.sources
            .read_at(&name("foo"), &pinned.commit.commit)
            .await
            .unwrap(),
        pinned.package
    );
    let nobody = "0123456789012345678901234567890123456789";
    let error = open
        .sources
        .read_at(&name("foo"), nobody)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SourceError::UnknownReference { .. }),
        "{error}"
    );
}
