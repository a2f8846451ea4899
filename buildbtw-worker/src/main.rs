//! The buildbtw worker: asks the server for runs and carries them out.
//!
//! [`claims`] asks for runs and starts them, [`registration`] introduces the worker and keeps the
//! leases; how a run is carried out stands in the library of this package.

mod claims;
mod config;
mod registration;
mod stop;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use buildbtw_api::causes::in_words;
use buildbtw_api::client::Client;
use buildbtw_worker::folder::{Folder, FolderError};
use buildbtw_worker::{Workplace, builder, token};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use config::Config;
use registration::Registration;
use stop::Stopping;

/// What everything in the worker shares.
struct Worker {
    name: String,
    slots: usize,
    place: Workplace,
    registration: Registration,
    stopping: Stopping,
}

fn main() -> ExitCode {
    // Before anything else: a builder starts this very program anew as the guard of a build.
    buildbtw_build::enter_if_supervisor();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings and runs the worker until it is asked to end.
fn start() -> anyhow::Result<()> {
    let settings = match dotenvy::dotenv() {
        Ok(path) => Some(path),
        Err(error) if error.not_found() => None,
        Err(dotenvy::Error::LineParse(line, _)) => bail!(
            "cannot read the line `{line}` of .env\n  hint: write NAME=value, with quotes around a value with blanks"
        ),
        Err(error) => return Err(error).context("cannot read the settings in .env"),
    };
    let config = Config::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
        .init();
    // A second provider is no harm: it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work(&config, settings.as_deref()))
}

async fn work(config: &Config, settings: Option<&Path>) -> anyhow::Result<()> {
    let token = token::read(&config.worker_token_file)
        .context("--worker-token-file or WORKER_TOKEN_FILE names no token")?;
    let client = Client::new(&config.server_url, Some(token))?;
    let path = config.folder().context(
        "there is no home folder to work in\n  hint: name a folder with --worker-dir or WORKER_DIR",
    )?;
    let folder = Folder::open(&path).map_err(|error| match error {
        FolderError::Taken(path) => anyhow!(
            "another worker already works in {}\n  \
             hint: give each worker on this machine its own folder with --worker-dir or WORKER_DIR",
            path.display()
        ),
        other => {
            anyhow!("{other}\n  hint: the worker's folder is set with --worker-dir or WORKER_DIR")
        }
    })?;
    let stopping = Stopping::default();
    stop::listen(stopping.clone()).context("cannot listen for signals")?;
    let folder = sweep(folder).await?;
    let setup = config.setup(hidden(config, &folder, settings));
    let (builder, offer) = builder::prepare(&setup, &folder.runs()).await?;
    let worker = Arc::new(Worker {
        name: config.name(),
        slots: usize::try_from(config.worker_slots).unwrap_or(1),
        place: Workplace::new(client, builder, setup.limits, folder),
        registration: Registration::new(offer),
        stopping,
    });
    let beating = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { registration::stay_in_touch(&worker).await }
    });
    let taken = claims::take(&worker).await;
    beating.abort();
    registration::leave(&worker).await;
    Ok(taken?)
}

/// Removes what an earlier worker in this folder had to leave when it was killed.
async fn sweep(folder: Folder) -> anyhow::Result<Folder> {
    let sweeping = tokio::task::spawn_blocking(move || folder.sweep().map(|swept| (swept, folder)));
    let (swept, folder) = sweeping.await??;
    if swept.builds > 0 || swept.runs > 0 {
        let (builds, runs) = (swept.builds, swept.runs);
        tracing::info!(builds, runs, "cleared away what an earlier worker left");
    }
    Ok(folder)
}

/// What no build may see. `settings` is the file with the settings, if there is one.
fn hidden(config: &Config, folder: &Folder, settings: Option<&Path>) -> Vec<PathBuf> {
    let mut hidden = vec![folder.path().to_owned()];
    for path in [Some(config.worker_token_file.as_path()), settings] {
        // Nothing is where no file is; whoever made one there later would be no build of ours.
        hidden.extend(path.and_then(|path| path.canonicalize().ok()));
    }
    hidden
}
