//! One call of a program: in a process group of its own, ended by SIGTERM and then by SIGKILL to all of
//! that.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::custom::Call;

/// How long the Runner waits for the output's end when the program has ended: whatever it left in the
/// background may hold it open.
const OUTPUT: Duration = Duration::from_secs(5);

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started.
    Missing(String),
    /// It did not even die of SIGKILL in time.
    Dormant,
}

impl Exit {
    fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// What is called.
pub struct Order<'a> {
    /// The word for the call.
    pub word: &'a str,
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, and nothing else.
    pub environment: &'a [(String, String)],
    /// Its folder.
    pub folder: &'a Path,
    /// From SIGTERM to SIGKILL.
    pub graceful: Duration,
    /// From SIGKILL until it is given up.
    pub force: Duration,
}

/// Where output goes as it comes.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs a program to its end. When `abort` comes to its end first, the program's group is ended.
pub async fn call(
    order: Order<'_>,
    stdout: Option<Sink>,
    stderr: Option<Sink>,
    abort: impl Future<Output = ()>,
) -> Call {
    let began = Instant::now();
    let mut command = Command::new(order.program);
    command
        .args(&order.arguments)
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(order.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let (mut said, mut complained) = (String::new(), String::new());
    let exit = match command.spawn() {
        Err(error) => Exit::Missing(error.to_string()),
        Ok(mut child) => {
            let out = Collected::begin(child.stdout.take(), stdout);
            let err = Collected::begin(child.stderr.take(), stderr);
            let exit = tokio::select! {
                status = child.wait() => status.map_or(Exit::Dormant, Exit::of),
                () = abort => end(&mut child, order.graceful, order.force).await,
            };
            said = out.finish().await;
            complained = err.finish().await;
            exit
        }
    };
    Call {
        word: order.word.to_owned(),
        exit,
        stdout: said,
        stderr: complained,
        folder: order.folder.to_owned(),
        took: began.elapsed(),
    }
}

/// Ends a program's whole group.
async fn end(child: &mut Child, graceful: Duration, force: Duration) -> Exit {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    for (signal, patience) in [(Signal::SIGTERM, graceful), (Signal::SIGKILL, force)] {
        if let Some(group) = group {
            // It may have ended in this moment.
            let _ = killpg(Pid::from_raw(group), signal);
        }
        if let Ok(Ok(status)) = timeout(patience, child.wait()).await {
            return Exit::of(status);
        }
    }
    Exit::Dormant
}

/// Output that is passed on and kept.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Collected {
    fn begin(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, sink: Option<Sink>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reading = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = vec![0; 16 << 10];
            while let Ok(read) = pipe.read(&mut buffer).await {
                if read == 0 {
                    return;
                }
                if let Some(sink) = &sink {
                    sink(&String::from_utf8_lossy(&buffer[..read]));
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..read]);
            }
        });
        Self { text, reading }
    }

    async fn finish(mut self) -> String {
        if timeout(OUTPUT, &mut self.reading).await.is_err() {
            self.reading.abort();
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}
