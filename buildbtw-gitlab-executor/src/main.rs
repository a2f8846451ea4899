//! GitLab Runner custom executor: carries out the run a pipeline stands for.
//!
//! The Runner calls this program anew for each step of a job (config, prepare, each stage, cleanup)
//! and judges the step by the exit code alone ([`codes`]). A job's one run is claimed and carried out
//! in the stage of the user's script ([`stage`]), which is ignored: what is built is the run's pinned
//! source, and nothing of the job's. The other calls only get ready ([`prepare`]) and clear up
//! ([`cleanup`]). What the host says stands in its configuration ([`host`]), what the Runner says of
//! the job in [`job`].

mod cleanup;
mod codes;
mod doctor;
mod holders;
mod host;
mod job;
mod job_log;
mod jobs;
mod prepare;
mod published;
mod stage;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use buildbtw_api::causes::in_words;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use codes::{Codes, Verdict};
use host::Host;
use job::Job;

/// What `--help` says at its end.
const AFTER_HELP: &str = "\
The Runner's config.toml names this program four times:
  [runners.custom]
    config_exec  = \"/usr/bin/buildbtw-gitlab-executor\"
    config_args  = [\"config\"]
    prepare_exec = \"/usr/bin/buildbtw-gitlab-executor\"
    prepare_args = [\"prepare\"]
    run_exec     = \"/usr/bin/buildbtw-gitlab-executor\"
    run_args     = [\"run\"]
    cleanup_exec = \"/usr/bin/buildbtw-gitlab-executor\"
    cleanup_args = [\"cleanup\"]

`buildbtw-gitlab-executor doctor`, as the Runner's user, says whether this host is ready.";

/// GitLab Runner custom executor of buildbtw.
///
/// The Runner calls it; people call `doctor`. What is built where stands in a file of this host.
#[derive(Debug, Parser)]
#[command(version, name = "buildbtw-gitlab-executor", after_help = AFTER_HELP)]
struct Arguments {
    /// The configuration of this host.
    #[arg(
        long,
        env = "BUILDBTW_EXECUTOR_CONFIG",
        default_value = "/etc/buildbtw/executor.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    call: Call,
}

/// What the Runner asks for, in the order of a job, and what people ask for.
#[derive(Debug, Subcommand)]
enum Call {
    /// Tell the Runner what this program is called.
    Config,
    /// Look whether this host can carry the job out.
    Prepare,
    /// Carry out one stage of the job.
    Run {
        /// The script that the Runner generated for the stage. It is not looked at.
        script: PathBuf,
        /// The stage's name. The run is carried out in build_script; nothing happens in others.
        stage: String,
    },
    /// Remove what the job left, and end what is still alive of it.
    Cleanup,
    /// Look whether this host is ready for jobs, and say how to mend what is not.
    Doctor,
}

fn main() -> ExitCode {
    // Before anything else: a builder starts this very program anew as the guard of a build.
    buildbtw_build::enter_if_supervisor();
    let codes = Codes::of_environment();
    // A panic ends a program with 101 and an error with 1, which the Runner takes for a fault of the
    // build: nothing but `codes` may decide that.
    codes.exit(guarded(call))
}

/// What comes of a call, also if it panics.
fn guarded(call: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Verdict::System("this program has a fault; what it said stands above".to_owned())
    })
}

fn call() -> Verdict {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // A lost terminal does not change the outcome.
            let _ = message.print();
            // A wrong call is a fault of the Runner's configuration, never of a build.
            return match message.use_stderr() {
                // Whoever calls it by hand knows; only the Runner sets this.
                true => match std::env::var_os("SYSTEM_FAILURE_EXIT_CODE") {
                    Some(_) => {
                        Verdict::System("the Runner's config.toml calls it wrongly".to_owned())
                    }
                    None => Verdict::Ill,
                },
                false => Verdict::Good,
            };
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    // A second provider is no harm: it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match &arguments.call {
        Call::Config => config(),
        Call::Prepare => Host::read(&arguments.config).and_then(|host| prepare::call(&host)),
        Call::Run { stage, .. } if !stage::is_the_script(stage) => Ok(Verdict::Good),
        Call::Run { .. } => Host::read(&arguments.config)
            .and_then(|host| stage::carry_out(&host, &Job::of_environment()?)),
        Call::Cleanup => cleanup::call(&arguments.config),
        Call::Doctor => return doctor::call(&arguments.config),
    };
    result.unwrap_or_else(|error| Verdict::System(in_words(error.as_ref())))
}

/// The answer to `config`: JSON and nothing else, as the Runner reads all of the standard output.
fn config() -> anyhow::Result<Verdict> {
    let answer = serde_json::json!({
        "driver": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{answer}")?;
    stdout.flush()?;
    Ok(Verdict::Good)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_panic_is_a_fault_of_the_system() {
        let verdict = guarded(|| panic!("a test wants this"));
        assert!(matches!(verdict, Verdict::System(_)), "{verdict:?}");
    }
}
