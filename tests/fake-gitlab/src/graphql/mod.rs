//! GraphQL: every document is validated against the schema, measured, and carried out.

pub mod limits;
mod mutations;
mod node;
mod pages;
mod pipelines;
mod projects;
mod query;
mod repositories;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::Shared;
use crate::access::{Access, shown_token};

/// The schema that queries are validated against.
pub const SCHEMA: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../graphql/schema.graphql"
));

/// How long a request may take.
const TIME_LIMIT: SignedDuration = SignedDuration::from_secs(30);

/// The schema, read once.
///
/// # Panics
///
/// When the schema in `graphql/` is not valid.
pub fn schema() -> &'static Valid<Schema> {
    static SCHEMA_READ: OnceLock<Valid<Schema>> = OnceLock::new();
    SCHEMA_READ.get_or_init(|| {
        Schema::parse_and_validate(SCHEMA, "schema.graphql")
            .unwrap_or_else(|problems| panic!("the schema is not valid: {}", problems.errors))
    })
}

/// What the resolvers of one request share.
pub struct Asked {
    /// The fake.
    pub shared: Arc<Shared>,
    /// Who asks.
    pub access: Access,
    /// What the query costs.
    pub score: u64,
    /// What it may cost.
    pub limit: u64,
    /// How often the git service was asked.
    git_calls: AtomicU64,
}

impl Asked {
    /// Notes that the git service is asked.
    pub fn asks_git(&self) {
        self.git_calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers `POST /api/graphql`: one request, or an array of them.
pub async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let access = match shown_token(&headers, uri.query()) {
        None => Access::Anonymous,
        Some(secret) => match shared.state().tokens.get(&secret) {
            Some(token) => Access::Token(token.clone()),
            None => {
                let body = json!({"errors": [{"message": "Invalid token"}]});
                return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
            }
        },
    };
    if !access.may_read() {
        let body = json!({"errors": [{"message": "The token does not have the scope `read_api`"}]});
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        let body = json!({"errors": [{"message": "Unexpected end of document"}]});
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    };
    // Carrying it out reads repositories, which blocks.
    let answered = tokio::task::spawn_blocking(move || match request {
        Value::Array(requests) => Value::Array(
            requests
                .into_iter()
                .map(|request| one(&shared, &access, request))
                .collect(),
        ),
        request => one(&shared, &access, request),
    })
    .await;
    match answered {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn refused(message: impl Into<String>) -> Value {
    json!({"errors": [{"message": message.into()}]})
}

fn one(shared: &Arc<Shared>, access: &Access, request: Value) -> Value {
    let Some(text) = request["query"].as_str() else {
        return refused("No query string was present");
    };
    if text.len() > limits::LONGEST_QUERY {
        return refused("Query too large");
    }
    let document = match ExecutableDocument::parse_and_validate(schema(), text, "query.graphql") {
        Ok(document) => document,
        Err(problems) => {
            let errors: Vec<Value> = problems
                .errors
                .iter()
                .map(|problem| json!({"message": problem.to_json().message}))
                .collect();
            return json!({"errors": errors});
        }
    };
    let name = request["operationName"]
        .as_str()
        .filter(|name| !name.is_empty());
    let Ok(operation) = document.operations.get(name) else {
        return refused("An operation name is required");
    };
    let variables: JsonMap =
        serde_json::from_value(request["variables"].clone()).unwrap_or_default();
    let score = limits::complexity(schema(), &document, operation, &variables);
    let limit = limits::most_complexity(access);
    if score > limit {
        return refused(format!(
            "Query has complexity of {score}, which exceeds max complexity of {limit}"
        ));
    }
    let depth = limits::depth(&document, operation);
    let deepest = limits::deepest(access);
    if depth > deepest {
        return refused(format!(
            "Query has depth of {depth}, which exceeds max depth of {deepest}"
        ));
    }
    let asked = Arc::new(Asked {
        shared: Arc::clone(shared),
        access: access.clone(),
        score,
        limit,
        git_calls: AtomicU64::new(0),
    });
    let root = if operation.is_query() {
        query::root(Arc::clone(&asked))
    } else {
        mutations::root(Arc::clone(&asked))
    };
    let answered = Execution::new(schema(), &document)
        .operation(operation)
        .raw_variable_values(&variables)
        .enable_schema_introspection(true)
        .execute_sync(&root);
    // The time that git would have taken passes; too much of it, and the answer is none.
    let calls = asked.git_calls.load(Ordering::Relaxed);
    let took = shared.git_time() * i32::try_from(calls).unwrap_or(i32::MAX);
    shared.clock.advance(took.min(TIME_LIMIT));
    if took > TIME_LIMIT {
        return json!({"data": null, "errors": [{"message": "Timeout on validation of query"}]});
    }
    match answered {
        Ok(answer) => serde_json::to_value(answer).unwrap_or_default(),
        Err(error) => refused(error.message().to_string()),
    }
}
