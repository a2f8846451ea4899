//! Things for the server to know: a namespace that rebuilds a library and what depends on it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use buildbtw_api::builds::{Build, BuildDetails, Neighbour};
use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::idle::IdleReason;
use buildbtw_api::modes::WorkerModeNote;
use buildbtw_api::namespaces::{
    BuildSetSummary, ChangesetMove, Iteration, IterationReason, Namespace, NamespaceDetails,
    NamespaceOptions, PinnedBase, PinnedChangeset,
};
use buildbtw_api::runs::{Outcome, RunDetails, RunPackage, RunSummary, Step};
use buildbtw_api::sources::{SourceRepository, SrcinfoState};
use buildbtw_api::workers::{RunningBuild, Worker, WorkerOffer};
use buildbtw_api::{
    BuildStatus, Changeset, IterationStatus, NamespaceName, NamespaceStatus, OutcomeClass, RunId,
    RunStatus, WorkerId,
};
use buildbtw_graph::Plan;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::World;

pub const COMMIT: &str = "8f14e45fceea167a5a36dedd4bea2543aabbccdd";
pub const ARCH: &str = "x86_64";

/// Any text that names something.
pub fn parse<T: FromStr<Err: Display>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn name(text: &str) -> NamespaceName {
    parse(text)
}

/// So many minutes ago.
pub fn ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}

/// A run's id by a number.
pub fn run_id(number: u32) -> RunId {
    parse(&format!("01900000-0000-7000-8000-{number:012}"))
}

pub fn event(kind: EventKind, namespace: &str) -> Event {
    Event {
        seq: 0,
        at: Timestamp::now(),
        kind,
        namespace: Some(name(namespace)),
        iteration: None,
        architecture: None,
        pkgbase: None,
        pass: None,
        run: None,
        worker: None,
        from: None,
        to: None,
        message: None,
        actor: None,
    }
}

pub fn build(
    namespace: &str,
    iteration: u32,
    pkgbase: &str,
    wave: u32,
    status: BuildStatus,
) -> BuildDetails {
    BuildDetails {
        namespace: name(namespace),
        iteration,
        build: Build {
            pkgbase: parse(pkgbase),
            architecture: parse(ARCH),
            pass: 1,
            status,
            reason: None,
            version: parse("1.0.0-2"),
            commit: COMMIT.to_owned(),
            pkgnames: vec![parse(pkgbase)],
            wave,
            nocheck: false,
            because: if wave == 1 {
                "changed".to_owned()
            } else {
                format!("{pkgbase} depends on libgreet.so=1-64 of libgreet")
            },
            changed_at: ago(30),
            run: None,
        },
        needs: Vec::new(),
        needed_by: Vec::new(),
        runs: Vec::new(),
        packages: Vec::new(),
        made_by: None,
        flaky: Vec::new(),
    }
}

pub fn neighbour(pkgbase: &str, status: BuildStatus, relation: &str) -> Neighbour {
    Neighbour {
        pkgbase: parse(pkgbase),
        pass: 1,
        status,
        relation: relation.to_owned(),
        dropped: false,
    }
}

pub fn outcome(class: OutcomeClass, message: &str) -> Outcome {
    Outcome {
        class,
        message: message.to_owned(),
        exit_code: None,
        failed_step: None,
    }
}

/// A run of three minutes and twelve seconds that ended.
pub fn run(number: u32, outcome: Outcome) -> RunSummary {
    let started = ago(40);
    RunSummary {
        canary: false,
        id: run_id(number),
        attempt: 1,
        status: RunStatus::Ended,
        outcome: Some(outcome),
        worker: Some("worker-1".to_owned()),
        claimed_at: started,
        started_at: Some(started),
        ended_at: Some(started + SignedDuration::from_secs(192)),
        pipeline: None,
    }
}

