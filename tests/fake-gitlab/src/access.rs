//! Tokens, what they may do, and what is said to those who may not.

use axum::http::HeaderMap;

/// What a token was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Api,
    /// Reading everything.
    ReadApi,
    /// Reading repositories with git, and no API.
    ReadRepository,
}

impl Scope {
    /// GitLab's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::ReadApi => "read_api",
            Self::ReadRepository => "read_repository",
        }
    }
}

/// What the token's user is in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees public projects only.
    Stranger,
    /// Sees everything, changes nothing.
    Reporter,
    /// May run pipelines.
    Developer,
    /// May change projects.
    Maintainer,
    /// May do everything everywhere.
    Admin,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What is sent.
    pub secret: String,
    /// Whose it is.
    pub username: String,
    /// What it was made for.
    pub scopes: Vec<Scope>,
    /// What its user may do.
    pub role: Role,
    /// The day on which it ends.
    pub expires_at: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nobody in particular: sees what is public.
    Anonymous,
    /// Whoever the token belongs to.
    Token(Token),
}

impl Access {
    /// What the asker may do.
    pub fn role(&self) -> Role {
        match self {
            Self::Anonymous => Role::Stranger,
            Self::Token(token) => token.role,
        }
    }

    /// Whether the API may be read.
    pub fn may_read(&self) -> bool {
        match self {
            Self::Anonymous => true,
            Self::Token(token) => token
                .scopes
                .iter()
                .any(|scope| matches!(scope, Scope::Api | Scope::ReadApi)),
        }
    }

    /// Whether the API may be used to change something.
    pub fn may_write(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Token(token) => token.scopes.contains(&Scope::Api),
        }
    }

    /// The user's name.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Token(token) => Some(&token.username),
        }
    }
}

/// The token that a request shows: `Authorization: Bearer`, `PRIVATE-TOKEN`, or in the query.
pub fn shown_token(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    header("authorization")
        .and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned))
        .or_else(|| header("private-token"))
        .or_else(|| {
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .find(|(name, _)| name == "private_token" || name == "access_token")
                .map(|(_, value)| value.into_owned())
        })
}
