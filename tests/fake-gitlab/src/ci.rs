//! CI configuration: where it is, which inputs it takes, which jobs it makes.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::keeping::{self, Artifacts, Cache};
use crate::state::{Project, State};

/// Words at the top of a configuration that are no jobs.
const NO_JOBS: [&str; 12] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
    "spec",
    "pages",
];

/// A job as the configuration has it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobTemplate {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Tags that a runner must have.
    pub tags: Vec<String>,
    /// Its variables, and those of the whole configuration.
    pub variables: Vec<(String, String)>,
    /// What is run.
    pub script: Vec<String>,
    /// Whether a newer pipeline may end it.
    pub interruptible: bool,
    /// Whether its failure counts.
    pub allow_failure: bool,
    /// Whether a person has to start it.
    pub manual: bool,
    /// The longest it may take, as it is written.
    pub timeout: Option<String>,
    /// What is run after the script, however that ended.
    pub after_script: Vec<String>,
    /// Its caches.
    pub caches: Vec<Cache>,
    /// Its artifacts.
    pub artifacts: Option<Artifacts>,
    /// The jobs whose artifacts it fetches; all of earlier stages where none are named.
    pub dependencies: Option<Vec<String>>,
    /// Whether it makes a release.
    pub release: bool,
}

/// What a configuration makes with some inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The pipeline's name.
    pub name: Option<String>,
    /// The stages in order.
    pub stages: Vec<String>,
    /// The jobs.
    pub jobs: Vec<JobTemplate>,
    /// The inputs with what was not given.
    pub inputs: Map<String, Value>,
}

/// The text of a project's configuration at a commit: in the project itself, or in another one as
/// `path@group/project[:ref]`.
///
/// # Errors
///
/// When it is not there.
pub fn configuration(
    state: &State,
    project: &Project,
    commit: gix::ObjectId,
) -> Result<String, String> {
    let missing = || "Missing CI config file".to_owned();
    let path = project
        .ci_config_path
        .as_deref()
        .filter(|path| !path.is_empty())
        .unwrap_or(".gitlab-ci.yml");
    let (path, other) = match path.split_once('@') {
        None => (path, None),
        Some((path, other)) => (path, Some(other)),
    };
    let blob = match other {
        None => project.repository.file(commit, path),
        Some(other) => {
            let (other, reference) = match other.split_once(':') {
                Some((other, reference)) => (other, Some(reference)),
                None => (other, None),
            };
            let other = state.project_by_path(other).ok_or_else(|| {
                format!("Project `{other}` not found or access denied! Make sure any includes in the pipeline configuration are correctly defined.")
            })?;
            let commit = match reference {
                Some(reference) => other.repository.resolve(reference),
                None => other.repository.head_commit(),
            };
            commit.and_then(|commit| other.repository.file(commit, path))
        }
    };
    let blob = blob.ok_or_else(missing)?;
    String::from_utf8(blob.data).map_err(|_| "Invalid configuration format".to_owned())
}

/// Reads a configuration with inputs.
///
/// # Errors
///
/// When it is no configuration, or the inputs are not those that it takes.
pub fn read(text: &str, given: &Map<String, Value>) -> Result<Template, String> {
    let (header, body) = split_header(text);
    let declared = match header {
        Some(header) => {
            let header = yaml(header)?;
            header["spec"]["inputs"]
                .as_object()
                .cloned()
                .unwrap_or_default()
        }
        None => Map::new(),
    };
    let inputs = check_inputs(&declared, given)?;
    let body = yaml(&interpolate(body, &inputs)?)?;
    let body = body
        .as_object()
        .ok_or_else(|| "Invalid configuration format".to_owned())?;
    let stages = match body.get("stages").and_then(Value::as_array) {
        Some(stages) => stages.iter().map(plain).collect(),
        None => [".pre", "build", "test", "deploy", ".post"]
            .map(str::to_owned)
            .to_vec(),
    };
    let common = variables(body.get("variables"));
    let mut jobs = Vec::new();
    for (name, job) in body {
        if NO_JOBS.contains(&name.as_str()) || name.starts_with('.') {
            continue;
        }
        jobs.push(read_job(
            name,
            job,
            &body.get("default").cloned().unwrap_or_default(),
            &common,
            &stages,
        )?);
    }
    if jobs.is_empty() {
        return Err("jobs config should contain at least one visible job".to_owned());
    }
    Ok(Template {
        name: body
            .get("workflow")
            .and_then(|workflow| workflow.get("name"))
            .map(plain),
        stages,
        jobs,
        inputs,
    })
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("Invalid configuration format: {error}"))
}

/// A scalar as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The header with `spec:`, and the rest; the two are separated by `---`.
fn split_header(text: &str) -> (Option<&str>, &str) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if line.trim_end() == "---" && !text[..start].trim().is_empty() {
            return (Some(&text[..start]), &text[end..]);
        }
        start = end;
    }
    (None, text)
}

fn variables(value: Option<&Value>) -> Vec<(String, String)> {
    let map = value.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .map(|(key, value)| match value.get("value") {
            Some(value) => (key.clone(), plain(value)),
            None => (key.clone(), plain(value)),
        })
        .collect()
}

fn list(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(plain).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![plain(one)],
    }
}

