//! How the changes of a watched namespace are shown: a progress bar on a terminal, lines
//! elsewhere, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use buildbtw_api::BuildStatus;
use buildbtw_api::events::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde::Serialize;

use super::state::{Builds, Key};
use crate::failure::Outcome;
use crate::output::{self, Session};
use crate::style;
use crate::words::{harmless, some_of};

/// How many builds the progress bar names.
const NAMED: usize = 4;

/// How often the progress bar is drawn when nothing happens.
const REDRAW: Duration = Duration::from_millis(250);

/// Where the changes go.
pub enum Display {
    /// To a terminal: a bar at its foot, and above it what somebody should see.
    Terminal(ProgressBar),
    /// To a file or another program: a line for every change.
    Lines,
    /// One JSON value a line.
    Json,
}

impl Display {
    /// The display that fits.
    pub fn new(session: &Session) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if session.json {
            return Self::Json;
        }
        if dumb || !io::stdout().is_terminal() || !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_finish(ProgressFinish::AndClear);
        let style = ProgressStyle::with_template("{prefix} [{bar:25}] {pos}/{len} {wide_msg}")
            .expect("a constant, and a good template")
            .progress_chars("=> ");
        bar.set_style(style);
        // Of many changes at once only some are drawn; this draws the last of them.
        bar.enable_steady_tick(REDRAW);
        Self::Terminal(bar)
    }

    /// Whether results are for programs.
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json)
    }

    /// Prints a line for people.
    pub fn say(&self, text: &str) -> Outcome {
        match self {
            Self::Json => Ok(()),
            Self::Lines => line(text),
            Self::Terminal(bar) => bar.suspend(|| line(text)),
        }
    }

    /// Prints a value for programs.
    pub fn json(&self, value: &impl Serialize) -> Outcome {
        let Self::Json = self else { return Ok(()) };
        let mut text = serde_json::to_string(value).map_err(io::Error::from)?;
        text.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// An event came.
    pub fn event(&self, event: &Event) -> Outcome {
        self.json(event)
    }

    /// A build took another status.
    pub fn build(
        &self,
        builds: &Builds,
        key: &Key,
        status: BuildStatus,
        reason: Option<&str>,
    ) -> Outcome {
        // The bar counts the rest; what is in vain is in vain because of something that is told.
        let shown = match self {
            Self::Terminal(_) => matches!(
                status,
                BuildStatus::Failed | BuildStatus::Unbuildable | BuildStatus::Waived
            ),
            _ => true,
        };
        if !shown {
            return Ok(());
        }
        let colour = style::build(status);
        let (done, total) = (
            builds.count(BuildStatus::releases_dependents),
            builds.total(),
        );
        let reason = match reason {
            // Told in full below.
            Some(reason) if status != BuildStatus::Failed => format!(" ({})", harmless(reason)),
            _ => String::new(),
        };
        self.say(&format!(
            "[{done}/{total}] {}: {colour}{status}{colour:#}{reason}",
            builds.name(key)
        ))
    }

    /// Brings the bar up to date.
    pub fn refresh(&self, namespace: &str, builds: &Builds, note: Option<&str>) {
        let Self::Terminal(bar) = self else { return };
        bar.set_prefix(format!("{namespace} {}", builds.iteration));
        bar.set_length(builds.total() as u64);
        bar.set_position(builds.count(BuildStatus::releases_dependents) as u64);
        let mut parts = Vec::new();
        parts.extend(note.map(str::to_owned));
        let failed = builds.count(BuildStatus::is_failure_itself);
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        let busy = |status| matches!(status, BuildStatus::Scheduled | BuildStatus::Building);
        let names: Vec<String> = builds.keys(busy).map(|key| builds.name(key)).collect();
        if !names.is_empty() {
            parts.push(format!("building {}", some_of(&names, NAMED)));
        }
        bar.set_message(parts.join("; "));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) -> Outcome {
    let mut out = output::stdout();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}
