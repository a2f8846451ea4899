//! A disk that is full in the middle of an upload: the server program runs in a mount namespace in
//! which its data folder is a very small file system.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::io::{BufRead, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildbtw_api::client::{Client, UploadError};
use buildbtw_api::{OutcomeClass, ProblemType};
use buildbtw_graph::Scope;
use stage::{Worker, create, finish, git, srcinfo, write_srcinfo};

/// The size of the file system.
const SIZE: &str = "2m";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_upload_and_loses_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["data", "sources", "sources/lib"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let source = folder.path().join("sources/lib");
    std::fs::write(source.join("PKGBUILD"), "pkgrel=1\n").unwrap();
    git(&source, &["init", "--quiet", "--initial-branch=main"]);
    write_srcinfo(&source, &srcinfo("lib", "1", &[]));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let script = format!(
        "mount -t tmpfs -o size={SIZE} tmpfs {data} && exec {program}",
        data = path("data"),
        program = env!("CARGO_BIN_EXE_buildbtw-server")
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]);
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let _server = Server(
        unshare
            .args(["--", "sh", "-c", &script])
            .env("DATA_DIR", path("data"))
            .env("SOURCES_DIR", path("sources"))
            .env("DATABASE_URL", format!("sqlite:{}", path("buildbtw.db")))
            .env("WORKER_TOKEN_FILE", path("token"))
            .env("PORT", port.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let url = format!("http://127.0.0.1:{port}");
    let client = Client::new(&url, None).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !client
        .health()
        .await
        .is_ok_and(|health| health.sources_in_sync)
    {
        assert!(Instant::now() < end, "the server did not start");
        tokio::task::yield_now().await;
    }
    client
        .create_namespace(&create(Some("lib"), &["lib/main"], Scope::None))
        .await
        .unwrap();
    let token = std::fs::read_to_string(path("token")).unwrap();
    let worker = Worker::register(
        Client::new(&url, Some(token.trim().to_owned())).unwrap(),
        "w",
    )
    .await;
    let run = worker.claim().await;
    worker.begin(&run).await;

    let (name, good) = worker.package(&run, "lib");
    let large = vec![7_u8; 4 << 20];
    match worker.upload(&run, &name, &large).await {
        Err(UploadError::Client(error)) => {
            let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(problem.kind, ProblemType::StorageFull, "{problem}");
            assert!(problem.hint.is_some(), "it says what to do");
        }
        other => panic!("{other:?}"),
    }
    let status = async || client.health().await.unwrap().status;
    assert!(status().await.contains("an upload was refused"));
    // The room that the broken upload took is free again, and the run goes on.
    worker.upload(&run, &name, &good).await.unwrap();
    assert!(!status().await.contains("refused"));
    worker
        .client
        .finish_run(run.run, &finish(&run, OutcomeClass::Success, &[name]))
        .await
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while client.run(run.run).await.unwrap().run.outcome.is_none() {
        assert!(Instant::now() < end, "the run does not end");
        tokio::task::yield_now().await;
    }
    let outcome = client.run(run.run).await.unwrap().run.outcome.unwrap();
    assert_eq!(outcome.class, OutcomeClass::Success, "{}", outcome.message);
}

/// Runs lines of shell beside the server, in its mount namespace.
struct Shell {
    child: Child,
    output: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Shell {
    fn run(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), "done");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // At the end of its input it ends the server and itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_database_on_a_full_disk_writes_again_as_soon_as_there_is_room() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["data", "sources", "sources/lib"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let source = folder.path().join("sources/lib");
    std::fs::write(source.join("PKGBUILD"), "pkgrel=1\n").unwrap();
    git(&source, &["init", "--quiet", "--initial-branch=main"]);
    write_srcinfo(&source, &srcinfo("lib", "1", &[]));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let script = format!(
        "mount -t tmpfs -o size=6m tmpfs {data} || exit 1\n\
         {program} >&2 </dev/null &\n\
         while read -r line; do eval \"$line\" >&2; echo done; done\n\
         kill -9 $!",
        data = path("data"),
        program = env!("CARGO_BIN_EXE_buildbtw-server")
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]);
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let mut child = unshare
        .args(["--", "sh", "-c", &script])
        .env("DATA_DIR", path("data"))
        .env("SOURCES_DIR", path("sources"))
        .env("PORT", port.to_string())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut shell = Shell { child, output };
    let client = Client::new(&format!("http://127.0.0.1:{port}"), None).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !client
        .health()
        .await
        .is_ok_and(|health| health.sources_in_sync)
    {
        assert!(Instant::now() < end, "the server did not start");
        tokio::task::yield_now().await;
    }
    let health = client.health().await.unwrap();
    assert_eq!(health.status, "ok");
    assert_eq!(health.disk.unwrap().total, 6 << 20);
    let filler = path("data/filler");
    shell.run(&format!("cat /dev/zero > {filler}"));
    // Whoever watches the server learns it before a build does.
    let health = client.health().await.unwrap();
    assert_eq!(health.status, "disk nearly full");
    assert_eq!(health.disk.unwrap().free, 0);
    let mut full = 0;
    for number in 0..3 {
        let name = format!("full{number}");
        let answer = client
            .create_namespace(&create(Some(&name), &["lib/main"], Scope::None))
            .await;
        if let Err(error) = answer {
            let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(problem.kind, ProblemType::StorageFull, "{problem}");
            full += 1;
        }
    }
    assert!(full > 0, "nothing was ever full");
    shell.run(&format!("rm {filler}"));
    client
        .create_namespace(&create(Some("room"), &["lib/main"], Scope::None))
        .await
        .unwrap();
    assert_eq!(client.health().await.unwrap().status, "ok");
}
