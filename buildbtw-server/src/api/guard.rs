//! Who may ask: workers by their token, and browsers only from our own pages.

use axum::extract::{Request, State};
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use buildbtw_api::ProblemType;
use sha2::{Digest, Sha256};

use crate::Server;
use crate::problems::HttpProblem;

/// Lets through who shows the workers' token.
pub async fn workers_only(State(server): State<Server>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so that the time it takes says nothing about the token.
    let fits =
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(&server.worker_token));
    if fits {
        return next.run(request).await;
    }
    HttpProblem::new(
        ProblemType::Unauthorized,
        "this is for workers, and the token is missing or wrong",
    )
    .hint("WORKER_TOKEN_FILE must hold the token that lies in the server's data folder")
    .into_response()
}

/// Refuses requests that a foreign page makes a browser send: those whose Host is not one of ours
/// (a name that was made to point here), and those that change something and come from elsewhere.
pub async fn own_pages_only(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let refused = |problem: HttpProblem| match crate::web::wants_page(headers, uri) {
        true => crate::web::problem_page(problem, uri),
        false => problem.into_response(),
    };
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = said(header::HOST.as_str());
    if !host.is_some_and(|host| is_ours(&server, host)) {
        let detail = format!("the server is not known as {}", host.unwrap_or("nothing"));
        let problem = HttpProblem::new(ProblemType::ForeignOrigin, detail)
            .hint("BASE_URL names the address under which the server is reached");
        return refused(problem);
    }
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if let (true, Some(from)) = (changes, elsewhere(&said, host)) {
        let detail = format!("the request came from {from}");
        return refused(HttpProblem::new(ProblemType::ForeignOrigin, detail));
    }
    next.run(request).await
}

/// Whose page it is that has a request sent, if it is not one of ours.
fn elsewhere<'a>(said: &impl Fn(&str) -> Option<&'a str>, host: Option<&str>) -> Option<String> {
    if let Some(origin) = said(header::ORIGIN.as_str()) {
        let uri = origin.parse::<Uri>().ok();
        let authority = uri.and_then(|uri| uri.authority().map(ToString::to_string));
        if authority.as_deref() != host {
            return Some(origin.to_owned());
        }
    }
    // Of some requests a browser leaves the origin out, but not this (Fetch Metadata Request Headers).
    let site = said("sec-fetch-site")?;
    (!matches!(site, "same-origin" | "none")).then(|| format!("another site ({site})"))
}

/// Whether a Host header names this server: by an address, as localhost, or by BASE_URL.
fn is_ours(server: &Server, host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    url::Url::parse(&server.base_url).is_ok_and(|base| base.host_str() == Some(name))
}
