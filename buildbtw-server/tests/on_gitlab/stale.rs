//! A `.SRCINFO` that was not made anew when its PKGBUILD changed is shown to people.

use buildbtw_api::sources::{SourceQuery, SourceRepository, SrcinfoState};
use buildbtw_fake_gitlab::repository::NewFile;

use crate::world::*;

/// What is shown of the only project.
fn shown(open: &Open) -> SourceRepository {
    open.sources.list(&SourceQuery::default()).items.remove(0)
}

fn push_pkgbuild(world: &World, project: u64, pkgbuild: &str) {
    let files = [("PKGBUILD", NewFile::Text(pkgbuild.to_owned()))];
    world.fake.push(project, "main", "upgpkg", &files).unwrap();
}

#[tokio::test]
async fn a_stale_srcinfo_is_a_warning_until_it_is_made_anew() {
    let world = World::new().await;
    let id = world.project("foo");
    push_pkgbuild(&world, id, "pkgname=foo\npkgver=2\npkgrel=1\n");
    // The first reading finds it, and a restart knows it without asking for a text.
    let open = world.open().await;
    assert_eq!(shown(&open).srcinfo, SrcinfoState::Stale);
    open.kill().await;
    world.asked();
    let mut open = world.open().await;
    let texts = world.asked().into_iter().filter(|request| {
        request.variables["texts"] == true || request.operation.as_deref() == Some("ProjectsById")
    });
    assert_eq!(texts.count(), 0);
    let foo = shown(&open);
    assert_eq!(foo.srcinfo, SrcinfoState::Stale);
    assert_eq!(foo.pkgbuild_version.unwrap().as_str(), "2-1");
    assert!(foo.warnings[0].contains("stale"), "{:?}", foo.warnings);
    let resolved = open.sources.resolve(&"foo/main".parse().unwrap()).await;
    assert_eq!(resolved.unwrap().warnings, foo.warnings);
    // What is pushed shows with the next look.
    world.push(id, "foo", "2");
    open.poll().await;
    open.until("it is made anew", |sources| {
        version(sources, "foo").as_deref() == Some("2-1")
    })
    .await;
    let foo = shown(&open);
    assert_eq!((foo.srcinfo, foo.warnings.len()), (SrcinfoState::Fresh, 0));
    push_pkgbuild(&world, id, "pkgname=foo\npkgver=$_v\npkgrel=1\n");
    open.poll().await;
    open.until("it is looked at", |sources| {
        let heads = sources.heads();
        heads.repository(&name("foo")).unwrap().stated.is_none()
    })
    .await;
    let foo = shown(&open);
    assert_eq!(
        (foo.srcinfo, foo.warnings.len()),
        (SrcinfoState::Unknown, 0)
    );
}

#[tokio::test]
async fn an_index_of_a_version_that_did_not_look_is_read_once_more() {
    let world = World::new().await;
    let id = world.project("foo");
    push_pkgbuild(&world, id, "pkgname=foo\npkgver=2\npkgrel=1\n");
    let open = world.open().await;
    // As the version before stored it.
    for sql in [
        "UPDATE source_repository SET stated_version = NULL",
        "UPDATE source_sync SET source = substr(source, 3)",
    ] {
        let mut tx = open.db.write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    open.kill().await;
    let open = world.open().await;
    assert_eq!(shown(&open).srcinfo, SrcinfoState::Stale);
}
