//! The `fake` builder: valid packages without content, in no time, for any `.SRCINFO`. It is for
//! trying out everything around a build: nothing is executed, and nothing installed.

mod packages;
mod rules;

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use rules::{FakeFailure, FakeRule, FakeRules};

use crate::builder::Builder;
use crate::report::{
    BuildEvent, BuildOutcome, InstalledPackage, OutcomeClass, StepEvent, StepResult,
};
use crate::request::BuildRequest;
use crate::sandbox::SANDBOX;

/// Carries out one fake build.
pub(crate) async fn carry_out(
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
) -> BuildOutcome {
    let rule = match &request.fake {
        Some(rule) => rule.clone(),
        None => builder.fake_rules.get(&request.pkgbase),
    };
    let mut fake = Fake {
        request,
        rule: &rule,
        events,
        cancel,
        began: Instant::now(),
        installed: Vec::new(),
    };
    let mut outcome = match fake.steps().await {
        Ok(()) => fake.package(&builder.fake_rules, work_dir).await,
        Err(outcome) => outcome,
    };
    outcome.installed = fake.installed;
    if rule.leftovers
        && let Err(error) = leave(work_dir)
    {
        tracing::warn!(%error, "the fake builder cannot leave files behind");
    }
    outcome
}

/// Leaves what a sandbox leaves that is killed together with its supervisor.
fn leave(work_dir: &Path) -> std::io::Result<()> {
    let sandbox = work_dir.join(SANDBOX);
    std::fs::create_dir_all(sandbox.join("store/root"))?;
    std::fs::write(sandbox.join("lock"), "")?;
    std::fs::write(sandbox.join("store/root/leftover"), "left behind\n")
}

struct Fake<'a> {
    request: &'a BuildRequest,
    rule: &'a FakeRule,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
    began: Instant,
    installed: Vec<InstalledPackage>,
}

impl Fake<'_> {
    async fn tell(&self, event: BuildEvent) {
        // A caller who does not listen still gets the outcome.
        let _ = self.events.send(event).await;
    }

    async fn log(&self, line: String) {
        self.tell(BuildEvent::Log(format!("{line}\n").into())).await;
    }

    /// Everything before the packages are written.
    async fn steps(&mut self) -> Result<(), BuildOutcome> {
        let request = self.request;
        self.log(format!("==> Making package: {} (fake)", request.pkgbase))
            .await;
        for name in ["dependencies", "sources", "prepare", "build", "check"] {
            if name == "check" && !request.check {
                continue;
            }
            self.step(name).await?;
            if name == "dependencies" {
                let expected = request.expected.iter().flatten();
                self.installed = expected
                    .map(|package| InstalledPackage {
                        pkgname: package.pkgname.clone(),
                        version: package.version.clone(),
                        sha256: package.sha256.clone(),
                    })
                    .collect();
                self.tell(BuildEvent::Installed(self.installed.clone()))
                    .await;
            }
        }
        Ok(())
    }

    async fn step(&self, name: &str) -> Result<(), BuildOutcome> {
        let started = self.began.elapsed();
        let event = |ended, result| {
            BuildEvent::Step(StepEvent {
                name: name.to_owned(),
                started,
                ended,
                result,
            })
        };
        self.tell(event(None, None)).await;
        self.log(format!("==> Starting {name}()...")).await;
        let mut result = Ok(());
        if name == "build" {
            for number in 1..=self.rule.log_lines {
                self.log(format!("line {number}")).await;
            }
            result = self
                .spend(Duration::from_millis(self.rule.duration_ms))
                .await;
        }
        if let (Ok(()), Some(failure)) = (&result, &self.rule.failure)
            && failure.step == name
        {
            result = Err(self.failure(failure));
        }
        let how = match &result {
            Ok(()) => StepResult::Succeeded,
            Err(outcome) => {
                self.log(format!("==> ERROR: {}", outcome.message)).await;
                StepResult::Failed
            }
        };
        self.tell(event(Some(self.began.elapsed()), Some(how)))
            .await;
        result.map_err(|outcome| BuildOutcome {
            failed_step: Some(name.to_owned()),
            ..outcome
        })
    }

    fn failure(&self, failure: &FakeFailure) -> BuildOutcome {
        let message = failure
            .message
            .clone()
            .unwrap_or_else(|| format!("A failure occurred in {}() (fake).", failure.step));
        BuildOutcome {
            exit_code: (failure.class == OutcomeClass::Package).then_some(4),
            ..BuildOutcome::failure(failure.class, message)
        }
    }

    /// Writes the time again and again, for as long as somebody listens.
    async fn talk(&self) {
        let every = Duration::from_millis(self.rule.line_every_ms);
        if every.is_zero() {
            return std::future::pending().await;
        }
        for number in 1.. {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.map_or(0, |now| now.as_millis());
            self.log(format!("line {number} at {now}")).await;
            tokio::time::sleep(every).await;
        }
    }

    async fn spend(&self, duration: Duration) -> Result<(), BuildOutcome> {
        let limit = self.request.limits.time;
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.talk() => Ok(()),
            () = self.cancel.cancelled() => Err(BuildOutcome::failure(
                OutcomeClass::Cancelled,
                "stopped, as was asked for",
            )),
            () = tokio::time::sleep_until(self.began + limit) => Err(BuildOutcome::failure(
                OutcomeClass::Timeout,
                format!("the build took longer than {limit:?}, its time limit"),
            )),
        }
    }

    async fn package(&self, rules: &FakeRules, work_dir: &Path) -> BuildOutcome {
        if let Err(outcome) = self.step("package").await {
            return outcome;
        }
        let (request, rule, rules) = (self.request.clone(), self.rule.clone(), rules.clone());
        let folder = work_dir.join("packages");
        let written =
            tokio::task::spawn_blocking(move || packages::write(&request, &rule, &rules, &folder))
                .await;
        match written {
            Ok(Ok(packages)) => {
                self.log("==> Finished making".to_owned()).await;
                BuildOutcome {
                    packages,
                    exit_code: Some(0),
                    ..BuildOutcome::failure(OutcomeClass::Success, "made (fake)")
                }
            }
            Ok(Err(error)) => {
                let message = error.to_string();
                self.log(format!("==> ERROR: {message}")).await;
                let class = match error.is_of_the_package() {
                    true => OutcomeClass::Package,
                    false => OutcomeClass::Infrastructure,
                };
                BuildOutcome {
                    failed_step: Some("package".to_owned()),
                    ..BuildOutcome::failure(class, message)
                }
            }
            Err(error) => BuildOutcome::infrastructure(format!("the fake builder failed: {error}")),
        }
    }
}
