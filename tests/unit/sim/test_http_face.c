/* SPDX-License-Identifier: MIT */
/* The simulated engine over a real socket: a child process serves, the test is a client that reads every byte. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "sim/http_face.h"

struct engine {
	pid_t pid;
	uint16_t port;
};

static void
serve(const struct sim_face_options *o, int report)
{
	struct sim_source *source = sim_source_paced(1000);
	uv_loop_t loop;
	struct sim_face *f;
	uint16_t port;

	uv_loop_init(&loop);
	f = sim_face_create(&loop, o, source, NULL);
	if (!f || sim_face_listen(f, "127.0.0.1", 0, &port, NULL) ||
	    write(report, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	uv_run(&loop, UV_RUN_DEFAULT);
	_exit(0);
}

static struct engine
start_engine(const struct sim_face_options *o)
{
	struct engine e;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	e.pid = fork();
	assert_true(e.pid >= 0);
	if (e.pid == 0)
		serve(o, fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &e.port, sizeof(e.port)), sizeof(e.port));
	close(fds[0]);
	return e;
}

static void
stop_engine(struct engine *e)
{
	kill(e->pid, SIGKILL);
	waitpid(e->pid, NULL, 0);
}

/* -1 when the connection is refused. */
static int
connect_to(const struct engine *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(e->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
send_request(const struct engine *e, const char *path, const char *fields, const char *body)
{
	struct buf text;
	int fd = connect_to(e);

	assert_true(fd >= 0);
	buf_init(&text, 1 << 20);
	buf_addf(&text, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s",
		 body ? "POST" : "GET", path, fields);
	if (body)
		buf_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			 strlen(body));
	buf_addf(&text, "\r\n%s", body ? body : "");
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	buf_finish(&text);
	return fd;
}

/* Reads to the end; returns 0, or the errno of the end. */
static int
read_all(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	buf_clear(out);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(out, piece, (size_t)n);
	close(fd);
	buf_cstr(out);
	return n < 0 ? errno : 0;
}

#define CHAT "/v1/chat/completions"
#define TEXT "/v1/completions"
#define CHAT_BODY                                                                                                     \
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"max_tokens\":4,\"stream\":true," \
	"\"stream_options\":{\"include_usage\":true}}"
#define TEXT_BODY "{\"model\":\"m\",\"prompt\":\"hello\",\"max_tokens\":4,\"stream\":true}"

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static struct sim_face_options
options_of(const struct sim_personality *p)
{
	struct sim_face_options o = SIM_FACE_OPTIONS_DEFAULT;

	o.personality = p;
	o.models[o.n_models++] = "m";
	return o;
}

/* One request and everything that came back for it. */
static int
ask(const struct sim_personality *p, const char *path, const char *fields, const char *body,
    struct buf *out)
{
	struct sim_face_options o = options_of(p);
	struct engine e = start_engine(&o);
	int err = read_all(send_request(&e, path, fields, body), out);

	stop_engine(&e);
	return err;
}

static void
a_chat_stream_comes_whole_from_each_personality(void **state)
{
	static const struct {
		const struct sim_personality *who;
		const char *content, *usage;
		unsigned contents, usages, events, dones;
	} cases[] = {
		{ &sim_vllm, "\"content\":\" ", "\"completion_tokens\":4}", 3, 1, 7, 1 },
		{ &sim_sglang, "\"content\":\" ", "\"completion_tokens\":4,", 3, 1, 8, 1 },
		{ &sim_llamacpp, "\"content\":\" ", "\"completion_tokens\":4,", 3, 1, 8, 1 },
		{ &sim_hostile, "\"cont\\u0065nt\" : \"\\u0020", "\"completion_tokens\" : 4 ", 3, 3, 7, 0 },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ask(cases[i].who, CHAT, "", CHAT_BODY, &out), 0);
		assert_memory_equal(out.p, "HTTP/1.1 200 OK\r\n", 17);
		assert_int_equal(count(out.p, cases[i].content),
				 cases[i].contents); /* the first token has no blank before it */
		assert_int_equal(count(out.p, cases[i].usage), cases[i].usages);
		assert_int_equal(count(out.p, "data:"), cases[i].events);
		assert_int_equal(count(out.p, "[DONE]\n") + count(out.p, "[DONE]\r"), cases[i].dones);
		assert_memory_equal(out.p + out.n - 5, "0\r\n\r\n", 5);
	}
	buf_finish(&out);
}

static void
an_unknown_model_is_404_only_where_the_engine_says_so(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	ask(&sim_vllm, TEXT, "", "{\"model\":\"other\",\"prompt\":\"x\"}", &out);
	assert_memory_equal(out.p, "HTTP/1.1 404 ", 13);
	ask(&sim_sglang, TEXT, "", "{\"model\":\"other\",\"prompt\":\"x\"}", &out);
	assert_memory_equal(out.p, "HTTP/1.1 200 ", 13);
	buf_finish(&out);
}

