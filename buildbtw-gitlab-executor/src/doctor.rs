//! The call `doctor`: looks whether this host is ready for jobs, and says how to mend what is not.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use buildbtw_api::client::ClientError;
use buildbtw_api::sources::Health;
use buildbtw_api::workers::Heartbeat;
use buildbtw_api::{ProblemType, WorkerId};
use buildbtw_worker::token;
use jiff::{SignedDuration, Timestamp};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access, geteuid};

use crate::codes::Verdict;
use crate::host::{Host, Server};
use crate::jobs;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How far this host's clock may be off. Certificates and signatures are judged by it.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// It is as it should be.
    Well(String),
    /// It works, but a person should know.
    Odd { what: String, hint: String },
    /// Jobs would fail.
    Ill { what: String, hint: String },
}

fn odd(what: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding::Odd {
        what: what.into(),
        hint: hint.into(),
    }
}

fn ill(what: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding::Ill {
        what: what.into(),
        hint: hint.into(),
    }
}

/// An error whose text may have a hint of its own.
fn told(error: &dyn std::fmt::Display) -> Finding {
    let text = format!("{error:#}");
    match text.split_once("\n  hint: ") {
        Some((what, hint)) => ill(what, hint),
        None => ill(text, "see the installation guide, notes/gitlab-runners.md"),
    }
}

/// Looks at everything and prints what it found.
pub fn call(path: &Path) -> Verdict {
    let findings = match Host::read(path) {
        Ok(host) => look(&host),
        Err(error) => vec![told(&error)],
    };
    let mut ills = 0;
    for finding in &findings {
        match finding {
            Finding::Well(what) => println!("ok    {what}"),
            Finding::Odd { what, hint } => println!("odd   {what}\n      hint: {hint}"),
            Finding::Ill { what, hint } => {
                ills += 1;
                println!("ill   {what}\n      hint: {hint}");
            }
        }
    }
    match ills {
        0 => {
            println!("This host is ready for jobs.");
            Verdict::Good
        }
        ills => {
            println!("Jobs would fail on this host: {ills} to mend.");
            Verdict::Ill
        }
    }
}

/// Folders that were made to look whether they can be used. They go again: their owner is to be the Runner's user,
/// and perhaps it is root who looks.
struct Made(Vec<PathBuf>);

impl Made {
    fn missing(host: &Host) -> Self {
        let missing = [jobs::all(host), host.folder.clone()];
        Self(
            missing
                .into_iter()
                .filter(|folder| !folder.exists())
                .collect(),
        )
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One in which a job has begun meanwhile is not empty and stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn look(host: &Host) -> Vec<Finding> {
    let _made = Made::missing(host);
    let mut findings = vec![configuration(host)];
    findings.extend(folder(host));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            findings.push(told(&error));
            return findings;
        }
    };
    if host.servers.is_empty() {
        findings.push(ill(
            "the configuration names no server",
            "add a [[server]] with its url and token_file",
        ));
    }
    for server in &host.servers {
        findings.extend(runtime.block_on(ask(server)));
    }
    findings.extend(runtime.block_on(builder(host)));
    findings
}

fn configuration(host: &Host) -> Finding {
    let path = &host.path;
    match fs::metadata(path) {
        // Whoever may change it may have this host's token sent anywhere.
        Ok(metadata) if metadata.mode() & 0o022 != 0 => ill(
            format!(
                "others than its owner can change {} (mode {:04o})",
                path.display(),
                metadata.mode() & 0o7777
            ),
            format!("chmod go-w {}", path.display()),
        ),
        _ => Finding::Well(format!(
            "{} is read; this host is called {}",
            path.display(),
            host.name
        )),
    }
}

fn folder(host: &Host) -> Vec<Finding> {
    let folder = jobs::all(host);
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    let usable = made.map_err(|error| error.to_string()).and_then(|()| {
        access(&folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| error.to_string())
    });
    if let Err(error) = usable {
        let user = geteuid();
        return vec![ill(
            format!(
                "jobs cannot be carried out in {}: {error}",
                folder.display()
            ),
            format!(
                "call this as the Runner's user, and let the folder and all in it be its own: chown -R {user} {}",
                host.folder.display()
            ),
        )];
    }
    let mut findings = vec![Finding::Well(format!("{} can be used", folder.display()))];
    let needed = host.setup().limits.disk;
    if let Ok(system) = statvfs(&folder) {
        let free = system
            .blocks_available()
            .saturating_mul(system.fragment_size());
        let gib = |bytes: u64| bytes as f64 / f64::from(1u32 << 30);
        findings.push(if free < needed {
            odd(
                format!(
                    "{:.1} GiB are free in {}, and one build may take {:.1} GiB",
                    gib(free),
                    folder.display(),
                    gib(needed)
                ),
                "make room, or set a smaller `disk` in [limits]",
            )
        } else {
            Finding::Well(format!("{:.1} GiB are free there", gib(free)))
        });
    }
    findings
}

