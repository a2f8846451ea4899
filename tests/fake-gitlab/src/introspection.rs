//! The schema of a live GitLab, as it tells it itself, in the schema language.
//!
//! GraphQL's introspection (<https://spec.graphql.org/October2021/#sec-Introspection>) answers with JSON; our queries are
//! compiled against, and the fake carries them out by, the schema language. Descriptions are left out.

use apollo_compiler::Schema;
use serde_json::{Value, json};

/// Asks for everything that [`sdl`] writes. GitLab's types are wrapped at most seven times, as everybody's are.
const QUERY: &str = "query Introspection { __schema { queryType { name } mutationType { name } subscriptionType { name } \
     types { kind name interfaces { name } possibleTypes { name } enumValues(includeDeprecated: true) { name isDeprecated \
     deprecationReason } inputFields { ...Input } fields(includeDeprecated: true) { name isDeprecated deprecationReason \
     args { ...Input } type { ...Type } } } } } \
     fragment Input on __InputValue { name defaultValue type { ...Type } } \
     fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
     ofType { kind name ofType { kind name ofType { kind name } } } } } } } }";

/// What every schema has without saying so.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// Why a schema cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// The server cannot be reached, or does not answer with JSON.
    #[error("{url} does not tell its schema")]
    Http {
        /// What was asked.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the schema is refused: {0}")]
    Refused(String),
    /// The answer is not what introspection answers.
    #[error("the answer is no schema: {0}")]
    Unexpected(String),
}

/// Asks a server for its schema.
///
/// # Errors
///
/// When it does not answer, or with something else.
pub async fn fetch(url: &str, token: Option<&str>) -> Result<String, IntrospectionError> {
    let http = |source| IntrospectionError::Http {
        url: url.to_owned(),
        source,
    };
    let mut request = reqwest::Client::new()
        .post(url)
        .json(&json!({"query": QUERY}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(http)?;
    let answer = answer.error_for_status().map_err(http)?;
    let answer: Value = answer.json().await.map_err(http)?;
    sdl(&answer)
}

/// An answer to introspection, in the schema language; types in the order in which they came.
///
/// # Errors
///
/// When it is none, or what is written of it would be no valid schema.
pub fn sdl(answer: &Value) -> Result<String, IntrospectionError> {
    if let Some(error) = answer["errors"][0]["message"].as_str() {
        return Err(IntrospectionError::Refused(error.to_owned()));
    }
    let schema = &answer["data"]["__schema"];
    let Some(types) = schema["types"].as_array() else {
        return Err(IntrospectionError::Unexpected("it has no types".to_owned()));
    };
    let mut text = String::from("schema {\n");
    for root in ["query", "mutation", "subscription"] {
        if let Some(name) = schema[format!("{root}Type")]["name"].as_str() {
            text.push_str(&format!("  {root}: {name}\n"));
        }
    }
    text.push_str("}\n");
    for one in types {
        let name = name(one);
        if !name.starts_with("__") && !BUILT_IN.contains(&name) {
            define(&mut text, one);
        }
    }
    Schema::parse_and_validate(&text, "schema.graphql")
        .map_err(|invalid| IntrospectionError::Unexpected(invalid.errors.to_string()))?;
    Ok(text)
}

fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap_or_default()
}

fn list<'a>(of: &'a Value, what: &str) -> &'a [Value] {
    of[what].as_array().map_or(&[], Vec::as_slice)
}

