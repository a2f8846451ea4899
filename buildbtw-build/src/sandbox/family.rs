//! The processes inside a sandbox, as their first one sees them: all of them are its children, or
//! become so when their own parents end.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::wire::{Wire, Wish};

/// The processes that this one started, and all that became its children because their own parents
/// ended.
#[derive(Debug)]
pub struct Family {
    /// The process group that is asked to end when the build is to stop; 0 when there is none.
    current: Arc<AtomicI32>,
    stopped: Arc<AtomicBool>,
}

impl Family {
    /// Listens to the supervisor from now on.
    pub fn new(wire: Wire) -> Self {
        let current = Arc::new(AtomicI32::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let family = Self {
            current: Arc::clone(&current),
            stopped: Arc::clone(&stopped),
        };
        std::thread::spawn(move || listen(wire, &current, &stopped));
        family
    }

    /// Starts a process in a process group of its own.
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Pid> {
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        self.current.store(pid.as_raw(), Ordering::SeqCst);
        if self.stopped.load(Ordering::SeqCst) {
            let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGTERM);
        }
        Ok(pid)
    }

    /// Waits for one process and meanwhile reaps whatever else ends. The result is an exit code, and
    /// 128 and the signal's number for a process that was ended by one, as shells have it.
    pub fn wait_for(&mut self, process: Pid) -> io::Result<i32> {
        let code = loop {
            match waitpid(None, None) {
                Ok(WaitStatus::Exited(pid, code)) if pid == process => break code,
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == process => {
                    break 128 + signal as i32;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        self.current.store(0, Ordering::SeqCst);
        Ok(code)
    }

    /// Ends every other process inside, and waits until they are gone.
    pub fn end_all(&mut self) {
        loop {
            end_others();
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether the build was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

fn listen(mut wire: Wire, current: &AtomicI32, stopped: &AtomicBool) {
    while let Ok(Some(Wish::Stop)) = wire.receive() {
        stopped.store(true, Ordering::SeqCst);
        let group = current.load(Ordering::SeqCst);
        if group > 0 {
            let _ = kill(Pid::from_raw(-group), Signal::SIGTERM);
        }
    }
    // The supervisor is gone, and with it everybody who could want this build.
    std::process::exit(1);
}

/// Ends every process inside but this one.
pub fn end_others() {
    // -1: everybody that this process may end, and not itself.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
}
