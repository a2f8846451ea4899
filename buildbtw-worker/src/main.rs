//! The buildbtw worker: asks a server for runs and carries them out.
//!
//! [`claims`] asks for runs and starts them, [`run`] carries one out from the claim to the last
//! report, [`heartbeat`] keeps their leases meanwhile. Whatever is sent is sent again until the
//! server has it ([`retry`]), so that neither a restart of the server nor a bad network costs a
//! build; only the server's word that a run was taken away ends one.

mod builder;
mod claims;
mod config;
mod folder;
mod heartbeat;
mod held;
mod log;
mod order;
mod packages;
mod registration;
mod retry;
mod run;
mod source;
mod spool;
mod steps;
mod stop;
mod token;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use buildbtw_api::client::Client;
use buildbtw_build::{Builder, Limits};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use config::Config;
use folder::Folder;
use held::HeldRuns;
use registration::Registration;
use retry::Reach;
use stop::Stopping;

/// What everything in the worker shares.
struct Worker {
    name: String,
    slots: usize,
    limits: Limits,
    client: Client,
    builder: Builder,
    folder: Folder,
    registration: Registration,
    held: Arc<HeldRuns>,
    reach: Reach,
    stopping: Stopping,
}

fn main() -> ExitCode {
    // Before anything else: a builder starts this very program anew as the guard of a build.
    buildbtw_build::enter_if_supervisor();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings and runs the worker until it is asked to end.
fn start() -> anyhow::Result<()> {
    let settings = match dotenvy::dotenv() {
        Ok(path) => Some(path),
        Err(error) if error.not_found() => None,
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
    let token = token::read(&config.worker_token_file)?;
    let client = Client::new(&config.server_url, Some(token))?;
    let path = config.folder().context(
        "there is no home folder to work in\n  hint: name a folder with --worker-dir or WORKER_DIR",
    )?;
    let folder = Folder::open(&path)?;
    let stopping = Stopping::default();
    stop::listen(stopping.clone()).context("cannot listen for signals")?;
    let (builder, offer) = builder::prepare(config, &folder, settings).await?;
    let worker = Arc::new(Worker {
        name: config.name(),
        slots: usize::try_from(config.worker_slots).unwrap_or(1),
        limits: builder::limits(config),
        client,
        builder,
        folder,
        registration: Registration::new(offer),
        held: Arc::default(),
        reach: Reach::default(),
        stopping,
    });
    let beating = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { heartbeat::beat(&worker).await }
    });
    let taken = claims::take(&worker).await;
    beating.abort();
    Ok(taken?)
}