/// Asks a server whether it is there, takes the token, and has the same time.
async fn ask(server: &Server) -> Vec<Finding> {
    let token = match token::read(&server.token_file) {
        Ok(token) => token,
        Err(error) => return vec![told(&error)],
    };
    let client = match server.client() {
        Ok(client) => client,
        Err(error) => return vec![told(&error)],
    };
    // No such worker exists, so nothing comes of it; but who asks without the token is not even told so.
    let beat = Heartbeat::default();
    let asking = client.heartbeat(WorkerId::generate(), &beat);
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    let url = &server.url;
    let mut findings = match answer {
        Ok(Ok(_)) => vec![Finding::Well(format!("{url} takes the token"))],
        Ok(Err(ClientError::Problem(problem))) => match problem.kind {
            ProblemType::NotFound => vec![Finding::Well(format!("{url} takes the token"))],
            ProblemType::Unauthorized => vec![ill(
                format!(
                    "{url} does not take the token in {}",
                    server.token_file.display()
                ),
                "copy `worker-token` out of the server's data folder once more, with mode 0600",
            )],
            _ => vec![told(&problem)],
        },
        Ok(Err(ClientError::Unreachable { reason, .. } | ClientError::Broken { reason, .. })) => {
            vec![ill(
                format!("{url} cannot be reached: {reason}"),
                "is the server running, and may this host connect to it?",
            )]
        }
        Ok(Err(error)) => vec![told(&error)],
        Err(_) => vec![ill(
            format!("{url} does not answer within {PATIENCE:?}"),
            "is the server well?",
        )],
    };
    if token.len() < 16 {
        findings.push(odd(
            format!("the token for {url} has only {} characters", token.len()),
            "let the server make one: remove `worker-token` from its data folder and start it anew",
        ));
    }
    findings.extend(health(server).await.unwrap_or_default());
    findings
}

/// Compares the clocks by the answer's `Date`, and the address with the one that the server's pipelines name.
async fn health(server: &Server) -> Option<Vec<Finding>> {
    let url = format!(
        "{}/api/v1/health",
        server.url.as_str().trim_end_matches('/')
    );
    let http = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let answer = http.get(url).send().await.ok()?;
    let now = Timestamp::now();
    let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let mut findings = vec![compared(now, there)];
    if let Ok(health) = answer.json::<Health>().await {
        findings.extend(called_otherwise(server.url.as_str(), &health.base_url));
    }
    Some(findings)
}

/// A server's pipelines name its own address, and a host builds for nobody but those in its configuration.
fn called_otherwise(here: &str, there: &str) -> Option<Finding> {
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    let same = there.is_empty() || plain(here) == plain(there);
    (!same).then(|| {
        ill(
            format!(
                "the server at {here} calls itself {there}: this host would refuse all its jobs"
            ),
            format!(
                "write url = \"{there}\" in [[server]], or start the server with BASE_URL={here}"
            ),
        )
    })
}

fn compared(here: Timestamp, there: Timestamp) -> Finding {
    let skew = here.duration_since(there);
    if skew.abs() > SKEW {
        odd(
            format!("this host's clock differs from the server's by {skew:#}"),
            "let both follow a time server, such as systemd-timesyncd",
        )
    } else {
        Finding::Well("the clock is right".to_owned())
    }
}

async fn builder(host: &Host) -> Vec<Finding> {
    let kind = host.setup().kind.as_str();
    let who = match geteuid().is_root() {
        true => "as root",
        false => "as an ordinary user",
    };
    match buildbtw_worker::builder::prepare(host.setup(), &jobs::all(host)).await {
        Ok((_, offer)) => {
            let words = |words: Vec<String>| words.join(", ");
            let modes = offer.root_modes.iter();
            vec![Finding::Well(format!(
                "the {kind} builder works here {who}: {}, root modes {}",
                words(
                    offer
                        .architectures
                        .iter()
                        .map(ToString::to_string)
                        .collect()
                ),
                words(
                    modes
                        .map(|mode| format!("{mode:?}").to_lowercase())
                        .collect()
                )
            ))]
        }
        Err(error) => vec![told(&error)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_of_an_error_is_its_own() {
        let found = told(&"it is broken\n  hint: mend it");
        assert_eq!(found, ill("it is broken", "mend it"));
    }

    #[test]
    fn a_server_is_called_as_it_calls_itself() {
        assert_eq!(called_otherwise("http://a:1/", "http://a:1"), None);
        assert_eq!(called_otherwise("http://a:1/", ""), None, "an older server");
        let found = called_otherwise("http://localhost:1/", "http://a:1");
        assert!(
            matches!(found, Some(Finding::Ill { hint, .. }) if hint.contains("url = \"http://a:1\""))
        );
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        let there: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (seconds, fine) in [
            (0, true),
            (59, true),
            (-59, true),
            (61, false),
            (-3600, false),
        ] {
            let found = compared(there + SignedDuration::from_secs(seconds), there);
            assert_eq!(
                matches!(found, Finding::Well(_)),
                fine,
                "{seconds}: {found:?}"
            );
        }
    }
}
