//! The queries in `graphql/`, as types. One that the schema does not allow does not compile.

#![allow(
    missing_docs,
    clippy::large_enum_variant,
    reason = "the types below are made from the queries, which explain themselves"
)]

use graphql_client::GraphQLQuery;

/// ISO 8601, as text.
type Time = String;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/projects_page.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct ProjectsPage;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/projects_by_id.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct ProjectsById;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/project_by_path.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct ProjectByPath;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/resolve_reference.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct ResolveReference;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/branch_names.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct BranchNames;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/commit_files.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct CommitFiles;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/who_am_i.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct WhoAmI;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "../graphql/schema.graphql",
    query_path = "../graphql/queries/ci_configurations.graphql",
    variables_derives = "Debug, Clone",
    response_derives = "Debug, Clone"
)]
pub struct CiConfigurations;
