//! What holds for every command: help, wrong usage, colours, servers that are not there.

use std::fs;
use std::process::Stdio;

use crate::fixtures::{failed, greeting};
use crate::program::{self, Running, bbtw, finish, regex_of, run, snapshot};
use crate::server::Server;

/// Nothing listens there: port 1 is for root, and nobody uses it.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn help_teaches() {
    let commands = [
        "new",
        "plan",
        "why",
        "diff",
        "explain",
        "list",
        "show",
        "watch",
        "logs",
        "download",
        "cancel",
        "pause",
        "resume",
        "retry",
        "waive",
        "add",
        "remove",
        "update",
        "rebuild",
        "archive",
        "sources",
        "workers",
        "mode",
        "priority",
        "completions",
    ];
    let whole = finish(bbtw(NOWHERE, &["--help"])).await;
    insta::assert_snapshot!("help", whole.shown());
    for command in commands {
        assert!(
            whole.stdout.contains(&format!("\n  {command} ")),
            "{command} is not listed"
        );
        let help = finish(bbtw(NOWHERE, &[command, "--help"])).await;
        assert_eq!(help.code, Some(0));
        insta::assert_snapshot!(format!("help_{command}"), help.stdout);
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for (arguments, word) in [
        (&[][..], "Usage"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["new"], "required"),
        (&["new", "openimageio"], "pkgbase/ref"),
        (&["new", "../etc/main"], "is not a changeset"),
        (
            &["new", "--name", "a/b", "x/main"],
            "cannot name a namespace",
        ),
        (&["new", "--passes", "3", "x/main"], "3 is not in 1..=2"),
        (
            &["new", "--base", "core", "x/main"],
            "is not a base repository",
        ),
        (
            &[
                "new",
                "--base",
                "none",
                "--base",
                "namespace:base",
                "x/main",
            ],
            "exclude each other",
        ),
        (&["plan", "--via", "optdepends", "x/main"], "makedepends"),
        (&["watch"], "<NAMESPACE>"),
        (&["show", "a", "b", "--all"], "cannot be used with"),
        (&["show", "a", "--status", "broken"], "none of: blocked"),
        (&["logs", "a", "b", "--run", "17"], "is not an id"),
        (&["list", "--color", "sometimes"], "never"),
        (
            &["list", "--server-url", "nonsense"],
            "is not the address of a server: it does not begin with http://",
        ),
        (
            &["list", "--server-url", "localhost:8080"],
            "is not the address of a server: it does not begin with http://",
        ),
        (
            &["list", "--server-url", "ftp://x/"],
            "is not the address of a server: ftp:// is not spoken here",
        ),
        (&["show", "x", "--iteration", "-1"], "-1 is not in 1.."),
    ] {
        let done = finish(bbtw(NOWHERE, arguments)).await;
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(word), "{arguments:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    for arguments in [
        &["list"][..],
        &["watch", "x"],
        &["logs", "x", "y", "-f"],
        &["download", "x"],
    ] {
        let done = finish(bbtw(NOWHERE, arguments)).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(
            done.stderr
                .starts_with("error: cannot reach the server at http://127.0.0.1:1/: "),
            "{}",
            done.stderr
        );
        assert!(
            done.stderr.contains("\nhint: is it running?"),
            "{}",
            done.stderr
        );
    }
}

