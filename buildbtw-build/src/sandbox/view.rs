//! What the first process inside, and pacman with it, see of the host: its `/usr` and `/etc`,
//! read-only, and nothing of its homes, its services, or its other files. Scripts of packages that
//! are installed run here with the rights of user 0 inside, so this view must hold no secret.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{chdir, pivot_root};

use super::mounts::{SetupError, bind, make_read_only, special, trying};
use super::wire::{Order, Task};
use crate::request::BuildRequest;

/// The sandbox's folder, as it appears in the view.
pub const FILES: &str = "/sandbox";

/// An empty file and an empty folder, laid over what must not be seen.
const EMPTY_FILE: &str = "/sandbox/view-empty-file";
const EMPTY_FOLDER: &str = "/sandbox/view-empty-folder";

/// Folders that are there everywhere, one of which is needed as a mount point for a moment.
const MOUNT_POINTS: [&str; 5] = ["/mnt", "/srv", "/media", "/opt", "/tmp"];

/// Host folders besides `/usr` and `/etc`: links into `/usr` nearly everywhere.
const PROGRAMS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Devices that every program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// A folder that can be mounted over in the sandbox's own mount namespace without hiding a
/// repository that lies below it.
pub fn mount_point(task: &Task) -> &'static str {
    let servers = local_repositories(task);
    let free = MOUNT_POINTS.into_iter().find(|point| {
        Path::new(point).is_dir() && !servers.iter().any(|server| server.starts_with(point))
    });
    free.unwrap_or("/mnt")
}

/// The folders of repositories on this machine (`file://`), with pacman's variables filled in.
fn local_repositories(task: &Task) -> Vec<PathBuf> {
    let Task::Build(request) = task else {
        return Vec::new();
    };
    let path = |server: &str, name: &str, request: &BuildRequest| {
        let path = server.strip_prefix("file://")?;
        let path = path
            .replace("$repo", name)
            .replace("$arch", &request.architecture);
        let plain = Path::new(&path)
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        (path.starts_with('/') && plain).then(|| PathBuf::from(path))
    };
    request
        .repositories
        .iter()
        .filter_map(|repository| path(&repository.server, &repository.name, request))
        .collect()
}

/// Makes the view and enters it: from here on the rest of the host is out of reach. `place` is where
/// the sandbox's folder appears now.
pub fn enter(place: &Path, order: &Order) -> Result<(), SetupError> {
    let view = place.join("view");
    special(
        "tmpfs",
        &view,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        "mode=0755,size=1m",
    )?;
    let make = |name: &str| {
        let path = view.join(name);
        fs::create_dir(&path).map_err(trying(format!("make the folder {}", path.display())))?;
        Ok::<PathBuf, SetupError>(path)
    };
    for name in ["usr", "etc"] {
        let path = make(name)?;
        bind(&Path::new("/").join(name), &path, true)?;
        make_read_only(&path)?;
    }
    link_programs(&view)?;
    make_devices(&make("dev")?, order.settings.memory)?;
    special(
        "proc",
        &make("proc")?,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        "",
    )?;
    for name in ["tmp", "run", "var", "root", "old"] {
        make(name)?;
    }
    fs::set_permissions(view.join("tmp"), fs::Permissions::from_mode(0o1777))
        .map_err(trying("open /tmp"))?;
    bind_resolver(&view)?;
    for folder in local_repositories(&order.task) {
        // A folder that is not there is pacman's to complain about.
        if folder.is_dir() && !folder.starts_with("/usr") && !folder.starts_with("/etc") {
            let target = view.join(folder.strip_prefix("/").unwrap_or(&folder));
            fs::create_dir_all(&target).map_err(trying("make a place for a repository"))?;
            bind(&folder, &target, true)?;
            make_read_only(&target)?;
        }
    }
    bind(place, &make("sandbox")?, false)?;
    chdir(&view).map_err(trying("go to the view"))?;
    pivot_root(".", "old").map_err(trying("make the view the root"))?;
    chdir("/").map_err(trying("go to the new root"))?;
    umount2("/old", MntFlags::MNT_DETACH).map_err(trying("leave the host's files"))?;
    fs::remove_dir("/old").map_err(trying("leave the host's files"))?;
    fs::File::create(EMPTY_FILE).map_err(trying("make an empty file"))?;
    fs::create_dir(EMPTY_FOLDER).map_err(trying("make an empty folder"))?;
    for (file, mode) in [(EMPTY_FILE, 0o444), (EMPTY_FOLDER, 0o555)] {
        fs::set_permissions(file, fs::Permissions::from_mode(mode))
            .map_err(trying("close the empty file"))?;
    }
    hide_secrets(Path::new("/"), &order.settings.hidden)
}

