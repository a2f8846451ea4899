//! The command lines of a build with devtools, each flag with its reason. Nothing is run here.

use std::path::{Path, PathBuf};

use crate::request::BuildRequest;

/// The programs that are needed.
pub const PROGRAMS: [&str; 4] = ["mkarchroot", "arch-nspawn", "makechrootpkg", "makepkg"];

/// Where a build keeps its things.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The folder of all of it; absolute.
    pub top: PathBuf,
    /// The folder of the chroots, as makechrootpkg has it: one named `root`, and copies of it.
    pub chroots: PathBuf,
}

impl Folders {
    /// All below one folder.
    pub fn below(top: impl Into<PathBuf>) -> Self {
        let top = top.into();
        Self {
            chroots: top.join("chroots"),
            top,
        }
    }

    /// The package source.
    pub fn startdir(&self) -> PathBuf {
        self.top.join("startdir")
    }

    /// The chroot that the copy is made of.
    pub fn root(&self) -> PathBuf {
        self.chroots.join("root")
    }

    /// The folders that makepkg writes to, with their variables.
    pub fn destinations(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("PKGDEST", self.top.join("pkgdest")),
            ("SRCDEST", self.top.join("srcdest")),
            ("SRCPKGDEST", self.top.join("srcpkgdest")),
            ("LOGDEST", self.top.join("logdest")),
        ]
    }

    /// pacman.conf(5) of the chroot.
    pub fn pacman_conf(&self) -> PathBuf {
        self.top.join("pacman.conf")
    }

    /// makepkg.conf(5) of the chroot.
    pub fn makepkg_conf(&self) -> PathBuf {
        self.top.join("makepkg.conf")
    }
}

