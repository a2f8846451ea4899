//! Pages without a browser: what is in them, how large they are, and that forms act.

use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;

use crate::stage::{self, Stage, Worker, srcinfo};
use crate::world::{Eventful, succeed_with};

pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub async fn text(world: &Eventful, path: &str) -> String {
    let answer = client().get(world.stage.url() + path).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.text().await.unwrap()
}

#[tokio::test]
async fn every_page_says_what_it_is_there_for() {
    let world = Eventful::start().await;
    let log = format!("/runs/{}/log", world.failed.run);
    for (path, expected) in [
        (
            "/",
            &[
                "1 of 4",
                "other",
                "Failures of the last day <small>1",
                ">package</span>",
                "free</dd>",
            ][..],
        ),
        (
            "/namespaces/n",
            &[
                "1 failed",
                "Iteration 1",
                "class=\"cell failed\"",
                "SigLevel",
                "Retry failures",
            ],
        ),
        (
            "/namespaces/n?status=failed",
            &["data-build=\"x86_64/tool/1\""],
        ),
        (
            "/namespaces/n/1/x86_64/tool/1",
            &["It failed (package)", "first-error", "Leave out", "<svg"],
        ),
        (
            "/namespaces/n/1/x86_64/suite/1",
            &["tool", "What is around it", "The way from the change to it"],
        ),
        (
            "/namespaces/n/1/x86_64/lib/1",
            &[
                "Packages",
                "lib-1-1-x86_64.pkg.tar.zst",
                "no package of that name",
            ],
        ),
        ("/archive", &["bbtw archive"]),
        ("/namespaces/n/1/findings", &["What the plan found"]),
        ("/packages/tool", &["Version 1-1", "iteration 1"]),
        ("/workers", &["1 of 1 slots", "other"]),
        ("/sources", &["4 source repositories", "suite"]),
        ("/search?q=o", &["/packages/tool", "/packages/other"]),
        (
            "/plan?changesets=lib%2Fmain",
            &["4 builds in 3 waves", "Make a namespace of 4 builds"],
        ),
        (
            "/plan?changesets=nothing%2Fmain",
            &["there is no source repository"],
        ),
        ("/failures.atom", &["<title>tool: package</title>"]),
        (
            &log,
            &["part-60.c:3:5: error", "id=\"L60\" class=\"error\""],
        ),
    ] {
        let text = text(&world, path).await;
        for expected in expected {
            assert!(
                text.contains(expected),
                "{path} does not say {expected}:\n{text}"
            );
        }
    }
    world.stage.stop().await;
}

#[tokio::test]
async fn forms_act_without_a_script() {
    let world = Eventful::start().await;
    let post = async |path: &str, form: &[(&str, &str)]| {
        let request = client().post(world.stage.url() + path).form(form);
        let answer = request.send().await.unwrap();
        let place = answer
            .headers()
            .get("location")
            .map(|it| it.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            place,
            answer.text().await.unwrap(),
        )
    };
    let (status, place, _) = post("/namespaces/n/pause", &[]).await;
    assert_eq!((status, place.as_deref()), (303, Some("/namespaces/n")));
    world.namespace_comes_to(NamespaceStatus::Paused).await;
    post("/namespaces/n/resume", &[]).await;
    world.namespace_comes_to(NamespaceStatus::Active).await;
    let back = "/namespaces/n/1/x86_64/tool/1";
    let (_, place, _) = post(
        "/namespaces/n/retry",
        &[("pkgbase", "tool"), ("back", back)],
    )
    .await;
    assert_eq!(place.as_deref(), Some(back));
    // Nobody is led away from here, whatever a form says.
    let form = [
        ("pkgbase", "suite"),
        ("reason", "not now"),
        ("back", "//example.org/namespaces/"),
    ];
    let (_, place, _) = post("/namespaces/n/waive", &form).await;
    assert_eq!(place.as_deref(), Some("/namespaces/n"));
    world.comes_to("suite", BuildStatus::Waived).await;
    let (status, _, said) = post("/namespaces/n/add", &[("changeset", "nonsense")]).await;
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("nonsense"), "{said}");
    assert_eq!(post("/namespaces/n/explode", &[]).await.0, 404);
    let bare = client().post(world.stage.url() + "/namespaces/n/pause");
    let bare = bare.body("reason=x").send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 415);
    assert!(bare.text().await.unwrap().contains("</html>"), "not a page");
    let form = [
        ("changesets", "suite/main"),
        ("scope", "none"),
        ("name", "new"),
    ];
    let (_, place, _) = post("/namespaces", &form).await;
    assert_eq!(place.as_deref(), Some("/namespaces/new"));
    let workers = world.stage.client().workers().await.unwrap();
    let path = format!("/workers/{}/mode", workers[0].id);
    post(&path, &[("mode", "paused"), ("reason", "a slow disk")]).await;
    let home = text(&world, "/").await;
    let said = "w gets no runs, it is paused: a slow disk";
    assert!(home.contains(said), "{home}");
    let text = text(&world, "/workers").await;
    assert!(text.contains("paused"), "{text}");
    assert_eq!(text.matches("a slow disk").count(), 1, "{text}");
    world.stage.stop().await;
}

