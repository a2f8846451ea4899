//! Connections: a page of a list, with a cursor for each of its items.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::limits::LARGEST_PAGE;
use super::node::{Arguments, Node, Out};

/// An item of a list, with what its place in the list goes by: keys grow along the list.
pub struct Item<K, T> {
    /// Where it stands.
    pub key: K,
    /// What it is.
    pub value: T,
}

fn cursor(key: &Value) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

fn read_cursor(text: &str) -> Result<Value, String> {
    let wrong = || "Please provide a valid cursor".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    serde_json::from_slice(&bytes).map_err(|_| wrong())
}

/// The page of a list that the arguments ask for, with so many items at most. `key` makes a cursor of a key, `is_after` says whether an item
/// stands behind a cursor, and `node` makes the object; it is called for items of the page only.
pub fn connection<K: 'static, T: 'static>(
    type_name: &'static str,
    edge_type: &'static str,
    items: Vec<Item<K, T>>,
    (arguments, most): (&Arguments, usize),
    key: impl Fn(&K) -> Value,
    is_after: impl Fn(&K, &Value) -> bool,
    node: impl Fn(&T) -> Option<Node> + 'static,
) -> Result<Node, String> {
    let count = items.len();
    let after = arguments.text("after").map(read_cursor).transpose()?;
    let before = arguments.text("before").map(read_cursor).transpose()?;
    let mut chosen: Vec<Item<K, T>> = items
        .into_iter()
        .filter(|item| {
            after
                .as_ref()
                .is_none_or(|after| is_after(&item.key, after))
        })
        .filter(|item| {
            before
                .as_ref()
                .is_none_or(|before| !is_after(&item.key, before) && key(&item.key) != *before)
        })
        .collect();
    let page = arguments
        .number("first")
        .or_else(|| arguments.number("last"))
        .unwrap_or(LARGEST_PAGE)
        .min(most);
    let more = chosen.len() > page;
    let from_the_end = arguments.number("first").is_none() && arguments.number("last").is_some();
    if from_the_end {
        chosen.drain(..chosen.len().saturating_sub(page));
    } else {
        chosen.truncate(page);
    }
    let has_before = if from_the_end { more } else { after.is_some() };
    let cursors: Vec<String> = chosen.iter().map(|item| cursor(&key(&item.key))).collect();
    let info = json!({
        "startCursor": cursors.first(), "endCursor": cursors.last(),
        "hasNextPage": more && !from_the_end, "hasPreviousPage": has_before,
    });
    let node = std::rc::Rc::new(node);
    let values: std::rc::Rc<Vec<T>> =
        std::rc::Rc::new(chosen.into_iter().map(|item| item.value).collect());
    Ok(Node::new(type_name, move |field, _| {
        Ok(Some(match field {
            "count" => count.into(),
            "nodes" => Out::Nodes(values.iter().map(|value| node(value)).collect()),
            "edges" => {
                let edges = (0..values.len()).map(|at| {
                    let (values, node, cursor) = (
                        std::rc::Rc::clone(&values),
                        std::rc::Rc::clone(&node),
                        cursors[at].clone(),
                    );
                    Some(Node::new(edge_type, move |field, _| {
                        Ok(Some(match field {
                            "cursor" => cursor.clone().into(),
                            "node" => Out::Node(node(&values[at])),
                            _ => return Ok(None),
                        }))
                    }))
                });
                Out::Nodes(edges.collect())
            }
            "pageInfo" => Out::Node(Some(Node::of("PageInfo", info.clone()))),
            _ => return Ok(None),
        }))
    }))
}

/// A page of a list whose items have no key but their place.
pub fn by_place<T: 'static>(
    type_name: &'static str,
    edge_type: &'static str,
    items: Vec<T>,
    arguments: &Arguments,
    node: impl Fn(&T) -> Option<Node> + 'static,
) -> Result<Node, String> {
    let items = items
        .into_iter()
        .enumerate()
        .map(|(key, value)| Item { key, value })
        .collect();
    connection(
        type_name,
        edge_type,
        items,
        (arguments, LARGEST_PAGE),
        |key| json!({"offset": key}),
        |key, after| {
            after["offset"]
                .as_u64()
                .is_some_and(|after| *key as u64 > after)
        },
        node,
    )
}
