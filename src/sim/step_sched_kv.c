/* SPDX-License-Identifier: MIT */
#include "sim/step_sched_impl.h"

/* Token ids, as the workload format defines them; what a request generates is its own. */
#define TOKEN_MODULUS 1000000007u
#define TOKEN_SEED_STEP 1000003u
#define TOKEN_OFFSET_STEP 7919u
#define TOKEN_GENERATED 1000000100u

static uint32_t
blocks_for(const struct sched *s, uint32_t tok)
{
	return tok / s->p.block_tok + (tok % s->p.block_tok != 0);
}

size_t
sched_kv_bytes(const struct sched *s, uint32_t n_segments, uint32_t total_tok)
{
	size_t blocks = blocks_for(s, total_tok) + (size_t)1;

	return n_segments * sizeof(struct sched_segment) +
	       blocks * (sizeof(uint32_t) + (s->p.prefix_caching ? sizeof(uint64_t) : 0));
}

void
sched_kv_place(const struct sched *s, struct sched_request *q, uint32_t total_tok)
{
	size_t blocks = blocks_for(s, total_tok) + (size_t)1;

	q->segments = (struct sched_segment *)(q + 1);
	q->hashes = (uint64_t *)(q->segments + q->n_segments);
	q->blocks = (uint32_t *)(q->hashes + (s->p.prefix_caching ? blocks : 0));
}

static uint64_t
next_token(struct sched_request *q)
{
	const struct sched_segment *g;

	while (q->segment < q->n_segments && q->offset == q->segments[q->segment].n) {
		q->segment++;
		q->offset = 0;
	}
	if (q->segment == q->n_segments)
		return TOKEN_GENERATED + q->seq;
	g = &q->segments[q->segment];
	if (g->tokens)
		return g->tokens[q->offset++];
	return (g->seed % TOKEN_MODULUS * TOKEN_SEED_STEP + (uint64_t)q->offset++ * TOKEN_OFFSET_STEP) %
	       TOKEN_MODULUS;
}

/* Each step is a bijection of the chain for a given token, so that two chains meet by chance only. */
static void
make_hashes(const struct sched *s, struct sched_request *q)
{
	while ((q->n_hashes + 1) * s->p.block_tok <= sched_known_tok(q)) {
		for (uint32_t i = 0; i < s->p.block_tok; i++) {
			q->chain = (q->chain ^ next_token(q)) * 0x9e3779b97f4a7c15u;
			q->chain ^= q->chain >> 29;
		}
		q->hashes[q->n_hashes++] = q->chain;
	}
}

uint32_t
sched_kv_lookup(struct sched *s, struct sched_request *q)
{
	uint32_t most = (sched_known_tok(q) - 1) / s->p.block_tok, n = 0;

	if (!s->p.prefix_caching)
		return 0;
	make_hashes(s, q);
	while (n < most && (q->blocks[n] = kv_blocks_find(&s->kv, q->hashes[n])) != 0)
		n++;
	return n;
}

void
sched_kv_share(struct sched *s, struct sched_request *q, uint32_t tok)
{
	uint32_t full = tok / s->p.block_tok;

	if (!s->p.prefix_caching || q->n_shared >= full)
		return;
	make_hashes(s, q);
	must(full <= q->n_hashes && full <= q->n_blocks);
	for (; q->n_shared < full; q->n_shared++)
		kv_blocks_set_hash(&s->kv, q->blocks[q->n_shared], q->hashes[q->n_shared]);
}

static void
take_up_to(struct sched *s, struct sched_request *q, uint32_t end_tok)
{
	uint32_t need = blocks_for(s, end_tok);

	while (q->n_blocks < need)
		q->blocks[q->n_blocks++] = kv_blocks_take(&s->kv);
	sched_kv_share(s, q, MIN(end_tok, sched_known_tok(q)));
}

bool
sched_kv_extend(struct sched *s, struct sched_request *q, uint32_t tok)
{
	uint32_t end_tok = MIN(q->computed_tok + tok, s->p.max_model_len);
	uint32_t need = blocks_for(s, end_tok);

	if (need > q->n_blocks && need - q->n_blocks > s->kv.n_free)
		return false;
	take_up_to(s, q, end_tok);
	return true;
}

bool
sched_kv_enter(struct sched *s, struct sched_request *q, uint32_t hits, uint32_t tok)
{
	uint32_t whole = MIN(sched_known_tok(q), s->p.max_model_len);
	uint64_t need = blocks_for(s, whole) - hits;

	for (uint32_t i = 0; i < hits; i++)
		need += s->kv.b[q->blocks[i]].refs == 0; /* leaves the free queue too */
	if (s->n_running > 0)
		need += (uint32_t)(s->p.watermark * s->p.blocks);
	if (need > s->kv.n_free)
		return false;
	for (uint32_t i = 0; i < hits; i++)
		kv_blocks_touch(&s->kv, q->blocks[i]);
	q->n_blocks = q->n_shared = hits;
	take_up_to(s, q, MIN(hits * s->p.block_tok + tok, s->p.max_model_len));
	return true;
}

void
sched_kv_release(struct sched *s, struct sched_request *q)
{
	kv_blocks_release(&s->kv, q->blocks, q->n_blocks);
	q->n_blocks = q->n_shared = 0;
}
