/* SPDX-License-Identifier: MIT */
/* When an engine counts as ready and as lost, and what is learned from it: real sockets, a stand-in for the engine. */
#include "fixture.h"

/* readiness --------------------------------------------------------------------------------------- */
static void
an_engine_that_answers_is_ready(void **state)
{
	struct fixture *f = *state;

	listen_and_start(f);
	assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
	assert_true(engine_start_s(f->e) < 0);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_string_equal(engine_last_error(f->e), "");
	assert_true(engine_start_s(f->e) >= 0);
	assert_non_null(engine_pool(f->e));
	assert_string_equal(engine_url(f->e), f->endpoint);
	assert_int_equal(engine_port(f->e), f->far.port);
	assert_string_equal(engine_kind(f->e), "openai");
	assert_false(engine_is_simulated(f->e));
	assert_int_equal(engine_pid(f->e), 0);
	assert_null(engine_authorization(f->e));
	assert_null(strstr(f->far.head, "Authorization"));
	assert_string_equal(f->history, "ready ");
}

static void
an_engine_that_loads_is_asked_until_it_is_done(void **state)
{
	struct fixture *f = *state;

	f->far.models_status = 503;
	listen_and_start(f);
	RUN_UNTIL(f, f->far.asked >= 4);
	assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
	assert_string_equal(engine_last_error(f->e), "it is loading: GET /v1/models gave 503");
	f->far.models_status = 200;
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_string_equal(f->history, "ready ");
	assert_int_equal(f->far.asked_health, 0);
}

static void
an_engine_that_is_not_there_yet_may_come(void **state)
{
	struct fixture *f = *state;

	listen_and_start(f); /* for the port */
	stop(f);
	stand_in_close(&f->far);
	f->stopped = false;
	start(f);
	run_for_us(f, 30000);
	assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
	assert_non_null(strstr(engine_last_error(f->e), "refused"));
	stand_in_listen(&f->far, &f->loop);
	RUN_UNTIL_STATE(f, ENGINE_READY);
}

/* A slow start must not fill the engine's log; but a start that is done is seen soon. */
static void
questions_become_rarer_during_a_start_but_not_much(void **state)
{
	struct fixture *f = *state;

	f->far.models_status = 503;
	f->setup.times.starting_us = 10000;
	listen_and_start(f);
	run_for_us(f, 1000000);
	assert_in_range(f->far.asked, 5, 35); /* 100 without backoff; 25 or more a second at its end */
}

static void
a_ready_engine_is_asked_on(void **state)
{
	struct fixture *f = *state;

	listen_and_start(f);
	RUN_UNTIL(f, f->far.asked >= 3);
	assert_string_equal(f->history, "ready ");
}

/* keys and names ---------------------------------------------------------------------------------- */
static void
the_engines_key_is_sent(void **state)
{
	struct fixture *f = *state;

	f->model.endpoint_api_key = (char *)(uintptr_t) "secret-7";
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_non_null(strstr(f->far.head, "Authorization: Bearer secret-7\r\n"));
	assert_string_equal(engine_authorization(f->e), "Bearer secret-7");
}

static void
the_one_name_of_an_engine_is_learned(void **state)
{
	struct fixture *f = *state;

	f->far.models_body = LISTS("/models/llama.gguf");
	listen_and_start(f);
	assert_null(engine_upstream_model(f->e));
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_string_equal(engine_upstream_model(f->e), "/models/llama.gguf");
}

static void
names_that_say_nothing_are_not_learned(void **state)
{
	struct fixture *f = *state;
	const char *bodies[] = {
		LISTS(MODEL),
		"{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}",
		"{\"data\":[]}",
		"{\"data\":[{\"id\":7}]}",
		"{\"data\":[{\"id\":\"a\\u0000b\"}]}",
		"[]",
		"not json",
		"",
		"{\"data\":{\"id\":\"a\"}}",
	};

	listen_and_start(f);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		stop(f);
		f->stopped = false;
		f->far.models_body = bodies[i];
		start(f);
		RUN_UNTIL_STATE(f, ENGINE_READY);
		assert_null(engine_upstream_model(f->e));
	}
}

static void
a_name_that_is_too_long_is_not_learned(void **state)
{
	struct fixture *f = *state;
	char body[1200];

	snprintf(body, sizeof(body), "{\"data\":[{\"id\":\"%01000d\"}]}", 7);
	f->far.models_body = body;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_null(engine_upstream_model(f->e));
}

static void
an_engine_without_a_list_is_asked_for_its_health(void **state)
{
	static const unsigned statuses[] = { 401, 403, 404, 405 };
	struct fixture *f = *state;

	f->model.endpoint_api_key = (char *)(uintptr_t) "wrong";
	listen_and_start(f);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		stop(f);
		f->stopped = false;
		f->far.models_status = statuses[i];
		f->far.health_status = 503;
		f->far.asked = f->far.asked_health = 0;
		start(f);
		RUN_UNTIL(f, f->far.asked_health >= 2);
		assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
		f->far.health_status = 200;
		RUN_UNTIL_STATE(f, ENGINE_READY);
		assert_null(engine_upstream_model(f->e));
		/* It works, but its user should hear about the key. */
		assert_int_equal(strstr(engine_last_error(f->e), "endpoint_api_key") != NULL,
				 statuses[i] < 404);
	}
}