fn read_job(
    name: &str,
    job: &Value,
    default: &Value,
    common: &[(String, String)],
    stages: &[String],
) -> Result<JobTemplate, String> {
    if job.get("script").is_none() && job.get("trigger").is_none() {
        return Err(format!(
            "jobs:{name} config should implement the script:, run:, or trigger: keyword"
        ));
    }
    let of = |key: &str| job.get(key).or_else(|| default.get(key));
    let stage = job.get("stage").map_or_else(|| "test".to_owned(), plain);
    if !stages.contains(&stage) {
        return Err(format!(
            "{name} job: chosen stage {stage} does not exist; available stages are {}",
            stages.join(", ")
        ));
    }
    let mut all = common.to_vec();
    for (key, value) in variables(job.get("variables")) {
        all.retain(|(other, _)| *other != key);
        all.push((key, value));
    }
    Ok(JobTemplate {
        name: name.to_owned(),
        stage,
        tags: list(of("tags")),
        variables: all,
        script: list(job.get("script")),
        interruptible: of("interruptible")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        allow_failure: job
            .get("allow_failure")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        manual: job.get("when").and_then(Value::as_str) == Some("manual"),
        timeout: of("timeout").map(plain),
        after_script: list(of("after_script")),
        caches: keeping::caches(of("cache"))?,
        artifacts: keeping::artifacts(of("artifacts"))?,
        dependencies: job.get("dependencies").map(|names| list(Some(names))),
        release: job.get("release").is_some(),
    })
}

/// Holds what was given against what is declared, and puts defaults in.
fn check_inputs(
    declared: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let unknown: Vec<&str> = given
        .keys()
        .filter(|name| !declared.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(format!("unknown input arguments: {}", unknown.join(", ")));
    }
    let mut inputs = Map::new();
    for (name, rules) in declared {
        let value = match given.get(name).or_else(|| rules.get("default")) {
            Some(value) => value.clone(),
            None => {
                return Err(format!(
                    "`{name}` input: required value has not been provided."
                ));
            }
        };
        let kind = rules
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("string");
        let fits = match kind {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            other => return Err(format!("header:spec:inputs:{name} unknown type `{other}`")),
        };
        if !fits {
            return Err(format!("`{name}` input: provided value is not a {kind}."));
        }
        if let Some(options) = rules.get("options").and_then(Value::as_array)
            && !options.contains(&value)
        {
            return Err(format!(
                "`{name}` input: `{}` cannot be used because it is not in the list of allowed options",
                plain(&value)
            ));
        }
        if let Some(pattern) = rules.get("regex").and_then(Value::as_str) {
            let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
            let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
            if !regex.is_match(&plain(&value)) {
                return Err(format!(
                    "`{name}` input: provided value does not match required RegEx pattern"
                ));
            }
        }
        inputs.insert(name.clone(), value);
    }
    Ok(inputs)
}

/// Puts inputs in the place of `$[[ inputs.name ]]`.
fn interpolate(text: &str, inputs: &Map<String, Value>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$[[") {
        let (word, after) = after
            .split_once("]]")
            .ok_or_else(|| "an interpolation block is not closed".to_owned())?;
        let name = word
            .trim()
            .strip_prefix("inputs.")
            .ok_or_else(|| format!("unknown interpolation provided: `{}`", word.trim()))?;
        let value = inputs
            .get(name)
            .ok_or_else(|| format!("unknown interpolation key: `{name}`"))?;
        result.push_str(before);
        result.push_str(&plain(value));
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// Inputs as the API of pipelines shows them.
pub fn shown(inputs: &Map<String, Value>) -> Value {
    json!(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "spec:\n  inputs:\n    run:\n      regex: /^[0-9a-f-]+$/\n    jobs:\n      type: number\n      default: 2\n    mode:\n      options: [packages, host]\n      default: host\n---\nworkflow:\n  name: \"build $[[ inputs.run ]]\"\nvariables:\n  GIT_STRATEGY: none\nbuild:\n  tags: [buildbtw]\n  interruptible: true\n  variables:\n    JOBS: \"$[[ inputs.jobs ]]\"\n  script:\n    - build $[[ inputs.run ]]\n";

    fn with(given: Value) -> Result<Template, String> {
        read(TEXT, given.as_object().unwrap())
    }

    #[test]
    fn inputs_go_where_they_are_named() {
        let template = with(json!({"run": "0ab-1", "jobs": 4})).unwrap();
        assert_eq!(template.name.as_deref(), Some("build 0ab-1"));
        let job = &template.jobs[0];
        assert_eq!(job.tags, ["buildbtw"]);
        assert_eq!(job.script, ["build 0ab-1"]);
        assert!(job.interruptible);
        assert!(job.variables.contains(&("JOBS".to_owned(), "4".to_owned())));
        assert!(
            job.variables
                .contains(&("GIT_STRATEGY".to_owned(), "none".to_owned()))
        );
        assert_eq!(template.inputs["mode"], "host");
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        for (given, expected) in [
            (
                json!({}),
                "`run` input: required value has not been provided.",
            ),
            (
                json!({"run": "1", "jobs": "4"}),
                "`jobs` input: provided value is not a number.",
            ),
            (json!({"run": "NO"}), "does not match required RegEx"),
            (
                json!({"run": "1", "mode": "vm"}),
                "not in the list of allowed options",
            ),
            (
                json!({"run": "1", "more": "x"}),
                "unknown input arguments: more",
            ),
        ] {
            let error = with(given).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for (text, expected) in [
            ("- 1", "Invalid configuration format"),
            ("a: [", "Invalid configuration format"),
            ("stages: [build]", "at least one visible job"),
            (
                "build: {stage: nowhere, script: [x]}",
                "chosen stage nowhere",
            ),
            ("build: {tags: [x]}", "should implement the script"),
        ] {
            let error = read(text, &Map::new()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
