/* SPDX-License-Identifier: MIT */
#include "config/load_impl.h"

static bool
same_string(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool
same_value(const struct key_row *row, const void *a, const void *b)
{
	const char *pa = (const char *)a + row->offset, *pb = (const char *)b + row->offset;

	switch (row->type) {
	case TYPE_STRING:
		return same_string(*(char *const *)(const void *)pa, *(char *const *)(const void *)pb);
	case TYPE_INT:
	case TYPE_WINDOW:
		return !memcmp(pa, pb, sizeof(int64_t));
	case TYPE_NUMBER:
		return !memcmp(pa, pb, sizeof(double));
	case TYPE_BOOL:
		return *(const bool *)pa == *(const bool *)pb;
	case TYPE_LIST:
	case TYPE_MAP:
	case TYPE_ANY:
		return true; /* compared where they are known */
	default:
		return !memcmp(pa, pb, sizeof(int));
	}
}

static void
note(struct diag *restart, unsigned max, unsigned *n, enum config_section sec, const char *key,
     const char *of)
{
	struct diag *d = *n < max ? &restart[*n] : NULL;

	++*n;
	if (d)
		*d = (struct diag){ 0 };
	diag_where(d, "%s%s", config_section_paths[sec], key);
	diag_what(d, "%s%s%s%s changed; it takes effect at the next start",
		  config_section_paths[sec], key, *of ? " of " : "", of);
}

static void
diff_section(enum config_section sec, const void *was, const void *now, const char *of,
	     struct diag *restart, unsigned max, unsigned *n)
{
	unsigned count;
	const struct key_row *rows = keys_section(sec, &count);

	for (unsigned i = 0; i < count; i++)
		if ((rows[i].flags & FLAG_RESTART) && !same_value(&rows[i], was, now))
			note(restart, max, n, sec, rows[i].key, of);
}

static bool
same_models(const struct config *a, const struct config *b)
{
	if (a->n_models != b->n_models)
		return false;
	for (unsigned i = 0; i < a->n_models; i++)
		if (strcmp(a->models[i].model_id, b->models[i].model_id) != 0)
			return false;
	return true;
}

static bool
same_args(const struct config_model *a, const struct config_model *b)
{
	if (a->n_extra_args != b->n_extra_args)
		return false;
	for (unsigned i = 0; i < a->n_extra_args; i++)
		if (strcmp(a->extra_args[i], b->extra_args[i]) != 0)
			return false;
	return true;
}

unsigned
config_diff(const struct config *was, const struct config *now, struct diag *restart, unsigned max)
{
	unsigned n = 0;

	diff_section(SEC_TOP, was, now, "", restart, max, &n);
	diff_section(SEC_TIMEOUTS, &was->timeouts, &now->timeouts, "", restart, max, &n);
	if (!same_models(was, now)) {
		note(restart, max, &n, SEC_TOP, "models", "");
		return n;
	}
	for (unsigned i = 0; i < now->n_models; i++) {
		const struct config_model *a = &was->models[i], *b = &now->models[i];

		diff_section(SEC_MODEL, a, b, b->model_id, restart, max, &n);
		if (!same_args(a, b))
			note(restart, max, &n, SEC_MODEL, "extra_args", b->model_id);
	}
	return n;
}
