//! The first process inside a sandbox. When it ends, the kernel ends every other process there.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::family::{Family, end_others};
use super::ids::BUILD_UID;
use super::install::{InstallError, install};
use super::makepkg::{self, Purpose};
use super::mounts::{SetupError, special, trying};
use super::payload::Payload;
use super::root::{self, ROOT, STORE};
use super::source::unpack;
use super::supervisor::{InnerOrder, Setup};
use super::view;
use super::wire::{End, News, Task, Wire, send};
use super::{PACKAGES, PAYLOAD, disk, reexecute};
use crate::report::OutcomeClass;
use crate::request::{BuildRequest, RootMode};

/// Does the work of this process. The argument says where the sandbox's folder appears.
pub fn main(arguments: &[String]) -> i32 {
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return 1;
    }
    let (Some(place), Ok(mut wire)) = (arguments.first(), Wire::of_stdin()) else {
        return 1;
    };
    // Nothing inside has to do with the terminal of whoever started the worker.
    if nix::unistd::setsid().is_err() {
        return 1;
    }
    // Whoever started this process may have ended before the line above; then nobody answers.
    if wire.send(&Setup::Ready).is_err() {
        return 1;
    }
    let Ok(Some(order)) = wire.receive::<InnerOrder>() else {
        return 1;
    };
    let Ok(mut news) = wire.writer() else {
        return 1;
    };
    let mut family = Family::new(wire);
    let result = work(Path::new(place), order, &mut family, &mut news);
    family.end_all();
    let word = match result {
        Ok(word) => word,
        Err(error) => News::Broken(error.to_string()),
    };
    match send(&mut news, &word) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn work(
    place: &Path,
    inner: InnerOrder,
    family: &mut Family,
    news: &mut UnixStream,
) -> Result<News, SetupError> {
    // When memory runs out on the whole machine, a build should go before the worker.
    let _ = fs::write("/proc/self/oom_score_adj", "500");
    // Where the build's user is this process's user under another name, nothing of this process is
    // to be looked at in /proc.
    prctl::set_dumpable(false).map_err(trying("close this process to others"))?;
    view::enter(place, &inner.order)?;
    let settings = &inner.order.settings;
    let over = Arc::new(AtomicBool::new(false));
    let store = Path::new(STORE);
    if settings.in_memory {
        let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
        let options = format!("mode=0755,size={}", settings.disk);
        special("tmpfs", store, flags, &options)?;
    }
    let limit = (!settings.in_memory).then_some(settings.disk);
    disk::watch(store.to_owned(), limit, Arc::clone(&over), end_others);
    root::make(settings)?;
    let mut inside = Inside {
        inner: &inner,
        family,
        news,
    };
    match &inner.order.task {
        Task::Trial => inside.try_out(),
        // The supervisor does that itself.
        Task::Devtools { .. } | Task::Vmexec(_) => Err(trying("build without a sandbox")(
            io::Error::other("not in here"),
        )),
        Task::Build(request) => {
            let end = inside.build(request)?;
            Ok(News::Ended(End {
                over_disk_limit: over.load(Ordering::SeqCst)
                    || settings.in_memory && disk::is_full(store),
                ..end
            }))
        }
    }
}

struct Inside<'a> {
    inner: &'a InnerOrder,
    family: &'a mut Family,
    news: &'a mut UnixStream,
}

