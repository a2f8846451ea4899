//! What GitLab tells by itself: whether it is GitLab, and what it says.
//!
//! Nothing of a hook is believed but where to look: what it names is asked for again. A forged or late
//! hook can cost a request, and nothing else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::projects::ProjectId;

/// Signatures that are older or younger than this are not taken.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What GitLab shows to be recognised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// `X-Gitlab-Token`
    pub token: Option<&'a str>,
    /// `webhook-id`
    pub id: Option<&'a str>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`
    pub signature: Option<&'a str>,
}

/// A secret that GitLab shares with us: a plain token, or a key for signatures (`whsec_...`).
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It is sent as it is.
    Plain(String),
    /// It signs what is sent.
    Key(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// From a setting; `None` if it is nothing, or a key that is none.
    pub fn new(text: &str) -> Option<Self> {
        match text.trim() {
            "" => None,
            text => match text.strip_prefix("whsec_") {
                Some(key) => STANDARD.decode(key).ok().map(Self::Key),
                None => Some(Self::Plain(text.to_owned())),
            },
        }
    }

    /// Whether it is GitLab that sends this.
    pub fn fits(&self, shown: &Credentials<'_>, body: &[u8], now: Timestamp) -> bool {
        match self {
            // Digests are compared, so that the time it takes says nothing about the secret.
            Self::Plain(secret) => shown
                .token
                .is_some_and(|token| Sha256::digest(token) == Sha256::digest(secret)),
            Self::Key(key) => signed(key, shown, body, now).unwrap_or(false),
        }
    }
}

/// Whether a signature by the Standard Webhooks rules is right, and fresh.
fn signed(key: &[u8], shown: &Credentials<'_>, body: &[u8], now: Timestamp) -> Option<bool> {
    let sent = Timestamp::from_second(shown.timestamp?.parse().ok()?).ok()?;
    if now.duration_since(sent).unsigned_abs() > TOLERANCE {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{}.{}.", shown.id?, shown.timestamp?).as_bytes());
    mac.update(body);
    // Several keys may be in use for a while.
    Some(shown.signature?.split(' ').any(|signature| {
        signature
            .strip_prefix("v1,")
            .and_then(|signature| STANDARD.decode(signature).ok())
            .is_some_and(|signature| mac.clone().verify_slice(&signature).is_ok())
    }))
}

/// What a hook says, as far as it is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A branch or tag of a project moved, or something else about it changed.
    Project(ProjectId),
    /// A pipeline changed.
    Pipeline {
        /// Its project.
        project: ProjectId,
        /// Its id.
        pipeline: u64,
    },
    /// Something else, which is nobody's business here.
    Other,
}

#[derive(Deserialize)]
struct Body {
    object_kind: Option<String>,
    event_name: Option<String>,
    project_id: Option<u64>,
    pipeline_id: Option<u64>,
    project: Option<Numbered>,
    object_attributes: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    id: Option<u64>,
}

/// Understands a hook; `None` if it is none.
pub fn read(body: &[u8]) -> Option<News> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let kind = body.event_name.or(body.object_kind)?;
    // Hooks of the whole instance name the project at the top, those of pipelines inside.
    let project = body
        .project_id
        .or_else(|| body.project.and_then(|project| project.id))
        .map(ProjectId);
    let news = match (kind.as_str(), project) {
        (
            "push" | "tag_push" | "repository_update" | "project_create" | "project_destroy"
            | "project_rename" | "project_transfer" | "project_update",
            Some(project),
        ) => News::Project(project),
        ("pipeline", Some(project)) => match body.object_attributes.and_then(|about| about.id) {
            Some(pipeline) => News::Pipeline { project, pipeline },
            None => News::Other,
        },
        ("build", Some(project)) => match body.pipeline_id {
            Some(pipeline) => News::Pipeline { project, pipeline },
            None => News::Other,
        },
        _ => News::Other,
    };
    Some(news)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    const BODY: &[u8] = b"{\"test\": 2432232314}";

    fn shown() -> Credentials<'static> {
        Credentials {
            token: None,
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            timestamp: Some("1614265330"),
            signature: Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        }
    }

    #[test]
    fn the_standards_own_example_is_taken_and_nothing_else() {
        let key = Secret::new(KEY).unwrap();
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        assert!(key.fits(&shown(), BODY, now));
        let several = Credentials {
            signature: Some("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ..shown()
        };
        assert!(key.fits(&several, BODY, now));
        assert!(!key.fits(&shown(), b"{\"test\": 2432232315}", now));
        let other = Credentials {
            id: Some("msg_other"),
            ..shown()
        };
        assert!(!key.fits(&other, BODY, now));
        let late = Timestamp::from_second(1_614_265_330 + 301).unwrap();
        assert!(!key.fits(&shown(), BODY, late));
        assert!(!key.fits(&Credentials::default(), BODY, now));
    }

    #[test]
    fn a_plain_token_is_compared_as_it_is() {
        let secret = Secret::new(" secret\n").unwrap();
        let with = |token| Credentials {
            token,
            ..Credentials::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        assert!(secret.fits(&with(Some("secret")), BODY, now));
        assert!(!secret.fits(&with(Some("Secret")), BODY, now));
        assert!(!secret.fits(&with(None), BODY, now));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(Secret::new("whsec_%"), None);
        assert_eq!(Secret::new(" "), None);
    }

    #[test]
    fn each_kind_of_hook_is_understood() {
        let project = News::Project(ProjectId(15));
        for (body, expected) in [
            (
                r#"{"object_kind":"push","event_name":"push","project_id":15}"#,
                project.clone(),
            ),
            (
                r#"{"event_name":"push","project_id":15,"project":{"name":"x"}}"#,
                project.clone(),
            ),
            (
                r#"{"event_name":"repository_update","project_id":15,"changes":[]}"#,
                project.clone(),
            ),
            (
                r#"{"event_name":"project_rename","project_id":15}"#,
                project,
            ),
            (
                r#"{"object_kind":"pipeline","object_attributes":{"id":31},"project":{"id":1}}"#,
                News::Pipeline {
                    project: ProjectId(1),
                    pipeline: 31,
                },
            ),
            (
                r#"{"object_kind":"build","pipeline_id":31,"project_id":1,"commit":{"id":31}}"#,
                News::Pipeline {
                    project: ProjectId(1),
                    pipeline: 31,
                },
            ),
            (r#"{"event_name":"user_create","user_id":4}"#, News::Other),
            (
                r#"{"event_name":"of_the_future","project_id":4}"#,
                News::Other,
            ),
        ] {
            assert_eq!(read(body.as_bytes()), Some(expected), "{body}");
        }
        for body in ["", "[]", "{}", "{\"event_name\": 1}"] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
