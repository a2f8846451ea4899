//! What the Runner is told by the exit code: it judges by nothing else.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

/// The Runner's own codes, for calls by hand.
const BUILD_FAILURE: u8 = 1;
const SYSTEM_FAILURE: u8 = 2;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All went well.
    Good,
    /// The package is to blame; with the exit code of makepkg, where there is one.
    Build(Option<i32>),
    /// Anything else went wrong: what, in words.
    System(String),
    /// `doctor` found something, and has said so.
    Ill,
}

/// The exit codes that the Runner wants, and where it looks for the script's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    build_failure: u8,
    system_failure: u8,
    exit_code_file: Option<PathBuf>,
}

impl Codes {
    /// As the Runner set them.
    pub fn of_environment() -> Self {
        let code = |name, default| code(env::var(name).ok().as_deref(), default);
        Self {
            build_failure: code("BUILD_FAILURE_EXIT_CODE", BUILD_FAILURE),
            system_failure: code("SYSTEM_FAILURE_EXIT_CODE", SYSTEM_FAILURE),
            exit_code_file: env::var_os("BUILD_EXIT_CODE_FILE").map(PathBuf::from),
        }
    }

    /// Says what went wrong, and hands back the exit code.
    pub fn exit(&self, verdict: Verdict) -> ExitCode {
        match verdict {
            Verdict::Good => ExitCode::SUCCESS,
            Verdict::Build(code) => {
                self.keep(code);
                ExitCode::from(self.build_failure)
            }
            Verdict::System(what) => {
                eprintln!("error: {what}");
                ExitCode::from(self.system_failure)
            }
            Verdict::Ill => ExitCode::from(self.system_failure),
        }
    }

    /// Leaves the exit code of makepkg where the Runner looks for the job's (`allow_failure:exit_codes`).
    fn keep(&self, code: Option<i32>) {
        // The Runner takes 0 there for a success that its own exit code denies.
        let (Some(path), Some(code)) = (&self.exit_code_file, code.filter(|code| *code != 0))
        else {
            return;
        };
        if let Err(error) = std::fs::write(path, format!("{code}\n")) {
            tracing::warn!(path = %path.display(), %error, "cannot keep the exit code of makepkg");
        }
    }
}

/// An exit code from the value that the Runner set. 0 would be read as success, so it makes no sense.
fn code(value: Option<&str>, default: u8) -> u8 {
    value
        .and_then(|text| text.trim().parse().ok())
        .filter(|code| *code != 0)
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_decides_the_exit_code() {
        assert_eq!(code(Some("7"), 2), 7);
        for nonsense in [
            None,
            Some(""),
            Some("0"),
            Some("256"),
            Some("-1"),
            Some("two"),
        ] {
            assert_eq!(code(nonsense, 2), 2, "{nonsense:?}");
        }
    }
}
