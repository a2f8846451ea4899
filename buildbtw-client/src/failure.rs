//! What ends a command early, and with which exit code.

use std::fmt::Display;
use std::io;

use buildbtw_api::client::ClientError;

use crate::style;
use crate::words::harmless;

/// Something failed: a build, a request, a file.
pub const FAILED: u8 = 1;

/// The command line asks for something that cannot be done as it is written.
pub const USAGE: u8 = 2;

/// The namespace was cancelled or archived while it was watched.
pub const CALLED_OFF: u8 = 3;

/// What ends a command early.
#[derive(Debug)]
pub enum Failure {
    /// Whoever reads our output wants no more of it. Nothing is said about that.
    ReaderGone,
    /// Something to tell the user.
    Told {
        /// What went wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// The exit code.
        code: u8,
        /// Whether the same request may succeed later without anything being changed.
        passing: bool,
    },
    /// Everything has been said already; only the exit code is left.
    Code(u8),
}

impl Failure {
    /// A failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Told {
            message: message.into(),
            hint: None,
            code: FAILED,
            passing: false,
        }
    }

    /// Whether the same request may succeed later without anything being changed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Told { passing: true, .. })
    }

    /// The same with what to do about it.
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// The same as a mistake in the command line.
    pub fn usage(mut self) -> Self {
        if let Self::Told { code, .. } = &mut self {
            *code = USAGE;
        }
        self
    }

    /// A failure with a file or folder, by what was tried with it.
    pub fn file(tried: impl Display, error: &io::Error) -> Self {
        Self::new(format!("cannot {tried}: {error}"))
    }

    /// Says what there is to say on standard error, and hands back the exit code.
    pub fn report(&self) -> u8 {
        match self {
            // As for a program that ends by SIGPIPE (128 + 13): what was asked for may not be done.
            Self::ReaderGone => 141,
            Self::Code(code) => *code,
            Self::Told {
                message,
                hint,
                code,
                ..
            } => {
                let (bad, strong) = (style::BAD, style::STRONG);
                anstream::eprintln!("{bad}error:{bad:#} {}", harmless(message));
                if let Some(hint) = hint {
                    anstream::eprintln!("{strong}hint:{strong:#} {}", harmless(hint));
                }
                *code
            }
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let passing = error.is_passing();
        let code = match error {
            ClientError::Address { .. } => USAGE,
            _ => FAILED,
        };
        let (message, hint) = match error.problem() {
            Some(problem) => (problem.detail.clone(), problem.hint.clone()),
            None => {
                let text = error.to_string();
                match text.split_once("\n  hint: ") {
                    Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
                    None => (text, None),
                }
            }
        };
        Self::Told {
            message,
            hint,
            code,
            passing,
        }
    }
}

/// Errors of writing to standard output. Those of other files go through [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(format!("cannot write to standard output: {error}")),
        }
    }
}

/// What every command comes to.
pub type Outcome = Result<(), Failure>;
