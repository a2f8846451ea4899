//! The call `prepare`: looks whether the job can be carried out, before anything is claimed.
//!
//! The Runner tries a failed `prepare` twice more, three seconds apart, with a `cleanup` after each;
//! so it claims nothing: the run's lease would wait through the stages before the script without a sign
//! of life. Nor does it ask the server, which may be away for longer than that; the stage that claims
//! waits for it.

use anyhow::Context;

use crate::codes::Verdict;
use crate::host::Host;
use crate::job::Job;
use crate::jobs;

/// Looks at the job and at the host.
///
/// # Errors
///
/// What is wrong.
pub fn call(host: &Host) -> anyhow::Result<Verdict> {
    let job = Job::of_environment()?;
    let server = host.server(&job.server)?;
    // The token is there, and private.
    server.client()?;
    let folder = jobs::all(host);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    jobs::remove_abandoned(host);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (builder, _) =
        runtime.block_on(buildbtw_worker::builder::prepare(host.setup(), &folder))?;
    println!(
        "{} is ready to carry out run {} of {} with the {} builder.",
        host.name,
        job.run,
        server.url,
        builder.kind.as_str()
    );
    Ok(Verdict::Good)
}