/// Gives a build a run, and the run a log.
pub fn with_run(world: &mut World, namespace: &str, pkgbase: &str, run: RunSummary, log: &[u8]) {
    let all = world
        .builds
        .iter_mut()
        .filter(|((owner, _), _)| owner == namespace);
    let details = all
        .flat_map(|(_, builds)| builds)
        .find(|details| details.build.pkgbase.as_str() == pkgbase)
        .expect("it is built");
    details.build.run = Some(run.clone());
    details.runs.insert(0, run.clone());
    world.logs.insert(run.id, log.to_vec());
    let id = run.id;
    let run = RunDetails {
        run,
        namespace: name(namespace),
        iteration: details.iteration,
        architecture: details.build.architecture.clone(),
        pkgbase: details.build.pkgbase.clone(),
        pass: details.build.pass,
        steps: Vec::new(),
        installed: Vec::new(),
        packages: Vec::new(),
        log_length: 0,
    };
    world.runs.insert(id, run);
}

pub fn step(name: &str, started_ms: u64, ended_ms: Option<u64>, succeeded: Option<bool>) -> Step {
    Step {
        name: name.to_owned(),
        started_ms,
        ended_ms,
        succeeded,
    }
}

pub fn iteration(namespace: &str, number: u32, status: IterationStatus) -> Iteration {
    let changeset: Changeset = parse("libgreet/main");
    let reason = if number == 1 {
        IterationReason::Created
    } else {
        IterationReason::NewCommit {
            moves: vec![ChangesetMove {
                changeset: changeset.clone(),
                from: COMMIT.to_owned(),
                to: COMMIT.chars().rev().collect(),
            }],
        }
    };
    let set = BuildSetSummary {
        counts: BTreeMap::new(),
        waves: 3,
        generation: number,
        base: vec![PinnedBase {
            name: "base".to_owned(),
            origin: "namespace:base".to_owned(),
            digest: "c4ca4238a0b923820dcc509a6f75849b".to_owned(),
            repository: "/bases/c4ca4238a0b923820dcc509a6f75849b".to_owned(),
        }],
        repository: format!("/repo/{namespace}/{number}/os/{ARCH}"),
        unresolved: 0,
        broken_by_packages: Vec::new(),
        broken: 0,
    };
    Iteration {
        number,
        status,
        why: reason.to_string(),
        reason,
        created_at: ago(60),
        changesets: vec![PinnedChangeset {
            changeset,
            commit: COMMIT.to_owned(),
        }],
        refusal: None,
        build_sets: BTreeMap::from([(parse(ARCH), set)]),
    }
}

/// Adds a namespace with one iteration of those builds.
pub fn add(world: &mut World, namespace: &str, builds: Vec<BuildDetails>) {
    let first = iteration(namespace, 1, IterationStatus::Current);
    let details = NamespaceDetails {
        namespace: Namespace {
            priority: None,
            name: name(namespace),
            status: NamespaceStatus::Active,
            created_at: ago(210),
            owner: None,
            changesets: vec![parse("libgreet/main")],
            options: NamespaceOptions::default(),
            iteration: None,
            page: format!("http://server/namespaces/{namespace}"),
            remark: None,
            origins_problem: None,
        },
        iterations: vec![first],
        newer_commits: Vec::new(),
    };
    world.namespaces.insert(namespace.to_owned(), details);
    world.builds.insert((namespace.to_owned(), 1), builds);
    world.count(namespace, 1);
}

/// Adds another iteration, which is being planned.
pub fn add_iteration(world: &mut World, namespace: &str, builds: Vec<BuildDetails>) -> u32 {
    let details = world.namespaces.get_mut(namespace).expect("it is there");
    let number = details.iterations[0].number + 1;
    let newest = iteration(namespace, number, IterationStatus::Planning);
    details.iterations.insert(0, newest);
    world.builds.insert((namespace.to_owned(), number), builds);
    world.count(namespace, number);
    let mut event = event(EventKind::IterationCreated, namespace);
    event.iteration = Some(number);
    world.record(event);
    number
}

/// The namespace of most tests: a library is changed, a program and a library need it, and a
/// suite needs both.
pub fn greeting() -> World {
    use BuildStatus::{Blocked, Pending};
    let mut world = World::default();
    let new = |pkgbase, wave, status| build("libgreet", 1, pkgbase, wave, status);
    let builds = vec![
        new("libgreet", 1, Pending),
        new("greet-cli", 2, Blocked),
        new("libshout", 2, Blocked),
        new("greet-suite", 3, Blocked),
    ];
    add(&mut world, "libgreet", builds);
    world.plan = Some(plan(4));
    world
}