#[tokio::test]
async fn https_of_a_server_without_it_is_told_from_one_that_is_away() {
    let server = Server::start(greeting()).await;
    let address = server.address().replace("http://", "https://");
    let done = finish(bbtw(&address, &["list"])).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr
            .contains("does not speak TLS\nhint: write http:// instead of https://"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn what_is_no_buildbtw_server_is_told_apart() {
    let mut world = greeting();
    world
        .files
        .insert("/somewhere/api/v1/workers".to_owned(), b"<html>".to_vec());
    let server = Server::start(world).await;
    let done = finish(bbtw(
        &format!("{}/somewhere", server.address()),
        &["workers"],
    ))
    .await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("not as a buildbtw server does"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("hint: is this the right address?"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn problems_come_with_their_hint() {
    let server = Server::start(greeting()).await;
    for command in [
        "show", "watch", "cancel", "pause", "resume", "archive", "retry", "download", "update",
        "rebuild",
    ] {
        let done = run(&server, &[command, "nonesuch"]).await;
        assert_eq!(done.code, Some(1), "{command}");
        let told =
            "error: there is no namespace nonesuch\nhint: `bbtw list` shows those that there are\n";
        assert_eq!(done.stderr, told, "{command}");
    }
}

#[tokio::test]
async fn the_server_is_named_by_option_environment_or_file_in_this_order() {
    let server = Server::start(greeting()).await;
    let folder = tempfile::tempdir().unwrap();
    let with = |file: &str, environment: Option<&str>, arguments: &[&str]| {
        fs::write(folder.path().join(".env"), file).unwrap();
        let mut command = bbtw("", arguments);
        command.env_remove("SERVER_URL").current_dir(folder.path());
        command.envs(environment.map(|url| ("SERVER_URL", url)));
        finish(command)
    };
    let good = server.address();
    let file = format!("A B C broken\nNO_COLOR=1\nSERVER_URL={good}\n");
    assert_eq!(with(&file, None, &["list"]).await.code, Some(0));
    assert_eq!(with(&file, Some(NOWHERE), &["list"]).await.code, Some(1));
    assert_eq!(
        with(&file, Some(NOWHERE), &["list", "--server-url", &good])
            .await
            .code,
        Some(0)
    );
    // Settings other than the server's address are nothing that a folder may change.
    let coloured = with(&file, None, &["list", "--color", "always"]).await;
    assert!(coloured.stdout.contains('\u{1b}'), "{}", coloured.stdout);
}

#[tokio::test]
async fn colours_are_for_terminals_and_on_request() {
    let server = Server::start(failed()).await;
    let show = |extra: &'static [&'static str], no_color: bool| {
        let mut command = bbtw(&server.address(), &["show", "libgreet"]);
        command.args(extra);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command
    };
    let coloured = |text: &str| text.contains('\u{1b}');
    assert!(
        !coloured(&finish(show(&[], false)).await.stdout),
        "a pipe gets no colours"
    );
    assert!(coloured(
        &finish(show(&["--color", "always"], false)).await.stdout
    ));
    let on_terminal = |command| crate::terminal::OnTerminal::start_with(command).finish();
    assert!(coloured(&on_terminal(show(&[], false)).await.stdout));
    assert!(
        !coloured(&on_terminal(show(&[], true)).await.stdout),
        "NO_COLOR is obeyed"
    );
    assert!(!coloured(
        &on_terminal(show(&["--color", "never"], false)).await.stdout
    ));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_nothing_to_complain_about() {
    let server = Server::start(failed()).await;
    for arguments in [
        &["show", "libgreet"][..],
        &["show", "libgreet", "--json"],
        &["logs", "libgreet", "greet-cli"],
        &["watch", "libgreet"],
        &["watch", "libgreet", "--json"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bbtw(&server.address(), arguments);
        command.stdout(Stdio::from(writer));
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let done = tokio::time::timeout(program::PATIENCE, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(said, "", "{arguments:?}");
        // As for a program that ends by SIGPIPE; clap prints its help itself.
        let expected = if arguments == ["--help"] { 0 } else { 141 };
        assert_eq!(done.status.code(), Some(expected), "{arguments:?}");
    }
}

#[tokio::test]
async fn ctrl_c_ends_at_once() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    watch.interrupt();
    let done = watch.finish().await;
    assert_eq!(done.code, Some(130), "{done:?}");
    assert_eq!(
        done.stderr,
        "\nIts builds go on: `bbtw watch libgreet` follows them again, `bbtw cancel libgreet` calls them off.\n"
    );
}

#[tokio::test]
async fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = finish(bbtw(NOWHERE, &["completions", shell])).await;
        assert_eq!(script.code, Some(0));
        for word in ["download", "server-url", "checkdepends"] {
            assert!(script.stdout.contains(word), "{shell}: {word} is missing");
        }
    }
}

#[tokio::test]
async fn texts_of_others_do_not_reach_the_terminal_as_commands() {
    let mut world = failed();
    let evil = "\u{1b}[2J\u{202e}gone";
    world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap()[1]
        .build
        .reason = Some(evil.to_owned());
    world.workers = vec![crate::fixtures::worker(1, None)];
    world.workers[0].name = evil.to_owned();
    world.sources = vec![crate::fixtures::source("libgreet")];
    world.sources[0].problem = Some(evil.to_owned());
    let run = &mut world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap()[1]
        .build
        .run;
    run.as_mut().unwrap().worker = Some(evil.to_owned());
    run.as_mut().unwrap().outcome.as_mut().unwrap().message = evil.to_owned();
    let server = Server::start(world).await;
    for arguments in [
        &["show", "libgreet"][..],
        &["show", "libgreet", "greet-cli"],
        &["watch", "libgreet"],
        &["workers"],
        &["sources"],
    ] {
        let done = run_on_terminal(&server, arguments).await;
        assert!(!done.contains("\u{1b}[2J"), "{arguments:?}: {done:?}");
        assert!(!done.contains('\u{202e}'), "{arguments:?}: {done:?}");
        assert!(
            done.contains("[2J"),
            "{arguments:?} does not show it at all: {done:?}"
        );
    }
}

async fn run_on_terminal(server: &Server, arguments: &[&str]) -> String {
    crate::terminal::OnTerminal::start(server, arguments)
        .finish()
        .await
        .stdout
}

#[tokio::test]
async fn lines_fit_the_terminal() {
    let mut world = failed();
    let long = "a reason that goes on and on ".repeat(10);
    world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap()[1]
        .build
        .reason = Some(long);
    let server = Server::start(world).await;
    for columns in ["40", "80", "100"] {
        let mut command = bbtw(&server.address(), &["show", "libgreet"]);
        command.env("COLUMNS", columns);
        let done = finish(command).await;
        let limit: usize = columns.parse().unwrap();
        if limit >= 80 {
            let longest = done.stdout.lines().map(|line| line.chars().count()).max();
            assert!(
                longest <= Some(limit),
                "{longest:?} in {columns}:\n{}",
                done.stdout
            );
        }
        let words: Vec<&str> = done.stdout.split_whitespace().collect();
        assert_eq!(
            words.iter().filter(|word| **word == "reason").count(),
            10,
            "words are whole"
        );
    }
    let done = program::run(&server, &["show", "libgreet"]).await;
    snapshot!(server, done.shown());
}
