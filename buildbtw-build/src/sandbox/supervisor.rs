//! The outermost process of a sandbox. It stands outside all namespaces, starts what is inside,
//! watches over it, and clears everything away: when the work is done, when it is told to, and also
//! when whoever started it is suddenly gone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Groups};
use super::disk;
use super::ids::Users;
use super::mounts::{SetupError, trying};
use super::remove::remove_tree;
use super::wire::{Facts, News, Order, Task, Wire, Wish, receive_byte};
use super::{NAMESPACES, PACKAGES, SANDBOX, reexecute};
use crate::{devtools, vmexec};

/// What is said while the namespaces are set up.
#[derive(Debug, Serialize, Deserialize)]
pub enum Setup {
    /// The first process inside has this number outside.
    Init(u32),
    /// It waits for its order.
    Ready,
    /// Something could not be set up.
    Failed(String),
}

/// The order as it is handed on to the first process inside.
#[derive(Debug, Serialize, Deserialize)]
pub struct InnerOrder {
    /// What is to be done.
    pub order: Order,
    /// Who the users are.
    pub users: Users,
    /// Bytes of memory for each process, where they cannot be limited together.
    pub memory_each: Option<u64>,
    /// The most processes of the user, where they cannot be limited together.
    pub processes_each: Option<u64>,
}

/// Is deaf to the signals with which a service manager ends all processes of a service at once: this
/// process has to outlive the build. Whoever asks it to end does so over the wire.
///
/// They are caught, and neither ignored nor blocked: those two are inherited by every process that is
/// started from here, and the build has to hear them.
pub fn ignore_requests_to_end() {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        // SAFETY: the handler does nothing, so it cannot disturb what it interrupts.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// Does the work of this process.
pub fn main() -> i32 {
    ignore_requests_to_end();
    let _ = super::close_what_was_left_open(None);
    // Orphans of the sandbox come to this process to be reaped, whatever runs as pid 1 here.
    let _ = prctl::set_child_subreaper(true);
    let Ok(mut wire) = Wire::of_stdin() else {
        return 1;
    };
    let Ok(Some(order)) = wire.receive::<Order>() else {
        return 1;
    };
    let mut facts = Facts::default();
    let users = match &order.task {
        Task::Devtools { .. } | Task::Vmexec(_) => Users::alone(),
        Task::Build(_) | Task::Trial => Users::choose(),
    };
    // The lock is held until everything is cleared away.
    let lock = make_folders(&order, users);
    let result = match &lock {
        Ok(lock) => match &order.task {
            Task::Devtools { request, user } => {
                devtools::supervise(&mut wire, request, user, &order.settings)
            }
            Task::Vmexec(request) => vmexec::supervise(&mut wire, request, &order.settings),
            Task::Build(_) | Task::Trial => supervise(&mut wire, order, users, lock, &mut facts),
        },
        Err(error) => Err(trying("set up the sandbox")(io::Error::other(
            error.to_string(),
        ))),
    };
    if let Err(error) = result {
        let _ = wire.send(&News::Broken(error.to_string()));
    }
    if let Err(error) = take_packages() {
        let _ = wire.send(&News::Broken(error.to_string()));
    }
    if let Err(error) = remove_tree(Path::new(SANDBOX)) {
        facts.leftovers = Some(format!("cannot remove the sandbox's files: {error}"));
    }
    match wire.send(&News::Over(facts)) {
        Ok(()) => 0,
        Err(_) => {
            // Nobody is there any more who would take the packages.
            let _ = remove_tree(Path::new(PACKAGES));
            1
        }
    }
}

fn supervise(
    wire: &mut Wire,
    order: Order,
    users: Users,
    lock: &fs::File,
    facts: &mut Facts,
) -> Result<(), SetupError> {
    let name = std::process::id().to_string();
    let settings = &order.settings;
    let (groups, remarks) = Groups::make(&name, settings.memory, settings.processes)?;
    facts.remarks = remarks;
    let killed_before = cgroup::killed_on_this_machine();
    let watched = write_lock(lock, &groups)
        .and_then(|()| start_and_watch(wire, order, users, &groups, facts));
    facts.out_of_memory = match groups.has_memory() {
        true => groups.out_of_memory(),
        false => {
            let after = cgroup::killed_on_this_machine();
            after
                .zip(killed_before)
                .map_or(0, |(after, before)| after.saturating_sub(before))
        }
    };
    facts.memory_is_limited_together = groups.has_memory();
    facts.over_process_limit = groups.is_over_process_limit();
    groups.remove();
    watched
}

/// Makes the folders of the sandbox in the work folder, where this process was started, and locks
/// them: whoever sweeps up later knows by the lock that they are in use.
fn make_folders(order: &Order, users: Users) -> Result<fs::File, SetupError> {
    let sandbox = Path::new(SANDBOX);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(sandbox)
        .map_err(trying("make the sandbox's folder in the work folder"))?;
    let lock_path = sandbox.join("lock");
    let lock = fs::File::create(&lock_path).map_err(trying("make the sandbox's lock"))?;
    lock.try_lock()
        .map_err(|error| io::Error::other(error.to_string()))
        .map_err(trying("lock the sandbox's folder"))?;
    let (uid, gid) = users.root_outside();
    let give = |path: &Path| {
        chown(path, Some(uid), Some(gid)).map_err(trying(format!("give away {}", path.display())))
    };
    for folder in ["store", "view", PACKAGES] {
        let path = sandbox.join(folder);
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&path)
            .map_err(trying("make a folder of the sandbox"))?;
        // Whatever the umask is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(trying("open a folder of the sandbox"))?;
        give(&path)?;
    }
    if let Task::Build(request) = &order.task {
        let copy = sandbox.join("source");
        fs::copy(&request.source, &copy).map_err(trying(format!(
            "copy the source {}",
            request.source.display()
        )))?;
        give(&copy)?;
    }
    give(sandbox)?;
    Ok(lock)
}

