//! What the processes of a sandbox say to one another: lines of JSON over a socket that each of
//! them has as its standard input.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::report::{InstalledPackage, OutcomeClass};
use crate::request::{BuildRequest, RootMode};

/// The longest line that is read, in bytes. A request with an installation of 3,000 packages has
/// 600 KB.
const LONGEST: u64 = 64 << 20;

/// The first thing the supervisor is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// What to do in the sandbox.
    pub task: Task,
    /// The sandbox's settings.
    pub settings: Settings,
}

/// What is done in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// A build.
    Build(Box<BuildRequest>),
    /// A build with devtools, which sets up what is inside by itself.
    Devtools {
        /// The build.
        request: Box<BuildRequest>,
        /// The user that makepkg runs as.
        user: String,
    },
    /// A build in a virtual machine.
    Vmexec(Box<BuildRequest>),
    /// Nothing but setting everything up, to see whether it works.
    Trial,
}

/// Settings of a sandbox, as the supervisor needs them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Paths that the build must not see.
    pub hidden: Vec<PathBuf>,
    /// Whether the sandbox's files are kept in memory.
    pub in_memory: bool,
    /// Jobs for make.
    pub jobs: u32,
    /// The most processes and threads.
    pub processes: u64,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of disk.
    pub disk: u64,
    /// Whether makepkg's library is used without its checks.
    pub without_makepkg_lints: bool,
}

/// What the driver says to the supervisor, after the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Ask the build to end.
    Stop,
    /// End it at once.
    Kill,
}

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum News {
    /// A step begins. `watched`: makepkg's messages tell of the steps that follow.
    Step {
        /// Its name.
        name: String,
        /// Whether the following steps are to be read from makepkg's messages.
        watched: bool,
    },
    /// The dependencies are installed.
    Installed(Vec<InstalledPackage>),
    /// The work inside came to its end.
    Ended(End),
    /// The trial came to its end; these root modes can be set up.
    Tried(Vec<RootMode>),
    /// The sandbox could not be set up.
    Broken(String),
    /// Everything is cleared away; the last word.
    Over(Facts),
}

/// How the work inside ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Whose business it is, as far as can be said from inside.
    pub class: OutcomeClass,
    /// The exit code of makepkg.
    pub exit_code: Option<i32>,
    /// What happened.
    pub message: String,
    /// File names of the packages, in the folder `packages`.
    pub packages: Vec<String>,
    /// Whether the sandbox's memory file system, if it has one, was full.
    pub over_disk_limit: bool,
}

impl End {
    /// An end without packages.
    pub fn of(class: OutcomeClass, message: impl Into<String>) -> Self {
        Self {
            class,
            exit_code: None,
            message: message.into(),
            packages: Vec::new(),
            over_disk_limit: false,
        }
    }
}

/// What the supervisor saw from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Processes of the build that were killed because memory ran out.
    pub out_of_memory: u64,
    /// Whether the number is of the build alone, since it had a control group; else it is of the
    /// whole machine.
    pub memory_is_limited_together: bool,
    /// Whether the build had more on its disk than it may, or filled it.
    pub over_disk_limit: bool,
    /// Whether the build wanted more processes than it may have.
    pub over_process_limit: bool,
    /// Whether the file system below the sandbox was full.
    pub host_disk_full: bool,
    /// What could not be cleared away.
    pub leftovers: Option<String>,
    /// How limits were kept.
    pub remarks: Vec<String>,
}

/// One end of the socket.
#[derive(Debug)]
pub struct Wire {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Wire {
    /// Over a socket.
    pub fn new(socket: UnixStream) -> std::io::Result<Self> {
        let writer = socket.try_clone()?;
        let reader = BufReader::new(socket);
        Ok(Self { reader, writer })
    }

    /// Over the socket that is this process's standard input.
    pub fn of_stdin() -> std::io::Result<Self> {
        let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
        Self::new(UnixStream::from(socket))
    }

    /// Says something.
    pub fn send(&mut self, message: &impl Serialize) -> std::io::Result<()> {
        send(&mut self.writer, message)
    }

    /// Waits for the next word; `None` when the other side is gone.
    pub fn receive<T: DeserializeOwned>(&mut self) -> std::io::Result<Option<T>> {
        let mut line = String::new();
        let read = (&mut self.reader).take(LONGEST).read_line(&mut line)?;
        if read == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// Whether a whole word has been read from the socket, but not been taken yet: waiting for
    /// the socket to become readable would overlook it.
    pub fn has_buffered(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// Another handle to write with.
    pub fn writer(&self) -> std::io::Result<UnixStream> {
        self.writer.try_clone()
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

/// Writes one line.
pub fn send(writer: &mut UnixStream, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line)
}

/// Reads one byte; `None` at the end. For the moments before anybody speaks in lines.
pub fn receive_byte(socket: &mut UnixStream) -> std::io::Result<Option<u8>> {
    let mut byte = [0];
    match socket.read(&mut byte)? {
        0 => Ok(None),
        _ => Ok(Some(byte[0])),
    }
}
