//! Says what the end of a build means: whose business it is, and why, in words.

use std::time::Duration;

use super::wire::{End, Facts};
use crate::report::{BuildOutcome, OutcomeClass};
use crate::request::Limits;

/// Why the driver ended a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The caller wanted it.
    Cancelled,
    /// It took too long.
    Time,
    /// It wrote nothing to its log for too long.
    Silence,
    /// It wrote too much to its log.
    Log,
}

/// What is known when everything has ended.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Why it was ended, if it was.
    pub reason: Option<Reason>,
    /// How the work inside ended, if it came to an end.
    pub end: Option<End>,
    /// Why the sandbox could not be set up or did not hold.
    pub broken: Option<String>,
    /// What the supervisor saw, if it lived to tell.
    pub facts: Option<Facts>,
    /// The step in which it ended.
    pub step: Option<String>,
    /// makepkg's last complaint.
    pub complaint: Option<String>,
}

/// Judges. Packages and what was installed are the caller's to add.
pub fn judge(evidence: &Evidence, limits: &Limits) -> BuildOutcome {
    let (class, message) = class_and_message(evidence, limits);
    let ended = evidence.end.as_ref();
    BuildOutcome {
        exit_code: ended.and_then(|end| end.exit_code),
        failed_step: (class != OutcomeClass::Success)
            .then(|| evidence.step.clone())
            .flatten(),
        ..BuildOutcome::failure(class, message)
    }
}

fn class_and_message(evidence: &Evidence, limits: &Limits) -> (OutcomeClass, String) {
    let in_step = match &evidence.step {
        Some(step) => format!(" in step {step}"),
        None => String::new(),
    };
    if let Some(end) = &evidence.end
        && end.class == OutcomeClass::Success
        && evidence.broken.is_none()
    {
        return (
            OutcomeClass::Success,
            format!("{} packages made", end.packages.len()),
        );
    }
    match evidence.reason {
        Some(Reason::Cancelled) => {
            return (
                OutcomeClass::Cancelled,
                format!("stopped{in_step}, as was asked for"),
            );
        }
        Some(Reason::Time) => {
            let limit = time(limits.time);
            return (
                OutcomeClass::Timeout,
                format!("ended{in_step}: the build took longer than {limit}, its time limit"),
            );
        }
        Some(Reason::Silence) => {
            let limit = time(limits.silence);
            return (
                OutcomeClass::Timeout,
                format!("ended{in_step}: nothing was written to the log for {limit}"),
            );
        }
        Some(Reason::Log) => {
            let limit = size(limits.log);
            return (
                OutcomeClass::Package,
                format!("ended{in_step}: the log grew over its limit of {limit}"),
            );
        }
        None => {}
    }
    let Some(facts) = &evidence.facts else {
        return (
            OutcomeClass::Infrastructure,
            format!("the build's supervisor was killed{in_step}"),
        );
    };
    if facts.over_disk_limit || evidence.end.as_ref().is_some_and(|end| end.over_disk_limit) {
        let limit = size(limits.disk);
        return (
            OutcomeClass::Package,
            format!("failed{in_step}: the build filled its disk, which has a limit of {limit}"),
        );
    }
    if facts.host_disk_full {
        return (
            OutcomeClass::Infrastructure,
            format!("failed{in_step}: the worker's own disk is full"),
        );
    }
    if facts.out_of_memory > 0 {
        return match (limits.memory, facts.memory_is_limited_together) {
            (Some(limit), true) => (
                OutcomeClass::Package,
                format!(
                    "failed{in_step}: the build took more memory than its limit of {}",
                    size(limit)
                ),
            ),
            _ => (
                OutcomeClass::Infrastructure,
                format!("failed{in_step}: the worker's machine ran out of memory"),
            ),
        };
    }
    if facts.over_process_limit {
        return (
            OutcomeClass::Package,
            format!("failed{in_step}: the build has more processes than it may have"),
        );
    }
    if let Some(broken) = &evidence.broken {
        return (OutcomeClass::Infrastructure, broken.clone());
    }
    match &evidence.end {
        Some(end) => {
            let complaint = match (&evidence.complaint, end.exit_code) {
                (Some(complaint), Some(_)) => format!(" ({complaint})"),
                _ => String::new(),
            };
            (
                end.class,
                format!("failed{in_step}: {}{complaint}", end.message),
            )
        }
        None => (
            OutcomeClass::Infrastructure,
            format!("the first process of the sandbox was killed{in_step}"),
        ),
    }
}

