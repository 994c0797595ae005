/* SPDX-License-Identifier: MIT */
/* The engine that is our own child: shell scripts stand in for it, and the real simulator at last. */
#include <sys/stat.h>
#include "base/log.h"
#include "fixture.h"

/* the simulator as a child ------------------------------------------------------------------------ */
static void
use_script(struct fixture *f, const char *text)
{
	FILE *to;
	int fd;

	snprintf(f->script, sizeof(f->script), "/tmp/kw-engine-XXXXXX");
	fd = mkstemp(f->script);
	assert_true(fd >= 0);
	to = fdopen(fd, "w");
	fprintf(to, "#!/bin/sh\n%s\n", text);
	fchmod(fd, 0700);
	fclose(to);
	f->model.engine = CONFIG_SIM;
	f->setup.self_exe = f->script;
}

static void
a_child_that_ends_at_once_says_why(void **state)
{
	struct fixture *f = *state;

	log_set_level(LOG_ERROR);
	use_script(f, "echo first >&2; echo 'no such preset' >&2; exit 3");
	start(f);
	assert_null(engine_pool(f->e));
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	assert_string_equal(engine_last_error(f->e), "ended with code 3: no such preset");
	assert_int_equal(engine_pid(f->e), 0);
	assert_null(engine_pool(f->e));
	assert_string_equal(f->history, "failed ");
}

/* Our own log's time and level say nothing in a reason. */
static void
a_reason_is_without_time_and_level(void **state)
{
	struct fixture *f = *state;

	log_set_level(LOG_ERROR);
	use_script(f, "echo '2026-11-25T22:17:48.020983Z INFO  it was full' >&2; exit 1");
	start(f);
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	assert_string_equal(engine_last_error(f->e), "ended with code 1: it was full");
}

static void
a_child_that_a_signal_ends_says_so(void **state)
{
	struct fixture *f = *state;

	use_script(f, "kill -9 $$");
	start(f);
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	assert_string_equal(engine_last_error(f->e), "was ended by signal 9");
}

static void
a_child_that_cannot_be_started_is_failed(void **state)
{
	struct fixture *f = *state;

	f->model.engine = CONFIG_SIM;
	start(f);
	assert_int_equal(engine_get_state(f->e), ENGINE_FAILED);
	assert_non_null(strstr(engine_last_error(f->e), "could not be started: no such file"));
}

static void
a_child_that_talks_nonsense_is_failed_and_ended(void **state)
{
	struct fixture *f = *state;

	use_script(f, "echo '{\"address\":\"127.0.0.1\",\"port\":\"many\"}' >&3; exec sleep 1000");
	start(f);
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	assert_string_equal(engine_last_error(f->e),
			    "did not tell its address in a way that is understood");
	RUN_UNTIL(f, engine_pid(f->e) == 0);
	assert_string_equal(f->history, "failed ");
}

static void
a_child_is_reached_at_the_address_that_it_tells(void **state)
{
	struct fixture *f = *state;
	char text[512];

	stand_in_listen(&f->far, &f->loop);
	snprintf(text, sizeof(text),
		 "echo \"$@\" >&2; echo '{\"address\":\"127.0.0.1\",\"port\":%d,\"pid\":1}' >&3; read x <&3; exec sleep 1000",
		 f->far.port);
	use_script(f, text);
	start(f);
	assert_true(engine_is_simulated(f->e));
	assert_string_equal(engine_url(f->e), "");
	RUN_UNTIL_STATE(f, ENGINE_READY);
	snprintf(text, sizeof(text), "http://127.0.0.1:%d", f->far.port);
	assert_string_equal(engine_url(f->e), text);
	assert_true(engine_pid(f->e) > 0);
	assert_int_equal(getsid(engine_pid(f->e)), engine_pid(f->e)); /* Ctrl-C does not reach it */
	kill(engine_pid(f->e), SIGKILL);
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	assert_string_equal(f->history, "ready failed ");
}

static void
what_the_config_says_of_the_simulator_is_passed(void **state)
{
	struct fixture *f = *state;
	char want[256];

	f->model.sim_preset = (char *)(uintptr_t) "h100-llama31-8b";
	f->model.sim_host = (char *)(uintptr_t) "h100";
	f->model.sim_max_num_seqs = 7;
	use_script(f, "echo \"$@\" >&2; exit 1");
	start(f);
	RUN_UNTIL_STATE(f, ENGINE_FAILED);
	snprintf(want, sizeof(want),
		 "ended with code 1: sim --port 0 --report-fd 3 --die-with-parent=%d --model " MODEL
		 " --preset h100-llama31-8b --host-cpu h100 --max-num-seqs 7",
		 (int)getpid());
	assert_string_equal(engine_last_error(f->e), want);
}

static void
a_child_that_ignores_sigterm_is_killed(void **state)
{
	struct fixture *f = *state;
	uint64_t then;
	pid_t pid;

	use_script(f, "trap '' TERM; echo up >&2; while :; do sleep 0.05; done");
	start(f);
	run_for_us(f, 300000); /* until the trap stands */
	pid = engine_pid(f->e);
	assert_true(pid > 0);
	then = clock_mono_us();
	stop(f);
	assert_true(clock_mono_us() - then > 1500000);
	assert_int_equal(kill(pid, 0), -1);
}

static void
the_real_simulator_becomes_ready(void **state)
{
	struct fixture *f = *state;

	f->model.engine = CONFIG_SIM;
	f->setup.self_exe = getenv("KVWARDEN_BINARY");
	assert_non_null(f->setup.self_exe);
	start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_null(engine_upstream_model(f->e)); /* it serves the very name */
	assert_string_equal(engine_kind(f->e), "sim");
	stop(f);
	assert_string_equal(f->history, "ready ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_child_that_ends_at_once_says_why),
		T(a_reason_is_without_time_and_level),
		T(a_child_that_a_signal_ends_says_so),
		T(a_child_that_cannot_be_started_is_failed),
		T(a_child_that_talks_nonsense_is_failed_and_ended),
		T(a_child_is_reached_at_the_address_that_it_tells),
		T(what_the_config_says_of_the_simulator_is_passed),
		T(a_child_that_ignores_sigterm_is_killed),
		T(the_real_simulator_becomes_ready),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
