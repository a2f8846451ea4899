//! A small base-devel, put together from this machine's own programs and their libraries, so that a
//! root can be made of packages alone on a machine that is not Arch.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What makepkg runs on its way.
const PROGRAMS: &str = "bash sh cat chmod chown cp cut date dirname basename du env expr false find awk \
    getopt gettext grep gzip head hostname id install ln ls makepkg mkdir mktemp mv mkfifo nl nproc od \
    pacman pwd readlink realpath rm rmdir sed seq sha256sum sleep sort stat strip objcopy objdump \
    readelf tail tar tee test touch tput tr true truncate tty uname uniq vercmp wc whoami xargs zstd \
    bsdtar fakeroot file pacman-conf";

/// The helper of fakeroot: it has another name on every distribution.
const PERHAPS: &str = "faked faked-sysv faked-tcp";

/// Files besides programs: makepkg's library, and what programs read.
const FOLDERS: &str = "/usr/share/makepkg /usr/lib/x86_64-linux-gnu/libfakeroot /usr/lib/libfakeroot \
    /usr/share/misc /etc/magic /usr/lib/file /usr/share/terminfo/d";

fn find(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

/// The libraries that a program is linked to.
fn libraries(path: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Copies a file to the same place in the tree, under `usr` where the host only links there.
fn copy(path: &Path, tree: &Path) {
    let text = path.to_str().unwrap();
    let place = match text
        .strip_prefix("/lib")
        .or_else(|| text.strip_prefix("/bin"))
    {
        Some(_) => format!("usr{text}"),
        None => text.trim_start_matches('/').to_owned(),
    };
    let target = tree.join(place);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    if !target.exists() {
        fs::copy(path, &target).unwrap();
    }
}

fn copy_folder(path: &Path, tree: &Path) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => copy_folder(&path, tree),
            Ok(_) => copy(&path, tree),
            Err(_) => {}
        }
    }
}

/// Writes the package `base-devel-1-1-x86_64.pkg.tar.zst` into a folder. Its script says that it ran,
/// and leaves a file that says as whom.
pub fn write_base_devel(folder: &Path) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path();
    let mut files = BTreeSet::new();
    for name in PROGRAMS.split_whitespace() {
        let path = find(name).unwrap_or_else(|| panic!("{name} is not on this machine"));
        files.extend(libraries(&path));
        files.insert(path);
    }
    for path in PERHAPS.split_whitespace().filter_map(find) {
        files.extend(libraries(&path));
        files.insert(path);
    }
    for folder in FOLDERS.split_whitespace().map(Path::new) {
        if folder.is_dir() {
            copy_folder(folder, tree);
        } else if folder.exists() {
            files.insert(folder.to_owned());
        }
    }
    // fakeroot's library is loaded by name, so ldd does not know of it.
    for folder in [
        "/usr/lib/x86_64-linux-gnu/libfakeroot",
        "/usr/lib/libfakeroot",
    ] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            files.extend(libraries(&entry.unwrap().path()));
        }
    }
    for file in &files {
        copy(file, tree);
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        if let Ok(link) = fs::read_link(Path::new("/").join(name)) {
            fs::create_dir_all(tree.join(&link)).unwrap();
            symlink(&link, tree.join(name)).unwrap();
        }
    }
    fs::create_dir_all(tree.join("etc/profile.d")).unwrap();
    fs::write(tree.join("etc/profile"), "export FROM_THE_PROFILE=yes\n").unwrap();
    fs::write(
        tree.join(".PKGINFO"),
        "pkgname = base-devel\npkgbase = base-devel\npkgver = 1-1\npkgdesc = A test\n\
         builddate = 1700000000\npackager = Tests <tests@example.org>\nsize = 1\narch = x86_64\n",
    )
    .unwrap();
    fs::write(
        tree.join(".INSTALL"),
        "post_install() {\n  echo THE-SCRIPT-RAN-AS $(id -u)\n  test -r /proc/self/status\n  \
         cat /proc/1/environ /proc/1/root/home/*/* /proc/1/root/root/* 2>&1 | head -c 300\n  \
         ls /proc/1/root/\n  : > /etc/made-by-the-script\n}\n",
    )
    .unwrap();
    let name = "base-devel-1-1-x86_64.pkg.tar.zst";
    let entries: Vec<_> = fs::read_dir(tree)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| !name.to_string_lossy().starts_with('.'))
        .collect();
    let status = Command::new("bsdtar")
        .args(["--zstd", "--uid=0", "--gid=0", "-cf"])
        .arg(folder.join(name))
        .args([".PKGINFO", ".INSTALL"])
        .args(entries)
        .current_dir(tree)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    name.to_owned()
}
