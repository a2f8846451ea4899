//! Carries out runs: from what the server hands out to the last report.
//!
//! Two programs do that: `buildbtw-worker`, which asks the server for runs for ever, and the
//! executor of GitLab Runner, which carries out the one run of a job. Both make a [`Workplace`],
//! hand an assignment to [`run::carry_out`], and send signs of life with [`heartbeat::send`]
//! meanwhile. Whatever is sent is sent again until the server has it ([`retry`]), so that neither a
//! restart of the server nor a bad network costs a build; only the server's word that a run was
//! taken away ends one.

pub mod builder;
pub mod folder;
pub mod heartbeat;
pub mod held;
mod log;
mod order;
mod packages;
pub mod retry;
pub mod run;
mod source;
mod spool;
mod steps;
pub mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buildbtw_api::client::Client;
use buildbtw_build::{Builder, Limits};

use folder::Folder;
use held::HeldRuns;
use retry::Reach;

/// This machine's name, if it has one.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// What all runs of a program share: whom they report to, how they build, and where.
#[derive(Debug)]
pub struct Workplace {
    /// Speaks with the server.
    pub client: Client,
    /// What builds.
    pub builder: Builder,
    /// What one build may take.
    pub limits: Limits,
    /// Where runs have their folders.
    pub folder: Folder,
    /// The runs that go on.
    pub held: Arc<HeldRuns>,
    /// Whether the server can be reached.
    pub reach: Reach,
    upload_limit: AtomicU64,
}

impl Workplace {
    /// A place without runs.
    pub fn new(client: Client, builder: Builder, limits: Limits, folder: Folder) -> Self {
        Self {
            client,
            builder,
            limits,
            folder,
            held: Arc::default(),
            reach: Reach::default(),
            upload_limit: AtomicU64::new(u64::MAX),
        }
    }

    /// The server said how large a package may be that it takes, in bytes.
    pub fn limit_uploads(&self, bytes: u64) {
        self.upload_limit.store(bytes, Ordering::Relaxed);
    }

    fn upload_limit(&self) -> u64 {
        self.upload_limit.load(Ordering::Relaxed)
    }
}
