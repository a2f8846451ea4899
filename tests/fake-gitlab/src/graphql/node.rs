//! Objects that GraphQL asks fields of.

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use serde_json::Value;

/// What a field is.
pub enum Out {
    /// A scalar, an enum, or a list of them.
    Leaf(Value),
    /// An object, or none.
    Node(Option<Node>),
    /// A list of objects, some of which may not be seen.
    Nodes(Vec<Option<Node>>),
}

impl<T: Into<Value>> From<T> for Out {
    fn from(value: T) -> Self {
        Self::Leaf(value.into())
    }
}

/// The arguments of a field.
pub struct Arguments(Value);

impl Arguments {
    /// All of them.
    pub fn all(&self) -> &Value {
        &self.0
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.0[name]
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0[name].as_bool()
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.0[name].as_array()?;
        Some(
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    }
}

type Resolve = Box<dyn Fn(&str, &Arguments) -> Result<Option<Out>, String>>;

/// An object.
pub struct Node {
    type_name: &'static str,
    resolve: Resolve,
}

impl Node {
    /// An object whose fields a function answers; `None` is a field that the fake does not know.
    pub fn new(
        type_name: &'static str,
        resolve: impl Fn(&str, &Arguments) -> Result<Option<Out>, String> + 'static,
    ) -> Self {
        Self {
            type_name,
            resolve: Box::new(resolve),
        }
    }

    /// An object whose fields are all there.
    pub fn of(type_name: &'static str, fields: Value) -> Self {
        Self::new(type_name, move |field, _| {
            Ok(fields.get(field).map(|value| Out::Leaf(value.clone())))
        })
    }
}

impl ObjectValue for Node {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn resolve_field<'a>(
        &'a self,
        info: &'a ResolveInfo<'a>,
    ) -> Result<ResolvedValue<'a>, FieldError> {
        let arguments = serde_json::to_value(info.arguments()).unwrap_or_default();
        match (self.resolve)(info.field_name(), &Arguments(arguments)) {
            Ok(Some(Out::Leaf(Value::Array(items)))) => Ok(ResolvedValue::list(
                items.into_iter().map(ResolvedValue::leaf),
            )),
            Ok(Some(Out::Leaf(value))) => Ok(ResolvedValue::leaf(value)),
            Ok(Some(Out::Node(node))) => Ok(ResolvedValue::nullable_object(node)),
            Ok(Some(Out::Nodes(nodes))) => Ok(ResolvedValue::list(
                nodes.into_iter().map(ResolvedValue::nullable_object),
            )),
            // A field of the schema that the fake was never taught: a test sees it at once.
            Ok(None) => Err(self.unknown_field_error(info)),
            Err(message) => Err(FieldError { message }),
        }
    }
}
