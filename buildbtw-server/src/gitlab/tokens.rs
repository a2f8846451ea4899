//! What the token may do, and for how long, through REST.

use serde::Deserialize;

use super::GitLab;
use super::error::GitLabError;
use super::request::Call;

/// What GitLab says of the token that asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenFacts {
    /// What it was made for: `api`, `read_api` and others.
    pub scopes: Vec<String>,
    /// The day at whose beginning it ends; none if it does not.
    #[serde(default)]
    pub expires_at: Option<jiff::civil::Date>,
}

impl GitLab {
    /// What GitLab says of the token that asks. It says so of personal, project and group tokens only.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn token_facts(&self) -> Result<TokenFacts, GitLabError> {
        let path = "/api/v4/personal_access_tokens/self".to_owned();
        self.json(&Call::get("ask what the token may do", path))
            .await
    }
}
