//! Errors over HTTP: RFC 9457 problem documents with a stable type and a hint.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident = $slug:literal, $status:literal, $title:literal;)+) => {
        /// What kind of problem it is. The words are stable; programs may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum ProblemType {
            $($(#[$doc])* #[serde(rename = $slug)] $variant,)+
            /// A kind that this version does not know.
            #[serde(other)]
            Unknown,
        }

        impl ProblemType {
            /// All kinds a server may answer.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The type as a URI reference, relative to the server's address.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $slug,)+ Self::Unknown => "about:blank" }
            }

            /// The HTTP status it is sent with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ Self::Unknown => 500 }
            }

            /// A short text, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ Self::Unknown => "Unknown problem" }
            }
        }
    };
}

problems! {
    /// The request is not of the form the server expects.
    BadRequest = "/problems/bad-request", 400, "The request cannot be read";
    /// A name or id is malformed.
    InvalidName = "/problems/invalid-name", 400, "A name is not valid";
    /// No token, or not the right one.
    Unauthorized = "/problems/unauthorized", 401, "A valid token is required";
    /// Host or Origin of a state-changing request is not the server's own.
    ForeignOrigin = "/problems/foreign-origin", 403, "The request came from a foreign page";
    /// There is nothing under that address.
    NotFound = "/problems/not-found", 404, "There is nothing here";
    /// No source repository of that package base is known.
    UnknownPackage = "/problems/unknown-package", 404, "The package is not known";
    /// The source repository has no such branch, tag or commit.
    UnknownReference = "/problems/unknown-reference", 404, "The branch, tag or commit is not known";
    /// No namespace of that name is known.
    UnknownNamespace = "/problems/unknown-namespace", 404, "The namespace is not known";
    /// There is no such run.
    UnknownRun = "/problems/unknown-run", 404, "The run is not known";
    /// The method is not allowed on that resource.
    MethodNotAllowed = "/problems/method-not-allowed", 405, "The method is not allowed";
    /// Another namespace that is not archived has that name.
    NameTaken = "/problems/name-taken", 409, "The name is taken";
    /// The thing is not in a state that allows it.
    Conflict = "/problems/conflict", 409, "The current state does not allow it";
    /// The report comes under an old fencing number or for a run that is over.
    StaleFence = "/problems/stale-fence", 409, "The run was taken away";
    /// Another job of GitLab, or a worker, has the run.
    RunTaken = "/problems/run-taken", 409, "The run belongs to another";
    /// The run that is asked for has ended, or was called off.
    RunOver = "/problems/run-over", 409, "The run is over";
    /// A part of a log is missing before the part that was sent.
    LogGap = "/problems/log-gap", 409, "A part of the log is missing";
    /// The body is larger than the limit.
    TooLarge = "/problems/too-large", 413, "The body is too large";
    /// The media type is not the one expected.
    UnsupportedMediaType = "/problems/unsupported-media-type", 415, "The media type is not supported";
    /// The `.SRCINFO` of a changeset is missing or cannot be read.
    BrokenSource = "/problems/broken-source", 422, "The package's sources cannot be read";
    /// A package is not what the run was to make.
    UnexpectedPackage = "/problems/unexpected-package", 422, "The package is not what was to be built";
    /// The plan cannot be made.
    PlanRefused = "/problems/plan-refused", 422, "The plan cannot be made";
    /// GitLab does not answer, or refuses.
    GitLabUnavailable = "/problems/gitlab-unavailable", 502, "GitLab does not give it";
    /// A base repository cannot be read.
    BaseUnavailable = "/problems/base-unavailable", 502, "A base repository cannot be read";
    /// The worker speaks another version of the protocol.
    ProtocolVersion = "/problems/protocol-version", 426, "The worker's version does not fit";
    /// Something in the server failed; its log says more.
    Internal = "/problems/internal", 500, "The server failed";
    /// The server's disk is full.
    StorageFull = "/problems/storage-full", 507, "The server's disk is full";
    /// The server is starting or stopping.
    Unavailable = "/problems/unavailable", 503, "The server is not available";
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// A short text, the same for every occurrence of the type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `log-gap`: the length of the log that the server has, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl Problem {
    /// A problem of a type, with what went wrong this time.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            hint: None,
            length: None,
        }
    }

    /// The same with what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
