//! The executor keeps to GitLab Runner's contract: the real program, driven as the Runner drives it,
//! against a double of the server.
//!
//! What the contract says, by the chapters of the Runner's source that say it, and the test that holds the
//! executor to it. That the Runner played here itself keeps to it is tested beside it
//! (`tests/fake-gitlab/tests/fake/runner.rs`, called *runner* below).
//!
//! | the contract | the test |
//! | --- | --- |
//! | order: config, prepare, stages, cleanup | `stages::a_job_goes_from_config_to_cleanup` |
//! | config: JSON and nothing else on its output | `stages::config_prints_json_and_nothing_else` |
//! | config: other output, `job_env` | *runner* `preparing_is_tried...`, `what_config_asks_for...` |
//! | prepare: three tries, a cleanup after each | `stages::a_failed_preparation_is_tried_three_times_with_a_cleanup_each` |
//! | prepare: a later try may succeed | `stages::a_preparation_that_comes_right_carries_the_job_on` |
//! | prepare: exit code 1 is final | *runner* `preparing_is_tried...`; the executor never says it: `ends::a_wrong_call_is_a_fault_of_the_system` |
//! | prepare_script, get_sources, cleanup_file_variables | `stages::a_job_goes_from_config_to_cleanup` |
//! | restore_cache, download_artifacts, step_release, after_script, archive_cache, upload_artifacts_on_success; stages of the future | `stages::other_stages_and_unknown_ones_do_nothing` |
//! | archive_cache_on_failure, upload_artifacts_on_failure | `stages::what_is_kept_of_a_failure_does_not_make_it_another` |
//! | build_script is also called step_script | `stages::the_script_may_be_called_by_its_new_name` |
//! | clear_worktree; `*_ATTEMPTS` of the stages before the script | *runner* `stages_before_the_script_are_tried...` |
//! | the script of a stage is a file; its content does not matter here | *runner* `scripts_are_those_of_their_stages`, `stages::other_stages_and_unknown_ones_do_nothing` |
//! | variables: the file of the job, `CUSTOM_ENV_`, newlines, secrets | `claims::without_the_runners_file...`, `stages::every_step_is_a_section_of_the_jobs_log_and_no_secret_is_in_it`, unit tests of `job.rs` |
//! | exit code 0; `BUILD_FAILURE_EXIT_CODE` for the package alone; `SYSTEM_FAILURE_EXIT_CODE` for all else | `ends::only_a_failure_of_the_package_is_one_of_the_build` |
//! | the codes are those that the Runner names | the same, and `ends::a_wrong_call_is_a_fault_of_the_system` |
//! | `BUILD_EXIT_CODE_FILE` | `ends::the_exit_code_of_makepkg_becomes_the_jobs`; rubbish in it: *runner* `exit_codes_decide...` |
//! | any other exit code, a signal | *runner* `exit_codes_decide...`; a panic is mapped: unit test of `main.rs` |
//! | the script is not tried again by the Runner; another job does not get the run | *runner* `exit_codes_decide...`, `claims::another_job_does_not_get_the_run` |
//! | cancelled by a person: SIGTERM to the script, then the stages after it | `aborted::a_cancelled_job_ends_its_build_and_the_stages_after_it_have_their_turn` |
//! | dropped by GitLab: everything is aborted | `aborted::a_job_that_gitlab_dropped_is_aborted` |
//! | the job's timeout | `aborted::a_job_whose_time_is_up_is_aborted` |
//! | the Runner is shut down | `aborted::a_runner_that_is_shut_down_aborts_its_job` |
//! | cleanup may run while run is still in its grace | `aborted::cleaning_up_may_begin_while_the_run_is_still_at_work` |
//! | SIGKILL after the grace | `real::nothing_is_left_of_a_run_that_was_killed` |
//! | signals reach the whole group; the guard of a build outlives it to clear up | `real::a_cancelled_build_is_gone_within_seconds`, `cleanup::the_guard_of_a_build_may_finish_its_work` |
//! | cleanup: idempotent, before anything exists, output to the Runner's log | `cleanup::cleaning_up_works_before_anything_exists_and_twice`, `cleanup::whoever_holds_the_jobs_folder_is_ended` |
//! | nothing survives between calls but what is kept by the job's number | `claims::without_the_runners_file...` |
//! | nothing is left: process, mount, file | `World::assert_nothing_left`, in all of these |

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

#[path = "../../../buildbtw-worker/tests/double/mod.rs"]
mod double;

mod aborted;
mod claims;
mod cleanup;
mod doctor;
mod ends;
#[path = "../../../tests/src/leftovers.rs"]
mod leftovers;
mod real;
mod stages;
mod world;
