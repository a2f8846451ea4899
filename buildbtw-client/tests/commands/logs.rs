//! `bbtw logs`

use buildbtw_api::builds::MadeBy;
use buildbtw_api::{BuildStatus, OutcomeClass, RunStatus};

use crate::fixtures::{built, failed, greeting, name, outcome, run as ended, run_id, with_run};
use crate::program::{Running, regex_of, run, snapshot};
use crate::server::Server;
use crate::terminal::OnTerminal;
use crate::world::World;

/// A log that is long enough to be cut anywhere.
fn long_log() -> Vec<u8> {
    (0..5000)
        .flat_map(|number| format!("line {number} of a log\n").into_bytes())
        .collect()
}

fn with_log(log: &[u8]) -> World {
    let mut world = failed();
    world.logs.insert(run_id(2), log.to_vec());
    world
}

/// A build that is being built now.
fn building() -> World {
    let mut world = greeting();
    let mut now = ended(1, outcome(OutcomeClass::Success, ""));
    now.status = RunStatus::Running;
    now.outcome = None;
    with_run(&mut world, "libgreet", "libgreet", now, b"==> begun\n");
    world.set("libgreet", 1, "libgreet", BuildStatus::Building, None);
    world
}

fn end(world: &mut World) {
    world
        .runs
        .get_mut(&run_id(1))
        .expect("it is there")
        .run
        .status = RunStatus::Ended;
}

#[tokio::test]
async fn a_log_is_piped_byte_for_byte() {
    let log = b"\x1b[2J\xff\r\n\0end without a line break";
    let server = Server::start(with_log(log)).await;
    let mut command = crate::program::bbtw(
        &server.address(),
        &["logs", "libgreet", "greet-cli", "--color", "never"],
    );
    let done = tokio::task::spawn_blocking(move || command.output().expect("it runs"))
        .await
        .expect("it ends");
    assert_eq!(done.stdout, log);
    assert_eq!(done.status.code(), Some(0));
}

/// A build that took over packages has no run of its own: the log is that of the run that made them.
#[tokio::test]
async fn the_log_of_a_reused_build_is_that_of_the_run_that_made_its_packages() {
    let mut world = with_log(b"==> made before\n");
    let made = run_id(2);
    world.runs.get_mut(&made).unwrap().namespace = name("before");
    let builds = world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap();
    let reused = builds
        .iter_mut()
        .find(|one| one.build.pkgbase.as_str() == "greet-cli");
    let reused = reused.unwrap();
    reused.build.run = None;
    reused.runs.clear();
    reused.made_by = Some(MadeBy {
        run: made,
        namespace: name("before"),
        iteration: 3,
        architecture: reused.build.architecture.clone(),
    });
    world.set("libgreet", 1, "greet-cli", BuildStatus::Reused, None);
    let server = Server::start(world).await;
    let done = run(&server, &["logs", "libgreet", "greet-cli"]).await;
    assert_eq!(done.stdout, "==> made before\n");
    assert!(
        done.stderr.contains("in iteration 3 of before"),
        "{}",
        done.stderr
    );
    let followed = run(&server, &["logs", "-f", "libgreet", "greet-cli"]).await;
    assert_eq!(followed.stdout, "==> made before\n");
}

