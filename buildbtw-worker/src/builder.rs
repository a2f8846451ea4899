//! The builder: chosen, tried out, and what it can do is offered.

use anyhow::{Context, bail};
use buildbtw_api::runs::RootMode;
use buildbtw_api::workers::WorkerOffer;
use buildbtw_build::{Builder, BuilderKind, Limits};

use crate::config::{BuilderName, Config};
use crate::folder::Folder;

/// What one build may take.
pub fn limits(config: &Config) -> Limits {
    Limits {
        time: config.build_timeout,
        silence: config.silence_timeout,
        memory: config.memory_limit,
        disk: config.disk_limit,
        log: config.log_limit,
    }
}

/// Clears away what an earlier worker left, tries the builder out, and says what to offer.
///
/// # Errors
///
/// When this machine cannot build in the way that is wanted, with what to do about it.
pub async fn prepare(config: &Config, folder: &Folder) -> anyhow::Result<(Builder, WorkerOffer)> {
    let swept = folder.sweep()?;
    if swept > 0 {
        tracing::info!(runs = swept, "removed what an earlier worker left");
    }
    let kind = BuilderKind::from(config.builder);
    let builder = Builder { kind };
    let root_modes = vec![RootMode::Host];
    let offer = WorkerOffer {
        architectures: Vec::new(),
        slots: config.worker_slots,
        memory: config.memory_limit,
        labels: config.worker_labels.clone(),
        builder: "".to_owned(),
        root_modes,
    };
    Ok((builder, offer))
}
