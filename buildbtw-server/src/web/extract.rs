//! Extractors whose refusals are pages, as everything else that a browser gets.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use buildbtw_api::ProblemType;
use serde::de::DeserializeOwned;

use super::errors::PageError;
use crate::api::extract::refused_body;
use crate::problems::HttpProblem;

/// What a form sends.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        match axum::Form::<T>::from_request(request, state).await {
            Ok(axum::Form(sent)) => Ok(Self(sent)),
            Err(rejection) => Err(refused_body(rejection.status(), rejection.body_text()).into()),
        }
    }
}

/// Parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable(&rejection.body_text())),
        }
    }
}

/// The query.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable(&rejection.body_text())),
        }
    }
}

fn unreadable(why: &str) -> PageError {
    // Behind the words of the extractor comes the name of what it could not read.
    let why = why.trim_start_matches("Failed to deserialize query string: ");
    let detail = format!("Something in the address is not what belongs there ({why}).");
    HttpProblem::new(ProblemType::BadRequest, detail).into()
}
