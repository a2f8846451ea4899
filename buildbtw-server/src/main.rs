//! The server program: settings, logging, signals.

use std::process::ExitCode;

use buildbtw_api::causes::in_words;
use buildbtw_server::config::{Command, Config};
use buildbtw_server::dispatch::fleet::ci_config::{self, Place};
use buildbtw_server::dispatch::fleet::doctor::{self, Finding};
use buildbtw_server::start;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// A plan of a whole distribution takes hundreds of megabytes for a second. The C library's allocator
/// keeps them for good; this one gives them back to the system. It stands for `malloc` as well, which is what
/// SQLite and zstd call.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Memory that is not used goes back after a second (jemalloc(3), TUNING).
// jemalloc reads a pointer to a string of C from the symbol of that name.
#[unsafe(export_name = "malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&'static std::ffi::c_char> = {
    let settings = c"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:1000";
    // SAFETY: a string of C has at least its ending zero.
    Some(unsafe { &*settings.as_ptr() })
};

fn main() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn begin() -> anyhow::Result<()> {
    // A missing `.env` is fine; one that cannot be read is not.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        return Err(bad_settings(&error));
    }
    let config = Config::from_surroundings();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(config))
}

/// What is wrong with the file of settings.
fn bad_settings(error: &dotenvy::Error) -> anyhow::Error {
    match error {
        dotenvy::Error::LineParse(line, _) => anyhow::anyhow!(
            "cannot read the line `{line}` of .env\n  hint: write NAME=value, with quotes around a value with blanks"
        ),
        other => anyhow::anyhow!("cannot read the file .env: {other}"),
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let console = config.tokio_console.map(|address| {
        console_subscriber::ConsoleLayer::builder()
            .server_addr(address)
            .spawn()
    });
    tracing_subscriber::registry()
        .with(console)
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(
                    anstream::AutoStream::choice(&std::io::stderr())
                        != anstream::ColorChoice::Never,
                )
                .with_filter(filter),
        )
        .init();
    // Fails only if a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    match config.command {
        Some(Command::CiConfig { apply }) => return ci_config(&config, apply).await,
        Some(Command::Doctor) => return doctor(&config).await,
        None => {}
    }
    let shutdown = CancellationToken::new();
    let running = start(config, shutdown.clone()).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; again to stop at once");
        shutdown.cancel();
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(1);
    });
    running.stopped().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Shows what is right and what is wrong with the GitLab of the settings.
async fn doctor(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.gitlab_packages_group.is_some(),
        "GITLAB_PACKAGES_GROUP is not set: nothing is on a GitLab, and SOURCES_DIR is followed"
    );
    let gitlab = buildbtw_server::sources::gitlab_client(config)?;
    let today = jiff::Zoned::now().date();
    let mut ills = 0;
    for finding in doctor::examine(config, &gitlab, today).await {
        match finding {
            Finding::Well(what) => println!("ok    {what}"),
            Finding::Odd(what, hint) => println!("odd   {what}\n      hint: {hint}"),
            Finding::Ill(what, hint) => {
                ills += 1;
                println!("ill   {what}\n      hint: {hint}");
            }
        }
    }
    anyhow::ensure!(
        ills == 0,
        "buildbtw cannot work with this GitLab: {ills} to mend"
    );
    println!("buildbtw can work with this GitLab.");
    Ok(())
}

/// Shows, or changes, where the projects have their CI configuration.
async fn ci_config(config: &Config, apply: bool) -> anyhow::Result<()> {
    let gitlab = buildbtw_server::sources::gitlab_client(config)?;
    let done = ci_config::all(
        config,
        &gitlab,
        apply,
        |Place {
             name,
             from,
             refused,
         }| {
            match refused {
                Some(error) => eprintln!("{name}: {from}: {error}"),
                None => println!("{name}: {from}"),
            }
        },
    );
    let done = done.await?;
    let verb = if apply { "changed" } else { "would change" };
    match (done.changed, done.refused) {
        (0, 0) => println!("all {} projects use {}", done.seen, done.wanted),
        (changed, _) => println!(
            "{changed} of {} projects {verb} to {}",
            done.seen, done.wanted
        ),
    }
    if !apply && done.changed > 0 {
        println!("`buildbtw-server ci-config --apply` changes them");
    }
    let count = |number: usize, what: &str| match number {
        1 => format!("1 project was {what}"),
        number => format!("{number} projects were {what}"),
    };
    anyhow::ensure!(
        done.refused == 0,
        count(done.refused, "not changed; why stands above")
    );
    anyhow::ensure!(
        done.unreadable == 0,
        count(
            done.unreadable,
            "not looked at: GitLab could not read them, or the token may not see them"
        )
    );
    Ok(())
}
