//! What is run on the host, and what in the machine, each flag with its reason. Nothing is run here.

use std::path::Path;

use crate::devtools::{CommandLine, Folders, Purpose, commands};
use crate::request::BuildRequest;

/// Where the build's folder appears in the machine.
pub const PLACE: &str = "/srv/build";

/// Where the machine has a disk of its own.
const DISK: &str = "/srv/chroots";

/// The script, in the build's folder.
pub const SCRIPT: &str = "in-the-machine";

/// Where the script notes how each part ended: a line a part, its name and its exit code.
pub const RESULTS: &str = "results";

/// What has to be installed, a line a package.
pub const EXPECTED: &str = "expected";

/// Where the script puts pacman's db of the chroot.
pub const INSTALLED: &str = "installed";

/// The user that makepkg runs as in the machine; there is nobody else.
const USER: &str = "nobody";

/// The parts of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Getting devtools, which the image does not have.
    Tools,
    /// Making the chroot and installing into it.
    Dependencies,
    /// Comparing what was installed.
    Comparison,
    /// Fetching the sources.
    Sources,
    /// Building.
    Build,
    /// Giving the packages back to the host.
    Packages,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Tools,
        Self::Dependencies,
        Self::Comparison,
        Self::Sources,
        Self::Build,
        Self::Packages,
    ];

    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Dependencies => "dependencies",
            Self::Comparison => "comparison",
            Self::Sources => "sources",
            Self::Build => "build",
            Self::Packages => "packages",
        }
    }
}

/// The last part that was noted, and its exit code.
pub fn last_result(results: &str) -> Option<(Part, i32)> {
    let (name, code) = results.lines().last()?.split_once(' ')?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name)?;
    Some((part, code.parse().ok()?))
}

/// The folders as the machine sees them.
fn inside() -> Folders {
    Folders {
        top: PLACE.into(),
        // Not in the shared folder: a chroot has owners, devices and file attributes that virtiofs
        // cannot keep for an ordinary user of the host.
        chroots: DISK.into(),
    }
}

/// The command that starts the machine. `top` is the build's folder on the host.
pub fn command(request: &BuildRequest, top: &Path, home: &Path) -> CommandLine {
    let gibibytes = request.limits.disk.div_ceil(1 << 30);
    let arguments = [
        "run",
        // makepkg, pacman and devtools as the packages' own distribution has them.
        "archlinux",
        // A disk of the machine's own: a sparse file that is gone with it. It is not read through the
        // machine's page cache, so its memory is the build's.
        "--pmem",
        &format!("{DISK}:{gibibytes}"),
        // Source in, packages out; nothing else of the host is to be seen.
        "--volume",
        &format!("{}:{PLACE}", top.display()),
        "--",
        "bash",
        &format!("{PLACE}/{SCRIPT}"),
    ];
    CommandLine {
        program: "vmexec",
        arguments: arguments.map(str::to_owned).to_vec(),
        // vmexec keeps its image there: without a home it would load it for every build.
        environment: vec![("HOME".to_owned(), home.display().to_string())],
        folder: top.to_owned(),
        as_user: false,
        purpose: Purpose::Build,
    }
}

