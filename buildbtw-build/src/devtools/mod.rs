//! The `devtools` builder: Arch's own tools for building in a clean chroot. It is for Arch hosts, as
//! root or with sudo that asks for no password.
//!
//! The chroot is made anew for each build, in the work folder: what is installed is then what the
//! repositories say and nothing an earlier build left. Everything else (log, limits on time, silence
//! and log, cancelling) is as in the sandbox; limits on memory and disk are not kept, and the network
//! is open in every step, since devtools opens it.

mod commands;
mod supervise;

pub(crate) use commands::{CommandLine, Folders, Purpose, commands};
pub(crate) use supervise::{collect, prepare, run};

use std::path::Path;

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::builder::{Builder, Capabilities, ProbeError};
use crate::report::{BuildEvent, BuildOutcome};
use crate::request::{BuildRequest, RootMode};
use crate::sandbox::{Task, drive};

pub(crate) use supervise::supervise;

/// Carries out one build.
pub(crate) async fn carry_out(
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
) -> BuildOutcome {
    if request.root_mode == RootMode::Host {
        return BuildOutcome::infrastructure(
            "the devtools builder has no root mode host: build with the sandbox, or in root mode \
             packages",
        );
    }
    let task = Task::Devtools {
        request: Box::new(request.clone()),
        user: builder.devtools_user.clone(),
    };
    drive(task, builder, request, work_dir, events, cancel).await
}

/// Finds out whether devtools is there.
///
/// # Errors
///
/// When a program is missing.
pub(crate) fn probe(builder: &Builder) -> Result<Capabilities, ProbeError> {
    let programs: Vec<String> = commands::PROGRAMS
        .iter()
        .filter(|name| crate::programs::find(name).is_none())
        .map(|name| (*name).to_owned())
        .collect();
    if !programs.is_empty() {
        return Err(ProbeError::Missing {
            builder: "devtools",
            programs,
            hint: "on Arch: pacman -S --needed devtools; elsewhere use the sandbox builder".into(),
        });
    }
    if nix::unistd::geteuid().is_root()
        && matches!(
            nix::unistd::User::from_name(&builder.devtools_user),
            Ok(None) | Err(_)
        )
    {
        return Err(ProbeError::Trial {
            builder: "devtools",
            reason: format!("there is no user {}", builder.devtools_user),
            hint: "name a user that makepkg may run as, such as nobody".into(),
        });
    }
    Ok(Capabilities {
        root_modes: vec![RootMode::Packages],
        remarks: vec!["memory and disk are not limited, and every step may use the network".into()],
    })
}
