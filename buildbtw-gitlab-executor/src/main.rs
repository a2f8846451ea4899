//! GitLab Runner custom executor: carries out the run a pipeline stands for.
//!
//! The Runner calls this program once for each step of a job (config, prepare, run, cleanup) and
//! judges the step by the exit code alone. The calls are read here; carrying out a run is not
//! there yet, and every call but `cleanup` says so and fails as a fault of the system, so that no
//! package is blamed for it.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Where the Runner says which exit code means that the system, not the build, is at fault.
const SYSTEM_FAILURE_VARIABLE: &str = "SYSTEM_FAILURE_EXIT_CODE";

/// What the exit code is where that variable is not set or makes no sense; the Runner's own default.
const SYSTEM_FAILURE_DEFAULT: u8 = 2;

/// GitLab Runner custom executor of buildbtw.
///
/// Register it as `config_exec`, `prepare_exec`, `run_exec` and `cleanup_exec` of a Runner whose
/// executor is `custom`, with the subcommand as argument. THIS VERSION CARRIES OUT NOTHING YET:
/// every call but `cleanup` ends with the Runner's exit code for a system failure. Use
/// buildbtw-worker to build packages.
#[derive(Debug, Parser)]
#[command(version, name = "buildbtw-gitlab-executor")]
struct Arguments {
    #[command(subcommand)]
    step: Step,
}

/// The steps that the Runner asks for, in the order of a job.
#[derive(Debug, Subcommand)]
enum Step {
    /// Tell the Runner how the job is set up (not there yet).
    Config,
    /// Get everything ready for the job (not there yet).
    Prepare,
    /// Carry out one stage of the job (not there yet).
    Run {
        /// The script that the Runner generated for the stage.
        script: PathBuf,
        /// The stage's name, such as build_script.
        stage: String,
    },
    /// Remove what the job left. Nothing is left by this version, so this succeeds.
    Cleanup,
}

fn main() -> ExitCode {
    let system_failure = system_failure_code(env::var(SYSTEM_FAILURE_VARIABLE).ok().as_deref());
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // A lost terminal does not change the outcome.
            let _ = message.print();
            // A wrong call is a fault of the Runner's configuration, never of a build.
            return if message.use_stderr() {
                ExitCode::from(system_failure)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let what = match &arguments.step {
        Step::Cleanup => return ExitCode::SUCCESS,
        Step::Config => "set up jobs".to_owned(),
        Step::Prepare => "prepare jobs".to_owned(),
        Step::Run { stage, .. } => format!("carry out the stage `{stage}`"),
    };
    eprintln!("error: this version of buildbtw-gitlab-executor cannot {what} yet");
    eprintln!("hint: build with buildbtw-worker, and take this Runner out of service until then");
    ExitCode::from(system_failure)
}

/// The exit code for a fault of the system, from the value that the Runner set.
///
/// 0 would be read as success, so it makes no sense either.
fn system_failure_code(value: Option<&str>) -> u8 {
    value
        .and_then(|text| text.trim().parse().ok())
        .filter(|code| *code != 0)
        .unwrap_or(SYSTEM_FAILURE_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_decides_the_exit_code() {
        assert_eq!(system_failure_code(Some("7")), 7);
        for nonsense in [
            None,
            Some(""),
            Some("0"),
            Some("256"),
            Some("-1"),
            Some("two"),
        ] {
            assert_eq!(
                system_failure_code(nonsense),
                SYSTEM_FAILURE_DEFAULT,
                "{nonsense:?}"
            );
        }
    }
}
