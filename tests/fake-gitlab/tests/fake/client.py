"""What python-gitlab, which knows nothing of buildbtw, does with the fake GitLab."""

import sys

import gitlab

url, group_path = sys.argv[1:]

gl = gitlab.Gitlab(url, private_token="glpat-maintainer")
gl.auth()
assert gl.user.username == "buildbtw", gl.user

group = gl.groups.get(group_path)
projects = group.projects.list(iterator=True, per_page=2, order_by="name", sort="asc")
assert [project.name for project in projects] == ["a", "b", "c"], projects

project = gl.projects.get(group_path + "/a")
project.ci_config_path = "other.yml"
project.save()
assert gl.projects.get(project.id).ci_config_path == "other.yml"
project.ci_config_path = ""
project.save()

pipeline = project.pipelines.create({"ref": "main", "inputs": {"run": "7"}})
assert pipeline.name == "run 7" and pipeline.status == "pending", pipeline
assert [one.id for one in project.pipelines.list(name="run 7", get_all=True)] == [pipeline.id]
assert sorted(job.name for job in pipeline.jobs.list(get_all=True)) == ["build", "ready"]
pipeline.cancel()
assert project.pipelines.get(pipeline.id).status == "canceled"
pipeline.retry()
assert project.pipelines.get(pipeline.id).status == "pending"
try:
    project.pipelines.create({"ref": "main"})
except gitlab.exceptions.GitlabCreateError as error:
    assert error.response_code == 400 and "required value" in str(error), error
else:
    raise AssertionError("a pipeline without its input was made")
try:
    gl.projects.get(99999)
except gitlab.exceptions.GitlabGetError as error:
    assert error.response_code == 404, error

commit = project.commits.get("main")
commit.statuses.create({"state": "success", "name": "buildbtw"})
assert [status.status for status in commit.statuses.list(get_all=True)] == ["success"]
assert project.files.get("PKGBUILD", ref="main").decode() == b"pkgver=1\n"
assert project.repository_archive(sha="main")[:2] == b"\x1f\x8b"
assert [branch.name for branch in project.branches.list(get_all=True)] == ["main"]

hook = project.hooks.create({"url": "http://127.0.0.1:9/hook", "push_events": True, "token": "x"})
assert not hasattr(hook, "token")
hook.delete()
assert project.hooks.list(get_all=True) == []

print("ok")
