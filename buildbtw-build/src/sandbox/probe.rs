//! Finds out whether sandboxes can be set up on this machine.

use std::path::Path;

use tokio::io::AsyncReadExt;

use super::drive::{settings, start};
use super::wire::{News, Order, Task};
use super::{SANDBOX, drive};
use crate::builder::{Builder, Capabilities, ProbeError};
use crate::request::{Limits, RootMode};

const NAME: &str = "sandbox";

/// What a trial came to.
struct Trial {
    root_modes: Vec<RootMode>,
    remarks: Vec<String>,
}

pub(crate) async fn probe(builder: &Builder, work_root: &Path) -> Result<Capabilities, ProbeError> {
    let missing = |names: &[&str]| -> Vec<String> {
        let is_there = |name: &str| crate::programs::find(name).is_some();
        names
            .iter()
            .filter(|name| !is_there(name))
            .map(|name| (*name).to_owned())
            .collect()
    };
    let install = "on Arch: pacman -S --needed base-devel; on Debian: apt install makepkg \
                   pacman-package-manager libarchive-tools fakeroot zstd build-essential";
    let programs = missing(&["pacman"]);
    if !programs.is_empty() {
        return Err(ProbeError::Missing {
            builder: NAME,
            programs,
            hint: install.to_owned(),
        });
    }
    let trial = try_out(builder, work_root).await.map_err(|reason| {
        let hint = hint(&reason);
        ProbeError::Trial {
            builder: NAME,
            reason,
            hint,
        }
    })?;
    let mut capabilities = Capabilities {
        root_modes: trial.root_modes,
        remarks: trial.remarks,
    };
    let programs = missing(&["makepkg", "bash", "bsdtar", "fakeroot", "zstd"]);
    if !programs.is_empty() {
        capabilities
            .root_modes
            .retain(|mode| *mode != RootMode::Host);
        capabilities.remarks.push(format!(
            "root mode host is not offered, since {} cannot be found; {install}",
            programs.join(", ")
        ));
    }
    Ok(capabilities)
}

async fn try_out(builder: &Builder, work_root: &Path) -> Result<Trial, String> {
    std::fs::create_dir_all(work_root)
        .map_err(|error| format!("cannot make {}: {error}", work_root.display()))?;
    let folder = tempfile::Builder::new()
        .prefix("trial-")
        .tempdir_in(work_root)
        .map_err(|error| format!("cannot make a folder in {}: {error}", work_root.display()))?;
    let order = Order {
        task: Task::Trial,
        settings: settings(builder, &Limits::default()),
    };
    let drive::Started {
        mut child,
        mut log,
        mut news,
        wishes: _wishes,
    } = start(&order, folder.path())
        .await
        .map_err(|error| format!("cannot execute this program anew: {error}"))?;
    let mut output = Vec::new();
    let mut result = Err("the trial ended without a word".to_owned());
    let mut remarks = Vec::new();
    let listen = async {
        while let Ok(Some(line)) = news.next_line().await {
            match serde_json::from_str::<News>(&line) {
                Ok(News::Tried(modes)) => result = Ok(modes),
                Ok(News::Broken(reason)) => result = Err(reason),
                Ok(News::Over(facts)) => remarks = facts.remarks,
                _ => {}
            }
        }
    };
    let (_, _) = tokio::join!(listen, log.read_to_end(&mut output));
    let _ = child.wait().await;
    let _ = crate::sweep::clear(&folder.path().join(SANDBOX));
    match result {
        Ok(root_modes) => Ok(Trial {
            root_modes,
            remarks,
        }),
        Err(reason) => {
            let output = String::from_utf8_lossy(&output);
            let output = output.trim();
            Err(match output.is_empty() {
                true => reason,
                false => format!("{reason} ({output})"),
            })
        }
    }
}

/// What may help.
fn hint(reason: &str) -> String {
    let hint = if reason.contains("cannot make namespaces") {
        "user namespaces are switched off: `sysctl user.max_user_namespaces` must not be 0; on Debian \
         and linux-hardened set kernel.unprivileged_userns_clone=1, on Ubuntu 24.04 and later \
         kernel.apparmor_restrict_unprivileged_userns=0, in Docker run with --privileged; or run \
         the worker as root"
    } else if reason.contains("mount a proc") {
        "in a container, /proc is partly covered: run it with --privileged"
    } else if reason.contains("overlay") {
        "the kernel needs overlayfs (modprobe overlay) and has to be 5.11 or later"
    } else if reason.contains("execute this program") || reason.contains("Permission denied") {
        "the worker's program must be executable by everybody (chmod 755), as must the folders that \
         lead to its libraries"
    } else {
        "run the worker as root on a kernel 5.11 or later, or with user namespaces switched on"
    };
    hint.to_owned()
}
