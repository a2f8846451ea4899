//! Pages of lists: the items, and the headers that say where there are more.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Asking;

/// Over so many items, GitLab does not say how many there are.
const COUNTED: usize = 10_000;

/// A page of a list, as `page` and `per_page` ask for it.
pub fn page<T>(asking: &Asking, items: Vec<T>, show: impl Fn(T) -> Value) -> Response {
    let per_page = asking.given.number("per_page").unwrap_or(20).clamp(1, 100);
    let page = asking.given.number("page").unwrap_or(1).max(1);
    let total = items.len();
    let pages = total.div_ceil(per_page).max(1);
    let shown: Vec<Value> = items
        .into_iter()
        .skip((page - 1).saturating_mul(per_page))
        .take(per_page)
        .map(show)
        .collect();
    let next = (page < pages).then(|| page + 1);
    let previous = (page > 1).then(|| page - 1);
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    let number = |page: Option<usize>| page.map(|page| page.to_string()).unwrap_or_default();
    put("x-page", page.to_string());
    put("x-per-page", per_page.to_string());
    put("x-next-page", number(next));
    put("x-prev-page", number(previous));
    let mut links = vec![("first", Some(1)), ("next", next), ("prev", previous)];
    if total <= COUNTED {
        put("x-total", total.to_string());
        put("x-total-pages", pages.to_string());
        links.push(("last", Some(pages)));
    }
    let links: Vec<String> = links
        .into_iter()
        .filter_map(|(name, page)| {
            Some(format!(
                "<{}>; rel=\"{name}\"",
                link(asking, page?, per_page)
            ))
        })
        .collect();
    put("link", links.join(", "));
    (headers, axum::Json(Value::Array(shown))).into_response()
}

fn link(asking: &Asking, page: usize, per_page: usize) -> String {
    let kept = url::form_urlencoded::parse(asking.uri.query().unwrap_or_default().as_bytes())
        .filter(|(name, _)| {
            !matches!(
                &**name,
                "page" | "per_page" | "private_token" | "access_token"
            )
        });
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("page", &page.to_string())
        .append_pair("per_page", &per_page.to_string())
        .finish();
    format!("{}{}?{query}", asking.shared.url(), asking.uri.path())
}
