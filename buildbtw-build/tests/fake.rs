//! The `fake` builder: what it makes is real enough for pacman.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use buildbtw_build::{
    BuildEvent, BuildOutcome, BuildRequest, Builder, BuilderKind, FakeFailure, FakeRule, FakeRules,
    OutcomeClass, RootMode, carry_out, sweep,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use workshop::{Repository, Source, Who, Workshop};

const LIBRARY: &str = "pkgbase = libgreet
\tpkgver = 2.0
\tpkgrel = 3
\tepoch = 1
\tarch = x86_64
\tarch = aarch64
\tgroups = greeting
\tprovides = libgreet.so
\tprovides = greet=2

pkgname = libgreet
\tdepends = base
\tdepends_aarch64 = only-there

pkgname = greet-docs
\tarch = any
\tprovides =
\tgroups =

pkgname = greet-arm
\tarch = aarch64
";

const PROGRAM: &str = "pkgbase = greet
\tpkgver = 1
\tpkgrel = 1
\tarch = x86_64
\tdepends = libgreet.so
\tdepends = libgreet>=1:2

pkgname = greet
";

fn source(srcinfo: &str, pkgnames: &[&str]) -> Source {
    let pkgbase = srcinfo.lines().next().unwrap().rsplit(' ').next().unwrap();
    Source::plain(pkgbase, pkgnames, "").with(".SRCINFO", srcinfo)
}

struct Fakery {
    workshop: Workshop,
    builder: Builder,
    events: Vec<BuildEvent>,
}

impl Fakery {
    fn new(rules: &[(&str, FakeRule)]) -> Self {
        let rules = rules
            .iter()
            .map(|(name, rule)| ((*name).to_owned(), rule.clone()));
        Self {
            workshop: Workshop::new(Who::Ordinary),
            builder: Builder {
                fake_rules: FakeRules(rules.collect()),
                ..Builder::new(BuilderKind::Fake)
            },
            events: Vec::new(),
        }
    }

    fn request(&self, source: &Source) -> BuildRequest {
        BuildRequest {
            root_mode: RootMode::Packages,
            ..self.workshop.request(source)
        }
    }

    async fn build(&mut self, request: &BuildRequest) -> BuildOutcome {
        self.build_unless(request, CancellationToken::new()).await
    }

    async fn build_unless(
        &mut self,
        request: &BuildRequest,
        cancel: CancellationToken,
    ) -> BuildOutcome {
        let (sender, mut receiver) = mpsc::channel(4);
        let work = self.workshop.builds().join(&request.pkgbase);
        let listen = async {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        };
        let (outcome, events) = tokio::join!(
            carry_out(&self.builder, request, &work, sender, cancel),
            listen
        );
        self.events = events;
        outcome
    }
}

fn names(outcome: &BuildOutcome) -> Vec<&str> {
    let mut names: Vec<_> = outcome
        .packages
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// Installs from a repository into a scratch root with the real pacman.
fn install(repository: &Repository, assumed: &str, target: &str) -> Result<String, String> {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let served = repository.as_files();
    std::fs::create_dir_all(path("root/var/lib/pacman")).unwrap();
    std::fs::write(
        path("pacman.conf"),
        format!(
            "[options]\nArchitecture = x86_64\nSigLevel = Never\n[{}]\nServer = {}\n",
            served.name, served.server
        ),
    )
    .unwrap();
    let pacman = |arguments: &[&str]| {
        // Everything belongs to root in a package.
        let mut command = Command::new("fakeroot");
        command.arg("pacman").arg("--root").arg(path("root"));
        for (option, file) in [
            ("--config", "pacman.conf"),
            ("--cachedir", "cache"),
            ("--logfile", "log"),
        ] {
            command.arg(option).arg(path(file));
        }
        command.arg("--dbpath").arg(path("root/var/lib/pacman"));
        let output = command.arg("--noconfirm").args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(text)
        }
    };
    pacman(&["-Sy", "--assume-installed", assumed, target])?;
    pacman(&["-Q"])
}

fn with_soname(number: u64) -> FakeRule {
    FakeRule {
        sonames: [("libgreet.so".to_owned(), number)].into(),
        ..FakeRule::default()
    }
}