static void
an_engine_that_has_neither_is_told_of(void **state)
{
	struct fixture *f = *state;

	f->far.models_status = f->far.health_status = 404;
	listen_and_start(f);
	RUN_UNTIL(f, f->far.asked_health >= 2);
	assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
	assert_string_equal(engine_last_error(f->e), "GET /v1/models gave 404 and GET /health 404");
}

/* A proxy that knows nothing until its engine has come. */
static void
the_list_is_asked_for_again_after_health_failed(void **state)
{
	struct fixture *f = *state;

	f->far.models_status = f->far.health_status = 404;
	listen_and_start(f);
	RUN_UNTIL(f, f->far.asked_health >= 1);
	f->far.models_status = 200;
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_string_equal(engine_last_error(f->e), "");
}

/* loss -------------------------------------------------------------------------------------------- */
static void
an_idle_engine_that_ends_is_lost_and_comes_back(void **state)
{
	struct fixture *f = *state;

	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	stand_in_close(&f->far);
	RUN_UNTIL_STATE(f, ENGINE_LOST);
	assert_non_null(engine_pool(f->e));
	assert_non_null(strstr(engine_last_error(f->e), "refused"));
	f->far.models_body = LISTS("another");
	stand_in_listen(&f->far, &f->loop);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_string_equal(f->history, "ready lost ready ");
	assert_string_equal(engine_upstream_model(f->e), "another");
	assert_string_equal(engine_last_error(f->e), "");
}

static void
an_engine_that_only_fails_once_is_not_lost(void **state)
{
	struct fixture *f = *state;
	unsigned asked;

	f->setup.times.starting_us = 50000;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	asked = f->far.asked;
	f->far.models_status = 500;
	RUN_UNTIL(f, f->far.asked > asked);
	f->far.models_status = 200;
	run_for_us(f, 200000);
	assert_string_equal(f->history, "ready ");
}

static void
a_probe_that_hangs_while_tokens_flow_is_no_failure(void **state)
{
	struct fixture *f = *state;
	uint64_t end_us;

	f->setup.times.timeout_us = 10000;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	f->far.silent = true;
	end_us = clock_mono_us() + 500000;
	while (clock_mono_us() < end_us) {
		uv_run(&f->loop, UV_RUN_ONCE);
		engine_note_progress(f->e, uv_now(&f->loop) * 1000);
	}
	assert_int_equal(engine_get_state(f->e), ENGINE_READY);
	assert_true(engine_last_progress_us(f->e) > 0);
	/* Then nothing flows any more. */
	RUN_UNTIL_STATE(f, ENGINE_LOST);
}

/* Even where one failure is enough: what flows while the probe hangs proves more. */
static void
progress_during_a_probe_outweighs_it(void **state)
{
	struct fixture *f = *state;
	unsigned asked;

	f->setup.times.timeout_us = 30000;
	f->setup.times.lost_after = 1;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	f->far.silent = true;
	asked = f->far.asked;
	RUN_UNTIL(f, f->far.asked > asked);
	engine_note_progress(f->e, uv_now(&f->loop) * 1000 + 1000);
	asked = f->far.asked;
	RUN_UNTIL(f, f->far.asked > asked); /* the first one has failed */
	assert_int_equal(engine_get_state(f->e), ENGINE_READY);
	RUN_UNTIL_STATE(f, ENGINE_LOST);
}

static void
progress_between_probes_begins_the_count_anew(void **state)
{
	struct fixture *f = *state;

	f->setup.times.lost_after = 2;
	f->setup.times.starting_us = f->setup.times.ready_us = 100000;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	f->far.models_status = 500;
	for (unsigned i = 0; i < 4; i++) {
		unsigned asked = f->far.asked;

		RUN_UNTIL(f, f->far.asked > asked);
		run_for_us(f, 20000); /* it has failed */
		engine_note_progress(f->e, uv_now(&f->loop) * 1000);
		assert_int_equal(engine_get_state(f->e), ENGINE_READY);
	}
	RUN_UNTIL_STATE(f, ENGINE_LOST);
}

static void
a_refused_request_makes_the_loss_known_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t then;

	f->setup.times.ready_us = f->setup.times.starting_us = 3600ull * 1000000;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	stand_in_close(&f->far);
	then = clock_mono_us();
	engine_note_failure(f->e, uv_now(&f->loop) * 1000);
	RUN_UNTIL_STATE(f, ENGINE_LOST);
	assert_true(clock_mono_us() - then < PATIENCE_US / 2);
}

