//! `bbtw` as a program: started, read, waited for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::server::Server;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// All of it, for a snapshot.
    pub fn shown(&self) -> String {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        let mut text = format!("{}exit code {code}\n", self.stdout);
        if !self.stderr.is_empty() {
            text = format!("{text}--- standard error ---\n{}", self.stderr);
        }
        text
    }
}

/// The program with an environment of its own.
pub fn bbtw(server: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bbtw"));
    command
        .args(arguments)
        .env_clear()
        .env("SERVER_URL", server)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for a program without standing in the way of the server.
pub async fn finish(command: Command) -> Finished {
    Running::start_with(command).finish().await
}

/// Runs the program against a server.
pub async fn run(server: &Server, arguments: &[&str]) -> Finished {
    finish(bbtw(&server.address(), arguments)).await
}

/// Runs the program in a folder.
pub async fn run_in(server: &Server, folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = bbtw(&server.address(), arguments);
    command.current_dir(folder);
    finish(command).await
}

/// A program that goes on while a test does things. It ends with the test.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    read: Vec<u8>,
}

impl Running {
    /// Starts it against a server.
    pub fn start(server: &Server, arguments: &[&str]) -> Self {
        Self::start_with(bbtw(&server.address(), arguments))
    }

    /// Starts a program.
    pub fn start_with(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self {
            child,
            stdout,
            read: Vec::new(),
        }
    }

    /// Its process.
    fn id(&self) -> u32 {
        self.child.id().expect("it is not waited for yet")
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        let process = nix::unistd::Pid::from_raw(self.id().try_into().expect("a process number"));
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).expect("it is there");
    }

    /// Reads on until a line has a text in it.
    pub async fn until(&mut self, text: &str) {
        let read = async {
            loop {
                let start = self.read.len();
                let length = self
                    .stdout
                    .read_until(b'\n', &mut self.read)
                    .await
                    .expect("it can be read");
                let line = String::from_utf8_lossy(&self.read[start..]);
                if length == 0 || line.contains(text) {
                    return length > 0;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, read).await;
        let so_far = String::from_utf8_lossy(&self.read);
        assert!(
            matches!(found, Ok(true)),
            "it never said {text:?}:\n{so_far}"
        );
    }

    /// Reads it to its end.
    pub async fn finish(self) -> Finished {
        let Self {
            mut child,
            mut stdout,
            mut read,
        } = self;
        let mut errors = Vec::new();
        let mut stderr = child.stderr.take().expect("it is a pipe");
        let rest = async {
            tokio::join!(
                stdout.read_to_end(&mut read),
                stderr.read_to_end(&mut errors),
                child.wait()
            )
            .2
        };
        let status = tokio::time::timeout(PATIENCE, rest)
            .await
            .expect("it never ended");
        Finished {
            code: status.expect("it is waited for").code(),
            stdout: String::from_utf8_lossy(&read).into_owned(),
            stderr: String::from_utf8_lossy(&errors).into_owned(),
        }
    }
}

/// Compares with a snapshot, in which what differs from run to run has a name.
macro_rules! snapshot {
    ($server:expr, $text:expr) => {{
        let text = $text;
        let address = $server.address();
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&regex_of(&address), "http://server");
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Za-z0-9+-]+", "[moment]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
        settings.bind(|| insta::assert_snapshot!(text));
    }};
}
pub(crate) use snapshot;

/// A text as a regular expression.
pub fn regex_of(text: &str) -> String {
    text.replace('.', "\\.")
}