/// Moves the packages out of the sandbox's folder and makes them this user's own.
fn take_packages() -> Result<(), SetupError> {
    let inside = Path::new(SANDBOX).join(PACKAGES);
    let what = || trying("take the packages out of the sandbox");
    if !inside.exists() || fs::read_dir(&inside).map_err(what())?.next().is_none() {
        return Ok(());
    }
    let outside = Path::new(PACKAGES);
    fs::rename(&inside, outside).map_err(what())?;
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    chown(outside, Some(uid), Some(gid)).map_err(what())?;
    for entry in fs::read_dir(outside).map_err(what())? {
        let path = entry.map_err(what())?.path();
        chown(&path, Some(uid), Some(gid)).map_err(what())?;
    }
    Ok(())
}

/// Notes which control groups belong to the sandbox, for whoever may have to sweep up.
fn write_lock(mut lock: &fs::File, groups: &Groups) -> Result<(), SetupError> {
    let folders: Vec<String> = groups
        .folders()
        .iter()
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect();
    io::Write::write_all(&mut lock, folders.join("\n").as_bytes())
        .map_err(trying("write the sandbox's lock"))
}

fn start_and_watch(
    wire: &mut Wire,
    order: Order,
    users: Users,
    groups: &Groups,
    facts: &mut Facts,
) -> Result<(), SetupError> {
    let (mut ours, theirs) = UnixStream::pair().map_err(trying("make a socket"))?;
    let mut namespaces = spawn_namespaces(theirs, users, &order)?;
    let started = hand_over(&mut ours, &namespaces, users).and_then(|init| {
        groups.take_in(init)?;
        let inner = Wire::new(ours).map_err(trying("use the socket to the sandbox"))?;
        let init = i32::try_from(init).map_err(|error| failed(error.to_string()))?;
        Ok((Pid::from_raw(init), inner))
    });
    let (init, mut inner) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = namespaces.kill();
            reap(&mut namespaces);
            return Err(error);
        }
    };
    let sent = inner
        .send(&InnerOrder {
            memory_each: order.settings.memory.filter(|_| !groups.has_memory()),
            processes_each: (!groups.has_pids()).then_some(order.settings.processes),
            order,
            users,
        })
        .map_err(trying("hand the order on"));
    let watched = sent.and_then(|()| {
        let mut watch = Watching {
            wire,
            inner: &mut inner,
            init,
            facts,
        };
        watch.watch()
    });
    // Whatever is still inside goes with the first process there. Its number is its own as long as
    // the process that started it waits for it.
    if let Ok(None) = namespaces.try_wait() {
        let _ = kill(init, Signal::SIGKILL);
    }
    reap(&mut namespaces);
    watched
}

fn failed(reason: String) -> SetupError {
    trying("set up the sandbox")(io::Error::other(reason))
}

fn spawn_namespaces(socket: UnixStream, users: Users, order: &Order) -> Result<Child, SetupError> {
    let users = serde_json::to_string(&users)
        .map_err(|error| trying("name the users")(io::Error::from(error)))?;
    let mut command = reexecute(NAMESPACES);
    command
        .arg(std::process::id().to_string())
        .arg(users)
        .arg(super::view::mount_point(&order.task))
        // For people who look at the machine's processes, and wonder which build it is.
        .arg(std::env::current_dir().map_err(trying("find the work folder"))?)
        .current_dir(SANDBOX)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .process_group(0);
    command.spawn().map_err(trying("start a second process"))
}

