//! The process that makes a sandbox's namespaces and starts the first process inside them. It ends
//! when that one does, and takes it along when it is killed.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getppid, setgroups, setresgid, setresuid};

use super::ids::Users;
use super::mounts::{SetupError, bind, keep_to_ourselves, trying};
use super::supervisor::{Setup, ignore_requests_to_end};
use super::wire::{receive_byte, send};
use super::{INIT, reexecute};

/// Does the work of this process. Arguments: the supervisor's process number, the users, and where
/// the sandbox's folder is to appear, and the work folder for people to see.
pub fn main(arguments: &[String]) -> i32 {
    ignore_requests_to_end();
    let [supervisor, users, place, label] = arguments else {
        return 1;
    };
    let (Ok(supervisor), Ok(users)) = (supervisor.parse(), serde_json::from_str(users)) else {
        return 1;
    };
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else {
        return 1;
    };
    let mut socket = UnixStream::from(socket);
    let mut mapped = false;
    match make(&mut socket, supervisor, users, [place, label], &mut mapped) {
        Ok(mut init) => {
            // From here on the socket is the first process's alone: when it ends, it closes.
            drop(socket);
            if let Ok(null) = std::fs::File::open("/dev/null") {
                let _ = nix::unistd::dup2_stdin(null);
            }
            match init.wait() {
                Ok(status) => status.code().unwrap_or(1),
                Err(_) => 1,
            }
        }
        Err(error) => {
            let _ = match mapped {
                true => send(&mut socket, &Setup::Failed(error.to_string())),
                // Not yet in lines: anything but `u` announces a reason.
                false => socket.write_all(format!("!{error}\n").as_bytes()),
            };
            1
        }
    }
}

/// Has this process killed when the supervisor ends, even when that has happened already.
fn die_with(supervisor: i32) -> Result<(), SetupError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(trying("bind this process to the supervisor"))?;
    match getppid().as_raw() == supervisor {
        true => Ok(()),
        false => Err(trying("go on")(io::Error::other("the supervisor ended"))),
    }
}

fn make(
    socket: &mut UnixStream,
    supervisor: i32,
    users: Users,
    [place, label]: [&str; 2],
    mapped: &mut bool,
) -> Result<std::process::Child, SetupError> {
    die_with(supervisor)?;
    let (here, place) = (Path::new("."), Path::new(place));
    if users.has_build_user() {
        // Inside, nobody has the right to walk to the work folder, which may lie in root's home.
        // So it is mounted at a place that everybody can walk to while this is still root.
        unshare(CloneFlags::CLONE_NEWNS).map_err(trying("make a mount namespace"))?;
        keep_to_ourselves()?;
        bind(here, place, false)?;
    }
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .map_err(trying("make namespaces"))?;
    let speak = || trying("speak with the supervisor");
    socket.write_all(b"u").map_err(speak())?;
    if receive_byte(socket).map_err(speak())?.is_none() {
        return Err(speak()(io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    *mapped = true;
    if users.has_build_user() {
        setgroups(&[]).map_err(trying("give up groups"))?;
    }
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(wheel, wheel, wheel).map_err(trying("become the group 0 inside"))?;
    setresuid(root, root, root).map_err(trying("become the user 0 inside"))?;
    // Once more: the kernel forgets it when a process changes its user.
    die_with(supervisor)?;
    keep_to_ourselves()?;
    if !users.has_build_user() {
        bind(here, place, false)?;
    }
    nix::unistd::sethostname("buildbtw").map_err(trying("name the machine"))?;
    let init = reexecute(INIT)
        .args([place.as_os_str(), label.as_ref()])
        .current_dir("/")
        .stdin(Stdio::inherit())
        .spawn()
        .map_err(trying(
            "start the first process inside (may everybody execute this program?)",
        ))?;
    send(socket, &Setup::Init(init.id())).map_err(speak())?;
    Ok(init)
}
