//! How errors become answers. Every error of the server ends here, and only here is decided
//! what its sender gets to know.

mod hint;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildbtw_api::problem::PROBLEM_JSON;
use buildbtw_api::{Problem, ProblemType};

pub use hint::{Hint, make_a_new_one, resume, there_are_namespaces};

use crate::db::DbError;

/// An answer that is a problem.
#[derive(Debug)]
pub struct HttpProblem {
    /// The problem, as the API tells it.
    pub problem: Problem,
    /// What a page says to do about it.
    pub hint_on_page: Option<String>,
}

/// What every handler hands back.
pub type HttpResult<T> = Result<T, HttpProblem>;

impl HttpProblem {
    /// A problem of a type, with what went wrong this time.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// The same with what to do about it.
    pub fn hint(self, hint: impl Into<Hint>) -> Self {
        let hint = hint.into();
        Self {
            problem: self.problem.with_hint(hint.typed),
            hint_on_page: hint.clicked,
        }
    }

    /// A failure of the server itself. The log says more than the answer.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, cause = ?error.source(), "a request failed");
        Self::new(
            ProblemType::Internal,
            "the server could not carry out the request",
        )
        .hint("the server's log says more")
    }

    /// The server's disk is full. Nothing was lost: what was not taken can be sent again.
    pub fn storage_full() -> Self {
        tracing::error!(
            "the disk is full: something that was sent to the server could not be kept; make room in DATA_DIR"
        );
        Self::new(
            ProblemType::StorageFull,
            "the server's disk is full; nothing was stored",
        )
        .hint("try again when an operator has made room")
    }
}

impl From<Problem> for HttpProblem {
    fn from(problem: Problem) -> Self {
        Self {
            hint_on_page: problem.hint.clone(),
            problem,
        }
    }
}

impl From<DbError> for HttpProblem {
    fn from(error: DbError) -> Self {
        if error.is_full() {
            Self::storage_full()
        } else {
            Self::internal(&error)
        }
    }
}

impl From<sqlx::Error> for HttpProblem {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<std::io::Error> for HttpProblem {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::storage_full()
            }
            _ => Self::internal(&error),
        }
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.problem)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}