fn define(text: &mut String, one: &Value) {
    let own = name(one);
    let names = |what: &str, between: &str| {
        let names: Vec<&str> = list(one, what).iter().map(name).collect();
        names.join(between)
    };
    let word = match one["kind"].as_str().unwrap_or_default() {
        "SCALAR" => {
            text.push_str(&format!("\nscalar {own}\n"));
            return;
        }
        "UNION" => {
            text.push_str(&format!(
                "\nunion {own} = {}\n",
                names("possibleTypes", " | ")
            ));
            return;
        }
        "INTERFACE" => "interface",
        "ENUM" => "enum",
        "INPUT_OBJECT" => "input",
        _ => "type",
    };
    let interfaces = names("interfaces", " & ");
    let implements = match interfaces.is_empty() {
        true => String::new(),
        false => format!(" implements {interfaces}"),
    };
    text.push_str(&format!("\n{word} {own}{implements} {{\n"));
    for field in list(one, "fields") {
        let arguments: Vec<String> = list(field, "args").iter().map(input).collect();
        let arguments = match arguments.is_empty() {
            true => String::new(),
            false => format!("({})", arguments.join(", ")),
        };
        text.push_str(&format!(
            "  {}{arguments}: {}{}\n",
            name(field),
            type_of(&field["type"]),
            deprecated(field)
        ));
    }
    for value in list(one, "enumValues") {
        text.push_str(&format!("  {}{}\n", name(value), deprecated(value)));
    }
    for field in list(one, "inputFields") {
        text.push_str(&format!("  {}\n", input(field)));
    }
    text.push_str("}\n");
}

/// An argument, or a field of an input.
fn input(value: &Value) -> String {
    let mut text = format!("{}: {}", name(value), type_of(&value["type"]));
    if let Some(default) = value["defaultValue"].as_str() {
        text.push_str(&format!(" = {default}"));
    }
    text
}

fn type_of(one: &Value) -> String {
    match one["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", type_of(&one["ofType"])),
        Some("LIST") => format!("[{}]", type_of(&one["ofType"])),
        _ => name(one).to_owned(),
    }
}

fn deprecated(one: &Value) -> String {
    match (&one["isDeprecated"], &one["deprecationReason"]) {
        (Value::Bool(true), Value::String(reason)) => {
            format!(" @deprecated(reason: {})", Value::String(reason.clone()))
        }
        (Value::Bool(true), _) => " @deprecated".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introspected(schema: &str) -> Value {
        let schema = Schema::parse_and_validate(schema, "schema.graphql").unwrap();
        let query =
            apollo_compiler::ExecutableDocument::parse_and_validate(&schema, QUERY, "query");
        let query = query.unwrap();
        let answer = apollo_compiler::introspection::partial_execute(
            &schema,
            &schema.implementers_map(),
            &query,
            query.operations.get(None).unwrap(),
            &apollo_compiler::request::coerce_variable_values(
                &schema,
                query.operations.get(None).unwrap(),
                &apollo_compiler::response::JsonMap::new(),
            )
            .unwrap(),
        );
        serde_json::to_value(answer.unwrap()).unwrap()
    }

    /// Everything that a schema may hold comes back as it was.
    #[test]
    fn a_schema_comes_back_as_it_was() {
        let schema = "schema {\n  query: Root\n}\n\nscalar Time\n\nunion Either = A | B\n\n\
             interface Node {\n  id: ID!\n}\n\ntype A implements Node {\n  id: ID!\n  \
             old: [String!]! @deprecated(reason: \"say \\\"new\\\"\")\n}\n\ntype B {\n  at: Time\n}\n\n\
             enum Word {\n  ONE\n  TWO @deprecated(reason: \"ONE\")\n}\n\n\
             input Order {\n  word: Word = ONE\n  many: [Int!] = [1, 2]\n}\n\n\
             type Root {\n  either(order: Order, first: Int = 10): [Either]\n  node: Node\n}\n";
        let written = sdl(&introspected(schema)).unwrap();
        let sorted = |text: &str| {
            let mut parts: Vec<String> = text.trim().split("\n\n").map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(sorted(&written), sorted(schema));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let refused = json!({"data": null, "errors": [{"message": "not for you"}]});
        let error = sdl(&refused).unwrap_err();
        assert_eq!(error.to_string(), "the schema is refused: not for you");
        assert!(sdl(&json!({"data": {}})).is_err());
        let broken = json!({"data": {"__schema": {"queryType": {"name": "Q"}, "types": []}}});
        assert!(matches!(
            sdl(&broken),
            Err(IntrospectionError::Unexpected(_))
        ));
    }
}
