//! The `devtools` builder, with stand-ins for the programs of devtools: they take the same command
//! lines and do the same with the real pacman and makepkg, without containers. Where devtools itself
//! is installed, it is what the worker's probe finds. And the `vmexec` builder, with a stand-in that
//! gives its command the machine's folders and no machine.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use buildbtw_build::{BuildRequest, BuilderKind, OutcomeClass, RootMode};
use nix::sys::signal::{Signal, kill};
use workshop::{Building, Repository, Source, Who, Workshop, everybody, package};

const MKARCHROOT: &str = r#"#!/bin/bash
# mkarchroot -C pacman.conf -M makepkg.conf ROOT PACKAGES...
set -eu
while getopts C:M: option; do [[ -r $OPTARG ]]; done
shift $((OPTIND - 1))
mkdir -p "$1/var/lib/pacman/local"
echo 9 > "$1/var/lib/pacman/local/ALPM_DB_VERSION"
[[ $2 == base-devel ]]
"#;

const ARCH_NSPAWN: &str = r#"#!/bin/bash
# arch-nspawn -C pacman.conf -M makepkg.conf ROOT pacman ARGUMENTS...
set -eu
while getopts C:M: option; do [[ $option == C ]] && conf=$OPTARG; done
shift $((OPTIND - 1))
root=$1
[[ $2 == pacman ]]
shift 2
exec pacman --root "$root" --dbpath "$root/var/lib/pacman" --logfile /dev/null --config "$conf" "$@"
"#;

const MAKECHROOTPKG: &str = r#"#!/bin/bash
# makechrootpkg -r CHROOTS -l COPY -c -U USER -- MAKEPKG ARGUMENTS...
set -eu
while getopts r:l:cU: option; do
  case $option in r) chroots=$OPTARG ;; l) copy=$OPTARG ;; U) user=$OPTARG ;; c) clean=1 ;; esac
done
shift $((OPTIND - 1))
[[ $clean == 1 && -r PKGBUILD ]]
cp -a "$chroots/root" "$chroots/$copy"
echo "in the copy: $(ls "$chroots/$copy/usr/share")"
chown -R "$user" "$PKGDEST" .
BUILDDIR=$PKGDEST/../startdir setpriv --reuid="$user" --clear-groups --inh-caps=-all \
  makepkg --config "$chroots/../makepkg.conf" --nodeps --holdver "$@" || exit 255
"#;

const VMEXEC: &str = r#"#!/bin/bash
# vmexec run archlinux --pmem DISK:SIZE --volume FROM:TO -- COMMAND...
set -eu
[[ $1 == run && $2 == archlinux && $3 == --pmem && $5 == --volume && $7 == -- && -w $HOME ]]
mount -t tmpfs none /srv
mkdir "${4%:*}" "${6#*:}"
mount --bind "${6%:*}" "${6#*:}"
# The stand-in of makechrootpkg looks for it there.
cp "${6#*:}/makepkg.conf" /srv/
shift 7
echo "in the machine"
"$@"
"#;

/// Starts a build, with the stand-ins where this machine has programs of its own.
fn start(workshop: &Workshop, request: &BuildRequest) -> Building {
    let folder = workshop.path("programs");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        ("mkarchroot", MKARCHROOT),
        ("arch-nspawn", ARCH_NSPAWN),
        ("makechrootpkg", MAKECHROOTPKG),
        ("vmexec", VMEXEC),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    start_again(workshop, request)
}

/// Starts a build with the stand-ins that are there.
fn start_again(workshop: &Workshop, request: &BuildRequest) -> Building {
    let folder = workshop.path("programs");
    workshop.start_with(request, "build", |program| {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$0\" /usr/local/sbin && exec \"$@\"";
        command
            .args(["--mount", "--", "sh", "-c", script])
            .arg(folder)
            .arg(program);
        command.current_dir(workshop.builds());
        command
    })
}

/// A workshop for devtools, and a request; nothing where the tests do not run as root.
fn prepare(lines: &str) -> Option<(Workshop, Repository, BuildRequest)> {
    if !everybody().contains(&Who::Root) {
        return None;
    }
    let mut workshop = Workshop::new(Who::Root);
    workshop.builder.kind = BuilderKind::Devtools;
    let base = Repository::new("base");
    base.add(&[package("base-devel", "1-1"), package("greeting", "2-1")]);
    let mut request = workshop.request(&Source::that_builds("chrooted", lines));
    request.root_mode = RootMode::Packages;
    request.repositories = vec![base.served()];
    request.install = vec!["base-devel".into(), "greeting>=2".into()];
    request.makepkg_conf = Some(
        "CARCH=x86_64\nCHOST=x86_64-pc-linux-gnu\nBUILDENV=(check !color)\nOPTIONS=()\n\
         PKGEXT=.pkg.tar.zst\nSRCEXT=.src.tar.gz\nCOMPRESSZST=(zstd -c -)\n"
            .into(),
    );
    Some((workshop, base, request))
}