impl Inside<'_> {
    fn tell(&mut self, news: &News) -> Result<(), SetupError> {
        send(self.news, news).map_err(trying("report to the supervisor"))
    }

    fn step(&mut self, name: &str, watched: bool) -> Result<(), SetupError> {
        self.tell(&News::Step {
            name: name.to_owned(),
            watched,
        })
    }

    /// Goes through everything that a build needs, with the host's tools and without packages.
    fn try_out(&mut self) -> Result<News, SetupError> {
        let request = trial_request();
        root::complete(&request, &self.inner.order.settings, self.inner.users)?;
        let code = self.run(
            &request,
            "/usr/bin/true",
            Vec::new(),
            false,
            "/usr/share/makepkg",
        )?;
        if code != 0 {
            let error = io::Error::other(format!("/usr/bin/true ended with {code}"));
            return Err(trying("run a program in a root")(error));
        }
        let mut root_modes = vec![RootMode::Packages];
        if Path::new("/usr/bin/makepkg").exists() {
            root_modes.push(RootMode::Host);
        }
        Ok(News::Tried(root_modes))
    }

    fn build(&mut self, request: &BuildRequest) -> Result<End, SetupError> {
        self.step("dependencies", false)?;
        match install(request, self.family) {
            Ok(installed) => self.tell(&News::Installed(installed))?,
            Err(InstallError::Setup(error)) => return Err(error),
            Err(error) => return Ok(End::of(OutcomeClass::Dependencies, error.to_string())),
        }
        root::complete(request, &self.inner.order.settings, self.inner.users)?;
        self.step("sources", false)?;
        if let Err(error) = self.unpack_source() {
            let class = match error.is_of_the_package() {
                true => OutcomeClass::Package,
                false => OutcomeClass::Infrastructure,
            };
            return Ok(End::of(class, error.to_string()));
        }
        if !Path::new(ROOT).join("usr/bin/makepkg").exists() {
            return Ok(End::of(
                OutcomeClass::Dependencies,
                "the root has no makepkg: let pacman install base-devel from a base repository, or \
                 build in root mode host",
            ));
        }
        let library = self.library()?;
        self.import_keys(request, &library)?;
        let mut building = false;
        for call in makepkg::calls(request) {
            if call.purpose == Purpose::Build && !building {
                building = true;
                self.step("prepare", true)?;
            }
            let arguments: Vec<String> = call
                .arguments
                .iter()
                .map(|text| (*text).to_owned())
                .collect();
            let program = "/usr/bin/makepkg";
            let code = self.run(request, program, arguments, call.network, &library)?;
            if self.family.is_stopped() {
                return Ok(End::of(OutcomeClass::Cancelled, "stopped"));
            }
            if code != 0 {
                let meaning = makepkg::meaning(code, call.purpose);
                return Ok(End {
                    exit_code: Some(code),
                    ..End::of(
                        makepkg::class_of(code, call.purpose, request.root_mode),
                        format!("makepkg ended with {code}: {meaning}"),
                    )
                });
            }
        }
        let packages = collect()?;
        Ok(End {
            packages,
            exit_code: Some(0),
            ..End::of(OutcomeClass::Success, "")
        })
    }

    /// Unpacks the source and makes it the build's own. It lies on a mount by itself, so the tree is
    /// moved file by file into it where it was packed with a folder around it.
    fn unpack_source(&mut self) -> Result<(), super::source::SourceError> {
        let startdir = Path::new(ROOT).join("startdir");
        let tree = unpack(Path::new("/sandbox/source"), &startdir)?;
        if tree != startdir {
            let spare = startdir.join(".buildbtw-tree");
            fs::rename(&tree, &spare)?;
            for entry in fs::read_dir(&spare)? {
                let entry = entry?;
                fs::rename(entry.path(), startdir.join(entry.file_name()))?;
            }
            fs::remove_dir(&spare)?;
        }
        if self.inner.users.has_build_user() {
            give_away(&startdir)?;
        }
        Ok(())
    }

    /// The folder with makepkg's library, as seen from the root.
    fn library(&mut self) -> Result<String, SetupError> {
        let usual = "/usr/share/makepkg";
        if !self.inner.order.settings.without_makepkg_lints {
            return Ok(usual.to_owned());
        }
        let from = Path::new(ROOT).join(usual.trim_start_matches('/'));
        let to = Path::new(ROOT).join("build/.makepkg-library");
        copy_without_lints(&from, &to).map_err(trying("copy makepkg's library"))?;
        Ok("/build/.makepkg-library".to_owned())
    }

    /// Puts the keys that come with the source into the build's own, new keyring.
    fn import_keys(&mut self, request: &BuildRequest, library: &str) -> Result<(), SetupError> {
        let folder = Path::new(ROOT).join("startdir/keys/pgp");
        let mut keys: Vec<String> = match fs::read_dir(folder) {
            Ok(entries) => entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| name.ends_with(".asc"))
                .map(|name| format!("/startdir/keys/pgp/{name}"))
                .collect(),
            Err(_) => return Ok(()),
        };
        if keys.is_empty() || !Path::new(ROOT).join("usr/bin/gpg").exists() {
            return Ok(());
        }
        keys.sort();
        let mut arguments: Vec<String> = ["--batch", "--quiet", "--no-autostart", "--import", "--"]
            .map(str::to_owned)
            .into();
        arguments.extend(keys);
        // Whether the keys are the right ones is makepkg's to say.
        self.run(request, "/usr/bin/gpg", arguments, false, library)?;
        Ok(())
    }

    /// Runs a program in the root of the build as the build's user and hands back its exit code.
    fn run(
        &mut self,
        request: &BuildRequest,
        program: &str,
        arguments: Vec<String>,
        network: bool,
        library: &str,
    ) -> Result<i32, SetupError> {
        let settings = &self.inner.order.settings;
        let (program, arguments) = match request.root_mode {
            RootMode::Host => (program.to_owned(), arguments),
            // A login shell, so that /etc/profile of the installed packages is heard, as in devtools:
            // it puts perl's programs into PATH, among others.
            RootMode::Packages => {
                let mut shell = vec![
                    "--login".to_owned(),
                    "-c".to_owned(),
                    "exec \"$0\" \"$@\"".to_owned(),
                    program.to_owned(),
                ];
                shell.extend(arguments);
                ("/usr/bin/bash".to_owned(), shell)
            }
        };
        let payload = Payload {
            root: ROOT.to_owned(),
            program,
            folder: "/startdir".to_owned(),
            arguments,
            environment: makepkg::environment(request, settings.jobs, library),
            network,
            users: self.inner.users,
            memory_each: self.inner.memory_each,
            processes_each: self.inner.processes_each,
        };
        let text = serde_json::to_string(&payload)
            .map_err(|error| trying("describe what is to run")(io::Error::from(error)))?;
        let (mut report, writer) = UnixStream::pair().map_err(trying("make a socket"))?;
        let mut command = reexecute(PAYLOAD);
        command
            .arg(text)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(writer)));
        let process = self
            .family
            .spawn(&mut command)
            .map_err(trying("start the build"))?;
        drop(command);
        let mut reason = String::new();
        let read = report.read_to_string(&mut reason);
        let code = self
            .family
            .wait_for(process)
            .map_err(trying("wait for the build"))?;
        // Whatever went on in the background ends with the step that started it.
        self.family.end_all();
        read.map_err(trying("hear from the build"))?;
        match reason.is_empty() {
            true => Ok(code),
            false => Err(trying("start the build")(io::Error::other(reason))),
        }
    }
}

