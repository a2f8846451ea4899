//! Where and how results are printed.

use std::io::{self, BufWriter, Write};

use anstream::AutoStream;
use buildbtw_api::client::Client;
use serde::Serialize;

use crate::failure::Outcome;

/// The width where nobody says another one.
const WIDTH: usize = 80;

/// Limits of the width that is used. Longer lines are hard to read, shorter ones cannot hold a
/// table.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;

/// What every command works with: the server, and how to print.
pub struct Session {
    /// The server.
    pub client: Client,
    /// Whether results are printed as JSON.
    pub json: bool,
    /// How wide a line may be.
    pub width: usize,
}

impl Session {
    /// A session with a server.
    pub fn new(client: Client, json: bool) -> Self {
        Self {
            client,
            json,
            width: width(),
        }
    }

    /// A path on the server as an address, without a slash at the end.
    pub fn address(&self, path: &str) -> String {
        let base = self.client.base().as_str().trim_end_matches('/');
        format!("{base}/{}", path.trim_matches('/'))
    }

    /// Prints a result as JSON.
    pub fn print_json(&self, value: &impl Serialize) -> Outcome {
        let mut text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        text.push('\n');
        // Written at once and past the filter for colours: it has none.
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Prints a result as text.
    pub fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome {
        let mut out = BufWriter::new(stdout());
        write(&mut out)?;
        out.flush()?;
        Ok(())
    }
}

/// Standard output, without colours where they are not wanted.
pub fn stdout() -> AutoStream<io::StdoutLock<'static>> {
    AutoStream::auto(io::stdout().lock())
}

/// Whether standard output shows colours.
pub fn shows_colours() -> bool {
    AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

fn width() -> usize {
    let wanted = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .or_else(|| {
            let (columns, _) = terminal_size::terminal_size_of(io::stdout())?;
            Some(usize::from(columns.0))
        });
    wanted
        .unwrap_or(WIDTH)
        .clamp(*WIDTHS.start(), *WIDTHS.end())
}
