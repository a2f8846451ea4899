//! What a build can see and do.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use buildbtw_build::{NetworkMode, OutcomeClass};
use nix::sys::signal::{Signal, kill};
use workshop::{Source, Who, Workshop, everybody, processes_of};

/// A function for build(): `refused 'COMMAND'` fails if the command succeeds. bash's own `!` would not
/// end the build.
const REFUSED: &str = "refused() {
    if bash -c \"$1\" 2>/dev/null; then echo \"NOT REFUSED: $1\"; return 1; fi
}
";

/// Runs lines in build() that must succeed, and hands back the log.
fn inside(workshop: &Workshop, lines: &str, network: NetworkMode) -> String {
    let lines = format!("{REFUSED}{lines}");
    let mut request = workshop.request(&Source::that_builds("look", &lines));
    request.network = network;
    let run = workshop.build(&request).expect(OutcomeClass::Success);
    std::fs::remove_dir_all(workshop.builds().join("build")).unwrap();
    run.log
}

#[test]
fn nothing_of_the_workers_is_visible() {
    for who in everybody() {
        let mut workshop = Workshop::new(who);
        // In the work folder's neighbourhood, where a worker keeps its token.
        let token = workshop.path("token");
        std::fs::write(&token, "THE-TOKEN").unwrap();
        workshop.give(&token);
        let hidden = "/usr/share/doc".to_owned();
        workshop.builder.hidden = vec![hidden.clone().into(), token.clone()];
        let token = token.display();
        let lines = format!(
            "{REFUSED}
             test ! -e {token} && test ! -e {folder}
             echo \"top:\" $(ls -A /)
             test -z \"$(ls -A {hidden})\"
             for place in /home /root /var/log /run/dbus /var/lib/dpkg; do test ! -e $place; done
             refused 'grep . /etc/shadow'
             refused 'env | grep SECRET'
             refused 'cat /proc/[0-9]*/environ | tr \"\\0\" \"\\n\" | grep SECRET'
             refused 'ls /proc/1/root/ | grep .'
             test \"$(ls -d /proc/[0-9]* | wc -l)\" -lt 15
             test \"$(cat /proc/sys/kernel/hostname)\" = buildbtw",
            folder = workshop.path("builds").display(),
        );
        let mut request = workshop.request(&Source::that_builds("look", &lines));
        // The marker stands in PACKAGER otherwise, and would be found in the build itself.
        request.packager = "Tests <tests@example.org>".into();
        let builder = workshop.path("b.json");
        std::fs::write(&builder, serde_json::to_vec(&workshop.builder).unwrap()).unwrap();
        let text = workshop.path("request.json");
        std::fs::write(&text, serde_json::to_vec(&request).unwrap()).unwrap();
        let output = workshop
            .command()
            .env("SECRET_TOKEN", "THE-TOKEN")
            .arg("--builder")
            .args([&builder])
            .arg("run")
            .args([text, workshop.builds().join("build")])
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{who:?}\n{log}");
        let top = log
            .lines()
            .find_map(|line| line.strip_prefix("top: "))
            .unwrap();
        let known = "bin build dev etc lib lib32 lib64 libx32 logdest pkgdest proc run sbin srcdest \
                     srcpkgdest startdir sys tmp usr var";
        let known: Vec<_> = known.split_whitespace().collect();
        assert!(
            top.split_whitespace().all(|name| known.contains(&name)),
            "{top}"
        );
    }
}

/// What a worker has in its environment stays there: whoever may look at the processes of a build
/// finds none of it, in its helpers neither.
#[test]
fn no_process_of_a_build_has_the_workers_environment() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let source = Source::that_builds("sleeper", "echo asleep; sleep 1000");
        let mut building = workshop.start_with(&workshop.request(&source), "build", |_| {
            let mut command = workshop.command();
            command.env("SECRET_TOKEN", "THE-TOKEN");
            command
        });
        building.wait_for("asleep");
        let worker = format!("{}: ", building.pid());
        let has_secret = |words: &String| words.contains("SECRET_TOKEN=THE-TOKEN");
        let (of_worker, of_build): (Vec<_>, Vec<_>) = processes_of(&workshop.marker())
            .into_iter()
            .partition(|words| words.starts_with(&worker));
        assert!(of_worker.iter().all(has_secret), "{of_worker:#?}");
        for part in ["supervisor", "namespaces", "init"] {
            let name = format!("buildbtw-build-{part}");
            assert!(
                of_build.iter().any(|words| words.contains(&name)),
                "{of_build:#?}"
            );
        }
        assert!(!of_build.iter().any(has_secret), "{of_build:#?}");
        kill(building.pid(), Signal::SIGTERM).unwrap();
        building.finish().expect(OutcomeClass::Cancelled);
    }
}