/// The same when it is over: one build failed, and one waits for it in vain.
pub fn failed() -> World {
    let mut world = greeting();
    let log = b"==> Making package: greet-cli\n\x1b[1m==> Starting check()...\x1b[0m\nFAIL\n";
    let mut bad = outcome(OutcomeClass::Package, "makepkg failed in check()");
    bad.exit_code = Some(4);
    bad.failed_step = Some("check".to_owned());
    with_run(&mut world, "libgreet", "greet-cli", run(2, bad), log);
    let good = outcome(OutcomeClass::Success, "2 packages");
    with_run(
        &mut world,
        "libgreet",
        "libgreet",
        run(1, good.clone()),
        b"==> done\n",
    );
    with_run(&mut world, "libgreet", "libshout", run(3, good), b"");
    world.set("libgreet", 1, "libgreet", BuildStatus::Built, None);
    world.set("libgreet", 1, "libshout", BuildStatus::Built, None);
    world.set(
        "libgreet",
        1,
        "greet-cli",
        BuildStatus::Failed,
        Some("makepkg failed in check()"),
    );
    let why = "greet-cli failed";
    world.set(
        "libgreet",
        1,
        "greet-suite",
        BuildStatus::DependencyFailed,
        Some(why),
    );
    let details = &mut world
        .builds
        .get_mut(&("libgreet".to_owned(), 1))
        .expect("it is there")[1];
    details.needs = vec![neighbour(
        "libgreet",
        BuildStatus::Built,
        "libgreet.so=1-64",
    )];
    details.needed_by = vec![neighbour(
        "greet-suite",
        BuildStatus::DependencyFailed,
        "greet-cli",
    )];
    let run = world.runs.get_mut(&run_id(2)).expect("it is there");
    run.steps = vec![
        step("sources", 0, Some(400), Some(true)),
        step("build", 400, Some(181_000), Some(true)),
        step("check", 181_000, Some(192_000), Some(false)),
    ];
    world
}

/// The same when everything is built, with packages to fetch.
pub fn built() -> World {
    let mut world = greeting();
    for (number, pkgbase) in (1..).zip(["libgreet", "greet-cli", "libshout", "greet-suite"]) {
        let good = outcome(OutcomeClass::Success, "1 package");
        with_run(
            &mut world,
            "libgreet",
            pkgbase,
            run(number, good),
            b"==> done\n",
        );
        world.set("libgreet", 1, pkgbase, BuildStatus::Built, None);
        for (suffix, length) in [("", 3000), ("-debug", 10)] {
            let file_name = format!("{pkgbase}{suffix}-1.0.0-2-x86_64.pkg.tar.zst");
            let content = file_name.repeat(length).into_bytes();
            let path = format!("/repo/libgreet/1/os/{ARCH}/{file_name}");
            let package = RunPackage {
                file_name,
                sha256: sha256(&content),
                size: content.len() as u64,
            };
            let run = world.runs.get_mut(&run_id(number)).expect("it is there");
            run.packages.push(package.clone());
            // Debug packages stay with the run; the repository does not have them.
            if suffix.is_empty() {
                world.files.insert(path, content);
                let builds = world.builds.get_mut(&("libgreet".to_owned(), 1));
                let mut builds = builds.expect("they are there").iter_mut();
                let build = builds.find(|details| details.build.pkgbase.as_str() == pkgbase);
                build.expect("it is there").packages.push(package);
            }
        }
    }
    world.set_namespace("libgreet", NamespaceStatus::Finished);
    world
}

pub fn sha256(content: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(content))
}

pub fn worker(number: u32, seen: Option<Timestamp>) -> Worker {
    let id: WorkerId = parse(&format!("01900000-0000-7000-9000-{number:012}"));
    Worker {
        id,
        name: format!("worker-{number}"),
        offer: WorkerOffer {
            architectures: vec![parse(ARCH)],
            slots: 2,
            memory: None,
            labels: Vec::new(),
            builder: "sandbox".to_owned(),
            configuration: String::new(),
            root_modes: Vec::new(),
        },
        registered_at: ago(300),
        seen_at: seen,
        runs: Vec::new(),
        mode: WorkerModeNote::default(),
        running: Vec::new(),
        evidence: Vec::new(),
        speed: (number % 2 == 1).then_some(1.337),
        idle: Some(match seen {
            Some(_) => IdleReason::NothingReady,
            None => IdleReason::NotHeardOf,
        }),
    }
}

