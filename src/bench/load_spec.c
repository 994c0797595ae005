/* SPDX-License-Identifier: MIT */
#include "bench/load_spec.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>

static const char *const arrival_names[] = {
	[LOAD_POISSON] = "poisson",
	[LOAD_CONSTANT] = "constant",
	[LOAD_CLOSED] = "closed",
};

static int
refuse(struct diag *d, struct slice key, struct slice value, const char *hint)
{
	diag_what(d, "'" SLICE_FMT "' is no value of '" SLICE_FMT "'", SLICE_ARG(value), SLICE_ARG(key));
	diag_hint(d, "%s", hint);
	return -EINVAL;
}

/* A word that goes into a header as it is: printable ASCII without blanks. */
static int
read_word(struct slice value, char *ret, size_t size)
{
	if (value.n == 0 || value.n >= size)
		return -EINVAL;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] <= ' ' || value.p[i] > '~')
			return -EINVAL;
	memcpy(ret, value.p, value.n);
	ret[value.n] = '\0';
	return 0;
}

static int
read_number(struct slice value, double min, double max, double *ret)
{
	double v;

	if (slice_to_double(value, &v) || !(v >= min && v <= max))
		return -EINVAL;
	*ret = v;
	return 0;
}

/* "64", or "64~0.5" for a log-normal with that median and sigma. */
static int
read_length(struct slice value, struct load_length *ret)
{
	const char *tilde = memchr(value.p, '~', value.n);
	size_t n = tilde ? (size_t)(tilde - value.p) : value.n;
	int err = read_number((struct slice){ value.p, n }, 1, LOAD_LENGTH_MAX_TOK, &ret->median_tok);

	ret->sigma = 0;
	if (!err && tilde)
		err = read_number((struct slice){ tilde + 1, value.n - n - 1 }, 0, 5, &ret->sigma);
	return err;
}

static int
read_arrival(struct slice value, enum load_arrival *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(arrival_names); i++) {
		if (slice_eq(value, slice_of(arrival_names[i]))) {
			*ret = (enum load_arrival)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int
read_outstanding(struct slice value, unsigned *ret)
{
	uint64_t n;

	if (slice_to_u64(value, &n) || n < 1 || n > LOAD_OUTSTANDING_MAX)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

static int
read_pair(struct load_tenant_spec *t, struct slice key, struct slice value, struct diag *d)
{
	if (slice_eq(key, SLICE("rate")))
		return read_number(value, 1e-6, LOAD_RATE_MAX, &t->rate_rps)
			       ? refuse(d, key, value, "requests a second")
			       : 0;
	if (slice_eq(key, SLICE("arrival")))
		return read_arrival(value, &t->arrival)
			       ? refuse(d, key, value, "poisson, constant or closed")
			       : 0;
	if (slice_eq(key, SLICE("outstanding")))
		return read_outstanding(value, &t->outstanding)
			       ? refuse(d, key, value, "a number of requests from 1")
			       : 0;
	if (slice_eq(key, SLICE("in")) || slice_eq(key, SLICE("out")))
		return read_length(value, key.n == 2 ? &t->in : &t->out)
			       ? refuse(d, key, value, "tokens, or MEDIAN~SIGMA")
			       : 0;
	if (slice_eq(key, SLICE("header")))
		return read_word(value, t->header, sizeof(t->header))
			       ? refuse(d, key, value, "the name of a header")
			       : 0;
	if (slice_eq(key, SLICE("key")))
		return read_word(value, t->key, sizeof(t->key)) ? refuse(d, key, value, "an API key")
								: 0;
	diag_what(d, "a tenant has no '" SLICE_FMT "'", SLICE_ARG(key));
	diag_hint(d, "rate, arrival, outstanding, in, out, header, key");
	return -EINVAL;
}

static struct slice
cut(struct slice *rest, char at)
{
	const char *p = memchr(rest->p, at, rest->n);
	struct slice head = { rest->p, p ? (size_t)(p - rest->p) : rest->n };

	rest->p += head.n + (p != NULL);
	rest->n -= head.n + (p != NULL);
	return head;
}

static int
check(const struct load_tenant_spec *t, struct diag *d)
{
	if (t->arrival == LOAD_CLOSED && t->outstanding == 0) {
		diag_what(d, "a closed loop needs to know how many requests it keeps going");
		diag_hint(d, "outstanding=N");
		return -EINVAL;
	}
	if (t->arrival != LOAD_CLOSED && t->rate_rps <= 0) {
		diag_what(d, "the tenant has no rate");
		diag_hint(d, "rate=REQUESTS_A_SECOND, or arrival=closed,outstanding=N");
		return -EINVAL;
	}
	return 0;
}

int
load_tenant_parse(struct load_tenant_spec *t, struct slice text, struct diag *d)
{
	struct slice rest = text, name = cut(&rest, ':');

	*t = (struct load_tenant_spec){ .header = "x-tenant-id",
					.in = { .median_tok = 64 },
					.out = { .median_tok = 64 } };
	diag_where(d, SLICE_FMT, SLICE_ARG(text));
	if (read_word(name, t->name, sizeof(t->name))) {
		diag_what(d, "the tenant has no name, or a strange or long one");
		diag_hint(d, "NAME:rate=5,in=64,out=64");
		return -EINVAL;
	}
	while (rest.n) {
		struct slice value = cut(&rest, ','), key = cut(&value, '=');
		int err = read_pair(t, key, value, d);

		if (err)
			return err;
	}
	return check(t, d);
}

static void
format_length(struct buf *out, const char *key, const struct load_length *l)
{
	buf_addf(out, ",%s=%.17g", key, l->median_tok);
	if (l->sigma > 0)
		buf_addf(out, "~%.17g", l->sigma);
}

void
load_tenant_format(const struct load_tenant_spec *t, struct buf *out)
{
	buf_addf(out, "%s:arrival=%s", t->name, arrival_names[t->arrival]);
	if (t->arrival != LOAD_CLOSED)
		buf_addf(out, ",rate=%.17g", t->rate_rps);
	if (t->outstanding)
		buf_addf(out, ",outstanding=%u", t->outstanding);
	format_length(out, "in", &t->in);
	format_length(out, "out", &t->out);
	buf_addf(out, ",header=%s", t->header);
	if (t->key[0])
		buf_addf(out, ",key=%s", t->key);
}
