//! What people do wrong, and what must not come of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::client::Client;
use buildbtw_api::namespaces::{CreateNamespace, PlanRequest};
use buildbtw_api::{BuildStatus, NamespaceName, OutcomeClass, ProblemType};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, base_db, create, finish, git, package, srcinfo, until, write_srcinfo};

fn name(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

async fn worker(stage: &Stage) -> Worker {
    Worker::register(stage.worker_client(), "w").await
}

/// Builds everything that a namespace has to build.
async fn build_all(stage: &Stage, worker: &Worker, namespace: &str, builds: usize) {
    for _ in 0..builds {
        let run = worker.claim().await;
        worker.succeed(&run).await;
    }
    until(stage, || async {
        let namespace = stage.client().namespace(&name(namespace)).await.unwrap();
        let sets = namespace.iterations[0].build_sets.values();
        sets.map(|set| set.done() as usize).sum::<usize>() == builds
    })
    .await;
}

#[tokio::test]
async fn a_srcinfo_that_names_another_version_is_the_packages_failure() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    stage.namespace("n", &["lib/main"], Scope::None).await;
    let worker = worker(&stage).await;
    let deliver = async |version: &str| {
        let run = worker.claim().await;
        worker.begin(&run).await;
        let folder = tempfile::tempdir().unwrap();
        let (file, bytes) = package(folder.path(), "lib", "lib", version);
        worker.upload(&run, &file, &bytes).await.unwrap();
        let report = finish(&run, OutcomeClass::Success, &[file]);
        worker.client.finish_run(run.run, &report).await.unwrap();
        until(&stage, || async {
            let run = stage.client().run(run.run).await.unwrap();
            run.run.outcome.is_some()
        })
        .await;
        stage
            .client()
            .run(run.run)
            .await
            .unwrap()
            .run
            .outcome
            .unwrap()
    };
    let outcome = deliver("2-1").await;
    assert_eq!(outcome.class, OutcomeClass::Package);
    assert!(
        outcome.message.contains("--printsrcinfo"),
        "{}",
        outcome.message
    );

    // A function pkgver() makes its own version, and may.
    let pkgbuild = "pkgrel=1\npkgver() {\n  echo 2\n}\n";
    std::fs::write(stage.source("lib").join("PKGBUILD"), pkgbuild).unwrap();
    write_srcinfo(&stage.source("lib"), &srcinfo("lib", "1", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.iterations.len() == 2
    })
    .await;
    assert_eq!(deliver("2-1").await.class, OutcomeClass::Success);
    stage.stop().await;
}

#[tokio::test]
async fn a_push_that_cannot_be_planned_shows_on_its_namespace() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    git(&stage.source("lib"), &["branch", "topic"]);
    stage.namespace("n", &["lib/topic"], Scope::None).await;
    let problem = async || {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.namespace.origins_problem
    };
    assert_eq!(problem().await, None);
    git(&stage.source("lib"), &["checkout", "--quiet", "topic"]);
    write_srcinfo(&stage.source("lib"), "pkgbase == rubbish");
    until(&stage, || async { problem().await.is_some() }).await;
    assert!(problem().await.unwrap().contains(".SRCINFO"));

    write_srcinfo(&stage.source("lib"), &srcinfo("lib", "2", &[]));
    until(&stage, || async { problem().await.is_none() }).await;

    git(&stage.source("lib"), &["checkout", "--quiet", "main"]);
    git(&stage.source("lib"), &["branch", "--quiet", "-D", "topic"]);
    until(&stage, || async { problem().await.is_some() }).await;
    assert!(problem().await.unwrap().contains("topic"));
    stage.stop().await;
}

#[tokio::test]
async fn sources_that_may_be_dependents_are_named_though_nobody_can_read_them() {
    let sources = [
        ("lib", srcinfo("lib", "1", &[])),
        ("app", srcinfo("app", "1", &["depends = lib"])),
        ("old", "pkgbase == rubbish".to_owned()),
        ("unread", "pkgbase == rubbish".to_owned()),
    ];
    let stage = over_core(&sources, &[("old", "1-1", &[]), ("lib", "1-1", &[])]).await;
    let warnings = async |scope: Scope| {
        let request = PlanRequest {
            changesets: vec!["lib/main".parse().unwrap()],
            options: on_configured_bases(None, "lib/main", scope).options,
            namespace: None,
        };
        let plan = stage.client().plan(&request).await.unwrap();
        let warnings = plan.warnings.into_iter().map(|one| one.message);
        warnings.collect::<Vec<String>>().join("\n")
    };
    let said = warnings(Scope::Transitive).await;
    assert!(
        said.contains("nothing of them is released: unread; "),
        "{said}"
    );
    assert!(!warnings(Scope::None).await.contains("unread"));
    stage.stop().await;
}

