//! The same with the real makepkg, in the sandbox.

use std::time::Duration;

use buildbtw_api::{OutcomeClass, RunId};
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_fake_gitlab::runner::custom::CustomRunner;
use buildbtw_fake_gitlab::runner::program::Exit;

use crate::double::order;
use crate::world::World;

/// A world whose host builds in the sandbox, and a run there.
async fn world(package: &str) -> (World, RunId) {
    let world = World::new("{}").await;
    world.write_host("sandbox", "");
    let run = world.server.keep(order("hello"), tarball(package));
    world.pipeline(&run.to_string(), &world.server.url()).await;
    (world, run)
}

/// A source tree whose package() does this.
fn tarball(package: &str) -> Vec<u8> {
    let pkgbuild = format!(
        "pkgname=hello\npkgver=1\npkgrel=1\npkgdesc='made for a test'\narch=(any)\n\
         package() {{\n{package}\n}}\n"
    );
    let srcinfo = "pkgbase = hello\n\tpkgdesc = made for a test\n\tpkgver = 1\n\tpkgrel = 1\n\
                   \tarch = any\n\npkgname = hello\n";
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [(".SRCINFO", srcinfo), ("PKGBUILD", pkgbuild.as_str())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

const ASLEEP: &str = "echo asleep; sleep 1000 & sleep 1000";

#[tokio::test]
async fn a_package_is_built() {
    let (world, run) = world("install -Dm644 /dev/null \"$pkgdir/usr/share/hello\"").await;
    let worked = world.work(&world.runner()).await;
    let trace = world.trace(worked.job);
    assert_eq!(worked.end, JobEnd::Success, "{trace}");
    assert!(trace.contains("==> Finished making: hello 1-1"), "{trace}");
    let report = world.server.finished(run).await;
    assert_eq!(report.packages, ["hello-1-1-any.pkg.tar.zst"]);
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_package_that_fails_is_to_blame() {
    let (world, run) = world("false").await;
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::ScriptFailure(4));
    let report = world.server.finished(run).await;
    assert_eq!(
        (report.class, report.exit_code),
        (OutcomeClass::Package, Some(4))
    );
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_cancelled_build_is_gone_within_seconds() {
    let (world, run) = world(ASLEEP).await;
    let cancel = async {
        let job = world.until_traced("asleep").await;
        world.cancel(job, false).await;
    };
    // What it takes longer than this kills it: SIGKILL leaves no report and another exit.
    let runner = CustomRunner {
        graceful_kill: Duration::from_secs(10),
        ..world.runner()
    };
    let (worked, ()) = tokio::join!(world.work(&runner), cancel);
    assert_eq!(worked.end, JobEnd::Canceled);
    let script = worked.call("build_script").unwrap();
    assert_eq!(script.exit, Exit::Code(2), "{script:#?}");
    let report = world.server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Infrastructure, "{report:?}");
    world.assert_nothing_left();
}

#[tokio::test]
async fn nothing_is_left_of_a_run_that_was_killed() {
    let (world, run) = world(ASLEEP).await;
    let runner = CustomRunner {
        graceful_kill: Duration::ZERO,
        ..world.runner()
    };
    let stop = async {
        world.until_traced("asleep").await;
    };
    let worked = runner.work(&world.fake, stop).await.unwrap();
    assert_eq!(worked.call("build_script").unwrap().exit, Exit::Signal(9));
    let cleanup = worked.call("cleanup").unwrap();
    assert_eq!(cleanup.exit, Exit::Code(0), "{cleanup:#?}");
    // Its lease ends, and so the server learns of it.
    assert_eq!(world.server.kept().runs[&run].finish, None);
    world.assert_nothing_left();
}
