//! Plans of whole distributions: the server reads them as git repositories and plans, and every
//! plan is checked from the `.SRCINFO` texts alone.

use std::time::Instant;

use buildbtw_api::sources::SourceQuery;
use buildbtw_tests::corpus::checker::{Asked, Checked, check};
use buildbtw_tests::corpus::distribution::{Distribution, Reach};
use buildbtw_tests::corpus::plan::BuildSet;
use buildbtw_tests::corpus::{self, SrcinfoText, synthetic};
use buildbtw_tests::stage::Stage;

/// A server that has read some sources to the end. Implicit packages are installed: the build roots
/// have nothing of the host.
async fn serve(mut stage: Stage, texts: &[SrcinfoText]) -> Stage {
    corpus::write_repositories(&stage, texts);
    stage = stage
        .with("ROOT_MODE", "packages")
        .with("IMPLICIT_PACKAGES", synthetic::IMPLICIT);
    stage.start_server();
    let health = stage.sources_in_sync().await;
    assert_eq!(health.sources, texts.len() as u64, "{}", stage.logs());
    stage
}

/// Has `bbtw` plan, and reads the plan.
fn plan(stage: &Stage, arguments: &[&str]) -> BuildSet {
    let text = stage.bbtw_ok(&[&["plan", "--json"], arguments].concat());
    BuildSet::read(&serde_json::from_str(&text).expect("it prints JSON"))
}