#[tokio::test]
async fn who_builds_on_an_archived_namespace_keeps_its_packages() {
    let sources = [
        ("lib", srcinfo("lib", "1", &[])),
        ("app", srcinfo("app", "1", &["depends = lib"])),
        ("other", srcinfo("other", "1", &[])),
    ];
    let stage = Stage::start(&sources).await;
    let worker = worker(&stage).await;
    stage.namespace("base", &["lib/main"], Scope::None).await;
    build_all(&stage, &worker, "base", 1).await;
    let mut request: CreateNamespace = create(Some("n"), &["app/main"], Scope::None);
    request.options.base = Some(vec!["namespace:base".parse().unwrap()]);
    stage.client().create_namespace(&request).await.unwrap();
    let run = worker.claim().await;
    let repository = run.build.repositories.last().unwrap();
    assert_eq!(repository.name, "base");
    let get = async |file: &str| {
        let url = format!("{}{}/{file}", stage.url(), repository.server);
        reqwest::get(url).await.unwrap().status().as_u16()
    };
    let file = "lib-1-1-x86_64.pkg.tar.zst";
    assert_eq!((get(file).await, get("base.db").await), (200, 200));

    stage.client().archive(&name("base")).await.unwrap();
    stage.namespace("base", &["other/main"], Scope::None).await;
    assert_eq!((get(file).await, get("base.db").await), (200, 200));
    assert_eq!(get("other-1-1-x86_64.pkg.tar.zst").await, 404);
    assert_eq!(get("..%2f..%2fbuildbtw.db").await, 404);
    worker.succeed(&run).await;
    stage.stop().await;
}

