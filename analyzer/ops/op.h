/* SPDX-License-Identifier: Apache-2.0
 *
 * A primitive: its definition in f64, its forward error, and the ways in which engines get it wrong.
 *
 * One file per primitive. An op knows nothing of captures, families or names: inputs, weights and attributes in,
 * value with error bar out. A wrong form of the op ("variant") is the same op with other attributes: every
 * attribute a variant sets has a default under which the op is right, so variants are rows of data.
 */
#ifndef TT_OPS_OP_H
#define TT_OPS_OP_H

#include "base/error.h"
#include "ops/value.h"

#define TT_OP_MAX_INPUTS  6
#define TT_OP_MAX_WEIGHTS 4

struct tt_attribute_value {
    const char *name;
    double number;      /* booleans are 0 and 1 */
    const char *string; /* NULL for numbers */
};

struct tt_attributes {
    int count;
    struct tt_attribute_value items[48];
};

/* The last one of a name wins, so that an override can be appended. */
double tt_attributes_number(const struct tt_attributes *attributes, const char *name, double fallback);
const char *tt_attributes_string(const struct tt_attributes *attributes, const char *name, const char *fallback);
/* Replaces or appends; returns -1 when full. Strings are borrowed. */
int tt_attributes_set_number(struct tt_attributes *attributes, const char *name, double number);
int tt_attributes_set_string(struct tt_attributes *attributes, const char *name, const char *string);

/* Precision of the engine around this op. u: unit round-off, f32 2^-24, f16 2^-11, bf16 2^-8, f64 2^-53. */
struct tt_numerics {
    double u_store; /* of the values it stores (activations) */
    double u_acc;   /* of its accumulators and inner arithmetic */
};

/* What a pass brings along beside its tokens: features of an encoder. */
struct tt_given_value {
    const char *name; /* "audio" */
    struct tt_value value;
};

/* What one sequence of one pass feeds in. Rows of activations are its tokens in order. */
struct tt_pass_inputs {
    int64_t ntokens;          /* rows of this pass */
    const int32_t *tokens;    /* [ntokens] */
    const int64_t *positions; /* [ntokens] */
    const int32_t *types;     /* [ntokens] token types, NULL: 0 */
    int64_t nkeys;            /* cached rows before this pass + ntokens (no cache: ntokens) */
    const int64_t *key_positions; /* [nkeys] position of each key row */
    int ngiven;
    const struct tt_given_value *given; /* [ngiven], borrowed: outlives the pass */
};

/* A weight too large to be held as f64, read in parts. */
struct tt_weight_stream {
    int (*read)(const void *user, uint64_t first, uint64_t count, double *out, struct tt_error *error); /* elements, row-major */
    const void *user;
};

struct tt_op_call {
    int nin;
    const struct tt_value *in[TT_OP_MAX_INPUTS];
    const struct tt_value *weight[TT_OP_MAX_WEIGHTS]; /* by the op's weight_roles, NULL when absent */
    /* Set for roles in the op's `streams` only, and only where weight[role] has a shape but no values (v NULL). */
    const struct tt_weight_stream *stream[TT_OP_MAX_WEIGHTS];
    bool single; /* values are f32 numbers or narrower: sums are to be made in f32, as engines do */
    bool value_only; /* nobody will ask for the error bar: var and row_var may stay NULL (reference runs) */
    const struct tt_attributes *attributes;
    const struct tt_pass_inputs *pass;
    struct tt_numerics numerics;
    int split_rank;            /* linear: shape of one output row, e.g. [heads, head_dim]; 0: flat */
    int64_t split[2];
};

struct tt_variant {
    const char *cause; /* id from design: "norm.offset_missing" */
    const char *set;   /* "offset=0" or "form='layernorm', eps=1e-5": expressions over the node's attributes and the model's config */
    const char *when;  /* expression that must hold for the variant to differ from the right op, NULL: always tried;
                        it may ask has_<role> of each weight role of the op: 1 where the node has that weight */
};

/* A parameter fitted from the data. Ops that can recover do so more surely than lists of values can. */
struct tt_recovery {
    char cause[48];
    struct tt_attributes set; /* attributes under which the op reproduces the data */
    char text[96];    /* storage for strings in `set` */
    char expected[48], found[48]; /* human-readable values */
};

struct tt_op {
    const char *name;
    /* Every attribute with the value it has when nobody sets it, in the syntax of tt_variant.set: what an identifier
     * in `when` or `set` means for a node that does not name it. */
    const char *defaults;
    const char *weight_roles[TT_OP_MAX_WEIGHTS]; /* "weight", "bias", "table"; order of tt_op_call.weight */
    unsigned streams; /* bit i: weight role i may come as a stream, see tt_op_weight_rows */
    bool repeats_heads; /* input 1 has key heads, which engines may store and read once per query head */
    bool rowwise; /* output row t needs only row t of each input: rows may be gathered first */
    unsigned row_inputs; /* otherwise: bit i, of input i output row t needs row t only (queries of an attention product);
                            holds while no attribute "axis" says other than "key" */
    /* Allocates *out with v and var. `out` is zeroed by the caller. */
    int (*forward)(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error);
    const struct tt_variant *variants; /* ends with cause NULL; may be NULL */
    /* Right forms with larger or other rounding, `cause` holding their name ("iterated theta"): tried before any
     * cause, never a fault. Ends with cause NULL; may be NULL. */
    const struct tt_variant *benign;
    /* Optional. `observed` [same shape as out]: what the engine computed. Fills up to `most` recoveries, returns the number. */
    int (*recover)(const struct tt_op_call *call, const struct tt_value *observed,
                   struct tt_recovery *found, int most);
};

/* The table of all primitives; NULL for an unknown name, behind the last one. */
const struct tt_op *tt_op_find(const char *name);
const struct tt_op *tt_op_at(size_t index);

#endif