/// Has `bbtw` plan, and checks the plan.
fn checked_plan(
    stage: &Stage,
    all: &Distribution,
    changed: &[&str],
    reach: Reach,
) -> (BuildSet, Checked) {
    let changesets: Vec<String> = changed
        .iter()
        .map(|pkgbase| format!("{pkgbase}/main"))
        .collect();
    let scope = match reach {
        Reach::Transitive => "transitive",
        Reach::Direct => "direct",
        Reach::None => "none",
    };
    let mut arguments = vec!["--scope", scope];
    arguments.extend(changesets.iter().map(String::as_str));
    let set = plan(stage, &arguments);
    let asked = Asked {
        changed,
        reach,
        implicit: &[synthetic::IMPLICIT],
    };
    match check(all, &asked, &set) {
        Ok(checked) => {
            println!("{changed:?}, {scope}: {checked:?}");
            (set, checked)
        }
        Err(wrong) => panic!(
            "the plan of {changed:?}, {scope}, has {} faults:\n{}",
            wrong.len(),
            wrong.into_iter().take(40).collect::<Vec<_>>().join("\n")
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_made_up_distributions_hold() {
    let (mut dropped, mut nocheck, mut unresolved) = (0, 0, 0);
    for seed in 1..=3 {
        let texts = synthetic::distribution(seed, 300);
        let all = corpus::distribution_of(&texts);
        let stage = serve(Stage::new(), &texts).await;
        for changed in [
            &["s000"][..],
            &["s020"],
            &["s151", "s007"],
            &["sh-like-0"],
            &["s299"],
            &["base-devel"],
        ] {
            for reach in [Reach::Transitive, Reach::Direct, Reach::None] {
                let (set, checked) = checked_plan(&stage, &all, changed, reach);
                dropped += checked.dropped.values().sum::<usize>();
                nocheck += checked.nocheck;
                unresolved += set.unresolved.len();
            }
        }
    }
    assert!(
        dropped > 0 && nocheck > 0 && unresolved > 0,
        "the hard cases must come up: {dropped} {nocheck} {unresolved}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_finds_what_is_wrong_with_a_plan() {
    let texts = synthetic::distribution(1, 300);
    let all = corpus::distribution_of(&texts);
    let stage = serve(Stage::new(), &texts).await;
    let changed = ["s000"];
    let (good, checked) = checked_plan(&stage, &all, &changed, Reach::Transitive);
    assert!(
        checked.builds > 100 && checked.implied > 1000,
        "{checked:?}"
    );
    let asked = Asked {
        changed: &changed,
        reach: Reach::Transitive,
        implicit: &[synthetic::IMPLICIT],
    };
    let faults = |what: &str, spoil: &mut dyn FnMut(&mut BuildSet)| {
        let mut set = good.clone();
        spoil(&mut set);
        let wrong = check(&all, &asked, &set)
            .err()
            .unwrap_or_else(|| panic!("{what} was not noticed"));
        println!("{what}: {}", wrong[0]);
        wrong
    };
    let kept = good
        .edges
        .iter()
        .position(|edge| !edge.dropped)
        .expect("there is an order");
    let given_up = good
        .edges
        .iter()
        .position(|edge| edge.dropped)
        .expect("there is a cycle");

    let wrong = faults("a lost edge", &mut |set| drop(set.edges.remove(kept)));
    assert!(
        wrong.iter().any(|text| text.contains("may come later")),
        "{wrong:?}"
    );
    let wrong = faults("a lost dropped pair", &mut |set| {
        drop(set.edges.remove(given_up))
    });
    assert!(
        wrong.iter().any(|text| text.contains("may come later")),
        "{wrong:?}"
    );
    let wrong = faults("a cycle", &mut |set| set.edges[given_up].dropped = false);
    assert!(
        wrong
            .iter()
            .any(|text| text.contains("cycle") || text.contains("skips its check")),
        "{wrong:?}"
    );
    let wrong = faults("an order given up without need", &mut |set| {
        set.edges[kept].dropped = true
    });
    assert!(
        wrong.iter().any(|text| text.contains("without need")),
        "{wrong:?}"
    );
    let wrong = faults("a missing build", &mut |set| {
        let last = set
            .builds
            .keys()
            .next_back()
            .cloned()
            .expect("there are builds");
        set.builds.remove(&last);
        set.edges
            .retain(|edge| edge.before != last && edge.after != last);
    });
    assert!(
        wrong.iter().any(|text| text.contains("is missing")),
        "{wrong:?}"
    );
    let wrong = faults("a check that is skipped", &mut |set| {
        let build = set
            .builds
            .values_mut()
            .find(|build| !build.nocheck)
            .expect("most are checked");
        build.nocheck = true;
    });
    assert!(
        wrong
            .iter()
            .any(|text| text.contains("skips its check without need")),
        "{wrong:?}"
    );
    let wrong = faults("a need that is not installed", &mut |set| {
        let build = set
            .builds
            .values_mut()
            .find(|build| build.install.len() > 1)
            .expect("most install something");
        build.install.remove(0);
    });
    assert!(
        wrong
            .iter()
            .any(|text| text.contains("is not installed for")),
        "{wrong:?}"
    );
    let wrong = faults("a need that is not reported", &mut |set| {
        set.unresolved.clear()
    });
    assert!(
        wrong.iter().any(|text| text.contains("nobody says so")),
        "{wrong:?}"
    );
    let wrong = faults("a wrong wave", &mut |set| {
        set.builds
            .values_mut()
            .for_each(|build| build.wave = build.wave.max(2));
    });
    assert!(
        wrong
            .iter()
            .any(|text| text.contains("is in wave 2 instead of 1")),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_the_corpus_hold() {
    let stage = Stage::new();
    let Some(texts) = corpus::corpus() else {
        return;
    };
    let all = corpus::distribution_of(&texts);
    let start = Instant::now();
    let stage = serve(stage, &texts).await;
    println!(
        "{} repositories made and read in {:?}",
        texts.len(),
        start.elapsed()
    );
    let problems = stage
        .client()
        .sources(&SourceQuery {
            problems: true,
            ..SourceQuery::default()
        })
        .await;
    let problems = problems.expect("the sources can be listed").items;
    assert!(
        problems.iter().all(|source| source.problem.is_none()),
        "{problems:#?}"
    );

    let (_, openimageio) = checked_plan(&stage, &all, &["openimageio"], Reach::Transitive);
    assert!(openimageio.builds > 1, "{openimageio:?}");
    let (_, curl) = checked_plan(&stage, &all, &["curl"], Reach::Transitive);
    assert!(
        curl.builds > 2000 && curl.nocheck > 0 && curl.dropped.len() > 1,
        "{curl:?}"
    );
    checked_plan(&stage, &all, &["qt6-base", "boost"], Reach::Direct);
}