/// The links `/bin`, `/lib64` and so on, as the host has them; where they are folders, the folders.
pub fn link_programs(to: &Path) -> Result<(), SetupError> {
    for name in PROGRAMS {
        let host = Path::new("/").join(name);
        let Ok(metadata) = fs::symlink_metadata(&host) else {
            continue;
        };
        let target = to.join(name);
        if metadata.is_symlink() {
            fs::read_link(&host)
                .and_then(|link| symlink(link, &target))
                .map_err(trying(format!("make the link {}", target.display())))?;
        } else {
            fs::create_dir(&target)
                .map_err(trying(format!("make the folder {}", target.display())))?;
            bind(&host, &target, true)?;
            make_read_only(&target)?;
        }
    }
    Ok(())
}

/// A `/dev` with the few devices that builds use. `shared` is the most that `/dev/shm` may hold, in
/// bytes; by itself the kernel allows half of the machine's memory.
pub fn make_devices(dev: &Path, shared: Option<u64>) -> Result<(), SetupError> {
    special("tmpfs", dev, MsFlags::MS_NOSUID, "mode=0755,size=1m")?;
    for name in DEVICES {
        let target = dev.join(name);
        fs::File::create(&target).map_err(trying(format!("make {}", target.display())))?;
        bind(&Path::new("/dev").join(name), &target, false)?;
    }
    for (name, link) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(link, dev.join(name)).map_err(trying(format!("make /dev/{name}")))?;
    }
    let make = |name: &str| {
        let path = dev.join(name);
        fs::create_dir(&path).map_err(trying(format!("make /dev/{name}")))?;
        Ok::<PathBuf, SetupError>(path)
    };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = match shared {
        Some(size) => format!("mode=1777,size={size}"),
        None => "mode=1777".to_owned(),
    };
    special("tmpfs", &make("shm")?, flags, &options)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    special(
        "devpts",
        &make("pts")?,
        flags,
        "newinstance,ptmxmode=0666,mode=0620",
    )
}

/// `/etc/resolv.conf` is often a link into `/run`, which is not in the view.
fn bind_resolver(view: &Path) -> Result<(), SetupError> {
    let name = Path::new("/etc/resolv.conf");
    let (Ok(link), Ok(real)) = (fs::read_link(name), fs::canonicalize(name)) else {
        return Ok(());
    };
    if real.starts_with("/etc") || real.starts_with("/usr") {
        return Ok(());
    }
    let link = Path::new("/etc").join(link);
    // Where the link leads in the view: `..` are taken as text, since `/etc` is a folder.
    let mut place = PathBuf::from(view);
    for part in link.components() {
        match part {
            Component::ParentDir if place != view => {
                place.pop();
            }
            Component::Normal(name) => place.push(name),
            _ => {}
        }
    }
    let parent = place.parent().unwrap_or(view);
    let what = || trying("make /etc/resolv.conf readable");
    fs::create_dir_all(parent).map_err(what())?;
    let text = fs::read(&real).map_err(what())?;
    fs::write(&place, text).map_err(what())
}

/// Lays something empty over what is not for everybody's eyes in `etc`, and over what is to be
/// hidden anyway, below a root.
///
/// To a build that runs as the worker's own user every file of that user would be readable.
pub fn hide_secrets(root: &Path, hidden: &[PathBuf]) -> Result<(), SetupError> {
    let mut secrets = Vec::new();
    find_secrets(&root.join("etc"), &mut secrets)
        .map_err(trying("look through /etc for what must be hidden"))?;
    for path in hidden {
        for path in [Some(path.clone()), fs::canonicalize(path).ok()]
            .into_iter()
            .flatten()
        {
            if path.starts_with("/etc") || path.starts_with("/usr") {
                secrets.push(root.join(path.strip_prefix("/").unwrap_or(&path)));
            }
        }
    }
    secrets.sort();
    secrets.dedup();
    for path in secrets {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let cover = if metadata.is_dir() {
            EMPTY_FOLDER
        } else {
            EMPTY_FILE
        };
        bind(Path::new(cover), &path, false)?;
    }
    Ok(())
}

fn find_secrets(folder: &Path, secrets: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // What this process cannot read, nobody inside can.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let (read, walk) = (0o004, 0o005);
            if metadata.is_dir() {
                match metadata.mode() & walk == walk {
                    true => waiting.push(entry.path()),
                    false => secrets.push(entry.path()),
                }
            } else if metadata.is_file() && metadata.mode() & read == 0 {
                secrets.push(entry.path());
            }
        }
    }
    Ok(())
}