/// A build that a worker carries out.
pub fn running(number: u32, namespace: &str, pkgbase: &str) -> RunningBuild {
    RunningBuild {
        run: run_id(number),
        namespace: name(namespace),
        iteration: 1,
        architecture: parse(ARCH),
        pkgbase: parse(pkgbase),
        pass: 1,
        since: ago(12),
    }
}

pub fn source(pkgbase: &str) -> SourceRepository {
    SourceRepository {
        pkgbase: parse(pkgbase),
        default_branch: Some("main".to_owned()),
        commit: Some(COMMIT.to_owned()),
        version: Some(parse("1.0.0-1")),
        pkgbuild_version: Some(parse("1.0.0-1")),
        srcinfo: SrcinfoState::Fresh,
        problem: None,
        warnings: Vec::new(),
    }
}

/// One planned build as it stands in JSON.
fn planned(pkgbase: &str, wave: u32, because: &Value) -> Value {
    json!({
        "pkgbase": pkgbase, "pass": 1, "version": "1.0.0-2", "pkgrel": "2", "wave": wave,
        "nocheck": false, "pkgnames": [pkgbase], "refers_to": null, "because": because,
        "unbuildable": null, "install": ["libgreet"], "assumed": []
    })
}

/// A plan of so many builds: the first changed, the others dependents of it.
pub fn plan(builds: usize) -> Plan {
    let because = json!({"of": "libgreet", "pkgname": "greet-cli", "relation": "libgreet.so=1-64", "world": "released"});
    let mut list = vec![planned("libgreet", 1, &json!("changed"))];
    for number in 1..builds {
        list.push(planned(&format!("greet-{number:04}"), 2, &because));
    }
    let plan = json!({
        "architectures": { ARCH: {
            "builds": list, "edges": [], "broken": [], "unresolved": [], "ambiguous": [], "risks": [],
            "critical_path": [{"pkgbase": "libgreet", "pass": 1}, {"pkgbase": "greet-0001", "pass": 1}],
            "waves": 2
        } },
        "warnings": []
    });
    serde_json::from_value(plan).expect("a plan")
}

/// A plan in which everything is found that can be found.
pub fn eventful_plan() -> Plan {
    let mut plan = serde_json::to_value(plan(3)).expect("a plan is JSON");
    let set = &mut plan["architectures"][ARCH];
    let key = |pkgbase: &str| json!({"pkgbase": pkgbase, "pass": 1});
    set["builds"][1]["nocheck"] = json!(true);
    set["builds"][1]["assumed"] = json!(["greet-words"]);
    set["builds"][2]["unbuildable"] = json!({
        "reason": "cycle",
        "hint": "it needs greet-0001, which nobody has released and which waits for it; --bootstrap leaves the need out"
    });
    set["edges"] = json!([{
        "before": key("greet-0001"), "after": key("greet-0002"), "kind": "makedepends",
        "relation": "greet-0001>=1", "through": ["greet-0001"], "dropped": true
    }]);
    set["broken"] = json!([{
        "pkgbase": "greet-0002", "pkgname": null, "kind": "depends", "relation": "libgreet<2",
        "reason": "libgreet 1.0.0-1 satisfied it, libgreet 2.0.0-1 does not"
    }]);
    set["unresolved"] =
        json!([{"pkgbase": "greet-0001", "relation": "nonesuch", "kind": "checkdepends"}]);
    set["ambiguous"] = json!([{
        "pkgbase": "greet-0001", "relation": "greeter", "chosen": "greet-cli", "candidates": ["greet-cli", "shout"]
    }]);
    set["risks"] = json!([{"pkgbase": "greet-0001", "installs": "greet-0001", "reason": "it is built with itself"}]);
    plan["warnings"] =
        json!([{"pkgbase": "greet-0001", "message": "its url has a control character: \u{1b}[2J"}]);
    serde_json::from_value(plan).expect("a plan")
}