#[tokio::test]
async fn nobody_makes_the_server_ask_any_host_or_read_any_file() {
    let configured = "core=http://127.0.0.1:9/$repo/$arch".parse().unwrap();
    let stage = Stage::start_with(&[("lib", srcinfo("lib", "1", &[]))], |config| {
        config.base_repositories = vec![configured];
        config.base_hosts = vec!["127.0.0.2".to_owned()];
    })
    .await;
    let plan = async |base: &str| {
        let mut request = PlanRequest {
            changesets: vec!["lib/main".parse().unwrap()],
            options: create(None, &["lib/main"], Scope::None).options,
            namespace: None,
        };
        request.options.base = Some(vec![base.parse().unwrap()]);
        let error = stage.client().plan(&request).await.unwrap_err();
        error.problem().unwrap().kind
    };
    for refused in [
        "x=file:///etc",
        "x=http://192.0.2.1/x",
        "x=http://localhost:9/x",
    ] {
        assert_eq!(plan(refused).await, ProblemType::BadRequest, "{refused}");
    }
    for asked in ["x=http://127.0.0.1:9/x", "x=http://127.0.0.2:9/x"] {
        assert_eq!(plan(asked).await, ProblemType::BaseUnavailable, "{asked}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_misspelt_field_begins_nothing() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/namespaces", stage.url()))
        .json(&serde_json::json!({"changesets": ["lib/main"], "nmae": "mine"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    assert!(answer.text().await.unwrap().contains("nmae"));
    let client: Client = stage.client();
    let all = client.namespaces(&Default::default()).await.unwrap();
    assert_eq!(all.items.len(), 0);
    stage.stop().await;
}

#[tokio::test]
async fn a_plan_that_nothing_released_supports_says_so() {
    let sources = [
        ("lib", srcinfo("lib", "1", &[])),
        ("app", srcinfo("app", "1", &["depends = lib"])),
    ];
    let stage = Stage::start(&sources).await;
    let mut request = create(Some("n"), &["app/main"], Scope::None);
    request.options.bootstrap = false;
    let plan = PlanRequest {
        changesets: request.changesets.clone(),
        options: request.options.clone(),
        namespace: None,
    };
    let plan = stage.client().plan(&plan).await.unwrap();
    let warned = |warning: &buildbtw_graph::PlanWarning| warning.message.contains("--bootstrap");
    assert!(plan.warnings.iter().any(warned), "{:?}", plan.warnings);
    // And it is true.
    stage.client().create_namespace(&request).await.unwrap();
    let worker = worker(&stage).await;
    let _ = tokio::join!(worker.client.claim(worker.id), async move {
        until(&stage, || async {
            let namespace = stage.client().namespace(&name("n")).await.unwrap();
            let mut sets = namespace.iterations[0].build_sets.values();
            sets.any(|set| set.counts.contains_key(&BuildStatus::Failed))
        })
        .await;
        stage.stop().await;
    });
}

/// A source needs a library by its name, the package built of it needs one with a number. Where a plan leaves the
/// need out, the number is left out with it.
#[tokio::test]
async fn what_bootstrapping_leaves_out_is_left_out_in_whatever_version() {
    let sources = [
        ("a", srcinfo("a", "1", &["depends = libx.so"])),
        ("b", srcinfo("b", "1", &["depends = a", "depends = old>=2"])),
    ];
    let stage = Stage::start(&sources).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let worker = worker(&stage).await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let folder = tempfile::tempdir().unwrap();
    let version = run.build.version.as_str();
    let (file, bytes) = stage::package_with(folder.path(), "a", "a", version, &["libx.so=1-64"]);
    worker.upload(&run, &file, &bytes).await.unwrap();
    let report = stage::finish(&run, OutcomeClass::Success, &[file]);
    worker.client.finish_run(run.run, &report).await.unwrap();
    let next = worker.claim().await;
    assert_eq!(next.build.pkgbase.as_str(), "b");
    let assumed = &next.build.assumed;
    // What the plan left out stays as the plan has it.
    for relation in ["libx.so", "libx.so=1-64", "old=2"] {
        assert!(assumed.contains(&relation.to_owned()), "{assumed:?}");
    }
    assert!(
        next.build
            .expected
            .iter()
            .any(|one| one.pkgname.as_str() == "a")
    );
    stage.stop().await;
}

/// What to ask for where the configured base repositories count.
fn on_configured_bases(name: Option<&str>, changeset: &str, scope: Scope) -> CreateNamespace {
    let mut request = create(name, &[changeset], scope);
    request.options.base = None;
    request
}

/// A stage with a base repository `core` of these packages.
async fn over_core(sources: &[(&str, String)], packages: &[(&str, &str, &[&str])]) -> Stage {
    Stage::start_with(sources, |config| {
        let folder = config.sources_dir.parent().unwrap().join("core");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("core.db"), base_db(packages)).unwrap();
        let base = format!("core=file://{}", folder.display());
        config.base_repositories = vec![base.parse().unwrap()];
    })
    .await
}

#[tokio::test]
async fn a_dependent_that_cannot_be_read_is_named_with_its_problem() {
    let sources = [
        ("a", srcinfo("a", "2", &[])),
        ("b", "pkgbase = b\nthis is no SRCINFO\n".to_owned()),
    ];
    let stage = over_core(&sources, &[("a", "1-1", &[]), ("b", "1-1", &["a"])]).await;
    let plan = PlanRequest {
        changesets: vec!["a/main".parse().unwrap()],
        options: on_configured_bases(None, "a/main", Scope::Transitive).options,
        namespace: None,
    };
    let plan = stage.client().plan(&plan).await.unwrap();
    let about_b = plan.warnings.iter().filter(|warning| {
        let pkgbase = warning.pkgbase.as_ref();
        pkgbase.is_some_and(|pkgbase| pkgbase.as_str() == "b")
    });
    let about_b: Vec<&str> = about_b.map(|warning| warning.message.as_str()).collect();
    assert!(
        about_b.iter().any(|it| it.contains("not rebuilt")),
        "{about_b:?}"
    );
    let why = |it: &&&str| it.contains("cannot be read") && it.contains(".SRCINFO is not valid");
    assert!(about_b.iter().any(|it| why(&it)), "{about_b:?}");
    stage.stop().await;
}

#[tokio::test]
async fn a_namespace_is_not_named_like_its_base() {
    let sources = [("core", srcinfo("core", "2", &[]))];
    let stage = over_core(&sources, &[("core", "1-1", &[])]).await;
    let asked = on_configured_bases(Some("core"), "core/main", Scope::None);
    let refused = stage.client().create_namespace(&asked).await.unwrap_err();
    let problem = refused.problem().unwrap();
    assert_eq!(problem.kind, ProblemType::NameTaken);
    assert!(
        problem.to_string().contains("base repositories"),
        "{problem}"
    );
    // A name that nobody asked for gives way by itself.
    let asked = on_configured_bases(None, "core/main", Scope::None);
    let made = stage.client().create_namespace(&asked).await.unwrap();
    assert_eq!(made.name.as_str(), "core-2");
    stage.stop().await;
}