/// A duration for people.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 3600.0 => format!("{:.1} hours", s / 3600.0),
        s if s >= 60.0 => format!("{:.1} minutes", s / 60.0),
        s => format!("{s:.1} seconds"),
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.0} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(class: OutcomeClass, code: i32) -> End {
        End {
            class,
            exit_code: Some(code),
            message: format!("makepkg ended with {code}"),
            packages: Vec::new(),
            over_disk_limit: false,
        }
    }

    fn failed(facts: Facts) -> Evidence {
        Evidence {
            end: Some(end(OutcomeClass::Package, 4)),
            facts: Some(facts),
            step: Some("build".into()),
            ..Evidence::default()
        }
    }

    fn class(evidence: &Evidence, limits: &Limits) -> OutcomeClass {
        judge(evidence, limits).class
    }

    #[test]
    fn what_is_seen_from_outside_comes_before_the_exit_code() {
        let limits = Limits {
            memory: Some(1 << 30),
            ..Limits::default()
        };
        let memory = failed(Facts {
            out_of_memory: 1,
            memory_is_limited_together: true,
            ..Facts::default()
        });
        let outcome = judge(&memory, &limits);
        assert_eq!(outcome.class, OutcomeClass::Package);
        assert!(
            outcome.message.contains("memory than its limit of 1 GiB"),
            "{}",
            outcome.message
        );
        assert_eq!(
            class(&memory, &Limits::default()),
            OutcomeClass::Infrastructure
        );

        let disk = failed(Facts {
            host_disk_full: true,
            ..Facts::default()
        });
        assert_eq!(class(&disk, &limits), OutcomeClass::Infrastructure);
        let own_disk = failed(Facts {
            over_disk_limit: true,
            host_disk_full: true,
            ..Facts::default()
        });
        let outcome = judge(&own_disk, &limits);
        assert_eq!(outcome.class, OutcomeClass::Package);
        assert!(
            outcome.message.contains("limit of 20 GiB"),
            "{}",
            outcome.message
        );
    }

    #[test]
    fn the_reason_for_an_end_comes_before_what_followed_from_it() {
        let limits = Limits::default();
        for (reason, expected) in [
            (Reason::Cancelled, OutcomeClass::Cancelled),
            (Reason::Time, OutcomeClass::Timeout),
            (Reason::Silence, OutcomeClass::Timeout),
            (Reason::Log, OutcomeClass::Package),
        ] {
            let mut evidence = failed(Facts::default());
            evidence.reason = Some(reason);
            assert_eq!(class(&evidence, &limits), expected);
            evidence.facts = None;
            evidence.end = None;
            assert_eq!(class(&evidence, &limits), expected);
            // It was done before it heard.
            evidence.end = Some(end(OutcomeClass::Success, 0));
            assert_eq!(class(&evidence, &limits), OutcomeClass::Success);
        }
    }

    #[test]
    fn the_machinery_is_never_the_packages_fault() {
        let limits = Limits::default();
        let nobody = Evidence::default();
        assert_eq!(class(&nobody, &limits), OutcomeClass::Infrastructure);
        let mut evidence = failed(Facts::default());
        evidence.end = None;
        assert_eq!(class(&evidence, &limits), OutcomeClass::Infrastructure);
        evidence.broken = Some("cannot mount".into());
        assert_eq!(judge(&evidence, &limits).message, "cannot mount");
    }

    #[test]
    fn a_failure_says_where_and_why() {
        let mut evidence = failed(Facts::default());
        evidence.step = Some("check".into());
        evidence.complaint = Some("A failure occurred in check().".into());
        let outcome = judge(&evidence, &Limits::default());
        assert_eq!(outcome.failed_step.as_deref(), Some("check"));
        assert_eq!(outcome.exit_code, Some(4));
        assert_eq!(
            outcome.message,
            "failed in step check: makepkg ended with 4 (A failure occurred in check().)"
        );
    }
}
