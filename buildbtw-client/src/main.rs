//! `bbtw`, the packager's command line: plans, makes and follows build namespaces, and fetches
//! what came of them.

mod asking;
mod cli;
mod commands;
mod dot;
mod escapes;
mod failure;
mod output;
mod patience;
mod planning;
mod question;
mod style;
mod table;
mod tree;
mod words;

use std::process::ExitCode;

use buildbtw_api::client::Client;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Color, Command, DEFAULT_SERVER};
use crate::failure::{Failure, Outcome};
use crate::output::Session;

/// Thousands of sources are read, and planned with, on all cores at once: the C library's allocator has them wait
/// for each other.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit codes of a program that a signal ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.global.color {
        // NO_COLOR, CLICOLOR and the terminal decide.
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match carry_out(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn carry_out(cli: &Cli) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        return commands::completions(shell);
    }
    // Fails only if a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(&server(&cli.global), None)?;
    let session = Session::new(client, cli.global.json);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::file("start", &error))?
        .block_on(until_signalled(&session, &cli.command))
}

/// Carries the command out. When a signal comes first, the command is dropped, and with it goes
/// what it has begun: unfinished files, progress bars.
async fn until_signalled(session: &Session, command: &Command) -> Outcome {
    let listen = |kind| signal(kind).map_err(|error| Failure::file("listen for signals", &error));
    // Before the command begins: a signal that nobody listens for ends us on the spot.
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    tokio::select! {
        outcome = commands::run(session, command) => outcome,
        _ = interrupt.recv() => {
            if let Command::Watch(watch) = command {
                let name = &watch.namespace;
                anstream::eprintln!(
                    "\nIts builds go on: `bbtw watch {name}` follows them again, `bbtw cancel {name}` calls them off."
                );
            }
            Err(Failure::Code(INTERRUPTED))
        }
        _ = terminate.recv() => Err(Failure::Code(TERMINATED)),
    }
}

/// The server's address: from the command line or the environment, else from a file `.env` here
/// or above, else this machine.
fn server(global: &cli::Global) -> String {
    let given = global.server_url.clone();
    given
        .or_else(|| std::env::var("SERVER_URL").ok())
        .filter(|url| !url.is_empty())
        .or_else(server_from_file)
        .unwrap_or_else(|| DEFAULT_SERVER.to_owned())
}

/// Only this one setting is taken from a `.env`: the folder may be a checkout of somebody else's
/// package. What else cannot be read in it is not ours to complain about.
fn server_from_file() -> Option<String> {
    for setting in dotenvy::dotenv_iter().ok()? {
        match setting {
            Ok((name, value)) if name == "SERVER_URL" => return Some(value),
            Err(dotenvy::Error::LineParse(line, _)) if names_server(&line) => {
                // Whoever wrote it means that server and no other.
                eprintln!(
                    "warning: `{line}` in .env cannot be read, so {DEFAULT_SERVER} is asked\n  \
                     hint: put the value in quotes, or pass --server-url"
                );
                return None;
            }
            _ => {}
        }
    }
    None
}

fn names_server(line: &str) -> bool {
    let line = line.trim_start();
    line.strip_prefix("export ")
        .unwrap_or(line)
        .trim_start()
        .starts_with("SERVER_URL")
}