/// What a command is for, and so whose business its failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Installing.
    Dependencies,
    /// Fetching the sources.
    Sources,
    /// Building.
    Build,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, to be found in PATH.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to a nearly empty environment.
    pub environment: Vec<(String, String)>,
    /// The working folder.
    pub folder: PathBuf,
    /// Whether it runs as the user for makepkg.
    pub as_user: bool,
    /// What it is for.
    pub purpose: Purpose,
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// All commands of a build, in order.
pub fn commands(
    request: &BuildRequest,
    folders: &Folders,
    user: &str,
    jobs: u32,
) -> Vec<CommandLine> {
    let mut environment: Vec<(String, String)> = folders
        .destinations()
        .iter()
        .map(|(name, path)| ((*name).to_owned(), text(path)))
        .collect();
    environment.extend([
        ("PACKAGER".to_owned(), request.packager.clone()),
        ("MAKEFLAGS".to_owned(), format!("-j{jobs}")),
        // makechrootpkg hands it on into the chroot, so that equal sources make equal packages.
        (
            "SOURCE_DATE_EPOCH".to_owned(),
            request.source_date_epoch.to_string(),
        ),
    ]);
    let command = |program, arguments, purpose| CommandLine {
        program,
        arguments,
        environment: environment.clone(),
        folder: folders.startdir(),
        as_user: false,
        purpose,
    };
    let (chroots, root) = (text(&folders.chroots), text(&folders.root()));
    let (pacman_conf, makepkg_conf) = (text(&folders.pacman_conf()), text(&folders.makepkg_conf()));
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|w| (*w).to_owned()).collect() };

    // -C, -M: the namespace's repositories and our packager, not the host's own configuration.
    let make_root = words(&["-C", &pacman_conf, "-M", &makepkg_conf, &root, "base-devel"]);

    // Into the root, not by makepkg in the copy: so the exit code says that it was the installing
    // that failed, and what is installed can be compared before the build begins.
    let mut install = words(&[
        "-C",
        &pacman_conf,
        "-M",
        &makepkg_conf,
        &root,
        "pacman",
        "-Sy",
        // It is in the root by now unless a newer one was published meanwhile.
        "--needed",
        // The build may remove nothing, but `pacman -Qe` should look as after makepkg --syncdeps.
        "--asdeps",
        "--noconfirm",
        "--noprogressbar",
    ]);
    for relation in &request.assumed {
        install.push("--assume-installed".to_owned());
        install.push(crate::sandbox::provision_for(relation));
    }
    install.push("--".to_owned());
    install.extend(request.install.iter().cloned());

    // By itself, although makechrootpkg does it as well: its exit code is the same whatever failed.
    let sources = CommandLine {
        as_user: true,
        ..command(
            "makepkg",
            words(&[
                // How the chroot downloads, not how this host does.
                "--config",
                &makepkg_conf,
                "--verifysource",
                // They are in the chroot, and this runs on the host.
                "--nodeps",
                "--noconfirm",
                "--noprogressbar",
            ]),
            Purpose::Sources,
        )
    };

    let mut build = words(&[
        // Where the root is, and how the copy is called that is built in.
        "-r",
        &chroots,
        "-l",
        "copy",
        // The copy is made anew. It is new anyway; but without this a copy is updated and not made.
        "-c",
        // makepkg does not run as root, and devtools takes whoever called sudo unless told.
        "-U",
        user, // What follows is makepkg's.
        "--",
        "--noprogressbar",
        if request.check {
            "--check"
        } else {
            "--nocheck"
        },
    ]);
    if !request.assumed.is_empty() {
        // What is assumed is in no db.
        build.push("--nodeps".to_owned());
    }

    let mut commands = vec![command("mkarchroot", make_root, Purpose::Dependencies)];
    if !request.install.is_empty() {
        commands.push(command("arch-nspawn", install, Purpose::Dependencies));
    }
    commands.push(sources);
    commands.push(command("makechrootpkg", build, Purpose::Build));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> BuildRequest {
        serde_json::from_value(serde_json::json!({
            "pkgbase": "libgreet", "architecture": "x86_64", "source": "/w/source.tar",
            "packager": "Jane <jane@example.org>", "source_date_epoch": 1_700_000_000u64,
            "check": false, "pass": 1, "root_mode": "packages", "network": "sources",
            "repositories": [], "install": ["base-devel", "libfoo.so=2-64"],
            "assumed": ["shout>=2"], "pkgnames": ["libgreet"],
        }))
        .unwrap()
    }

    #[test]
    fn the_command_lines_are_these() {
        let folders = Folders::below("/w");
        let shown: Vec<String> = commands(&request(), &folders, "nobody", 4)
            .iter()
            .map(|command| {
                let user = if command.as_user {
                    "(as the user) "
                } else {
                    ""
                };
                format!("{user}{} {}", command.program, command.arguments.join(" "))
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        mkarchroot -C /w/pacman.conf -M /w/makepkg.conf /w/chroots/root base-devel
        arch-nspawn -C /w/pacman.conf -M /w/makepkg.conf /w/chroots/root pacman -Sy --needed --asdeps --noconfirm --noprogressbar --assume-installed shout=2 -- base-devel libfoo.so=2-64
        (as the user) makepkg --config /w/makepkg.conf --verifysource --nodeps --noconfirm --noprogressbar
        makechrootpkg -r /w/chroots -l copy -c -U nobody -- --noprogressbar --nocheck --nodeps
        ");
    }

    #[test]
    fn the_environment_is_this() {
        let folders = Folders::below("/w");
        let commands = commands(&request(), &folders, "nobody", 4);
        let shown: Vec<String> = commands[0]
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        PKGDEST=/w/pkgdest
        SRCDEST=/w/srcdest
        SRCPKGDEST=/w/srcpkgdest
        LOGDEST=/w/logdest
        PACKAGER=Jane <jane@example.org>
        MAKEFLAGS=-j4
        SOURCE_DATE_EPOCH=1700000000
        ");
        assert!(
            commands
                .iter()
                .all(|command| command.environment == commands[0].environment)
        );
    }
}
