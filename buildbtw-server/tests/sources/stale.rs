//! A `.SRCINFO` that was not made anew when its PKGBUILD changed is shown to people.

use buildbtw_api::sources::{SourceQuery, SourceRepository, SrcinfoState};

use crate::world::*;

/// What is shown of a repository.
fn shown(open: &Open, pkgbase: &str) -> SourceRepository {
    let listed = open.sources.list(&SourceQuery::default());
    let mut items = listed.items.into_iter();
    items.find(|item| item.pkgbase.as_str() == pkgbase).unwrap()
}

fn problems(open: &Open) -> Vec<String> {
    let query = SourceQuery {
        problems: true,
        ..SourceQuery::default()
    };
    let listed = open.sources.list(&query);
    let names = listed.items.iter().map(|item| item.pkgbase.to_string());
    names.collect()
}

/// Commits a PKGBUILD and leaves the `.SRCINFO` as it is.
fn commit_pkgbuild(path: &std::path::Path, pkgbuild: &str) -> String {
    std::fs::write(path.join("PKGBUILD"), pkgbuild).unwrap();
    git(path, &["add", "--all"]);
    git(path, &["commit", "--quiet", "--message", "x"]);
    git(path, &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn a_stale_srcinfo_is_a_warning_until_it_is_made_anew() {
    let world = World::new();
    let path = world.repository("foo");
    world.repository("good");
    let mut open = world.open().await;
    assert_eq!(shown(&open, "foo").srcinfo, SrcinfoState::Fresh);
    commit_pkgbuild(
        &path,
        "pkgname=foo\nepoch=1\npkgver=2\npkgrel=1\narch=(x86_64)\n",
    );
    let stale = |sources: &buildbtw_server::sources::Sources| {
        let heads = sources.heads();
        let known = heads.repository(&name("foo")).unwrap();
        !known.warnings.is_empty()
    };
    open.until("it is stale", stale).await;
    for open in [open, world.open().await] {
        let foo = shown(&open, "foo");
        assert_eq!(foo.srcinfo, SrcinfoState::Stale);
        assert_eq!(foo.pkgbuild_version.unwrap().as_str(), "1:2-1");
        // Plans go by the .SRCINFO all the same.
        assert_eq!(foo.version.unwrap().as_str(), "1-1");
        let [warning] = &foo.warnings[..] else {
            panic!("{:?}", foo.warnings);
        };
        assert!(
            warning.contains("stale") && warning.contains("1:2-1"),
            "{warning}"
        );
        assert_eq!(problems(&open), ["foo"]);
        let changeset = "foo/main".parse().unwrap();
        let resolved = open.sources.resolve(&changeset).await.unwrap();
        assert_eq!(resolved.warnings, std::slice::from_ref(warning));
    }
    let mut open = world.open().await;
    commit_srcinfo(
        &path,
        b"pkgbase = foo\n\tpkgver = 2\n\tpkgrel = 1\n\tepoch = 1\n\tarch = x86_64\n\npkgname = foo\n",
    );
    open.until("it is made anew", |sources| !stale(sources))
        .await;
    assert_eq!(shown(&open, "foo").srcinfo, SrcinfoState::Fresh);
    assert!(problems(&open).is_empty());
}

#[tokio::test]
async fn what_a_pkgbuild_does_not_plainly_say_is_unknown_and_no_problem() {
    let world = World::new();
    let computed = world.repository("computed");
    commit_pkgbuild(
        &computed,
        "pkgname=computed\n_v=9\npkgver=${_v}\npkgrel=1\n",
    );
    let without = world.repository("without");
    std::fs::remove_file(without.join("PKGBUILD")).unwrap();
    commit_srcinfo(&without, srcinfo("without", "1").as_bytes());
    let missing = world.repository("missing");
    std::fs::remove_file(missing.join(".SRCINFO")).unwrap();
    git(&missing, &["commit", "--quiet", "--all", "--message", "x"]);
    let open = world.open().await;
    for pkgbase in ["computed", "without"] {
        let source = shown(&open, pkgbase);
        assert_eq!(source.srcinfo, SrcinfoState::Unknown, "{pkgbase}");
        assert_eq!(source.pkgbuild_version, None, "{pkgbase}");
        assert!(source.warnings.is_empty(), "{:?}", source.warnings);
    }
    assert_eq!(shown(&open, "missing").srcinfo, SrcinfoState::Unusable);
    assert_eq!(problems(&open), ["missing"]);
}
