//! The call `cleanup`: ends what is still alive of a job, and removes its files.
//!
//! It is called after every failed `prepare`, before anything exists; after each job; and, when a job
//! is aborted, perhaps while `run` is still at work. Its output goes to the Runner's own log.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sys::signal::Signal;

use crate::codes::Verdict;
use crate::host::Host;
use crate::{holders, job, jobs};

/// How long `run` may take to end its build and report that, when it is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// How long a process may take to be gone that was killed.
const KILLED: Duration = Duration::from_secs(10);

/// How long the guards of builds may take to clear up: a large tree on a slow disk takes a while.
const CLEARING: Duration = Duration::from_secs(60);

/// The kernel has no way to wait for a lock and a time at once.
const TICK: Duration = Duration::from_millis(20);

/// Clears up after the job that this call belongs to.
///
/// # Errors
///
/// When something stays. The Runner notes that and goes on.
pub fn call(config: &Path) -> anyhow::Result<Verdict> {
    // Whatever it belongs to, there is nothing of it here.
    let Some(number) = job::number() else {
        return Ok(Verdict::Good);
    };
    let host = Host::read(config)?;
    let folder = jobs::of(&host, number);
    if !folder.try_exists()? {
        return Ok(Verdict::Good);
    }
    let lock = jobs::lock(&folder);
    let mut held = jobs::is_held(&folder)?;
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, KILLED)] {
        if held {
            println!("job {number} is still at work; sending {signal}");
            holders::signal(&lock, signal);
            held = !until(patience, || Ok(!jobs::is_held(&folder)?))?;
        }
    }
    if held {
        bail!("job {number} is still at work, and cannot be ended");
    }
    // A build that lost its master is ended by its guard, which then clears up.
    if buildbtw_build::goes_on(&folder)? {
        println!("a build of job {number} is being cleared away; waiting for that");
    }
    if !until(CLEARING, || Ok(!buildbtw_build::goes_on(&folder)?))? {
        bail!(
            "a build of job {number} is still being cleared away; a later job removes what is left"
        );
    }
    // `run` removes nothing but its run; and it may have been killed.
    if fs::exists(&folder)? {
        jobs::remove(&folder)?;
    }
    Ok(Verdict::Good)
}

/// Waits until something is so, and says whether it is.
fn until(patience: Duration, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        if is_so()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(TICK);
    }
}