#[test]
fn the_network_is_cut_off_but_loopback_works() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = format!(
        "refused 'exec 3<>/dev/tcp/127.0.0.1/{port}'
         refused 'exec 3<>/dev/tcp/192.0.2.1/80'
         grep -c : /proc/net/dev
         python3 - <<'END'
import socket
server = socket.create_server(('127.0.0.1', 0))
socket.create_connection(server.getsockname()).close()
END"
    );
    for who in everybody() {
        let workshop = Workshop::new(who);
        inside(&workshop, &lines, NetworkMode::Sources);
        let open = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        inside(&workshop, &open, NetworkMode::All);
    }
    listener.set_nonblocking(true).unwrap();
    let mut connections = 0;
    while listener.accept().is_ok() {
        connections += 1;
    }
    assert_eq!(connections, everybody().len());
}

#[test]
fn a_build_has_no_rights() {
    let lines = "
        test \"$(id -u)\" = 60700 && test \"$(id -un)\" = builduser
        grep -E 'Cap(Inh|Prm|Eff|Amb):\\s0000000000000000' /proc/self/status | wc -l | grep -qx 4
        grep -q 'NoNewPrivs:\\s1' /proc/self/status
        for place in / /usr /usr/bin /etc /var /var/lib/pacman/local /proc/sys/kernel /sys; do
          refused \": > $place/written\"
        done
        for place in /build /startdir /tmp /var/tmp /dev/shm \"$HOME\"; do : > $place/written; done
        refused 'mount -t tmpfs none /tmp'
        refused 'mount -o remount,rw /'
        refused 'umount /proc'
        refused ': < /dev/tty'
        refused 'echo b > /proc/sysrq-trigger'
        refused 'cat /proc/1/environ'
        refused 'readlink /proc/1/fd/0'
        refused 'ls /proc/1/cwd/'
        kill -KILL 1 || true
        test \"$PWD\" = /build/look/src
        refused 'ls -l /proc/self/fd | grep -e socket: -e sandbox'
        test \"$(ulimit -c)\" = 0";
    for who in everybody() {
        inside(&Workshop::new(who), lines, NetworkMode::Sources);
    }
}

#[test]
fn secrets_in_etc_are_laid_over() {
    // Another /etc/ssl than the machine's is seen by this build's program alone; only root can do
    // that.
    if !everybody().contains(&Who::Root) {
        return;
    }
    for (who, owner) in [(Who::Root, 0), (Who::Ordinary, 0), (Who::Ordinary, 65_534)] {
        let workshop = Workshop::new(who);
        let folder = workshop.path("etc-ssl");
        std::fs::create_dir_all(folder.join("closed")).unwrap();
        for (name, mode) in [
            ("secret", 0o600),
            ("public", 0o644),
            ("closed/inner", 0o644),
        ] {
            std::fs::write(folder.join(name), format!("{name}\n")).unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.join(name), mode).unwrap();
        }
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.join("closed"), closed).unwrap();
        for name in ["secret", "public", "closed", "closed/inner"] {
            std::os::unix::fs::chown(folder.join(name), Some(owner), Some(owner)).unwrap();
        }
        let lines = format!(
            "{REFUSED}
             test \"$(cat /etc/ssl/public)\" = public
             refused 'grep -rs -e secret -e inner /etc/ssl/secret /etc/ssl/closed'"
        );
        let request = workshop.request(&Source::that_builds("look", &lines));
        let run = workshop.start_with(&request, "build", |program| {
            let mut command = std::process::Command::new("unshare");
            let script = "mount --bind \"$0\" /etc/ssl && exec \"$@\"";
            command
                .args(["--mount", "--", "sh", "-c", script])
                .arg(&folder);
            if who == Who::Ordinary {
                command.args([
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                ]);
            }
            command.arg(program);
            command
        });
        run.finish().expect(OutcomeClass::Success);
    }
}
