//! The commands, one file each.

mod change;
mod create;
mod diff;
mod download;
mod explain;
mod lifecycle;
mod list;
mod logs;
mod mode;
mod plan;
mod priority;
mod show;
mod sources;
mod watch;
mod why;
mod workers;

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::failure::Outcome;
use crate::output::Session;

/// Carries out a command that asks the server.
pub async fn run(session: &Session, command: &Command) -> Outcome {
    match command {
        Command::New(arguments) => create::run(session, arguments).await,
        Command::Plan(arguments) => plan::run(session, arguments).await,
        Command::Why(arguments) => why::run(session, arguments).await,
        Command::List(arguments) => list::run(session, arguments).await,
        Command::Show(arguments) => show::run(session, arguments).await,
        Command::Explain(arguments) => explain::run(session, arguments).await,
        Command::Diff(arguments) => diff::run(session, arguments).await,
        Command::Watch(arguments) => watch::run(session, arguments).await,
        Command::Logs(arguments) => logs::run(session, arguments).await,
        Command::Download(arguments) => download::run(session, arguments).await,
        Command::Add(arguments) => change::add(session, arguments).await,
        Command::Remove(arguments) => change::remove(session, arguments).await,
        Command::Update(arguments) => change::update(session, arguments).await,
        Command::Rebuild(arguments) => change::rebuild(session, arguments).await,
        Command::Cancel(arguments) => lifecycle::cancel(session, &arguments.namespace).await,
        Command::Pause(arguments) => lifecycle::pause(session, &arguments.namespace).await,
        Command::Resume(arguments) => lifecycle::resume(session, &arguments.namespace).await,
        Command::Archive(arguments) => lifecycle::archive(session, arguments).await,
        Command::Waive(arguments) => lifecycle::waive(session, arguments).await,
        Command::Retry(arguments) => lifecycle::retry(session, arguments).await,
        Command::Sources(arguments) => sources::run(session, arguments).await,
        Command::Workers(arguments) => workers::run(session, arguments).await,
        Command::Priority(arguments) => priority::run(session, arguments).await,
        Command::Mode(arguments) => mode::run(session, arguments).await,
        Command::Completions { shell } => completions(*shell),
    }
}

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell) -> Outcome {
    // Into memory first: the generator panics when its reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bbtw", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
