//! Colours: few, and never the only bearer of a meaning.

use anstyle::{AnsiColor, Style};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus};

/// Headings and names that a line is about.
pub const STRONG: Style = Style::new().bold();
/// What is beside the point.
pub const FAINT: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What somebody should look at.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// What goes on now.
pub const BUSY: Style = AnsiColor::Cyan.on_default();
/// As the terminal has it.
pub const PLAIN: Style = Style::new();

/// The colour of a build's status.
pub fn build(status: BuildStatus) -> Style {
    match status {
        BuildStatus::Built | BuildStatus::Reused => GOOD,
        BuildStatus::Failed | BuildStatus::Unbuildable => BAD,
        BuildStatus::DependencyFailed | BuildStatus::Waived | BuildStatus::Cancelled => ODD,
        BuildStatus::Scheduled | BuildStatus::Building => BUSY,
        BuildStatus::Blocked | BuildStatus::Pending => PLAIN,
    }
}

/// The colour of a namespace's status.
pub fn namespace(status: NamespaceStatus) -> Style {
    match status {
        NamespaceStatus::Active => BUSY,
        NamespaceStatus::Finished => GOOD,
        NamespaceStatus::Paused | NamespaceStatus::Cancelled => ODD,
        NamespaceStatus::Archived => FAINT,
    }
}

/// The colour of an iteration's status.
pub fn iteration(status: IterationStatus) -> Style {
    match status {
        IterationStatus::Planning => BUSY,
        IterationStatus::Current => PLAIN,
        IterationStatus::Superseded => FAINT,
        IterationStatus::Refused => BAD,
    }
}