/// Speaks with the process that makes the namespaces until there is a first process inside that
/// waits for its order; its number is handed back.
fn hand_over(socket: &mut UnixStream, namespaces: &Child, users: Users) -> Result<u32, SetupError> {
    let read = || trying("speak with the process that makes the namespaces");
    match receive_byte(socket).map_err(read())? {
        Some(b'u') => {}
        Some(_) => return Err(failure_of(socket)),
        None => return Err(failed("the process that makes the namespaces ended".into())),
    }
    let (uids, gids) = users.maps();
    let folder = format!("/proc/{}", namespaces.id());
    if !users.has_build_user() {
        // Without this the kernel lets only root map groups: user_namespaces(7).
        fs::write(format!("{folder}/setgroups"), "deny").map_err(trying("give up groups"))?;
    }
    fs::write(format!("{folder}/uid_map"), uids).map_err(trying("map the users"))?;
    fs::write(format!("{folder}/gid_map"), gids).map_err(trying("map the groups"))?;
    io::Write::write_all(socket, b"m").map_err(read())?;
    // The two speak over one socket, so either may be heard first.
    let (mut init, mut ready) = (None, false);
    loop {
        match read_setup(socket).map_err(read())? {
            Setup::Init(number) => init = Some(number),
            Setup::Ready => ready = true,
            Setup::Failed(reason) => return Err(failed(reason)),
        }
        if let (Some(init), true) = (init, ready) {
            return Ok(init);
        }
    }
}

/// Reads a line byte by byte, since what follows it is for another reader.
fn read_setup(socket: &mut UnixStream) -> io::Result<Setup> {
    let mut line = Vec::new();
    while let Some(byte) = receive_byte(socket)? {
        if byte == b'\n' {
            return Ok(serde_json::from_slice(&line)?);
        }
        line.push(byte);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The reason why there are no namespaces, of which the first byte is read already.
fn failure_of(socket: &mut UnixStream) -> SetupError {
    let mut text = String::new();
    let _ = io::Read::read_to_string(socket, &mut text);
    failed(text.trim().to_owned())
}

/// Waits for the process that made the namespaces, and for everything that came to this process
/// because its own parent ended.
fn reap(namespaces: &mut Child) {
    let _ = namespaces.wait();
    while nix::sys::wait::wait().is_ok() {}
}

struct Watching<'a> {
    wire: &'a mut Wire,
    inner: &'a mut Wire,
    init: Pid,
    facts: &'a mut Facts,
}

impl Watching<'_> {
    /// Passes words on until there is nobody inside any more.
    fn watch(&mut self) -> Result<(), SetupError> {
        let mut somebody_outside = true;
        loop {
            let (outer, inner) = self.wait(somebody_outside)?;
            if inner {
                loop {
                    match self.inner.receive::<News>() {
                        Ok(Some(news)) => {
                            if somebody_outside && self.wire.send(&news).is_err() {
                                somebody_outside = false;
                                self.kill();
                            }
                        }
                        // It may also have ended in the middle of a word.
                        Ok(None) | Err(_) => return Ok(()),
                    }
                    if !self.inner.has_buffered() {
                        break;
                    }
                }
            }
            if outer {
                match self.wire.receive::<Wish>() {
                    Ok(Some(Wish::Stop)) => {
                        let _ = self.inner.send(&Wish::Stop);
                    }
                    Ok(Some(Wish::Kill)) => self.kill(),
                    Ok(None) | Err(_) => {
                        somebody_outside = false;
                        self.kill();
                    }
                }
            }
            self.facts.host_disk_full |= disk::is_full(Path::new(SANDBOX));
        }
    }

    /// Waits until somebody inside or, if there still is anybody, outside says something, and no
    /// longer than until it is time to look at the host's disk.
    fn wait(&self, outside: bool) -> Result<(bool, bool), SetupError> {
        let mut sockets = vec![PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
        if outside {
            sockets.push(PollFd::new(self.wire.as_fd(), PollFlags::POLLIN));
        }
        let longest = u16::try_from(disk::SHORTEST.as_millis()).unwrap_or(u16::MAX);
        match poll(&mut sockets, PollTimeout::from(longest)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(trying("wait for the sandbox")(error)),
        }
        let any = |socket: Option<&PollFd<'_>>| socket.is_some_and(|it| it.any().unwrap_or(false));
        Ok((any(sockets.get(1)), any(sockets.first())))
    }

    fn kill(&self) {
        let _ = kill(self.init, Signal::SIGKILL);
    }
}
