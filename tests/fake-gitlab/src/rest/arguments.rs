//! What a request gives: in the query, as JSON, or as a form of Rails' kind.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::refused::Refused;

/// Everything that was given, the body before the query.
#[derive(Debug)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Reads query and body.
    ///
    /// # Errors
    ///
    /// When a body that says it is JSON is none.
    pub fn read(headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Result<Self, Refused> {
        let mut all = form(query.unwrap_or_default().as_bytes());
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if kind.starts_with("application/json") && !body.is_empty() {
            let body: Value = serde_json::from_slice(body)
                .map_err(|_| Refused::bad("400 (Bad request) \"Invalid JSON\" not given"))?;
            if let Value::Object(fields) = body {
                all.extend(fields);
            }
        } else {
            all.extend(form(body));
        }
        Ok(Self(all))
    }

    /// Something that was given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether it was given, be it as nothing.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// A text that must be given.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn needed(&self, name: &str) -> Result<String, Refused> {
        self.text(name).ok_or_else(|| Refused::missing(name))
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }

    /// A list of texts, or one text.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Some(Value::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

/// A form: `a=1`, `a[]=1`, `a[b]=1`, `a[][b]=1`, `a[0][b]=1`.
fn form(text: &[u8]) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        let (head, rest) = name.split_once('[').unwrap_or((&name, ""));
        let keys: Vec<&str> = rest
            .split('[')
            .map(|key| key.trim_end_matches(']'))
            .collect();
        let keys = if rest.is_empty() { &[] } else { &keys[..] };
        let at = all.entry(head.to_owned()).or_insert(Value::Null);
        put(at, keys, value.into_owned());
    }
    all
}

fn put(at: &mut Value, keys: &[&str], value: String) {
    let Some((key, rest)) = keys.split_first() else {
        *at = Value::String(value);
        return;
    };
    let indexed = key.is_empty() || key.parse::<usize>().is_ok();
    if !indexed {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        if let Some(fields) = at.as_object_mut() {
            put(
                fields.entry((*key).to_owned()).or_insert(Value::Null),
                rest,
                value,
            );
        }
        return;
    }
    if !at.is_array() {
        *at = Value::Array(Vec::new());
    }
    let Some(items) = at.as_array_mut() else {
        return;
    };
    let index = key.parse::<usize>().unwrap_or_else(|_| {
        // A key that the last item has already begins a new one.
        let last = items.last().and_then(Value::as_object);
        match (last, rest.first()) {
            (Some(last), Some(name)) if !last.contains_key(*name) => items.len() - 1,
            _ => items.len(),
        }
    });
    if index < 10_000 {
        while items.len() <= index {
            items.push(Value::Null);
        }
        put(&mut items[index], rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_of_every_kind_are_understood() {
        for (text, expected) in [
            ("ref=main&a=1+2%2F3", json!({"ref": "main", "a": "1 2/3"})),
            (
                "scope[]=failed&scope[]=success",
                json!({"scope": ["failed", "success"]}),
            ),
            (
                "inputs[run]=1&inputs[jobs]=4",
                json!({"inputs": {"run": "1", "jobs": "4"}}),
            ),
            (
                "variables[][key]=A&variables[][value]=1&variables[][key]=B&variables[][value]=2",
                json!({"variables": [{"key": "A", "value": "1"}, {"key": "B", "value": "2"}]}),
            ),
            (
                "variables[0][key]=A&variables[0][value]=1",
                json!({"variables": [{"key": "A", "value": "1"}]}),
            ),
        ] {
            assert_eq!(Value::Object(form(text.as_bytes())), expected, "{text}");
        }
    }
}
