//! The real pacman, and the real repo-add beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::world::{World, files_below, make};

/// A scratch root that pacman installs into.
struct Root {
    path: PathBuf,
    config: PathBuf,
}

impl Root {
    fn new(folder: &Path, name: &str, server: &str) -> Self {
        std::fs::create_dir_all(folder.join("root/var/lib/pacman")).unwrap();
        let config = folder.join("pacman.conf");
        let text = format!(
            "[options]\nArchitecture = x86_64\nSigLevel = Never\n[{name}]\nServer = {server}\n"
        );
        std::fs::write(&config, text).unwrap();
        Self {
            path: folder.join("root"),
            config,
        }
    }

    /// Runs pacman, which must end well, as an ordinary user through fakeroot.
    fn pacman(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("pacman");
        if !nix::unistd::geteuid().is_root() {
            command = Command::new("fakeroot");
            command.arg("pacman");
        }
        let inside = |name: &str| self.path.join(name);
        let output = command
            .arg("--root")
            .arg(&self.path)
            .arg("--dbpath")
            .arg(inside("var/lib/pacman"))
            .arg("--cachedir")
            .arg(inside("cache"))
            .arg("--logfile")
            .arg(inside("pacman.log"))
            .arg("--hookdir")
            .arg(inside("hooks"))
            .arg("--config")
            .arg(&self.config)
            .arg("--noconfirm")
            .args(arguments)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "pacman {arguments:?}\n{stdout}\n{stderr}"
        );
        assert!(
            !stderr.contains("error"),
            "pacman {arguments:?}\n{stdout}\n{stderr}"
        );
        stdout
    }

    /// Packages of the repository, as the last refresh left it: name and version.
    fn listed(&self) -> Vec<(String, String)> {
        let list = self.pacman(&["-Sl"]);
        let words = |line: &str| {
            let mut words = line.split(' ').skip(1).map(ToOwned::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        };
        list.lines().map(words).collect()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn pacman_refreshes_installs_and_upgrades() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("{}/repo/kde/1/os/$arch", world.url);
    let root = Root::new(folder.path(), "kde", &server);
    // Before anything is published there is a repository, which is empty.
    let root = blocking(move || {
        root.pacman(&["-Sy"]);
        assert_eq!(root.listed(), []);
        root
    })
    .await;
    // All within a second, and each is seen.
    world.publish(set, &[make("a", "1:1.0-1", "one")]).await;
    let root = blocking(move || {
        root.pacman(&["-Sy"]);
        assert_eq!(root.listed(), [("a".to_owned(), "1:1.0-1".to_owned())]);
        root
    })
    .await;
    world
        .publish(set, &[make("b+b", "1-1", "two"), make("c", "1-1", "three")])
        .await;
    let root = blocking(move || {
        root.pacman(&["-Sy", "a", "b+b"]);
        let installed = root.path.join("usr/share/a/content");
        assert_eq!(std::fs::read_to_string(&installed).unwrap(), "one");
        root
    })
    .await;
    // Nothing changed, and pacman is told so instead of being sent the db again.
    world.answers();
    let root = blocking(move || {
        root.pacman(&["-Sy"]);
        root
    })
    .await;
    let db = "/repo/kde/1/os/x86_64/kde.db".to_owned();
    let of_generation = "/repo/kde/1/os/x86_64/g/2/kde.db".to_owned();
    assert_eq!(world.answers(), [(302, db), (304, of_generation)]);
    let root = blocking(move || {
        root.pacman(&["-Fy"]);
        let found = root.pacman(&["-F", "usr/share/c/content"]);
        assert!(found.contains("kde/c 1-1"), "{found}");
        root
    })
    .await;
    world.publish(set, &[make("a", "1:1.1-1", "newer")]).await;
    blocking(move || {
        root.pacman(&["-Syu"]);
        let installed = root.path.join("usr/share/a/content");
        assert_eq!(std::fs::read_to_string(&installed).unwrap(), "newer");
        assert!(root.pacman(&["-Q", "a"]).contains("1:1.1-1"));
        assert_eq!(root.listed().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn pacman_follows_the_latest_iteration_and_stays_on_a_generation() {
    let world = World::start().await;
    let first = world.iteration("kde").await;
    world.publish(first, &[make("a", "1-1", "one")]).await;
    // More generations than seconds: times run ahead of the clock.
    for version in 2..6 {
        let version = format!("{version}-1");
        world.publish(first, &[make("a", &version, "more")]).await;
    }
    let [latest, pinned] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let address = |path: &str| format!("{}/repo/kde/{path}", world.url);
    let follows = Root::new(latest.path(), "kde", &address("latest/os/$arch"));
    let stays = Root::new(pinned.path(), "kde", &address("1/os/$arch/g/2"));
    let follows = blocking(move || {
        follows.pacman(&["-Sy", "a"]);
        assert_eq!(follows.listed(), [("a".to_owned(), "5-1".to_owned())]);
        stays.pacman(&["-Sy", "a"]);
        assert_eq!(stays.listed(), [("a".to_owned(), "2-1".to_owned())]);
        assert!(stays.pacman(&["-Q"]).contains("a 2-1"));
        follows
    })
    .await;
    // The next iteration begins empty, and that is news as well.
    let second = world.iteration("kde").await;
    let follows = blocking(move || {
        follows.pacman(&["-Sy"]);
        assert_eq!(follows.listed(), []);
        follows
    })
    .await;
    world.publish(second, &[make("a", "6-1", "six")]).await;
    blocking(move || {
        follows.pacman(&["-Syu"]);
        assert!(follows.pacman(&["-Q"]).contains("a 6-1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_anything_but_whole_generations() {
    const READERS: usize = 20;
    const PACKAGES: usize = 50;
    let world = World::start().await;
    let set = world.iteration("kde").await;
    world.publish(set, &[make("p0", "1-1", "zero")]).await;
    let world = std::sync::Arc::new(world);
    let published = std::sync::Arc::new(AtomicUsize::new(1));
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let (looked, mut looks) = tokio::sync::mpsc::unbounded_channel();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let (published, done, looked) = (published.clone(), done.clone(), looked.clone());
        let server = format!("{}/repo/kde/1/os/$arch", world.url);
        readers.spawn_blocking(move || {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::new(folder.path(), "kde", &server);
            let mut rounds = 0;
            loop {
                let last_round = done.load(Ordering::SeqCst);
                let known = published.load(Ordering::SeqCst);
                let newest = format!("p{}", known - 1);
                root.pacman(&["-Sy", &newest]);
                let listed = root.listed();
                assert!(
                    listed.len() >= known,
                    "{known} were published, and {} are listed",
                    listed.len()
                );
                rounds += 1;
                // The publisher may be through and not listen any more.
                let _ = looked.send(());
                if last_round {
                    assert_eq!(listed.len(), PACKAGES);
                    return rounds;
                }
            }
        });
    }
    for number in 1..PACKAGES {
        // Some have looked since the last one.
        for _ in 0..3 {
            looks.recv().await.unwrap();
        }
        let package = make(&format!("p{number}"), "1-1", "content");
        world.publish(set, &[package]).await;
        published.store(number + 1, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
    let rounds: usize = readers.join_all().await.into_iter().sum();
    assert!(rounds >= 3 * (PACKAGES - 1), "{rounds} rounds");
}

#[tokio::test]
async fn entries_are_those_of_repo_add() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let versions = ["1-1", "2:1.0.r3-1.1"];
    let mut names = Vec::new();
    for number in 0..12 {
        let made = make(
            &format!("package-{number}"),
            versions[number % 2],
            "content",
        );
        std::fs::write(at(&made.file_name), &made.bytes).unwrap();
        world.publish(set, std::slice::from_ref(&made)).await;
        names.push(made.file_name);
    }
    run(Command::new("repo-add")
        .arg("kde.db.tar.zst")
        .args(&names)
        .current_dir(folder.path()));
    for kind in ["db", "files"] {
        let url = format!("{}/repo/kde/1/os/x86_64/kde.{kind}.tar.zst", world.url);
        let served = at(&format!("served.{kind}"));
        let bytes = crate::http::client(true)
            .get(url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        std::fs::write(&served, &bytes).unwrap();
        let (ours, theirs) = (at(&format!("ours-{kind}")), at(&format!("repo-add-{kind}")));
        for (archive, to) in [
            (served, &ours),
            (at(&format!("kde.{kind}.tar.zst")), &theirs),
        ] {
            std::fs::create_dir(to).unwrap();
            run(Command::new("bsdtar")
                .arg("-xf")
                .arg(archive)
                .arg("-C")
                .arg(to));
        }
        assert_eq!(files_below(&ours).len(), if kind == "db" { 12 } else { 24 });
        run(Command::new("diff").arg("-r").arg(&ours).arg(&theirs));
    }
}

fn run(command: &mut Command) {
    let output = command.env("LC_ALL", "C").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}
