//! One question to GraphQL, and what is wrong in its answer.

use std::collections::BTreeSet;

use graphql_client::{GraphQLQuery, PathFragment, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::GitLab;
use super::error::GitLabError;
use super::request::Call;

/// An answer with what is wrong in it.
pub(super) struct Answered<T> {
    pub data: T,
    /// The places in lists of nodes that an error names.
    pub broken_nodes: BTreeSet<usize>,
}

impl GitLab {
    /// Asks GraphQL. Errors in single nodes come back beside the rest; any other one is an error.
    pub(super) async fn query<Q: GraphQLQuery>(
        &self,
        what: &'static str,
        variables: Q::Variables,
    ) -> Result<Answered<Q::ResponseData>, GitLabError>
    where
        Q::ResponseData: DeserializeOwned,
        Q::Variables: Serialize,
    {
        let garbled = |reason: String| GitLabError::Garbled { what, reason };
        let body = serde_json::to_value(Q::build_query(variables))
            .map_err(|error| garbled(error.to_string()))?;
        // All our queries read.
        let call = Call {
            idempotent: true,
            ..Call::post(what, "/api/graphql".to_owned(), body)
        };
        let answer: Response<Q::ResponseData> = self.json(&call).await?;
        let errors = answer.errors.unwrap_or_default();
        let words = errors.iter().map(|error| error.message.as_str());
        let said = self.0.shortened(&words.collect::<Vec<_>>().join("; "));
        let mut broken_nodes = BTreeSet::new();
        let mut general = false;
        for error in &errors {
            match broken_node(error.path.as_deref().unwrap_or_default()) {
                Some(at) => {
                    broken_nodes.insert(at);
                }
                None => general = true,
            }
        }
        match answer.data {
            Some(data) if !general => {
                if !errors.is_empty() {
                    tracing::warn!(what, said, "GitLab could not answer a part of a query");
                }
                Ok(Answered { data, broken_nodes })
            }
            _ if errors.is_empty() => Err(garbled("it holds neither data nor errors".to_owned())),
            _ => Err(refusal(what, said)),
        }
    }
}

/// GitLab has no codes for these, only words.
fn refusal(what: &'static str, said: String) -> GitLabError {
    let lower = said.to_lowercase();
    if ["timeout", "complexity", "timed out", "too long", "deadline"]
        .iter()
        .any(|word| lower.contains(word))
    {
        GitLabError::TookTooLong { what, said }
    } else {
        let status = reqwest::StatusCode::OK;
        GitLabError::Refused { what, status, said }
    }
}

/// The first index behind `nodes` in an error's path.
fn broken_node(path: &[PathFragment]) -> Option<usize> {
    let at = path
        .iter()
        .position(|part| matches!(part, PathFragment::Key(key) if key == "nodes"))?;
    match path.get(at + 1)? {
        PathFragment::Index(index) => usize::try_from(*index).ok(),
        PathFragment::Key(_) => None,
    }
}
