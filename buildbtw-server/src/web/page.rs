//! What all pages share: rendering, headers, errors, times.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;

use crate::problems::HttpProblem;

/// Pages load nothing from elsewhere and run no script but their own files.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page that cannot be shown.
pub struct PageError(HttpProblem);

/// What every page's handler hands back.
pub type PageResult = Result<Response, PageError>;

impl<E: Into<HttpProblem>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: String,
    detail: String,
    hint: Option<String>,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let problem = self.0.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let page = ErrorPage {
            title: problem.title,
            detail: problem.detail,
            hint: problem.hint,
        };
        match page.render() {
            Ok(html) => (status, headers(), Html(html)).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

fn headers() -> [(header::HeaderName, &'static str); 4] {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ]
}

/// A template as an answer.
pub fn render(template: &impl Template) -> PageResult {
    let html = template
        .render()
        .map_err(|error| HttpProblem::internal(&error))?;
    Ok((headers(), Html(html)).into_response())
}

/// A name in the path of a page.
pub fn name<T: std::str::FromStr>(text: &str) -> Result<T, PageError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        PageError(HttpProblem::new(
            buildbtw_api::ProblemType::InvalidName,
            error.to_string(),
        ))
    })
}

/// A time as people read it: to the second, in UTC.
pub fn time(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A length of time as people read it.
pub fn duration(from: &Timestamp, to: &Timestamp) -> String {
    let seconds = to.duration_since(*from).as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}
