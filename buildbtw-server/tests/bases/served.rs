//! What a run's pacman gets: the db that was planned against, and packages from their mirror.

use buildbtw_api::NamespaceName;
use buildbtw_api::namespaces::{CreateNamespace, NamespaceOptions};
use buildbtw_graph::Scope;
use buildbtw_server::config::Config;
use reqwest::{Response, StatusCode, header};

use crate::mirror::{Mirror, db, package};
use crate::stage::{Stage, srcinfo};

/// Asks without following redirects.
async fn get(url: String) -> Response {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    client.get(url).send().await.unwrap()
}

async fn stage() -> Stage {
    stage_with(|config| config.base_hosts = vec!["127.0.0.1".to_owned()]).await
}

async fn stage_with(change: impl FnOnce(&mut Config)) -> Stage {
    Stage::start_with(&[("app", srcinfo("app", "1", &["depends = lib"]))], change).await
}

/// Makes a namespace with these base repositories; their digests come back.
async fn namespace(stage: &Stage, name: &str, base: &[String]) -> Vec<String> {
    let request = CreateNamespace {
        name: Some(name.parse().unwrap()),
        changesets: vec!["app/main".parse().unwrap()],
        options: NamespaceOptions {
            scope: Scope::None,
            bootstrap: true,
            base: Some(base.iter().map(|text| text.parse().unwrap()).collect()),
            ..NamespaceOptions::default()
        },
    };
    let name: NamespaceName = name.parse().unwrap();
    stage.client().create_namespace(&request).await.unwrap();
    let made = stage.client().namespace(&name).await.unwrap();
    let iteration = made.iterations.last().unwrap();
    let set = iteration.build_sets.values().next().unwrap();
    set.base.iter().map(|base| base.digest.clone()).collect()
}

#[tokio::test]
async fn a_db_stays_what_was_planned_against() {
    let stage = stage().await;
    let mirror = Mirror::start().await;
    let before = db(&[("lib", "1-1")]);
    mirror.put("/core.db", before.clone());
    let base = [format!("core={}", mirror.url)];
    let first = namespace(&stage, "first", &base).await.remove(0);
    let after = db(&[("lib", "2-1")]);
    mirror.put("/core.db", after.clone());
    let second = namespace(&stage, "second", &base).await.remove(0);
    assert_ne!(first, second);
    for (digest, bytes) in [(first, before), (second, after)] {
        let response = get(format!("{}/bases/{digest}/core.db", stage.url())).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::ETAG], format!("\"{digest}\""));
        assert_eq!(response.bytes().await.unwrap(), bytes);
    }
    stage.stop().await;
}

#[tokio::test]
async fn equal_dbs_of_two_names_are_both_served() {
    let stage = stage().await;
    let mirror = Mirror::start().await;
    for name in ["core", "extra"] {
        mirror.put(&format!("/{name}.db"), db(&[("lib", "1-1")]));
    }
    let base = ["core", "extra"].map(|name| format!("{name}={}", mirror.url));
    let digests = namespace(&stage, "n", &base).await;
    assert_eq!(digests[0], digests[1]);
    for name in ["core", "extra"] {
        let response = get(format!("{}/bases/{}/{name}.db", stage.url(), digests[0])).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn packages_come_from_the_mirror() {
    let stage = stage().await;
    let mirror = Mirror::start().await;
    mirror.put("/core/os/x86_64/core.db", db(&[("lib", "1:1-1")]));
    let digest = namespace(
        &stage,
        "n",
        &[format!("core={}/$repo/os/$arch", mirror.url)],
    )
    .await
    .remove(0);
    for file in [
        "lib-1:1-1-x86_64.pkg.tar.zst",
        "lib-1:1-1-x86_64.pkg.tar.zst.sig",
    ] {
        let response = get(format!("{}/bases/{digest}/{file}", stage.url())).await;
        assert_eq!(response.status(), StatusCode::FOUND);
        let wanted = format!("{}/core/os/x86_64/{file}", mirror.url);
        assert_eq!(response.headers()[header::LOCATION], wanted);
    }
    stage.stop().await;
}

#[tokio::test]
async fn nothing_else_leads_anywhere() {
    let stage = stage().await;
    let mirror = Mirror::start().await;
    mirror.put("/core.db", db(&[("lib", "1-1")]));
    let digest = namespace(&stage, "n", &[format!("core={}", mirror.url)])
        .await
        .remove(0);
    let unknown = "0".repeat(64);
    for path in [
        format!("{unknown}/core.db"),
        format!("{digest}/other.db"),
        format!("{digest}/core.db.sig"),
        format!("{digest}/..%2f..%2fworker-token"),
        format!("{digest}/%2e%2e"),
        format!("{digest}/lib"),
        "..%2fworker-token/core.db".to_owned(),
        "rubbish/core.db".to_owned(),
    ] {
        let response = get(format!("{}/bases/{path}", stage.url())).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json",
            "{path}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_folder_can_be_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("core=file://{}", folder.path().display());
    // Only where the server's own settings say so.
    let stage = stage_with(|config| config.base_repositories = vec![base.parse().unwrap()]).await;
    let path = package(folder.path(), "lib", "1-1");
    std::fs::create_dir(folder.path().join("dir-1-1-x86_64.pkg.tar.zst")).unwrap();
    std::fs::write(folder.path().join("core.db"), db(&[("lib", "1-1")])).unwrap();
    let digest = namespace(&stage, "n", &[base]).await.remove(0);
    let url = format!("{}/bases/{digest}", stage.url());
    let response = get(format!("{url}/lib-1-1-x86_64.pkg.tar.zst")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.bytes().await.unwrap(),
        std::fs::read(&path).unwrap()
    );
    for missing in ["lib-2-1-x86_64.pkg.tar.zst", "dir-1-1-x86_64.pkg.tar.zst"] {
        assert_eq!(
            get(format!("{url}/{missing}")).await.status(),
            StatusCode::NOT_FOUND,
            "{missing}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn another_namespace_can_be_a_base() {
    let stage = stage().await;
    let nothing = stage
        .client()
        .create_namespace(&CreateNamespace {
            name: None,
            changesets: vec!["app/main".parse().unwrap()],
            options: NamespaceOptions {
                base: Some(vec!["namespace:made".parse().unwrap()]),
                ..NamespaceOptions::default()
            },
        })
        .await
        .unwrap_err();
    assert!(nothing.to_string().contains("namespace:made"), "{nothing}");

    namespace(&stage, "made", &[]).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.succeed(&run).await;
    crate::stage::until(&stage, || async {
        let made = stage
            .client()
            .namespace(&"made".parse().unwrap())
            .await
            .unwrap();
        made.iterations
            .last()
            .unwrap()
            .build_sets
            .values()
            .all(|set| set.generation > 0)
    })
    .await;
    let digest = namespace(&stage, "on-top", &["namespace:made".to_owned()])
        .await
        .remove(0);
    let url = format!("{}/bases/{digest}", stage.url());
    assert_eq!(get(format!("{url}/made.db")).await.status(), StatusCode::OK);
    let version = &run.build.version;
    let package = format!("{url}/app-{version}-x86_64.pkg.tar.zst");
    let response = reqwest::get(package).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    stage.stop().await;
}
