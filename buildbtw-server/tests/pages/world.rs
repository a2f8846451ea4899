//! A server with something to see on every page.

use buildbtw_api::runs::Assignment;
use buildbtw_api::{BuildStatus, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;

use crate::stage::{Stage, Worker, finish, srcinfo, until};
use buildbtw_repo::PackageInfo;

/// What a log may contain that must not do anything.
pub const HOSTILE: &str = "<script>document.title='gone'</script>\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31mred\u{1b}[0m \
    <img src=x onerror=alert(1)> \u{202e}txt.exe\n";

/// A library, two programs on top of it, and one on top of those.
pub async fn stage() -> Stage {
    Stage::start(&[
        ("lib", srcinfo("lib", "1", &[])),
        ("tool", srcinfo("tool", "1", &["depends = lib"])),
        ("other", srcinfo("other", "1", &["depends = lib"])),
        (
            "suite",
            srcinfo("suite", "1", &["depends = tool", "depends = other"]),
        ),
    ])
    .await
}

/// The same with a namespace `n` in which `lib` is built, and `tool` failed after writing a hostile log
/// with an error in its 60th line; `other` is being built.
pub struct Eventful {
    pub stage: Stage,
    pub worker: Worker,
    pub failed: Assignment,
    pub running: Assignment,
}

impl Eventful {
    pub async fn start() -> Self {
        let stage = stage().await;
        stage.namespace("n", &["lib/main"], Scope::Transitive).await;
        let worker = Worker::register(stage.worker_client(), "w").await;
        let lib = worker.claim().await;
        worker.succeed(&lib).await;
        let one = worker.claim().await;
        let two = worker.claim().await;
        let (failed, running) = match one.build.pkgbase.as_ref() {
            "tool" => (one, two),
            _ => (two, one),
        };
        worker.begin(&failed).await;
        worker.begin(&running).await;
        let mut log = String::from(HOSTILE);
        for line in 2..60 {
            log.push_str(&format!("cc -c part-{line}.c\n"));
        }
        log.push_str(
            "part-60.c:3:5: error: expected ';'\n==> ERROR: A failure occurred in build().\n",
        );
        write_log(&worker, &failed, 0, &log).await;
        write_log(&worker, &running, 0, "==> Starting build()...\n").await;
        worker.fail(&failed, OutcomeClass::Package).await;
        let eventful = Self {
            stage,
            worker,
            failed,
            running,
        };
        eventful.comes_to("tool", BuildStatus::Failed).await;
        eventful
    }

    /// Adds bytes to the log of the run that goes on.
    pub async fn append(&self, offset: u64, part: &[u8]) {
        let part = part.to_vec().into();
        let (run, fence) = (self.running.run, self.running.fence);
        let client = &self.worker.client;
        client.append_log(run, fence, offset, part).await.unwrap();
    }

    /// Waits until a build has a status.
    pub async fn comes_to(&self, pkgbase: &str, status: BuildStatus) {
        until(&self.stage, || async {
            let builds = self.stage.client();
            let builds = builds
                .builds(
                    &"n".parse().unwrap(),
                    1,
                    &buildbtw_api::builds::BuildQuery::default(),
                )
                .await
                .unwrap();
            let mut builds = builds.items.iter();
            builds.any(|build| build.pkgbase.as_str() == pkgbase && build.status == status)
        })
        .await;
    }

    /// Waits until the namespace has a status.
    pub async fn namespace_comes_to(&self, status: NamespaceStatus) {
        until(&self.stage, || async {
            let namespace = self.stage.client().namespace(&"n".parse().unwrap()).await;
            namespace.unwrap().namespace.status == status
        })
        .await;
    }

    /// The addresses of all pages, with something on each.
    pub fn pages(&self) -> Vec<String> {
        let mut pages: Vec<String> = [
            "/",
            "/namespaces/n",
            "/namespaces/n/1/x86_64/tool/1",
            "/namespaces/n/1/x86_64/suite/1",
            "/namespaces/n/1/findings",
            "/packages/tool",
            "/workers",
            "/sources",
            "/search?q=o",
            "/plan?changesets=lib%2Fmain",
            "/archive",
            "/nothing-here",
        ]
        .map(str::to_owned)
        .to_vec();
        pages.push(format!("/runs/{}/log", self.failed.run));
        pages
    }
}

/// Adds to the log of a run.
pub async fn write_log(worker: &Worker, run: &Assignment, offset: u64, text: &str) {
    let part = text.as_bytes().to_vec().into();
    worker
        .client
        .append_log(run.run, run.fence, offset, part)
        .await
        .unwrap();
}

/// Has a run succeed with packages that provide something.
pub async fn succeed_with(worker: &Worker, run: &Assignment, provides: &[&str]) {
    worker.begin(run).await;
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for pkgname in &run.build.pkgnames {
        let info = PackageInfo {
            pkgname: pkgname.to_string(),
            pkgbase: run.build.pkgbase.to_string(),
            version: run.build.version.to_string(),
            arch: "x86_64".to_owned(),
            packager: "Test <test@example.org>".to_owned(),
            provides: provides.iter().map(|&it| it.to_owned()).collect(),
            ..PackageInfo::default()
        };
        let name = format!("{pkgname}-{}-x86_64.pkg.tar.zst", run.build.version);
        let path = folder.path().join(&name);
        buildbtw_repo::write::write_package::<&str, &[u8]>(&path, &info, &[]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        worker.upload(run, &name, &bytes).await.unwrap();
        names.push(name);
    }
    let report = finish(run, OutcomeClass::Success, &names);
    worker.client.finish_run(run.run, &report).await.unwrap();
}
