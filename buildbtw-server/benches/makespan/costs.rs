//! Where the processor time of a build goes: what belongs to scheduling, and what to its packages.
//!
//! All threads of the program count, as the database has its own. That is exact, since whatever is measured
//! is waited for, and nothing else is at work meanwhile.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Processor time by kind of work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Costs {
    /// Asking for runs: the choice, the installation, the hand-over.
    pub claims: Duration,
    /// What workers report: that they began, that a run is over.
    pub reports: Duration,
    /// Receiving packages.
    pub receiving: Duration,
    /// Publishing, and what follows from it.
    pub publishing: Duration,
    /// Of that, the repository alone.
    pub repository: Duration,
}

impl Costs {
    /// What the budget names: ready, claim, report, events. What follows from publishing is a part of it:
    /// the run's end, the build's, and what becomes ready.
    pub fn scheduling(&self) -> Duration {
        self.claims + self.reports + self.follow_up()
    }

    fn follow_up(&self) -> Duration {
        self.publishing.saturating_sub(self.repository)
    }

    /// In milliseconds a build.
    pub fn of_each(&self, builds: usize) -> impl fmt::Display + use<> {
        let each = |time: Duration| time.as_secs_f64() * 1_000.0 / builds as f64;
        format!(
            "scheduling {:.2} ms a build (claims {:.2}, reports {:.2}, what follows {:.2}); packages {:.2} (receiving {:.2}, repository {:.2})",
            each(self.scheduling()),
            each(self.claims),
            each(self.reports),
            each(self.follow_up()),
            each(self.receiving + self.repository),
            each(self.receiving),
            each(self.repository),
        )
    }
}

/// The processor time of this program.
pub fn cpu_time() -> Duration {
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), 0)
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    seconds(used.user_time()) + seconds(used.system_time())
}

/// Charges what some work takes.
pub async fn charged<T>(to: &mut Duration, work: impl Future<Output = T>) -> T {
    let before = cpu_time();
    let done = work.await;
    *to += cpu_time() - before;
    done
}

/// What was spent on the repository since that was asked last.
static REPOSITORY: Mutex<Duration> = Mutex::new(Duration::ZERO);

/// Measures the server's span of that name.
struct Repository;

struct Began(Duration);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Repository {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "repository" {
            let span = context.span(id).unwrap();
            span.extensions_mut().insert(Began(cpu_time()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if let Some(Began(before)) = span.extensions().get() {
            *REPOSITORY.lock().unwrap() += cpu_time() - *before;
        }
    }
}

/// Has the server's work on repositories measured from now on.
pub fn watch_repository() {
    let spans = Targets::new().with_target(
        "buildbtw_server::dispatch::publisher",
        tracing::Level::DEBUG,
    );
    tracing_subscriber::registry()
        .with(Repository.with_filter(spans))
        .init();
}

/// What was spent on the repository since this was asked last.
pub fn take_repository() -> Duration {
    std::mem::take(&mut *REPOSITORY.lock().unwrap())
}