#[tokio::test]
async fn pages_are_strict_and_compressed() {
    let world = Eventful::start().await;
    for path in world.pages() {
        let request = client()
            .get(world.stage.url() + &path)
            .header("accept-encoding", "gzip");
        let answer = request.send().await.unwrap();
        if path == "/nothing-here" {
            assert_eq!(answer.status().as_u16(), 404);
            continue;
        }
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{path}");
        let text = text(&world, &path).await;
        for forbidden in [
            " style=",
            "<style",
            "onclick=",
            "javascript:",
            "http://",
            "https://",
        ] {
            let found = text.replace(&world.stage.url(), "").contains(forbidden);
            assert!(!found, "{path} contains {forbidden}");
        }
    }
    world.stage.stop().await;
}

/// The texts of the links and other words of a list, without markup.
fn words(html: &str) -> String {
    let mut plain = String::new();
    for piece in html.split('<') {
        plain.push(' ');
        plain.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_way_from_the_change_to_a_build_is_shown_link_by_link() {
    let world = Eventful::start().await;
    let page = text(&world, "/namespaces/n/1/x86_64/suite/1").await;
    let (_, chain) = page.split_once("<ol class=\"chain\">").unwrap();
    let (chain, _) = chain.split_once("</ol>").unwrap();
    // Of two ways of the same length the plan keeps one.
    let middle = if chain.contains(">tool<") {
        "tool"
    } else {
        "other"
    };
    let status = if middle == "tool" {
        "failed"
    } else {
        "building"
    };
    assert_eq!(
        words(chain),
        format!(
            "lib built it is an origin of the namespace \
             {middle} {status} {middle} needs lib, which lib makes \
             suite dependency failed suite needs {middle}, which {middle} makes"
        )
    );
    assert!(
        chain.contains("href=\"/namespaces/n/1/x86_64/lib/1\""),
        "{chain}"
    );
    let changed = text(&world, "/namespaces/n/1/x86_64/lib/1").await;
    assert!(
        !changed.contains("class=\"chain\""),
        "a change needs no way"
    );
    world.stage.stop().await;
}

#[tokio::test]
async fn a_package_says_what_differs_from_the_one_before() {
    let stage = crate::world::stage().await;
    stage.namespace("n", &["lib/main"], Scope::None).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    succeed_with(&worker, &worker.claim().await, &["liblib.so=1-64"]).await;
    stage.namespace("later", &["lib/main"], Scope::None).await;
    let commit = stage::write_srcinfo(&stage.source("lib"), &stage::srcinfo("lib", "2", &[]));
    stage::seen(&stage, "lib", &commit).await;
    let run = loop {
        let run = worker.claim().await;
        if run.build.version.as_str() == "2-1" {
            break run;
        }
        succeed_with(&worker, &run, &["liblib.so=1-64"]).await;
    };
    let place = format!(
        "/namespaces/{}/{}/x86_64/lib/1",
        run.namespace, run.iteration
    );
    succeed_with(&worker, &run, &["liblib.so=2-64", "lib-like"]).await;
    let page = async || {
        let answer = client().get(stage.url() + &place).send().await.unwrap();
        answer.text().await.unwrap()
    };
    stage::until(&stage, || async { page().await.contains("status built") }).await;
    let page = words(&page().await);
    for expected in [
        "Libraries liblib.so=2-64",
        "Provides lib-like",
        "Differs from 1-1",
        "no longer library liblib.so=1-64",
        "now library liblib.so=2-64",
        "now provides lib-like",
    ] {
        assert!(page.contains(expected), "{expected}:\n{page}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_namespace_in_which_nothing_goes_on_stands_still() {
    let world = Eventful::start().await;
    let home = text(&world, "/").await;
    assert!(!home.contains("stands still"), "other is being built");
    let legend = home.split("class=\"legend\"").nth(1).unwrap();
    let legend = legend.split("</p>").next().unwrap();
    for status in ["building", "built", "failed", "dependency failed"] {
        assert!(legend.contains(&format!(">{status}<")), "{legend}");
    }
    // What failed and what waits for it are counted apart.
    assert!(
        words(&home).contains("1 of 4, 1 failed , 1 waits for a failure"),
        "{home}"
    );
    let Eventful {
        worker, running, ..
    } = &world;
    worker.fail(running, OutcomeClass::Package).await;
    world.comes_to("other", BuildStatus::Failed).await;
    for path in ["/", "/namespaces/n"] {
        assert!(text(&world, path).await.contains(">stands still<"));
    }
    let page = text(&world, "/namespaces/n").await;
    assert!(
        page.contains("<title>25% n: stands still – buildbtw</title>"),
        "{page}"
    );
    let said = words(&page);
    assert!(
        said.contains(
            "Nothing goes on by itself: 2 failed and 1 waits for that . Mend what is wrong"
        ),
        "{said}"
    );
    world.stage.stop().await;
}

#[tokio::test]
async fn what_changed_between_iterations_leads_to_its_builds() {
    let world = Eventful::start().await;
    stage::write_srcinfo(&world.stage.source("lib"), &srcinfo("lib", "2", &[]));
    stage::until(&world.stage, || async {
        let name = "n".parse().unwrap();
        let namespace = world.stage.client().namespace(&name).await.unwrap();
        namespace.iterations[0].number == 2
            && namespace.iterations[0].status == IterationStatus::Current
    })
    .await;
    let page = text(&world, "/namespaces/n/2/difference").await;
    let build = "/namespaces/n/2/x86_64/lib/1";
    assert!(page.contains(&format!("href=\"{build}\"")), "{page}");
    assert!(text(&world, build).await.contains("2-1"));
    // Who comes to what is over sees it, and is not offered what would be done to something else.
    let over = text(&world, "/namespaces/n/1").await;
    assert!(
        over.contains("Iteration 1 is no longer worked on"),
        "{over}"
    );
    assert!(!over.contains("id=\"actions\""), "{over}");
    let over = text(&world, "/namespaces/n/1/x86_64/tool/1").await;
    assert!(
        over.contains("Iteration 1 is no longer worked on"),
        "{over}"
    );
    let now = text(&world, "/namespaces/n/2").await;
    assert!(now.contains("id=\"actions\"") && !now.contains("no longer worked on"));
    // What changed last stands first among the builds of a package.
    let builds = text(&world, "/packages/lib").await;
    let place = |page: &str| builds.find(page).unwrap();
    assert!(
        place("/namespaces/n/2/") < place("/namespaces/n/1/"),
        "{builds}"
    );
    world.stage.stop().await;
}

#[tokio::test]
async fn a_package_is_found_by_the_source_that_makes_it() {
    let split = srcinfo("kit", "1", &[]) + "\npkgname = libkit\n";
    let stage = Stage::start(&[("kit", split), ("other", srcinfo("other", "1", &[]))]).await;
    let search = async |text: &str| {
        let url = format!("{}/search?q={text}", stage.url());
        let answer = reqwest::get(url).await.unwrap();
        let path = answer.url().path().to_owned();
        (path, answer.text().await.unwrap())
    };
    // What only one thing is called is gone to at once.
    assert_eq!(search("libkit").await.0, "/packages/kit");
    let (path, page) = search("libk").await;
    assert_eq!(path, "/search");
    assert!(page.contains("makes libkit"), "{page}");
    assert!(!page.contains("/packages/other"), "{page}");
    // Large and small letters are alike, also in the list of a namespace.
    assert_eq!(search("LIBKIT").await.0, "/packages/kit");
    stage.namespace("Mine", &["kit/main"], Scope::None).await;
    assert_eq!(search("mine").await.0, "/namespaces/Mine");
    let url = format!("{}/namespaces/Mine?text=KI", stage.url());
    let list = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(list.contains("data-build=\"x86_64/kit/1\""), "{list}");
    // One build is not several.
    let url = format!("{}/plan?changesets=kit%2Fmain", stage.url());
    let plan = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(plan.contains("Make a namespace of 1 build<"), "{plan}");
    // Without failures the feed is the same at any time.
    let feed = async || {
        let answer = reqwest::get(stage.url() + "/failures.atom").await.unwrap();
        answer.text().await.unwrap()
    };
    assert_eq!(feed().await, feed().await);
    stage.stop().await;
}

#[tokio::test]
async fn pages_of_a_namespace_stay_where_they_are_when_its_name_is_taken_again() {
    let world = Eventful::start().await;
    let name = "n".parse().unwrap();
    world.stage.client().archive(&name).await.unwrap();
    let said = text(&world, "/namespaces/n").await;
    assert!(said.contains("It is put away"), "{said}");
    let found = text(&world, "/search?q=n").await;
    assert!(found.contains("href=\"/namespaces/n/1\""), "{found}");
    world
        .stage
        .namespace("n", &["suite/main"], Scope::None)
        .await;
    let log = format!("/runs/{}/log", world.failed.run);
    for (path, expected) in [
        ("/namespaces/n", "iterations/2/"),
        ("/namespaces/n/2/x86_64/suite/1", "status pending"),
        (
            "/namespaces/n/1",
            "has <a href=\"/namespaces/n\">its name</a>",
        ),
        ("/namespaces/n/1/x86_64/tool/1", "It failed (package)"),
        ("/namespaces/n/1/findings", "What the plan found"),
        ("/archive", "href=\"/namespaces/n/1\""),
        ("/", "1 archived"),
        (&log, "href=\"/namespaces/n/1/x86_64/tool/1\""),
    ] {
        let expected = match expected {
            "iterations/2/" => "href=\"/namespaces/n/2\"",
            expected => expected,
        };
        let text = text(&world, path).await;
        assert!(
            text.contains(expected),
            "{path} does not say {expected}:\n{text}"
        );
        assert!(!text.contains("/namespaces/n/1/retry"), "{path}");
    }
    // Nothing can be done about what is put away.
    let old = text(&world, "/namespaces/n/1/x86_64/tool/1").await;
    assert!(!old.contains("<form method=\"post\""), "{old}");
    world.stage.stop().await;
}

#[tokio::test]
async fn what_is_left_out_says_why_and_can_be_taken_back() {
    let world = Eventful::start().await;
    let post = async |verb: &str, form: &[(&str, &str)]| {
        let url = format!("{}/namespaces/n/{verb}", world.stage.url());
        client()
            .post(url)
            .form(form)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        post(
            "waive",
            &[("pkgbase", "tool"), ("reason", "upstream knows")]
        )
        .await,
        303
    );
    world.comes_to("tool", BuildStatus::Waived).await;
    let page = text(&world, "/namespaces/n/1/x86_64/tool/1").await;
    for expected in [
        "It is waived: upstream knows.",
        "In iteration 1 somebody said to leave it out",
        "as long as its source stays at commit",
        "Build it after all",
    ] {
        assert!(page.contains(expected), "{expected}:\n{page}");
    }
    assert_eq!(post("unwaive", &[("pkgbase", "tool")]).await, 303);
    world.comes_to("tool", BuildStatus::Pending).await;
    assert_eq!(post("unwaive", &[("pkgbase", "tool")]).await, 409);
    world.stage.stop().await;
}

#[tokio::test]
async fn a_page_that_has_its_map_gets_only_the_rest() {
    let world = Eventful::start().await;
    let whole = text(&world, "/namespaces/n").await;
    let fresh = text(&world, "/namespaces/n?fresh=true").await;
    let cells = |text: &str| text.matches("<path class=\"cell").count();
    assert!(cells(&whole) > 0 && cells(&fresh) == 0);
    let rows = |text: &str| text.matches("data-build=").count();
    assert_eq!((rows(&whole), rows(&fresh)), (4, 4));
    // It knows which map it is that stays.
    let place = "data-names=\"/namespaces/n/1/map.json\"";
    assert!(whole.contains(place) && fresh.contains(place));
    world.stage.stop().await;
}