static void
same_request_same_words(void **state)
{
	struct buf a, b;

	(void)state;
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	ask(&sim_vllm, TEXT, "", "{\"model\":\"m\",\"prompt\":\"x\"}", &a);
	ask(&sim_vllm, TEXT, "", "{\"model\":\"m\",\"prompt\":\"x\"}", &b);
	assert_string_equal(strstr(a.p, "\"choices\""), strstr(b.p, "\"choices\""));
	ask(&sim_vllm, TEXT, "", "{\"model\":\"m\",\"prompt\":\"y\"}", &b);
	assert_string_not_equal(strstr(a.p, "\"choices\""), strstr(b.p, "\"choices\""));
	buf_finish(&a);
	buf_finish(&b);
}

static void
faults_inside_a_stream_do_what_they_say(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 8 << 20);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: cut-after=2\r\n", TEXT_BODY, &out),
			 ECONNRESET);
	assert_int_equal(count(out.p, "data: "), 2);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: error-in-stream@2\r\n", TEXT_BODY, &out), 0);
	assert_int_equal(count(out.p, "\"code\":500"), 1);
	assert_int_equal(count(out.p, "[DONE]"), 1);
	assert_int_equal(ask(&sim_llamacpp, TEXT, "X-Sim-Fault: error-in-stream@2\r\n", TEXT_BODY, &out),
			 0);
	assert_int_equal(count(out.p, "\"code\":500"), 1);
	assert_int_equal(count(out.p, "[DONE]"), 0);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: end-after=1\r\n", TEXT_BODY, &out), 0);
	assert_int_equal(count(out.p, "data: "), 1);
	assert_int_equal(count(out.p, "\r\n0\r\n\r\n"), 1);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: huge-event=100000@1\r\n", TEXT_BODY, &out), 0);
	assert_true(out.n > 100000);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: line-cr,comments\r\n", TEXT_BODY, &out), 0);
	assert_int_equal(count(out.p, ": still here\r\r"), 4);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: trailers\r\n", TEXT_BODY, &out), 0);
	assert_int_equal(count(out.p, "0\r\nx-sim-trailer: the end\r\n\r\n"), 1);
	assert_int_equal(ask(&sim_vllm, TEXT, "X-Sim-Fault: one-byte\r\n", TEXT_BODY, &out), 0);
	assert_true(count(out.p, "\r\n1\r\n") > 100);
	buf_finish(&out);
}

static void
faults_before_an_answer_do_what_they_say(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	ask(&sim_vllm, TEXT, "X-Sim-Fault: status=429:7\r\n", TEXT_BODY, &out);
	assert_memory_equal(out.p, "HTTP/1.1 429 ", 13);
	assert_non_null(strstr(out.p, "\r\nretry-after: 7\r\n"));
	ask(&sim_vllm, TEXT, "X-Sim-Fault: error-before\r\n", TEXT_BODY, &out);
	assert_memory_equal(out.p, "HTTP/1.1 500 ", 13);
	ask(&sim_vllm, TEXT, "X-Sim-Fault: early-answer\r\n", TEXT_BODY, &out);
	assert_memory_equal(out.p, "HTTP/1.1 413 ", 13);
	ask(&sim_vllm, TEXT, "X-Sim-Fault: nonsense\r\n", TEXT_BODY, &out);
	assert_memory_equal(out.p, "HTTP/1.1 400 ", 13);
	ask(&sim_vllm, TEXT, "X-Sim-Fault: wrong-length=9\r\n",
	    "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":1}", &out);
	assert_true(strtoul(strstr(out.p, "content-length: ") + 16, NULL, 10) ==
		    (size_t)(out.p + out.n - (strstr(out.p, "\r\n\r\n") + 4)) + 9);
	buf_finish(&out);
}

static void
the_role_may_come_long_before_the_text(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	struct engine e = start_engine(&o);
	char piece[4096] = "";
	ssize_t have = 0, n;
	int fd = send_request(&e, CHAT, "X-Sim-Fault: role-first-ms=1,hang-after=0\r\n", CHAT_BODY);

	(void)state;
	while (!strstr(piece, "\"role\":\"assistant\"")) {
		n = read(fd, piece + have, sizeof(piece) - 1 - (size_t)have);
		assert_true(n > 0);
		have += n;
	}
	close(fd);
	stop_engine(&e);
}

static unsigned long
state_of(const struct engine *e, const char *key)
{
	unsigned long v;
	struct buf out;
	char quoted[64];

	buf_init(&out, 1 << 16);
	assert_int_equal(read_all(send_request(e, "/sim/state", "", NULL), &out), 0);
	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	assert_non_null(strstr(out.p, quoted));
	v = strtoul(strstr(out.p, quoted) + strlen(quoted), NULL, 10);
	buf_finish(&out);
	return v;
}

