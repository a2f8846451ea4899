//! The `sandbox` builder: the real makepkg in a throw-away root, without trust in what it runs.
//!
//! A build is carried out by five kinds of processes; all but the first are this same program,
//! executed anew under another name ([`enter_if_supervisor`]):
//!
//! - the *driver* ([`drive`]) is the worker. It reads the log, keeps the limits on time, silence and
//!   log, and says what the end means.
//! - the *supervisor* ([`supervisor`]) stands outside all namespaces with the worker's own rights. It
//!   keeps the limits on memory, processes and disk, and clears everything away, also when the
//!   worker is killed.
//! - [`namespaces`] makes the namespaces and starts the first process inside.
//! - the *first process inside* ([`init`]) is pid 1 there: when it ends, the kernel ends all others.
//!   It sees a few folders of the host, read-only ([`view`]), makes the root of the build ([`root`]),
//!   has pacman install the dependencies into it ([`install`]), and has makepkg run ([`makepkg`]).
//! - a *payload* ([`payload`]) enters the root of the build, gives up every right, and becomes
//!   makepkg.
//!
//! The same goes on as root and as an ordinary user; [`ids`] says where the difference lies.

mod cgroup;
pub(crate) mod config;
mod disk;
mod drive;
mod family;
mod ids;
mod init;
mod install;
mod judge;
mod log;
mod loopback;
pub(crate) mod makepkg;
mod mounts;
mod namespaces;
mod payload;
mod probe;
mod remove;
mod root;
mod source;
mod steps;
mod supervisor;
mod view;
mod wire;

use std::os::unix::process::CommandExt;
use std::process::Command;

pub(crate) use cgroup::{PREFIX as CGROUP_PREFIX, remove_group};
pub(crate) use drive::{carry_out, drive};
pub(crate) use install::{compare, installed_in, provision_for};
pub(crate) use mounts::{SetupError, bind, keep_to_ourselves, trying};
pub(crate) use probe::probe;
pub(crate) use remove::remove_tree;
pub(crate) use source::{SourceError, open as open_archive, unpack};
pub(crate) use view::mount_point;
pub(crate) use wire::{End, News, Settings, Task, Wire, Wish};

/// The folder with all files of a sandbox, in the work folder.
pub(crate) const SANDBOX: &str = "sandbox";

/// The folder with the packages that were made, in the sandbox's folder and later in the work folder.
pub(crate) const PACKAGES: &str = "packages";

/// The names under which this program is executed anew. They are also what `ps` shows.
const SUPERVISOR: &str = "buildbtw-build-supervisor";
const NAMESPACES: &str = "buildbtw-build-namespaces";
const INIT: &str = "buildbtw-build-init";
const PAYLOAD: &str = "buildbtw-build-payload";

/// When this process is a part of a sandbox: does its work and never returns.
///
/// To be called first in `main`, before anything is printed and any thread started: whoever builds
/// executes its own program anew, and that must not begin to be a worker.
pub fn enter_if_supervisor() {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let work: fn(&[String]) -> i32 = match name.as_deref().and_then(|name| name.to_str()) {
        Some(SUPERVISOR) => |_| supervisor::main(),
        Some(NAMESPACES) => namespaces::main,
        Some(INIT) => init::main,
        Some(PAYLOAD) => payload::main,
        _ => return,
    };
    let arguments: Vec<String> = arguments
        .filter_map(|text| text.into_string().ok())
        .collect();
    std::process::exit(work(&arguments));
}

/// This program anew, under another name, without the environment.
fn reexecute(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).env_clear();
    command
}

/// Closes what a careless program that started the worker may have left open, except the three usual
/// streams and one more; everything that this program opens closes by itself.
fn close_what_was_left_open(except: Option<i32>) -> std::io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && Some(*number) != except)
        .collect();
    for number in open {
        // The folder that was just read is among them, and closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