#[tokio::test]
async fn on_a_terminal_only_colours_are_obeyed() {
    let server = Server::start(with_log(b"\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07\n")).await;
    let shown = OnTerminal::start(&server, &["logs", "libgreet", "greet-cli"])
        .finish()
        .await;
    assert_eq!(
        shown.stdout,
        "\u{1b}[31mred\u{1b}[0m ^[[2J^[]0;title^G\r\n\u{1b}[0m"
    );
    let plain = OnTerminal::start(
        &server,
        &["logs", "libgreet", "greet-cli", "--color", "never"],
    )
    .finish()
    .await;
    assert_eq!(plain.stdout, "red ^[[2J^[]0;title^G\r\n");
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_at_the_byte_where_it_broke() {
    let log = long_log();
    let mut world = with_log(&log);
    world.cut_logs = vec![1, 777, 40_000];
    let server = Server::start(world).await;
    let done = run(&server, &["logs", "libgreet", "greet-cli"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stdout.as_bytes() == log,
        "{} bytes came of {}",
        done.stdout.len(),
        log.len()
    );
    let offsets = server.read(|world| {
        let asked = world.asked.iter().filter(|asked| asked.contains("/log?"));
        asked
            .map(|asked| {
                asked
                    .split_once("offset=")
                    .expect("it has one")
                    .1
                    .to_owned()
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(
        offsets,
        [
            "0&follow=false",
            "1&follow=false",
            "778&follow=false",
            "40778&follow=false"
        ]
    );
}

#[tokio::test]
async fn a_log_is_followed_to_the_end_of_its_run() {
    let server = Server::start(building()).await;
    let mut logs = Running::start(&server, &["logs", "-f", "libgreet", "libgreet"]);
    logs.until("==> begun").await;
    server.change(|world| {
        world
            .logs
            .get_mut(&run_id(1))
            .expect("it is there")
            .extend_from_slice(b"more\n")
    });
    logs.until("more").await;
    server.change(|world| {
        world
            .logs
            .get_mut(&run_id(1))
            .expect("it is there")
            .extend_from_slice(b"the end\n");
        end(world);
    });
    let done = logs.finish().await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "==> begun\nmore\nthe end\n")
    );
}

#[tokio::test]
async fn following_survives_cuts_and_a_restart_of_the_server() {
    let mut world = building();
    world.cut_logs = vec![4];
    world.short_logs = 2;
    let server = Server::start(world).await;
    let mut logs = Running::start(&server, &["logs", "-f", "libgreet", "libgreet"]);
    logs.until("==> begun").await;
    let opened = |world: &World| {
        world
            .asked
            .iter()
            .filter(|asked| asked.starts_with("GET") && asked.contains("/log?"))
            .count()
    };
    // One that was cut, one that ended too early, one that ends with the server, and the next.
    server.until(|world| opened(world) == 3).await;
    server.stop().await;
    server.resume();
    server.until(|world| opened(world) == 4).await;
    server.change(|world| {
        world
            .logs
            .get_mut(&run_id(1))
            .expect("it is there")
            .extend_from_slice(b"meanwhile\n");
    });
    logs.until("meanwhile").await;
    server.change(end);
    let done = logs.finish().await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "==> begun\nmeanwhile\n"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn following_waits_for_the_run_to_begin() {
    let server = Server::start(greeting()).await;
    let logs = Running::start(&server, &["logs", "-f", "libgreet", "greet-cli"]);
    server
        .until(|world| {
            world
                .asked
                .iter()
                .any(|asked| asked.contains("/builds/x86_64/greet-cli/2"))
        })
        .await;
    server.change(|world| {
        let done = ended(9, outcome(OutcomeClass::Success, "1 package"));
        with_run(world, "libgreet", "greet-cli", done, b"==> at last\n");
        world.set("libgreet", 1, "greet-cli", BuildStatus::Building, None);
    });
    let done = logs.finish().await;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "==> at last\n"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("greet-cli is blocked; waiting"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn a_build_without_a_log_says_why() {
    let server = Server::start(failed()).await;
    let vain = run(&server, &["logs", "-f", "libgreet", "greet-suite"]).await;
    assert_eq!(vain.code, Some(1));
    snapshot!(server, vain.shown());
    let server = Server::start(greeting()).await;
    let early = run(&server, &["logs", "libgreet", "greet-cli"]).await;
    assert_eq!(
        early.stderr,
        "error: greet-cli has no log: it is blocked\nhint: -f waits until it is built\n"
    );
}

#[tokio::test]
async fn an_older_run_is_named_by_its_id() {
    let mut world = failed();
    let first = ended(
        8,
        outcome(OutcomeClass::Infrastructure, "the worker was lost"),
    );
    with_run(&mut world, "libgreet", "libshout", first, b"first try\n");
    let server = Server::start(world).await;
    let id = run_id(8).to_string();
    let done = run(&server, &["logs", "libgreet", "libshout", "--run", &id]).await;
    assert_eq!(done.stdout, "first try\n");
    let other = run(&server, &["logs", "libgreet", "greet-cli", "--run", &id]).await;
    assert_eq!(other.code, Some(1));
    assert!(
        other
            .stderr
            .contains("is of libshout in libgreet, not of greet-cli"),
        "{}",
        other.stderr
    );
}

#[tokio::test]
async fn of_two_passes_the_last_that_ran_is_meant() {
    let mut world = failed();
    let mut again = crate::fixtures::build("libgreet", 1, "libgreet", 3, BuildStatus::Blocked);
    again.build.pass = 2;
    world
        .builds
        .get_mut(&("libgreet".to_owned(), 1))
        .expect("it is there")
        .push(again.clone());
    let server = Server::start(world).await;
    assert_eq!(
        run(&server, &["logs", "libgreet", "libgreet"]).await.stdout,
        "==> done\n"
    );
    let id = run_id(5);
    server.change(|world| {
        let mut run = world.runs[&run_id(1)].clone();
        run.run.id = id;
        let builds = world
            .builds
            .get_mut(&("libgreet".to_owned(), 1))
            .expect("it is there");
        builds
            .last_mut()
            .expect("it is there")
            .runs
            .push(run.run.clone());
        world.runs.insert(id, run);
        world.logs.insert(id, b"==> again\n".to_vec());
    });
    assert_eq!(
        run(&server, &["logs", "libgreet", "libgreet"]).await.stdout,
        "==> again\n"
    );
    let first = run(&server, &["logs", "libgreet", "libgreet", "--pass", "1"]).await;
    assert_eq!(first.stdout, "==> done\n");
}

#[tokio::test]
async fn a_log_as_json_is_a_value_a_line() {
    let server = Server::start(with_log(b"one\ntwo \xff\nthree")).await;
    let done = run(&server, &["logs", "libgreet", "greet-cli", "--json"]).await;
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn several_architectures_are_asked_about() {
    let mut world = built();
    let key = ("libgreet".to_owned(), 1);
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    let sets = &mut details.iterations[0].build_sets;
    let set = sets.values().next().expect("it has one").clone();
    sets.insert(crate::fixtures::parse("aarch64"), set);
    let mut other = world.builds[&key][1].clone();
    other.build.architecture = crate::fixtures::parse("aarch64");
    let mut reference = world.builds[&key][0].clone();
    reference.build.architecture = crate::fixtures::parse("aarch64");
    reference.build.run = None;
    reference.runs.clear();
    world
        .builds
        .get_mut(&key)
        .expect("it is there")
        .extend([other, reference]);
    let server = Server::start(world).await;
    let unclear = run(&server, &["logs", "libgreet", "greet-cli"]).await;
    assert_eq!(unclear.code, Some(2));
    assert!(
        unclear.stderr.contains("hint: say which with --arch"),
        "{}",
        unclear.stderr
    );
    let clear = run(
        &server,
        &["logs", "libgreet", "greet-cli", "--arch", "aarch64"],
    )
    .await;
    assert_eq!(clear.stdout, "==> done\n", "{}", clear.stderr);
    // Where only one of them ran, there is nothing to ask.
    assert_eq!(
        run(&server, &["logs", "libgreet", "libgreet"]).await.stdout,
        "==> done\n"
    );
}
