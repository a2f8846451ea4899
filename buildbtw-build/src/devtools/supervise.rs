//! Runs the commands of a build with devtools, in the supervisor: they end when the worker does.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use super::commands::{CommandLine, Folders, Purpose, commands};
use crate::report::OutcomeClass;
use crate::request::{BuildRequest, RootMode};
use crate::sandbox::{
    End, News, PACKAGES, SANDBOX, Settings, SetupError, Task, Wire, Wish, bind, compare, config,
    installed_in, keep_to_ourselves, makepkg, mount_point, trying, unpack,
};

/// How often it is looked whether a command has ended, besides when the worker says something. There
/// is no way to wait for a process and a socket at once that every kernel has.
const TICK: Duration = Duration::from_millis(100);

/// How long devtools has to take its containers down before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// Carries the build out and says how it ended. The packages are in the sandbox's folder for packages
/// afterwards.
pub(crate) fn supervise(
    wire: &mut Wire,
    request: &BuildRequest,
    user: &str,
    settings: &Settings,
) -> Result<(), SetupError> {
    let folders = Folders::below(appear_at(request)?);
    let result = build(wire, request, user, settings, &folders);
    // What root made on behalf of an ordinary user, only root can remove.
    if !geteuid().is_root() {
        let _ = Command::new("sudo")
            .args(["-n", "rm", "-rf", "--one-file-system", "--"])
            .arg(folders.chroots)
            .status();
    }
    let end = result?;
    wire.send(&News::Ended(end))
        .map_err(trying("report to the worker"))
}

/// Where the files of the build are. The user that makepkg runs as has to be able to walk there,
/// which it need not be to the work folder; root can make the place appear elsewhere.
fn appear_at(request: &BuildRequest) -> Result<PathBuf, SetupError> {
    let here = std::env::current_dir()
        .map_err(trying("find the work folder"))?
        .join(SANDBOX);
    if !geteuid().is_root() {
        return Ok(here);
    }
    let task = Task::Build(Box::new(request.clone()));
    let place = Path::new(mount_point(&task));
    unshare(CloneFlags::CLONE_NEWNS).map_err(trying("make a mount namespace"))?;
    keep_to_ourselves()?;
    bind(&here, place, false)?;
    Ok(place.to_owned())
}

fn build(
    wire: &mut Wire,
    request: &BuildRequest,
    user: &str,
    settings: &Settings,
    folders: &Folders,
) -> Result<End, SetupError> {
    let owner = owner(user)?;
    let step = |wire: &mut Wire, name: &str, watched| {
        wire.send(&News::Step {
            name: name.to_owned(),
            watched,
        })
        .map_err(trying("report to the worker"))
    };
    step(wire, "dependencies", false)?;
    if let Err(error) = prepare(request, folders, owner) {
        return error.end();
    }
    let mut before = Purpose::Dependencies;
    for command in commands(request, folders, user, settings.jobs) {
        if command.purpose != before {
            if before == Purpose::Dependencies {
                let installed = installed_in(&folders.root())
                    .map_err(trying("read which packages are installed"))?;
                wire.send(&News::Installed(installed.clone()))
                    .map_err(trying("report to the worker"))?;
                let differences = compare(request, &installed);
                if !differences.is_empty() {
                    return Ok(End::of(OutcomeClass::Dependencies, differences.join("\n")));
                }
            }
            before = command.purpose;
            match command.purpose {
                Purpose::Build => step(wire, "prepare", true)?,
                _ => step(wire, "sources", false)?,
            }
        }
        match run(wire, &command, owner)? {
            Some(status) if status.success() => {}
            Some(status) => return Ok(failure(&command, status)),
            None => return Ok(End::of(OutcomeClass::Cancelled, "stopped")),
        }
    }
    let packages = collect(folders)?;
    Ok(End {
        exit_code: Some(0),
        packages,
        ..End::of(OutcomeClass::Success, "")
    })
}

fn failure(command: &CommandLine, status: ExitStatus) -> End {
    let class = match (command.purpose, status.code()) {
        (_, None) => OutcomeClass::Infrastructure,
        (Purpose::Dependencies, _) => OutcomeClass::Dependencies,
        (Purpose::Sources, Some(code)) => {
            makepkg::class_of(code, makepkg::Purpose::Sources, RootMode::Packages)
        }
        // makechrootpkg ends with the same code whatever failed.
        (Purpose::Build, _) => OutcomeClass::Package,
    };
    let meaning = match (command.purpose, status.code()) {
        (Purpose::Sources, Some(code)) => makepkg::meaning(code, makepkg::Purpose::Sources),
        _ => "the log says why",
    };
    End {
        exit_code: status.code(),
        ..End::of(
            class,
            format!("{} ended with {status}: {meaning}", command.program),
        )
    }
}

/// The numbers of the user that makepkg runs as, if this process may take another user's place.
fn owner(user: &str) -> Result<Option<(u32, u32)>, SetupError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let what = || trying(format!("find the user {user}"));
    let user = User::from_name(user)
        .map_err(what())?
        .ok_or(nix::errno::Errno::ENOENT)
        .map_err(what())?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// Why there is nothing to build with.
pub(crate) enum Unprepared {
    Source(crate::sandbox::SourceError),
    Setup(SetupError),
}

impl Unprepared {
    /// How the build ends with it.
    pub(crate) fn end(self) -> Result<End, SetupError> {
        match self {
            Self::Source(error) if error.is_of_the_package() => {
                Ok(End::of(OutcomeClass::Package, error.to_string()))
            }
            Self::Source(error) => Ok(End::of(OutcomeClass::Infrastructure, error.to_string())),
            Self::Setup(error) => Err(error),
        }
    }
}