fn trial_request() -> BuildRequest {
    BuildRequest {
        pkgbase: "trial".to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        source: PathBuf::new(),
        packager: "Trial <trial@example.org>".to_owned(),
        source_date_epoch: 0,
        check: false,
        pass: 1,
        root_mode: RootMode::Host,
        network: crate::request::NetworkMode::Sources,
        repositories: Vec::new(),
        install: Vec::new(),
        assumed: Vec::new(),
        expected: None,
        limits: crate::request::Limits::default(),
        pkgnames: Vec::new(),
        makepkg_conf: None,
        fake: None,
    }
}

/// Makes a tree the build's own.
fn give_away(top: &Path) -> io::Result<()> {
    let mut waiting = vec![top.to_owned()];
    while let Some(path) = waiting.pop() {
        lchown(&path, Some(BUILD_UID), Some(BUILD_UID))?;
        if fs::symlink_metadata(&path)?.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Copies makepkg's library, with empty files in place of its checks. Their folders must hold at
/// least one file each.
fn copy_without_lints(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let target = to.join(&name);
        let name = name.to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() {
            fs::copy(&path, &target)?;
        } else if name.starts_with("lint_") {
            fs::create_dir(&target)?;
            fs::write(target.join("none.sh"), "")?;
            // Not checks, but functions that others use: the second one also looks at what a
            // pkgver() function says.
            for name in ["util.sh", "pkgver.sh"] {
                if path.join(name).exists() {
                    fs::copy(path.join(name), target.join(name))?;
                }
            }
        } else {
            copy_without_lints(&path, &target)?;
        }
    }
    Ok(())
}

/// Copies the packages out of the root and hands back their names. What is no plain file is left.
fn collect() -> Result<Vec<String>, SetupError> {
    let what = || trying("take the packages out of the root");
    let mut packages = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join("pkgdest")).map_err(what())? {
        let entry = entry.map_err(what())?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.contains(".pkg.tar") || name.ends_with(".sig") {
            continue;
        }
        let mut from = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(entry.path())
            .map_err(what())?;
        if !from.metadata().map_err(what())?.is_file() {
            continue;
        }
        let mut to = fs::File::create_new(Path::new(view::FILES).join(PACKAGES).join(&name))
            .map_err(what())?;
        io::copy(&mut from, &mut to).map_err(what())?;
        to.flush().map_err(what())?;
        packages.push(name);
    }
    packages.sort();
    Ok(packages)
}
