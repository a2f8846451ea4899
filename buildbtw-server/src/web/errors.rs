//! Problems as pages: what went wrong, what to do about it here, and the ways on.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use buildbtw_api::{NamespaceName, Problem, ProblemType};

use super::page::{Piece, headers, pieces};
use crate::problems::HttpProblem;

/// A page that cannot be shown, or a form that was not taken.
#[derive(Debug, Clone)]
pub struct PageError {
    /// Its hint is the one for who clicks.
    problem: Problem,
    /// The form, to be mended and sent once more.
    again: Option<Box<Again>>,
    /// Where somebody came from: its address, and what the link says.
    way: Option<Box<(String, String)>>,
}

/// What every page's handler hands back.
pub type PageResult = Result<Response, PageError>;

/// A form with what was filled in.
#[derive(Debug, Clone)]
pub struct Again {
    /// Where it is sent.
    pub action: String,
    /// What it sends besides: names and values.
    pub hidden: Vec<(&'static str, String)>,
    /// What people read before the field.
    pub label: &'static str,
    /// Its name in the form.
    pub name: &'static str,
    /// What was filled in.
    pub value: String,
    /// What the button says.
    pub button: &'static str,
}

impl<E: Into<HttpProblem>> From<E> for PageError {
    fn from(error: E) -> Self {
        let HttpProblem {
            problem,
            hint_on_page,
        } = error.into();
        Self {
            problem: Problem {
                hint: hint_on_page,
                ..problem
            },
            again: None,
            way: None,
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: String,
    detail: Vec<Piece>,
    hint: Option<Vec<Piece>>,
    again: Option<Again>,
    ways: Vec<(String, String)>,
}

impl PageError {
    /// The same with the form to be mended.
    pub fn again(mut self, form: Option<Again>) -> Self {
        self.again = form.map(Box::new);
        self
    }

    /// The same with a way on.
    pub fn way(mut self, address: impl Into<String>, text: impl Into<String>) -> Self {
        self.way = Some(Box::new((address.into(), text.into())));
        self
    }

    /// The page, for who asked for that path.
    pub fn shown(self, path: &str) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let near = near(path, self.problem.kind);
        let mut ways: Vec<(String, String)> = self.way.map(|way| *way).into_iter().collect();
        ways.extend(near.filter(|near| ways.iter().all(|way| way.0 != near.0)));
        ways.push(("/".to_owned(), "All namespaces".to_owned()));
        let page = ErrorPage {
            hint: self.problem.hint.as_deref().map(pieces),
            title: self.problem.title,
            detail: pieces(&self.problem.detail),
            again: self.again.map(|form| *form),
            ways,
        };
        match page.render() {
            Ok(html) => (status, headers(), Html(html)).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        // Which path was asked for is known further out: there it becomes a page.
        let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Makes pages of errors.
pub async fn as_pages(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut answer = next.run(request).await;
    match answer.extensions_mut().remove::<PageError>() {
        Some(error) => error.shown(&path),
        None => answer,
    }
}

/// What lies nearest to a path that led nowhere, if it is there.
fn near(path: &str, kind: ProblemType) -> Option<(String, String)> {
    let mut parts = path.split('/').skip(1);
    match (parts.next()?, parts.next()) {
        ("namespaces", Some(name)) if kind != ProblemType::UnknownNamespace => {
            let name: NamespaceName = name.parse().ok()?;
            Some((format!("/namespaces/{name}"), format!("Namespace {name}")))
        }
        ("runs", Some(run)) if kind == ProblemType::BadRequest => {
            let run: buildbtw_api::RunId = run.parse().ok()?;
            Some((format!("/runs/{run}/log"), "The end of the log".to_owned()))
        }
        ("packages", _) => Some(("/sources".to_owned(), "All sources".to_owned())),
        ("workers", _) => Some(("/workers".to_owned(), "All workers".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_only_to_what_may_be_there() {
        let way = |path, kind| near(path, kind).map(|(address, _)| address);
        let found = way("/namespaces/n/77", ProblemType::NotFound);
        assert_eq!(found.as_deref(), Some("/namespaces/n"));
        let none = way("/namespaces/n", ProblemType::UnknownNamespace);
        assert_eq!(none, None);
        assert_eq!(way("/namespaces/%22x", ProblemType::NotFound), None);
        assert_eq!(way("/", ProblemType::NotFound), None);
    }
}
