//! Commands about who gets runs: workers, the server's mode, shares of namespaces.

use std::time::Duration;

use buildbtw_api::amounts::time;
use buildbtw_api::{NamespaceName, ServerMode};
use clap::{Args, Subcommand};

/// `bbtw workers`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw workers                                           all workers
  bbtw workers drain worker-3 --reason 'a new kernel'    it ends when its runs are over
  bbtw workers pause worker-3 --reason 'its disk is slow'
  bbtw workers activate worker-3                         it gets runs again

A name that several workers have is refused; their ids tell them apart.")]
pub struct Workers {
    /// What to change.
    #[command(subcommand)]
    pub change: Option<WorkerChange>,
}

/// What to change about a worker.
#[derive(Debug, Subcommand)]
pub enum WorkerChange {
    /// Give a worker no more runs, and have its program end when those it has are over
    #[command(after_help = "\
The worker's program ends with exit code 0 once its runs are over. Started again,
it ends at once, until `bbtw workers activate` gives it runs again.

Example:
  bbtw workers drain worker-3 --reason 'a new kernel'")]
    Drain(StopWorker),
    /// Give a worker no more runs until it is activated; it stays connected
    #[command(after_help = "\
What it builds now goes on.

Example:
  bbtw workers pause worker-3 --reason 'its disk is slow'")]
    Pause(StopWorker),
    /// Give a worker runs again, also one that was set aside
    #[command(after_help = "\
What failed on it so far is not held against it any more.

Example:
  bbtw workers activate worker-3 --reason 'new memory'")]
    Activate(ActivateWorker),
}

/// A worker that is to get nothing more, and why.
#[derive(Debug, Args)]
pub struct StopWorker {
    /// The worker: its name, or its id where several have that name
    pub worker: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// A worker that is to get runs again.
#[derive(Debug, Args)]
pub struct ActivateWorker {
    /// The worker: its name, or its id where several have that name
    pub worker: String,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `bbtw mode`
#[derive(Debug, Args)]
#[command(after_help = "\
Modes:
  run      runs are handed out
  drain    no more are handed out; those that are out go on
  stopped  no more are handed out, and those that are out are taken back and
           built again later; that counts as nobody's failure

Examples:
  bbtw mode                                      how it is now
  bbtw mode drain --reason 'an update at noon'
  bbtw mode stopped --reason 'the disk is full'
  bbtw mode run")]
pub struct Mode {
    /// The mode: run, drain or stopped
    pub mode: Option<ServerMode>,
    /// Why, for those who look at it later; needed for drain and stopped
    #[arg(long, value_name = "TEXT", requires = "mode")]
    pub reason: Option<String>,
}

/// `bbtw priority`
#[derive(Debug, Args)]
#[command(after_help = "\
Every namespace that has something ready gets its share of the workers. With
twice the weight it gets twice the slots of others, while they wait too.

Examples:
  bbtw priority openssl 10 --reason 'a security update'
  bbtw priority openssl 10 --reason 'a security update' --for 2h
  bbtw priority openssl 1                                 as all others again")]
pub struct Priority {
    /// The namespace
    pub namespace: NamespaceName,
    /// Its weight, from 1, which is that of every namespace, to 100
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub weight: u32,
    /// Why, for those who wait; needed above 1
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// For how long, such as 2h or 90m; a day unless given
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub time: Option<Duration>,
}