/// The script that runs in the machine, as root.
pub fn script(request: &BuildRequest, jobs: u32) -> String {
    let folders = inside();
    let mut lines = vec![
        "# What is built is carried out in a virtual machine, as root.".to_owned(),
        "set -u".to_owned(),
        // The host judges by these results and never by vmexec's own exit code: a machine that dies
        // must not look like a package that fails.
        format!("results={PLACE}/{RESULTS}"),
        "part() {".to_owned(),
        "  local name=$1 code=0".to_owned(),
        "  shift".to_owned(),
        "  \"$@\" || code=$?".to_owned(),
        "  printf '%s %s\\n' \"$name\" \"$code\" >>\"$results\"".to_owned(),
        "  ((code == 0)) || exit 1".to_owned(),
        "}".to_owned(),
        format!("cd {PLACE}/startdir"),
        // The image has pacman and no more; where it has devtools, nothing is loaded.
        "tools() { command -v makechrootpkg >/dev/null || pacman -Syu --needed --noconfirm --noprogressbar devtools; }".to_owned(),
        "part tools tools".to_owned(),
        // virtiofs shows the host's user as root; makepkg runs as another and writes here.
        format!(
            "part tools chown -R {USER}: {}",
            [folders.startdir()]
                .into_iter()
                .chain(folders.destinations().map(|(_, folder)| folder))
                .map(|folder| quoted(&folder.display().to_string()))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    ];
    let commands = commands(request, &folders, USER, jobs);
    lines.extend(commands.first().map(clean));
    let mut before = Purpose::Dependencies;
    for command in commands {
        if command.purpose != before && before == Purpose::Dependencies {
            lines.extend(comparison(&folders));
        }
        before = command.purpose;
        let part = match command.purpose {
            Purpose::Dependencies => Part::Dependencies,
            Purpose::Sources => Part::Sources,
            Purpose::Build => Part::Build,
        };
        lines.push(format!("part {} {}", part.name(), words(&command)));
    }
    // Else the host's user could not move what belongs to another user of the machine.
    let [(_, pkgdest), ..] = folders.destinations();
    lines.push(format!(
        "part {} chown -R 0:0 {}",
        Part::Packages.name(),
        quoted(&pkgdest.display().to_string())
    ));
    lines.push(String::new());
    lines.join("\n")
}

/// Hands pacman's db to the host, and ends before anything is built that is not what was expected.
fn comparison(folders: &Folders) -> [String; 3] {
    let db = folders.root().join("var/lib/pacman/local");
    [
        format!("mkdir -p {PLACE}/{INSTALLED}/var/lib/pacman"),
        format!(
            "part {} cp -r {} {PLACE}/{INSTALLED}/var/lib/pacman/",
            Part::Dependencies.name(),
            quoted(&db.display().to_string())
        ),
        format!(
            "[[ ! -e {PLACE}/{EXPECTED} ]] || part {} diff {PLACE}/{EXPECTED} \
             <(pacman --root {} -Q | LC_ALL=C sort)",
            Part::Comparison.name(),
            quoted(&folders.root().display().to_string())
        ),
    ]
}

/// How a command gets its environment, which is the same for all: nothing of the machine's own gets
/// into a package.
fn clean(command: &CommandLine) -> String {
    let mut words = Vec::new();
    words.extend(
        [
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/tmp",
            "LC_ALL=C.UTF-8",
        ]
        .map(str::to_owned),
    );
    let environment = command.environment.iter();
    words.extend(environment.map(|(name, value)| quoted(&format!("{name}={value}"))));
    format!("clean=({})", words.join(" "))
}

/// A command as words for the shell.
fn words(command: &CommandLine) -> String {
    let mut words = Vec::new();
    if command.as_user {
        words.extend(["runuser", "-u", USER, "--"].map(str::to_owned));
    }
    words.extend(["\"${clean[@]}\"", command.program].map(str::to_owned));
    words.extend(command.arguments.iter().map(|word| quoted(word)));
    words.join(" ")
}

/// A word that the shell takes as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:+@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> BuildRequest {
        serde_json::from_value(serde_json::json!({
            "pkgbase": "libgreet", "architecture": "x86_64", "source": "/w/source.tar",
            "packager": "Jane O'Hara <jane@example.org>", "source_date_epoch": 1_700_000_000u64,
            "check": true, "pass": 1, "root_mode": "packages", "network": "sources",
            "repositories": [], "install": ["base-devel", "libfoo>=2"],
            "assumed": [], "pkgnames": ["libgreet"],
        }))
        .unwrap()
    }

    #[test]
    fn the_machine_is_started_like_this() {
        let command = command(
            &request(),
            Path::new("/w/sandbox"),
            Path::new("/home/worker"),
        );
        let shown = format!(
            "{:?} {} {}",
            command.environment,
            command.program,
            command.arguments.join(" ")
        );
        insta::assert_snapshot!(shown, @r#"[("HOME", "/home/worker")] vmexec run archlinux --pmem /srv/chroots:20 --volume /w/sandbox:/srv/build -- bash /srv/build/in-the-machine"#);
    }

    #[test]
    fn this_is_done_in_the_machine() {
        insta::assert_snapshot!(script(&request(), 4), @r#"
        # What is built is carried out in a virtual machine, as root.
        set -u
        results=/srv/build/results
        part() {
          local name=$1 code=0
          shift
          "$@" || code=$?
          printf '%s %s\n' "$name" "$code" >>"$results"
          ((code == 0)) || exit 1
        }
        cd /srv/build/startdir
        tools() { command -v makechrootpkg >/dev/null || pacman -Syu --needed --noconfirm --noprogressbar devtools; }
        part tools tools
        part tools chown -R nobody: /srv/build/startdir /srv/build/pkgdest /srv/build/srcdest /srv/build/srcpkgdest /srv/build/logdest
        clean=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 PKGDEST=/srv/build/pkgdest SRCDEST=/srv/build/srcdest SRCPKGDEST=/srv/build/srcpkgdest LOGDEST=/srv/build/logdest 'PACKAGER=Jane O'\''Hara <jane@example.org>' MAKEFLAGS=-j4 SOURCE_DATE_EPOCH=1700000000)
        part dependencies "${clean[@]}" mkarchroot -C /srv/build/pacman.conf -M /srv/build/makepkg.conf /srv/chroots/root base-devel
        part dependencies "${clean[@]}" arch-nspawn -C /srv/build/pacman.conf -M /srv/build/makepkg.conf /srv/chroots/root pacman -Sy --needed --asdeps --noconfirm --noprogressbar -- base-devel 'libfoo>=2'
        mkdir -p /srv/build/installed/var/lib/pacman
        part dependencies cp -r /srv/chroots/root/var/lib/pacman/local /srv/build/installed/var/lib/pacman/
        [[ ! -e /srv/build/expected ]] || part comparison diff /srv/build/expected <(pacman --root /srv/chroots/root -Q | LC_ALL=C sort)
        part sources runuser -u nobody -- "${clean[@]}" makepkg --config /srv/build/makepkg.conf --verifysource --nodeps --noconfirm --noprogressbar
        part build "${clean[@]}" makechrootpkg -r /srv/chroots -l copy -c -U nobody -- --noprogressbar --check
        part packages chown -R 0:0 /srv/build/pkgdest
        "#);
    }

    #[test]
    fn results_are_read() {
        assert_eq!(last_result(""), None);
        assert_eq!(
            last_result("tools 0\ndependencies 1\n"),
            Some((Part::Dependencies, 1))
        );
        assert_eq!(last_result("tools 0\nbuild"), None, "it was cut short");
    }

    #[test]
    fn words_survive_the_shell() {
        for word in [
            "",
            "a b",
            "it's",
            "$HOME `id` \"x\"",
            "x;y",
            "<(z)",
            "plain/word-1.0",
        ] {
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
