//! The `sandbox` builder.

use std::path::Path;

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::builder::{Builder, Capabilities, ProbeError};
use crate::report::{BuildEvent, BuildOutcome};
use crate::request::BuildRequest;

/// When this process is the inner part of a sandbox: does its work and never returns.
///
/// To be called first in `main`, before anything is printed and any thread started.
pub fn enter_if_supervisor() {}

pub(crate) async fn carry_out(
    _builder: &Builder,
    _request: &BuildRequest,
    _work_dir: &Path,
    _events: Sender<BuildEvent>,
    _cancel: CancellationToken,
) -> BuildOutcome {
    BuildOutcome::infrastructure("the sandbox builder is being written")
}

pub(crate) async fn probe(
    _builder: &Builder,
    _work_root: &Path,
) -> Result<Capabilities, ProbeError> {
    Err(ProbeError::Trial {
        builder: "sandbox",
        reason: "it is being written".to_owned(),
        hint: "use the fake builder".to_owned(),
    })
}
