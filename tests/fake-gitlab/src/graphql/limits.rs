//! What a query costs, and what it may cost.
//!
//! GitLab counts one for a field, one more if git is asked for it, and for a field with a resolver of its
//! own what is below it and one, with more for sorting and searching and for the projects of a
//! group. What is below a connection counts by the number of its items: a hundred count twice.

use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};

use crate::access::{Access, Role};

/// The longest query, in characters.
pub const LONGEST_QUERY: usize = 10_000;

/// The most items of a page, and how many it has unless asked.
pub const LARGEST_PAGE: usize = 100;

/// Fields for which git is asked.
const ASKS_GIT: [(&str, &str); 11] = [
    ("Repository", "rootRef"),
    ("Repository", "blobs"),
    ("Repository", "branchNames"),
    ("Repository", "branchCount"),
    ("Repository", "tagCount"),
    ("Repository", "commitCount"),
    ("Repository", "commit"),
    ("Repository", "lastCommit"),
    ("Repository", "tree"),
    ("Repository", "paginatedTree"),
    ("Repository", "exists"),
];

/// What a query of this asker may cost.
pub fn most_complexity(access: &Access) -> u64 {
    match access.role() {
        Role::Admin => 300,
        _ if access.username().is_some() => 250,
        _ => 200,
    }
}

/// How deep a query of this asker may be.
pub fn deepest(access: &Access) -> usize {
    if access.username().is_some() { 20 } else { 15 }
}

/// What an operation costs.
pub fn complexity(
    schema: &Valid<Schema>,
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &JsonMap,
) -> u64 {
    let counting = Counting {
        schema,
        document,
        variables,
    };
    // Parts of a point are dropped at the end, not on the way.
    counting.below(&operation.selection_set).floor() as u64
}

struct Counting<'a> {
    schema: &'a Valid<Schema>,
    document: &'a ExecutableDocument,
    variables: &'a JsonMap,
}

impl Counting<'_> {
    fn below(&self, set: &SelectionSet) -> f64 {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) => self.field(&set.ty, field),
                Selection::FragmentSpread(spread) => self
                    .document
                    .fragments
                    .get(&spread.fragment_name)
                    .map_or(0.0, |fragment| self.below(&fragment.selection_set)),
                Selection::InlineFragment(inline) => self.below(&inline.selection_set),
            })
            .sum()
    }

    fn field(&self, parent: &str, field: &Field) -> f64 {
        if field.name.starts_with("__") {
            return 0.0;
        }
        let below = self.below(&field.selection_set);
        let git = ASKS_GIT.contains(&(parent, field.name.as_str()));
        let mut cost = 1.0 + below + f64::from(u8::from(git));
        let given = |name: &str| {
            field
                .specified_argument_by_name(name)
                .is_some_and(|value| !self.is_null(value))
        };
        if given("sort") {
            cost += 1.0;
        }
        if given("search") {
            cost += 5.0;
        }
        if (parent, field.name.as_str()) == ("Group", "projects") {
            cost += 10.0;
        }
        if self.is_connection(field) {
            cost += below * 0.01 * self.page(field) as f64;
        }
        cost
    }

    fn is_null(&self, value: &apollo_compiler::ast::Value) -> bool {
        match value.as_variable() {
            Some(name) => self
                .variables
                .get(name.as_str())
                .is_none_or(|value| value.is_null()),
            None => value.is_null(),
        }
    }

    fn is_connection(&self, field: &Field) -> bool {
        match field.inner_type_def(self.schema) {
            Some(ExtendedType::Object(object)) => object.fields.contains_key("pageInfo"),
            _ => false,
        }
    }

    /// How many items are asked for.
    fn page(&self, field: &Field) -> usize {
        let given = |name: &str| {
            let value = field.specified_argument_by_name(name)?;
            let number = match value.as_variable() {
                Some(name) => self.variables.get(name.as_str())?.as_u64()?,
                None => u64::try_from(value.to_i32()?).ok()?,
            };
            usize::try_from(number).ok()
        };
        given("first")
            .or_else(|| given("last"))
            .unwrap_or(LARGEST_PAGE)
            .min(LARGEST_PAGE)
    }
}

/// How deep an operation is: the most fields within each other.
pub fn depth(document: &ExecutableDocument, operation: &Operation) -> usize {
    fn below(document: &ExecutableDocument, set: &SelectionSet) -> usize {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) => 1 + below(document, &field.selection_set),
                Selection::FragmentSpread(spread) => document
                    .fragments
                    .get(&spread.fragment_name)
                    .map_or(0, |fragment| below(document, &fragment.selection_set)),
                Selection::InlineFragment(inline) => below(document, &inline.selection_set),
            })
            .max()
            .unwrap_or(0)
    }
    below(document, &operation.selection_set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::schema;

    fn cost(text: &str) -> u64 {
        let document =
            ExecutableDocument::parse_and_validate(schema(), text, "query.graphql").unwrap();
        let operation = document.operations.get(None).unwrap();
        complexity(schema(), &document, operation, &JsonMap::new())
    }

    #[test]
    fn each_rule_counts() {
        assert_eq!(cost("{ metadata { version } }"), 2);
        assert_eq!(cost("{ project(fullPath: \"x\") { id name } }"), 3);
        // A hundred nodes count what is below them twice; fewer count less.
        assert_eq!(cost("{ projects { nodes { id } } }"), 1 + 2 * 2);
        assert_eq!(
            cost("{ projects(first: 50) { nodes { id name } } }"),
            1 + 3 + 1
        );
        assert_eq!(cost("{ projects(first: 500) { nodes { id } } }"), 1 + 2 * 2);
        // Sorting costs one, searching five, the projects of a group ten.
        assert_eq!(cost("{ projects(sort: \"id_desc\") { nodes { id } } }"), 6);
        assert_eq!(cost("{ projects(search: \"x\") { nodes { id } } }"), 10);
        assert_eq!(
            cost("{ group(fullPath: \"x\") { projects { nodes { id } } } }"),
            1 + 11 + 2 * 2
        );
        // git costs one more.
        assert_eq!(
            cost("{ project(fullPath: \"x\") { repository { rootRef } } }"),
            4
        );
    }

    #[test]
    fn pipelines_with_their_jobs_are_too_much() {
        let text = "{ projects { nodes { pipelines { nodes { jobs { nodes { \
            id name status stage { name } startedAt finishedAt duration } } } } } } }";
        assert!(cost(text) <= 250, "{}", cost(text));
        let text = text.replace(
            "id name status",
            "id name status active cancelable createdAt exitCode failureMessage kind playable \
             queuedAt refName retried retryable scheduled shortSha source stuck tags triggered webPath \
             allowFailure browseArtifactsPath commitPath coverage erasedAt playPath",
        );
        assert!(cost(&text) > 250, "{}", cost(&text));
    }

    #[test]
    fn depth_is_that_of_the_deepest_field() {
        let text = "{ a: metadata { version } project(fullPath: \"x\") { ...F } } \
            fragment F on Project { repository { commit(ref: \"x\") { sha } } }";
        let document =
            ExecutableDocument::parse_and_validate(schema(), text, "query.graphql").unwrap();
        assert_eq!(depth(&document, document.operations.get(None).unwrap()), 4);
    }
}
