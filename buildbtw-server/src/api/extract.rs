//! Extractors whose refusals are problems, as everything else that the API says.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use buildbtw_api::runs::{FENCE_HEADER, Fence};
use buildbtw_api::{NamespaceName, ProblemType};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Server;
use crate::db::iterations::StoredIteration;
use crate::db::namespaces::StoredNamespace;
use crate::db::{iterations, namespaces};
use crate::problems::{Hint, HttpProblem, HttpResult, there_are_namespaces};

/// A JSON body, in requests and answers.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpProblem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused_body(rejection.status(), rejection.body_text())),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Why a body was not taken, by the status that axum gives it.
pub fn refused_body(status: StatusCode, detail: String) -> HttpProblem {
    let kind = match status {
        StatusCode::PAYLOAD_TOO_LARGE => ProblemType::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemType::UnsupportedMediaType,
        _ => ProblemType::BadRequest,
    };
    HttpProblem::new(kind, detail)
}

/// Parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpProblem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection @ PathRejection::FailedToDeserializePathParams(_)) => Err(
                HttpProblem::new(ProblemType::InvalidName, rejection.body_text()),
            ),
            Err(rejection) => Err(HttpProblem::new(
                ProblemType::BadRequest,
                rejection.body_text(),
            )),
        }
    }
}

/// The query.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpProblem> {
        let result: Result<_, QueryRejection> =
            axum::extract::Query::<T>::from_request_parts(parts, state).await;
        match result {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(HttpProblem::new(
                ProblemType::BadRequest,
                rejection.body_text(),
            )),
        }
    }
}

/// The fencing number that an upload carries.
pub fn fence(headers: &HeaderMap) -> HttpResult<Fence> {
    headers
        .get(FENCE_HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Fence)
        .ok_or_else(|| {
            HttpProblem::new(
                ProblemType::BadRequest,
                format!("the header {FENCE_HEADER} is missing or no number"),
            )
        })
}

/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 1_000;

/// The reason that somebody gives, without blanks around it; refused where it is needed and missing.
pub fn reason(given: Option<&str>, needed: bool) -> HttpResult<Option<&str>> {
    let given = given.map(str::trim).filter(|reason| !reason.is_empty());
    if given.is_none() && needed {
        let detail = "a reason is needed, for those who look at it later";
        return Err(HttpProblem::new(ProblemType::BadRequest, detail).hint(
            Hint::from("give one with --reason, such as 'a new kernel'")
                .on_page("give one, such as 'a new kernel'"),
        ));
    }
    if given.is_some_and(|reason| reason.chars().count() > REASON_MAX) {
        let detail = format!("the reason is longer than {REASON_MAX} characters");
        return Err(HttpProblem::new(ProblemType::BadRequest, detail));
    }
    Ok(given)
}

/// The namespace of that name.
pub async fn namespace(server: &Server, name: &NamespaceName) -> HttpResult<StoredNamespace> {
    let mut tx = server.db.read().await?;
    namespaces::by_name(&mut tx, name)
        .await?
        .ok_or_else(|| unknown_namespace(name))
}

/// There is no namespace of that name.
pub fn unknown_namespace(name: &NamespaceName) -> HttpProblem {
    HttpProblem::new(
        ProblemType::UnknownNamespace,
        format!("there is no namespace {name}"),
    )
    .hint(there_are_namespaces())
}

/// An iteration of a name by its number, with its namespace: also one of an archived namespace whose
/// name was taken again.
pub async fn iteration(
    server: &Server,
    name: &NamespaceName,
    number: u32,
) -> HttpResult<(StoredNamespace, StoredIteration)> {
    let mut tx = server.db.read().await?;
    if let Some(iteration) = iterations::by_name_and_number(&mut tx, name.as_str(), number).await? {
        let namespace = namespaces::by_key(&mut tx, iteration.namespace).await?;
        return Ok((namespace, iteration));
    }
    match namespaces::by_name(&mut tx, name).await? {
        Some(_) => Err(HttpProblem::new(
            ProblemType::NotFound,
            format!("namespace {name} has no iteration {number}"),
        )
        .hint(Hint::from(format!("`bbtw show {name}` lists its iterations")).not_on_page())),
        None => Err(unknown_namespace(name)),
    }
}