#[test]
fn a_package_is_built() {
    let Some((workshop, base, mut request)) = prepare("echo by $(id -un) at $SOURCE_DATE_EPOCH")
    else {
        return;
    };
    let expected = [
        base.expect("base-devel", "1-1"),
        base.expect("greeting", "2-1"),
    ];
    request.expected = Some(expected.to_vec());
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Success);
    workshop.assert_nothing_left("build");
    assert!(
        run.log.contains("in the copy: base-devel\ngreeting"),
        "{}",
        run.log
    );
    assert!(run.log.contains("by nobody at 1700000000"), "{}", run.log);
    assert_eq!(
        run.step_names(),
        ["dependencies", "sources", "prepare", "build", "package"]
    );
    let info = workshop.read_packaged(&run.outcome.packages[0], ".PKGINFO");
    assert!(
        info.contains(&format!("packager = {}", request.packager)),
        "{info}"
    );

    request.expected.as_mut().unwrap()[1].version = "3-1".into();
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Dependencies);
    run.says(&["greeting 3-1 from base was expected, but 2-1 is installed"]);
    request.expected = None;
    request.install.push("nowhere".into());
    start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Dependencies);
    request.root_mode = RootMode::Host;
    start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Infrastructure)
        .says(&["root mode"]);
}

#[test]
fn a_build_that_fails_is_the_packages_fault() {
    let Some((workshop, _base, request)) = prepare("false") else {
        return;
    };
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Package);
    assert_eq!(run.outcome.failed_step.as_deref(), Some("build"));
    workshop.assert_nothing_left("build");
}

#[test]
fn a_build_that_is_cancelled_or_whose_worker_is_killed_is_gone() {
    let Some((workshop, _base, request)) = prepare("echo asleep; sleep 1000") else {
        return;
    };
    let mut building = start(&workshop, &request);
    building.wait_for("asleep");
    kill(building.pid(), Signal::SIGTERM).unwrap();
    building.finish().expect(OutcomeClass::Cancelled);
    workshop.assert_nothing_left("build");

    let mut building = start(&workshop, &request);
    building.wait_for("asleep");
    let lock = std::fs::File::open(workshop.builds().join("build/sandbox/lock")).unwrap();
    kill(building.pid(), Signal::SIGKILL).unwrap();
    building.end();
    lock.lock().unwrap();
    workshop.assert_nothing_left("build");
}

#[test]
fn a_package_is_built_in_a_machine() {
    let Some((mut workshop, base, mut request)) =
        prepare("echo by $(id -un) at $SOURCE_DATE_EPOCH")
    else {
        return;
    };
    workshop.builder.kind = BuilderKind::Vmexec;
    let expected = [
        base.expect("base-devel", "1-1"),
        base.expect("greeting", "2-1"),
    ];
    request.expected = Some(expected.to_vec());
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Success);
    workshop.assert_nothing_left("build");
    for words in [
        "in the machine",
        "in the copy: base-devel\ngreeting",
        "by nobody at 1700000000",
    ] {
        assert!(run.log.contains(words), "{}", run.log);
    }
    assert_eq!(run.step_names(), ["dependencies", "build", "package"]);
    assert_eq!(run.outcome.installed.len(), 2);
    let info = workshop.read_packaged(&run.outcome.packages[0], ".PKGINFO");
    let packager = format!("packager = {}", request.packager);
    assert!(info.contains(&packager), "{info}");

    request.expected.as_mut().unwrap()[1].version = "3-1".into();
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Dependencies);
    let run = run.says(&["greeting 3-1 from base was expected, but 2-1 is installed"]);
    assert!(!run.log.contains("by nobody"), "it was built all the same");
    request.expected = None;
    request.install.push("nowhere".into());
    start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Dependencies);
    request.root_mode = RootMode::Host;
    start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Infrastructure)
        .says(&["root mode"]);
}

#[test]
fn what_ends_a_machine_is_told_from_what_fails_a_package() {
    let Some((mut workshop, _base, request)) = prepare("false") else {
        return;
    };
    workshop.builder.kind = BuilderKind::Vmexec;
    let run = start(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Package);
    assert_eq!(run.outcome.failed_step.as_deref(), Some("build"));
    workshop.assert_nothing_left("build");

    // A machine that dies says nothing about the package.
    let folder = workshop.path("programs");
    std::fs::write(
        folder.join("vmexec"),
        "#!/bin/bash\necho no memory; exit 1\n",
    )
    .unwrap();
    start_again(&workshop, &request)
        .finish()
        .expect(OutcomeClass::Infrastructure)
        .says(&["ended before its work was done"]);
    workshop.assert_nothing_left("build");
}

#[test]
fn a_machine_is_gone_when_its_build_is_cancelled() {
    let Some((mut workshop, _base, request)) = prepare("echo asleep; sleep 1000") else {
        return;
    };
    workshop.builder.kind = BuilderKind::Vmexec;
    let mut building = start(&workshop, &request);
    building.wait_for("asleep");
    kill(building.pid(), Signal::SIGTERM).unwrap();
    building.finish().expect(OutcomeClass::Cancelled);
    workshop.assert_nothing_left("build");
}