impl From<SetupError> for Unprepared {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

/// Unpacks the source and makes everything else that the commands expect.
pub(crate) fn prepare(
    request: &BuildRequest,
    folders: &Folders,
    owner: Option<(u32, u32)>,
) -> Result<(), Unprepared> {
    let what = || trying("make the folders of the build");
    // The user that makepkg runs as has to walk to the source.
    for folder in [&folders.top, &folders.chroots] {
        fs::create_dir_all(folder).map_err(what())?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(what())?;
    }
    let unpacked = folders.top.join("unpacked");
    fs::create_dir(&unpacked).map_err(what())?;
    let tree = unpack(&request.source, &unpacked).map_err(Unprepared::Source)?;
    fs::rename(tree, folders.startdir()).map_err(what())?;
    let mut own = vec![folders.startdir()];
    for (_, folder) in folders.destinations() {
        fs::create_dir(&folder).map_err(what())?;
        own.push(folder);
    }
    if let Some((uid, gid)) = owner {
        while let Some(path) = own.pop() {
            if path.is_dir() && !path.is_symlink() {
                let entries = fs::read_dir(&path).map_err(what())?;
                own.extend(entries.flatten().map(|entry| entry.path()));
            }
            std::os::unix::fs::lchown(&path, Some(uid), Some(gid)).map_err(what())?;
        }
    }
    let cache = folders.top.join("cache");
    fs::create_dir(&cache).map_err(what())?;
    // Of its own: two namespaces may have different packages of one file name.
    let pacman = config::pacman_conf(request).replacen(
        "[options]\n",
        &format!("[options]\nCacheDir = {}\n", cache.display()),
        1,
    );
    fs::write(folders.pacman_conf(), pacman).map_err(what())?;
    let makepkg = match &request.makepkg_conf {
        Some(text) => text.clone(),
        // On Arch the host's own is what devtools takes, too.
        None => fs::read_to_string("/usr/share/devtools/makepkg.conf.d/x86_64.conf")
            .or_else(|_| fs::read_to_string("/etc/makepkg.conf"))
            .unwrap_or_else(|_| config::makepkg_conf(&request.architecture)),
    };
    fs::write(folders.makepkg_conf(), makepkg).map_err(what())?;
    Ok(())
}

/// Runs one command to its end; `None` when the worker wanted the build to stop, or is gone.
pub(crate) fn run(
    wire: &mut Wire,
    line: &CommandLine,
    owner: Option<(u32, u32)>,
) -> Result<Option<ExitStatus>, SetupError> {
    let what = || trying(format!("run {}", line.program));
    let mut command = Command::new(line.program);
    command
        .args(&line.arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", std::env::temp_dir())
        .env("LC_ALL", "C.UTF-8")
        .envs(line.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&line.folder)
        .stdin(Stdio::null())
        .process_group(0);
    if let (true, Some((uid, gid))) = (line.as_user, owner) {
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn().map_err(what())?;
    let group = Pid::from_raw(-i32::try_from(child.id()).unwrap_or(i32::MAX));
    let mut kill_at: Option<Instant> = None;
    let mut open = true;
    loop {
        if let Some(status) = child.try_wait().map_err(what())? {
            // Whatever it started in the background.
            let _ = kill(group, Signal::SIGKILL);
            return Ok(kill_at.is_none().then_some(status));
        }
        if kill_at.is_some_and(|at| Instant::now() >= at) {
            let _ = kill(group, Signal::SIGKILL);
        }
        match listen(wire, open)? {
            Heard::Nothing => {}
            Heard::Stop if kill_at.is_none() => {
                // makechrootpkg and systemd-nspawn take their container down when they are asked.
                let _ = kill(group, Signal::SIGTERM);
                kill_at = Some(Instant::now() + GRACE);
            }
            // Asked a second time, or gone: then there is nobody left to listen to.
            Heard::Stop => open = false,
            Heard::Kill => {
                let _ = kill(group, Signal::SIGKILL);
                kill_at = Some(Instant::now());
                open = false;
            }
        }
    }
}

enum Heard {
    Nothing,
    Stop,
    Kill,
}

/// Waits a moment for a word of the worker.
fn listen(wire: &mut Wire, open: bool) -> Result<Heard, SetupError> {
    let interest = if open {
        PollFlags::POLLIN
    } else {
        PollFlags::empty()
    };
    let mut socket = [PollFd::new(wire.as_fd(), interest)];
    let wait = u16::try_from(TICK.as_millis()).unwrap_or(u16::MAX);
    match poll(&mut socket, PollTimeout::from(wait)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(trying("wait for the build")(error)),
    }
    if !socket[0].any().unwrap_or(false) {
        return Ok(Heard::Nothing);
    }
    match wire.receive::<Wish>() {
        Ok(Some(Wish::Stop)) => Ok(Heard::Stop),
        Ok(Some(Wish::Kill)) => Ok(Heard::Kill),
        // The worker is gone: the same as if it had asked.
        Ok(None) | Err(_) => Ok(Heard::Stop),
    }
}

/// Moves the packages to where the supervisor expects them.
pub(crate) fn collect(folders: &Folders) -> Result<Vec<String>, SetupError> {
    let what = || trying("take the packages");
    let [(_, pkgdest), ..] = folders.destinations();
    let target = folders.top.join(PACKAGES);
    let mut packages = Vec::new();
    for entry in fs::read_dir(&pkgdest).map_err(what())? {
        let entry = entry.map_err(what())?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let is_package = name.contains(".pkg.tar") && !name.ends_with(".sig");
        if is_package && entry.file_type().map_err(what())?.is_file() {
            fs::rename(entry.path(), target.join(&name)).map_err(what())?;
            packages.push(name);
        }
    }
    packages.sort();
    Ok(packages)
}