/* Asks until it is so; the test's own time-out ends it otherwise. */
static void
wait_for_state(const struct engine *e, const char *key, unsigned long value)
{
	while (state_of(e, key) != value)
		usleep(1000);
}

static void
a_client_that_leaves_is_aborted(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	struct engine e = start_engine(&o);
	int fd = send_request(&e, TEXT, "",
			      "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":100000,\"stream\":true}");

	(void)state;
	wait_for_state(&e, "running", 1);
	close(fd);
	wait_for_state(&e, "running", 0);
	assert_int_equal(state_of(&e, "aborted"), 1);
	assert_int_equal(state_of(&e, "peak_running"), 1);
	stop_engine(&e);
}

static void
reset_cuts_everybody_off(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	struct engine e = start_engine(&o);
	struct buf out;
	int fds[3];

	(void)state;
	buf_init(&out, 8 << 20);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = send_request(&e, TEXT, "",
				      "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":100000,\"stream\":true}");
	wait_for_state(&e, "running", 3);
	assert_int_equal(read_all(send_request(&e, "/sim/reset", "", ""), &out), 0);
	assert_non_null(strstr(out.p, "\"running\":0,"));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(read_all(fds[i], &out), ECONNRESET);
	assert_int_equal(state_of(&e, "aborted"), 3);
	buf_finish(&out);
	stop_engine(&e);
}

static void
loading_looks_like_the_engine(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	struct engine e;
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	o.startup_s = 3600;
	e = start_engine(&o);
	assert_int_equal(connect_to(&e), -1);
	stop_engine(&e);
	o.personality = &sim_llamacpp;
	e = start_engine(&o);
	assert_int_equal(read_all(send_request(&e, "/health", "", NULL), &out), 0);
	assert_memory_equal(out.p, "HTTP/1.1 503 ", 13);
	assert_non_null(
		strstr(out.p,
		       "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"));
	assert_int_equal(read_all(send_request(&e, TEXT, "", TEXT_BODY), &out), 0);
	assert_memory_equal(out.p, "HTTP/1.1 503 ", 13);
	stop_engine(&e);
	o.personality = &sim_vllm;
	o.startup_s = 0.05;
	e = start_engine(&o);
	for (int fd = -1; fd < 0; usleep(1000))
		if ((fd = connect_to(&e)) >= 0)
			close(fd);
	assert_int_equal(read_all(send_request(&e, "/health", "", NULL), &out), 0);
	assert_memory_equal(out.p, "HTTP/1.1 200 ", 13);
	stop_engine(&e);
	buf_finish(&out);
}

static void
an_idle_connection_is_closed_by_the_engine(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	struct engine e;
	struct buf out;
	int fd;

	(void)state;
	o.idle_ms = 50;
	e = start_engine(&o);
	fd = connect_to(&e);
	buf_init(&out, 4096);
	assert_int_equal(read_all(fd, &out), 0);
	assert_int_equal(out.n, 0);
	buf_finish(&out);
	stop_engine(&e);
}

static void
the_record_has_the_body_byte_for_byte(void **state)
{
	struct sim_face_options o = options_of(&sim_vllm);
	char path[] = "/tmp/kw-record-XXXXXX";
	int fd = mkstemp(path);
	struct engine e;
	struct buf out;

	(void)state;
	o.record = path;
	e = start_engine(&o);
	buf_init(&out, 1 << 16);
	assert_int_equal(read_all(send_request(&e, TEXT, "X-A: b\r\n", "{\"prompt\": 5}\n"), &out), 0);
	assert_int_equal(read_all(fd, &out), 0);
	assert_non_null(strstr(out.p, "[\"X-A\",\"b\"]"));
	assert_non_null(strstr(out.p, "\"body_base64\":\"eyJwcm9tcHQiOiA1fQo=\"}\n"));
	unlink(path);
	buf_finish(&out);
	stop_engine(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chat_stream_comes_whole_from_each_personality),
		cmocka_unit_test(an_unknown_model_is_404_only_where_the_engine_says_so),
		cmocka_unit_test(same_request_same_words),
		cmocka_unit_test(faults_inside_a_stream_do_what_they_say),
		cmocka_unit_test(faults_before_an_answer_do_what_they_say),
		cmocka_unit_test(the_role_may_come_long_before_the_text),
		cmocka_unit_test(a_client_that_leaves_is_aborted),
		cmocka_unit_test(reset_cuts_everybody_off),
		cmocka_unit_test(loading_looks_like_the_engine),
		cmocka_unit_test(an_idle_connection_is_closed_by_the_engine),
		cmocka_unit_test(the_record_has_the_body_byte_for_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
