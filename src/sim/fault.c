/* SPDX-License-Identifier: MIT */
#include "sim/fault.h"
#include <errno.h>

#define VALUE_MAX 1000000000 /* of any number in a fault */

enum needs {
	NOTHING,
	VALUE,
	PAIR,
	TOKEN,
	VALUE_AT_TOKEN
};

static const struct {
	const char *name, *help;
	enum needs needs;
} table[SIM_FAULTS] = {
#define X(NAME, name_, NEEDS, help_)                                                               \
	[SIM_FAULT_##NAME] = { .name = (name_), .help = (help_), .needs = (NEEDS) },
#include "sim/faults.def"
#undef X
};

/* Cuts @s at the first @mark: what stands before it is returned, what follows goes to *@rest (p NULL: no mark). */
static struct slice
split(struct slice s, char mark, struct slice *rest)
{
	const char *at = s.n ? memchr(s.p, mark, s.n) : NULL;

	*rest = (struct slice){ 0 };
	if (!at)
		return s;
	*rest = (struct slice){ at + 1, s.n - (size_t)(at + 1 - s.p) };
	return (struct slice){ s.p, (size_t)(at - s.p) };
}

static int
parse_number(struct slice s, int64_t *ret)
{
	uint64_t v;

	*ret = -1;
	if (!s.p)
		return 0;
	if (slice_to_u64(s, &v) || v > VALUE_MAX)
		return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}

static bool
fits(enum needs needs, const struct sim_fault *f)
{
	bool value = f->value >= 0, at = f->at >= 0, second = f->second >= 0;

	switch (needs) {
	case NOTHING:
		return !value && !at;
	case VALUE:
		return value && !at && !second;
	case PAIR:
		return value && !at;
	case TOKEN:
		return !value && at;
	default:
		return value && at && !second;
	}
}

static int
parse_one(struct sim_faults *f, struct slice item, struct diag *d)
{
	struct slice at, value, second, name = split(split(item, '@', &at), '=', &value);
	struct sim_fault got = { .on = true };

	value = split(value, ':', &second);
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		if (!slice_eq(name, slice_of(table[i].name)))
			continue;
		if (parse_number(value, &got.value) || parse_number(second, &got.second) ||
		    parse_number(at, &got.at) || !fits(table[i].needs, &got))
			break;
		f->f[i] = got;
		return 0;
	}
	diag_what(d, "'" SLICE_FMT "' is not a fault of the simulated engine", SLICE_ARG(item));
	diag_hint(d, "faults are written as name[=value[:second]][@token]; see kvwarden sim --help");
	return -EINVAL;
}

int
sim_faults_parse(struct sim_faults *f, struct slice spec, struct diag *d)
{
	struct sim_faults got = *f;
	struct slice rest = spec;

	while (rest.n) {
		struct slice item = slice_trim(split(rest, ',', &rest));
		int err = item.n ? parse_one(&got, item, d) : 0;

		if (err)
			return err;
	}
	*f = got;
	return 0;
}

bool
sim_fault_at(const struct sim_faults *f, enum sim_fault_id id, uint64_t token)
{
	const struct sim_fault *x = &f->f[id];
	bool by_token = table[id].needs == TOKEN || table[id].needs == VALUE_AT_TOKEN;

	return x->on && (uint64_t)(by_token ? x->at : x->value) == token;
}

bool
sim_faults_count_tokens(const struct sim_faults *f)
{
	static const enum sim_fault_id counting[] = {
		SIM_FAULT_ERROR_IN_STREAM, SIM_FAULT_HANG_AFTER, SIM_FAULT_STALL,
		SIM_FAULT_CUT_AFTER,	   SIM_FAULT_END_AFTER,	 SIM_FAULT_EXIT_AFTER,
		SIM_FAULT_MALFORMED,	   SIM_FAULT_HUGE_EVENT,
	};

	for (unsigned i = 0; i < ARRAY_LEN(counting); i++)
		if (sim_fault_on(f, counting[i]))
			return true;
	return false;
}

void
sim_faults_describe(struct buf *out)
{
	static const char *const forms[] = {
		[NOTHING] = "",
		[VALUE] = "=N",
		[PAIR] = "=N[:M]",
		[TOKEN] = "@TOKEN",
		[VALUE_AT_TOKEN] = "=N@TOKEN",
	};

	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		size_t start = out->n;

		buf_addf(out, "  %s%s", table[i].name, forms[table[i].needs]);
		buf_addf(out, "%*s%s\n", (int)(out->n - start < 30 ? 30 - (out->n - start) : 1), "",
			 table[i].help);
	}
}