static void
a_refused_request_alone_loses_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned asked;

	f->setup.times.ready_us = 3600ull * 1000000;
	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	asked = f->far.asked;
	for (unsigned i = 0; i < 1000; i++)
		engine_note_failure(f->e, uv_now(&f->loop) * 1000);
	RUN_UNTIL(f, f->far.asked > asked);
	run_for_us(f, 50000);
	assert_int_equal(f->far.asked, asked + 1);
	assert_string_equal(f->history, "ready ");
}

static void
ages_are_told_from_the_last_change(void **state)
{
	struct fixture *f = *state;
	uint64_t now_us;

	listen_and_start(f);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	now_us = uv_now(&f->loop) * 1000;
	assert_true(engine_state_age_us(f->e, now_us + 5000000) >= 5000000);
	assert_true(engine_state_age_us(f->e, now_us + 5000000) < 10000000);
	assert_int_equal(engine_state_age_us(f->e, 0), 0);
}

/* addresses --------------------------------------------------------------------------------------- */
static void
an_engine_may_listen_on_a_unix_socket(void **state)
{
	struct fixture *f = *state;

	f->far.is_pipe = true;
	snprintf(f->far.path, sizeof(f->far.path), "/tmp/kw-engine-%d.sock", (int)getpid());
	unlink(f->far.path);
	snprintf(f->endpoint, sizeof(f->endpoint), "unix:%s", f->far.path);
	f->model.endpoint = f->endpoint;
	start(f);
	run_for_us(f, 30000); /* refused at once, in the very call */
	assert_int_equal(engine_get_state(f->e), ENGINE_STARTING);
	stand_in_listen(&f->far, &f->loop);
	RUN_UNTIL_STATE(f, ENGINE_READY);
	assert_int_equal(engine_port(f->e), 0);
	stand_in_close(&f->far);
	RUN_UNTIL_STATE(f, ENGINE_LOST);
}

static void
endpoints_that_cannot_be_used_are_refused(void **state)
{
	struct fixture *f = *state;
	const char *bad[] = { NULL, "https://api.example.com/v1", "localhost:8000",
			      "http://host:99999", "unix:x" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct diag d = { 0 };

		f->model.endpoint = (char *)(uintptr_t)bad[i];
		assert_null(engine_create(&f->loop, &f->model, &f->setup, &ops, f, &d));
		assert_true(d.what[0]);
	}
	engine_destroy(NULL);
}

/* stopping ---------------------------------------------------------------------------------------- */
static void
an_engine_that_was_never_started_stops_at_once(void **state)
{
	struct fixture *f = *state;

	f->model.endpoint = (char *)(uintptr_t) "http://127.0.0.1:1";
	create(f);
	assert_null(engine_pool(f->e));
	engine_stop(f->e, on_stopped, f);
	assert_true(f->stopped);
}

static void
stopping_while_a_probe_hangs_ends_it(void **state)
{
	struct fixture *f = *state;

	f->far.silent = true;
	listen_and_start(f);
	RUN_UNTIL(f, f->far.asked == 1);
	stop(f);
	assert_true(f->stopped);
	assert_string_equal(f->history, "");
}

static bool
yes(struct fixture *f)
{
	(void)f;
	return true;
}

static void
an_engine_may_be_stopped_in_the_middle_of_its_news(void **state)
{
	struct fixture *f = *state;

	f->stop_on_state = yes;
	listen_and_start(f);
	RUN_UNTIL(f, f->stopped);
	assert_string_equal(f->history, "ready ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_engine_that_answers_is_ready),
		T(an_engine_that_loads_is_asked_until_it_is_done),
		T(an_engine_that_is_not_there_yet_may_come),
		T(questions_become_rarer_during_a_start_but_not_much),
		T(a_ready_engine_is_asked_on),
		T(the_engines_key_is_sent),
		T(the_one_name_of_an_engine_is_learned),
		T(names_that_say_nothing_are_not_learned),
		T(a_name_that_is_too_long_is_not_learned),
		T(an_engine_without_a_list_is_asked_for_its_health),
		T(an_engine_that_has_neither_is_told_of),
		T(the_list_is_asked_for_again_after_health_failed),
		T(an_idle_engine_that_ends_is_lost_and_comes_back),
		T(an_engine_that_only_fails_once_is_not_lost),
		T(a_probe_that_hangs_while_tokens_flow_is_no_failure),
		T(progress_during_a_probe_outweighs_it),
		T(progress_between_probes_begins_the_count_anew),
		T(a_refused_request_makes_the_loss_known_at_once),
		T(a_refused_request_alone_loses_nothing),
		T(ages_are_told_from_the_last_change),
		T(an_engine_may_listen_on_a_unix_socket),
		T(endpoints_that_cannot_be_used_are_refused),
		T(an_engine_that_was_never_started_stops_at_once),
		T(stopping_while_a_probe_hangs_ends_it),
		T(an_engine_may_be_stopped_in_the_middle_of_its_news),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
