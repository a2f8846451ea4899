//! Carries out one build by hand: to see what a worker would do, without a server.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use buildbtw_build::{BuildEvent, BuildRequest, Builder, OutcomeClass, carry_out, probe, sweep};
use clap::{Parser, Subcommand};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Carries out one build by hand, as a worker would, without a server.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A file with the builder's settings (JSON), such as `{"kind": "fake"}`; the sandbox with its
    /// usual settings unless given.
    #[arg(long, value_name = "FILE")]
    builder: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Carries out a build. Its log goes to standard error, what else happens to standard output, one
    /// JSON object a line; the last one is the outcome. Ctrl-C cancels it.
    Run {
        /// A file with the build request (JSON); `-` is standard input.
        request: PathBuf,
        /// The work folder, empty or not there yet. The packages are in it afterwards.
        work_dir: PathBuf,
    },
    /// Finds out whether the builder works on this machine.
    Probe {
        /// The folder in which builds would be carried out.
        work_root: PathBuf,
    },
    /// Removes what killed builds left.
    Sweep {
        /// The folder in which builds were carried out.
        work_root: PathBuf,
    },
}

fn main() -> ExitCode {
    buildbtw_build::enter_if_supervisor();
    match act(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn act(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let builder = match &arguments.builder {
        Some(path) => serde_json::from_slice(&read(path)?)
            .with_context(|| format!("{} holds no builder settings", path.display()))?,
        None => Builder::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match &arguments.action {
        Action::Run { request, work_dir } => {
            let request = serde_json::from_slice(&read(request)?)
                .with_context(|| format!("{} holds no build request", request.display()))?;
            runtime.block_on(run(&builder, &request, work_dir))
        }
        Action::Probe { work_root } => {
            let capabilities = runtime.block_on(probe(&builder, work_root))?;
            println!("{}", serde_json::to_string_pretty(&capabilities)?);
            Ok(ExitCode::SUCCESS)
        }
        Action::Sweep { work_root } => {
            let swept = sweep(work_root)
                .with_context(|| format!("cannot clear away all of {}", work_root.display()))?;
            println!("{swept} removed");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(bytes)
}

async fn run(
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
) -> anyhow::Result<ExitCode> {
    let cancel = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn({
        let cancel = cancel.clone();
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            cancel.cancel();
        }
    });
    let (sender, mut events) = mpsc::channel(64);
    let show = async {
        while let Some(event) = events.recv().await {
            let shown = match event {
                BuildEvent::Log(bytes) => io::stderr().write_all(&bytes),
                BuildEvent::Step(step) => say(&json!({ "step": step })),
                BuildEvent::Installed(packages) => say(&json!({ "installed": packages })),
            };
            // Nobody looks at it any more; the build goes on.
            let _ = shown;
        }
    };
    let (outcome, ()) = tokio::join!(
        carry_out(builder, request, work_dir, sender, cancel.clone()),
        show
    );
    say(&json!({ "outcome": outcome }))?;
    Ok(match outcome.class {
        OutcomeClass::Success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn say(value: &serde_json::Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{value}")?;
    stdout.flush()
}
