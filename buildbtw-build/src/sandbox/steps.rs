//! The steps of a build, for display: some are told by the sandbox, some are read from makepkg's
//! messages. A build can write such messages, too, so nothing that matters hangs on them.

use std::time::Duration;

use crate::report::{StepEvent, StepResult};

/// The longest beginning of a line that is looked at, in bytes.
const LONGEST_LINE: usize = 512;

/// makepkg's steps in the order in which they follow one another.
const ORDER: [&str; 4] = ["prepare", "build", "check", "package"];

/// Follows the steps of one build.
#[derive(Debug, Default)]
pub struct Steps {
    current: Option<(String, Duration)>,
    watched: bool,
    line: Vec<u8>,
    last_error: Option<String>,
}

impl Steps {
    /// A step begins; the one before it ends well.
    pub fn begin(&mut self, name: &str, now: Duration, watched: bool) -> Vec<StepEvent> {
        let mut events: Vec<_> = self.end(now, StepResult::Succeeded).into_iter().collect();
        self.watched = watched;
        self.current = Some((name.to_owned(), now));
        events.push(StepEvent {
            name: name.to_owned(),
            started: now,
            ended: None,
            result: None,
        });
        events
    }

    /// The current step ends, and no other begins.
    pub fn end(&mut self, now: Duration, result: StepResult) -> Option<StepEvent> {
        let (name, started) = self.current.take()?;
        Some(StepEvent {
            name,
            started,
            ended: Some(now),
            result: Some(result),
        })
    }

    /// The name of the current step.
    pub fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|(name, _)| name.as_str())
    }

    /// makepkg's last complaint, without `==> ERROR:`.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Reads the next bytes of the log.
    pub fn read(&mut self, bytes: &[u8], now: Duration) -> Vec<StepEvent> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE - self.line.len();
            self.line.extend(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.read_line(&line, now));
            }
        }
        events
    }

    fn read_line(&mut self, line: &[u8], now: Duration) -> Vec<StepEvent> {
        let line = String::from_utf8_lossy(line);
        let Some(message) = line.trim_end().strip_prefix("==> ") else {
            return Vec::new();
        };
        if let Some(error) = message.strip_prefix("ERROR: ") {
            self.last_error = Some(error.to_owned());
            return Vec::new();
        }
        if !self.watched {
            return Vec::new();
        }
        let function = message
            .strip_prefix("Starting ")
            .and_then(|rest| rest.strip_suffix("()..."));
        let name = match function {
            // package_foo() of a split package is a part of the step.
            Some(name) if name.starts_with("package") => "package",
            Some(name) => name,
            None if message.starts_with("Entering fakeroot environment") => "package",
            None => return Vec::new(),
        };
        let place = |name: &str| ORDER.iter().position(|other| *other == name);
        let new = place(name);
        match new > self.current().and_then(place) {
            true if new.is_some() => self.begin(name, now, true),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(events: &[StepEvent]) -> Vec<(&str, bool)> {
        events
            .iter()
            .map(|event| (event.name.as_str(), event.ended.is_some()))
            .collect()
    }

    #[test]
    fn steps_follow_makepkgs_messages() {
        let mut steps = Steps::default();
        let second = Duration::from_secs;
        assert_eq!(
            names(&steps.begin("sources", second(0), false)),
            [("sources", false)]
        );
        assert!(
            steps
                .read(b"==> Starting build()...\n", second(1))
                .is_empty()
        );
        steps.begin("prepare", second(2), true);
        let mut events = steps.read(b"==> Starting prepare()...\n==> Starting bu", second(3));
        assert!(events.is_empty());
        events = steps.read(b"ild()...\n", second(4));
        assert_eq!(names(&events), [("prepare", true), ("build", false)]);
        assert_eq!(events[0].started, second(2));
        events = steps.read(b"==> Entering fakeroot environment...\n", second(5));
        assert_eq!(names(&events), [("build", true), ("package", false)]);
        let text = b"==> Starting package_a()...\n==> Starting check()...\n==> Starting rm()...\n";
        assert!(steps.read(text, second(6)).is_empty());
        assert_eq!(steps.current(), Some("package"));
        let end = steps.end(second(7), StepResult::Failed).unwrap();
        assert_eq!(end.result, Some(StepResult::Failed));
    }

    #[test]
    fn the_last_complaint_is_kept() {
        let mut steps = Steps::default();
        let endless = vec![b'x'; 10_000];
        steps.read(&endless, Duration::ZERO);
        assert!(steps.line.len() <= LONGEST_LINE);
        let text = b"\n==> ERROR: A failure occurred in check().\n    Aborting...\n";
        steps.read(text, Duration::ZERO);
        assert_eq!(steps.last_error(), Some("A failure occurred in check()."));
    }
}
