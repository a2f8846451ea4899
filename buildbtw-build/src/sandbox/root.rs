//! The root of a build: the folders in it, and what is underneath.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use nix::mount::MsFlags;

use super::config;
use super::ids::{BUILD_UID, Users};
use super::mounts::{SetupError, bind, make_read_only, overlay, special, trying};
use super::view::{hide_secrets, link_programs, make_devices};
use super::wire::Settings;
use crate::request::{BuildRequest, RootMode};

/// Everything that counts as the build's disk, as the first process inside sees it.
pub const STORE: &str = "/sandbox/store";

/// The root, which is a part of it.
pub const ROOT: &str = "/sandbox/store/root";

/// What a build may write. The names are those that devtools gives them; they end up in
/// `.BUILDINFO`, so equal names make equal packages.
pub const WRITABLE: [&str; 6] = [
    "build",
    "startdir",
    "srcdest",
    "pkgdest",
    "logdest",
    "srcpkgdest",
];

/// What everybody may write.
const TEMPORARY: [&str; 2] = ["tmp", "var/tmp"];

/// The largest file of the host's `/etc` that is copied, and the largest sum of all, in bytes.
const LARGEST_FILE: u64 = 4 << 20;
const LARGEST_SUM: u64 = 64 << 20;

fn folder(name: &str, mode: u32) -> Result<(), SetupError> {
    let path = Path::new(ROOT).join(name);
    let what = || trying(format!("make the folder {name} of the root"));
    fs::create_dir_all(&path).map_err(what())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(what())
}

/// Makes the root as pacman has to find it: nearly empty, but with devices and processes, which
/// scripts of packages use.
pub fn make(settings: &Settings) -> Result<(), SetupError> {
    for name in [
        "",
        "usr",
        "etc",
        "proc",
        "dev",
        "sys",
        "run",
        "var/lib/pacman",
    ] {
        folder(name, 0o755)?;
    }
    for name in TEMPORARY {
        folder(name, 0o1777)?;
    }
    let root = Path::new(ROOT);
    // pivot_root(2) wants a mount, and only a mount can be made read-only.
    bind(root, root, false)?;
    make_devices(&root.join("dev"), settings.memory)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    special("proc", &root.join("proc"), flags, "")
}

/// Makes the root as makepkg has to find it, after the dependencies were installed: the host's tools
/// underneath, if they are wanted, the configuration, and the few folders that can be written.
pub fn complete(
    request: &BuildRequest,
    settings: &Settings,
    users: Users,
) -> Result<(), SetupError> {
    let root = Path::new(ROOT);
    let etc = root.join("etc");
    if request.root_mode == RootMode::Host {
        let usr = root.join("usr");
        overlay(&[usr.clone(), "/usr".into()], &usr, users.has_build_user())?;
        link_programs(root)?;
        let mut left = LARGEST_SUM;
        copy_missing(Path::new("/etc"), &etc, &mut left)
            .map_err(trying("copy the host's /etc into the root"))?;
        if !var_run_is_there(root) {
            symlink("../run", root.join("var/run")).map_err(trying("make the link /var/run"))?;
        }
    }
    hide_secrets(root, &settings.hidden)?;
    configure(request, &etc)?;
    for name in WRITABLE {
        folder(name, 0o755)?;
        if users.has_build_user() {
            chown(root.join(name), Some(BUILD_UID), Some(BUILD_UID))
                .map_err(trying(format!("give /{name} to the build")))?;
        }
    }
    for name in WRITABLE.iter().chain(&TEMPORARY) {
        // A mount of its own stays writable when the root becomes read-only.
        let path = root.join(name);
        bind(&path, &path, false)?;
    }
    make_read_only(root)
}

fn var_run_is_there(root: &Path) -> bool {
    fs::symlink_metadata(root.join("var/run")).is_ok()
}

fn configure(request: &BuildRequest, etc: &Path) -> Result<(), SetupError> {
    let makepkg_conf = etc.join("makepkg.conf");
    let own = match (&request.makepkg_conf, request.root_mode) {
        (Some(text), _) => Some(text.clone()),
        // The host's own file is for the host's distribution: Debian's writes other packages.
        (None, RootMode::Host) => Some(config::makepkg_conf(&request.architecture)),
        (None, RootMode::Packages) => {
            (!makepkg_conf.exists()).then(|| config::makepkg_conf(&request.architecture))
        }
    };
    if let Some(text) = own {
        write(&makepkg_conf, &text)?;
        // Further files would come after ours and undo parts of it.
        let _ = fs::remove_dir_all(etc.join("makepkg.conf.d"));
    }
    // makepkg asks pacman what is installed. The host's own configuration may be another
    // distribution's.
    let pacman_conf = etc.join("pacman.conf");
    if request.root_mode == RootMode::Host || !pacman_conf.exists() {
        write(&pacman_conf, &config::pacman_conf(request))?;
    }
    for (name, line) in [
        ("passwd", config::passwd_line()),
        ("group", config::group_line()),
    ] {
        let path = etc.join(name);
        let present = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => fs::read_to_string(&path)
                .map_err(trying(format!("read /etc/{name} of the root")))?,
            _ => String::new(),
        };
        write(&path, &config::with_line(&present, &line))?;
    }
    if let Ok(resolver) = fs::read_to_string("/etc/resolv.conf") {
        write(&etc.join("resolv.conf"), &resolver)?;
    }
    let hosts = etc.join("hosts");
    if !hosts.exists() {
        write(&hosts, "127.0.0.1 localhost\n::1 localhost\n")?;
    }
    Ok(())
}

/// Writes a file anew. What is there is removed first: if it is a link, it must not be followed.
fn write(path: &Path, text: &str) -> Result<(), SetupError> {
    let what = || trying(format!("write {}", path.display()));
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(what()(error)),
    }
    fs::write(path, text).map_err(what())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(what())
}

/// Copies what everybody may read and what is not there yet. An overlay would do it without copying,
/// but where single files of `/etc` are mounts, as in containers, the kernel refuses one.
fn copy_missing(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        // Laid over with something empty, or not for us.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let metadata = entry.metadata()?;
        let there = fs::symlink_metadata(&target).ok();
        if metadata.is_dir() && metadata.mode() & 0o005 == 0o005 {
            match there {
                Some(there) if !there.is_dir() => continue,
                Some(_) => {}
                None => fs::create_dir(&target)?,
            }
            copy_missing(&entry.path(), &target, left)?;
        } else if there.is_some() {
        } else if metadata.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if metadata.is_file() && metadata.mode() & 0o004 != 0 {
            if metadata.len() > LARGEST_FILE || metadata.len() > *left {
                continue;
            }
            *left -= metadata.len();
            match fs::copy(entry.path(), &target) {
                Ok(_) => {}
                // It is gone already, or hidden.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::PermissionDenied
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