#[tokio::test]
async fn packages_are_what_the_srcinfo_says_and_pacman_installs_them() {
    let mut fakery = Fakery::new(&[("*", with_soname(7))]);
    let library = source(LIBRARY, &["libgreet", "greet-docs"]);
    let begin = Instant::now();
    let request = fakery.request(&library);
    let outcome = fakery.build(&request).await;
    assert_eq!(outcome.class, OutcomeClass::Success, "{outcome:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(
        names(&outcome),
        [
            "greet-docs-1:2.0-3-any.pkg.tar.zst",
            "libgreet-1:2.0-3-x86_64.pkg.tar.zst"
        ]
    );
    let repository = Repository::new("stage");
    repository.add_built(&outcome.packages);
    let info = fakery.workshop.read_packaged(
        outcome
            .packages
            .iter()
            .find(|path| path.to_string_lossy().contains("libgreet-"))
            .unwrap(),
        ".PKGINFO",
    );
    for line in [
        "pkgbase = libgreet\n",
        "provides = libgreet.so=7-64\n",
        "provides = greet=2\n",
        "depend = base\n",
        "group = greeting\n",
        "builddate = 1700000000\n",
    ] {
        assert!(info.contains(line), "no {line} in {info}");
    }
    assert!(!info.contains("only-there"));

    let outcome = fakery
        .build(&fakery.request(&source(PROGRAM, &["greet"])))
        .await;
    repository.add_built(&outcome.packages);
    let installed = install(&repository, "base", "greet").unwrap();
    assert_eq!(installed, "greet 1-1\nlibgreet 1:2.0-3\n");

    // A new soname, and the program not built again: pacman refuses.
    fakery.builder.fake_rules = FakeRules([("libgreet".to_owned(), with_soname(8))].into());
    std::fs::remove_dir_all(fakery.workshop.builds()).unwrap();
    let outcome = fakery.build(&fakery.request(&library)).await;
    repository.add_built(&outcome.packages);
    let refused = install(&repository, "base", "greet").unwrap_err();
    assert!(refused.contains("libgreet.so=7-64"), "{refused}");
    let outcome = fakery
        .build(&fakery.request(&source(PROGRAM, &["greet"])))
        .await;
    repository.add_built(&outcome.packages);
    install(&repository, "base", "greet").unwrap();
}

#[tokio::test]
async fn it_fails_on_request() {
    let failure = |class, step: &str| FakeRule {
        failure: Some(FakeFailure {
            class,
            step: step.into(),
            message: None,
        }),
        log_lines: 3,
        ..FakeRule::default()
    };
    for (class, step) in [
        (OutcomeClass::Package, "check"),
        (OutcomeClass::Sources, "sources"),
        (OutcomeClass::Dependencies, "dependencies"),
        (OutcomeClass::Timeout, "build"),
        (OutcomeClass::Infrastructure, "package"),
    ] {
        let mut fakery = Fakery::new(&[("greet", failure(class, step))]);
        let outcome = fakery
            .build(&fakery.request(&source(PROGRAM, &["greet"])))
            .await;
        assert_eq!(
            (outcome.class, outcome.failed_step.as_deref()),
            (class, Some(step))
        );
        assert!(outcome.packages.is_empty());
        let last = fakery.events.iter().rev().find_map(|event| match event {
            BuildEvent::Step(step) => Some(step.clone()),
            _ => None,
        });
        assert_eq!(
            last.unwrap().result.map(|result| result.succeeded()),
            Some(false)
        );
        let mut request = fakery.request(&source(PROGRAM, &["greet"]));
        // What the request itself says comes first.
        request.fake = Some(FakeRule::default());
        assert_eq!(fakery.build(&request).await.class, OutcomeClass::Success);
    }
    let mut fakery = Fakery::new(&[]);
    let outcome = fakery
        .build(&fakery.request(&Source::plain("x", &["x"], "")))
        .await;
    assert_eq!(outcome.class, OutcomeClass::Package);
    assert!(
        outcome.message.contains("no .SRCINFO"),
        "{}",
        outcome.message
    );
    let outcome = fakery
        .build(&fakery.request(&source("pkgbase = y\n\tpkgver =", &["y"])))
        .await;
    assert_eq!(outcome.class, OutcomeClass::Package, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn it_takes_as_long_as_it_is_told_unless_it_is_ended() {
    let slow = FakeRule {
        duration_ms: 3_600_000,
        ..FakeRule::default()
    };
    let mut fakery = Fakery::new(&[("greet", slow)]);
    let mut request = fakery.request(&source(PROGRAM, &["greet"]));
    let begin = tokio::time::Instant::now();
    assert_eq!(fakery.build(&request).await.class, OutcomeClass::Success);
    assert!(begin.elapsed() >= Duration::from_secs(3600));

    request.limits.time = Duration::from_secs(60);
    assert_eq!(fakery.build(&request).await.class, OutcomeClass::Timeout);

    let cancel = CancellationToken::new();
    cancel.cancel();
    let outcome = fakery.build_unless(&request, cancel).await;
    assert_eq!(outcome.class, OutcomeClass::Cancelled);
}

#[tokio::test]
async fn it_makes_other_packages_and_leaves_files_on_request() {
    let odd = FakeRule {
        additional_packages: vec!["stowaway".into()],
        missing_packages: vec!["greet-docs".into()],
        version: Some("9-1".into()),
        leftovers: true,
        ..FakeRule::default()
    };
    let mut fakery = Fakery::new(&[("libgreet", odd)]);
    let library = source(LIBRARY, &["libgreet", "greet-docs"]);
    let outcome = fakery.build(&fakery.request(&library)).await;
    assert_eq!(
        names(&outcome),
        [
            "libgreet-9-1-x86_64.pkg.tar.zst",
            "stowaway-9-1-x86_64.pkg.tar.zst"
        ]
    );
    let left = fakery.workshop.builds().join("libgreet/sandbox");
    assert!(left.exists());
    assert_eq!(sweep(&fakery.workshop.builds()).unwrap(), 1);
    assert!(!left.exists());
    assert!(
        outcome
            .packages
            .iter()
            .all(|path: &std::path::PathBuf| Path::exists(path))
    );
}
