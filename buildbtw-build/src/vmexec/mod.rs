//! The `vmexec` builder: devtools in a virtual machine that is thrown away, as on Arch's build hosts.
//!
//! [vmexec](https://github.com/svenstaro/vmexec) boots an Arch Linux image within seconds, runs one command
//! in it and forgets the machine. That command is a script ([`machine`]) which does just what the devtools
//! builder does on the host, so a build sees the same clean chroot; but whatever it breaks out of
//! is the machine. Time, silence, log and cancelling are watched as in the other builders; the network
//! is open in every step, since devtools opens it.
//!
//! The machine reaches repositories by the network: a server that listens on loopback alone it cannot see.

mod machine;
mod supervise;

use std::path::Path;

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::builder::{Builder, Capabilities, ProbeError};
use crate::report::{BuildEvent, BuildOutcome};
use crate::request::{BuildRequest, RootMode};
use crate::sandbox::{Task, drive};

pub(crate) use supervise::supervise;

/// The programs that are needed.
const PROGRAMS: [&str; 3] = ["vmexec", "qemu-system-x86_64", "virtiofsd"];

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
            "the vmexec builder has no root mode host: build with the sandbox, or in root mode packages",
        );
    }
    let task = Task::Vmexec(Box::new(request.clone()));
    drive(task, builder, request, work_dir, events, cancel).await
}

/// Finds out whether machines can be started here.
///
/// # Errors
///
/// When a program is missing, or this user may not use the processor's virtualisation.
pub(crate) fn probe() -> Result<Capabilities, ProbeError> {
    // virtiofsd lies outside PATH on Arch.
    let is_there = |name: &str| {
        crate::programs::find(name).is_some() || Path::new("/usr/lib").join(name).exists()
    };
    let programs: Vec<String> = PROGRAMS
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| (*name).to_owned())
        .collect();
    if !programs.is_empty() {
        return Err(ProbeError::Missing {
            builder: "vmexec",
            programs,
            hint: "on Arch: pacman -S --needed vmexec qemu-base virtiofsd; elsewhere use the sandbox builder"
                .into(),
        });
    }
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return Err(ProbeError::Trial {
            builder: "vmexec",
            reason: format!("/dev/kvm cannot be used: {error}"),
            hint: "is virtualisation enabled in the firmware, and this user in the group kvm?"
                .into(),
        });
    }
    Ok(Capabilities {
        root_modes: vec![RootMode::Packages],
        remarks: vec![
            "memory is what vmexec gives its machines, and every step may use the network".into(),
        ],
    })
}
