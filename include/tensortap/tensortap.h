/* SPDX-License-Identifier: Apache-2.0
 *
 * Optional marks in a program that may run under the tap. No engine needs them.
 *
 * Everything is declared weak: a program uses this header without linking anything, and the macros below do
 * nothing when the tap is absent. Under LD_PRELOAD=libtensortap.so they reach it. All functions are
 * thread-safe, print nothing and keep errno.
 */
#ifndef TENSORTAP_TENSORTAP_H
#define TENSORTAP_TENSORTAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TENSORTAP_API /* the library itself defines it */
#define TENSORTAP_API __attribute__((weak))
#endif

/* A named point in time. */
TENSORTAP_API void tensortap_mark(const char *text);
/* The same, and a new pass (forward of a batch, decode step) begins here. */
TENSORTAP_API void tensortap_pass(const char *text);
/* Nothing is recorded between stop and start. Recording is on at first, unless TENSORTAP_MODE is off. */
TENSORTAP_API void tensortap_start(void);
TENSORTAP_API void tensortap_stop(void);

/* The calls as a program makes them: no tap, no effect. */
#define TENSORTAP_MARK(text) (tensortap_mark ? tensortap_mark(text) : (void)0)
#define TENSORTAP_PASS(text) (tensortap_pass ? tensortap_pass(text) : (void)0)
#define TENSORTAP_START()    (tensortap_start ? tensortap_start() : (void)0)
#define TENSORTAP_STOP()     (tensortap_stop ? tensortap_stop() : (void)0)

/* Calls recorded by glue in another language (ctypes, cffi). Strings are copied. A handle belongs to the
 * thread that began it and is freed by tensortap_call_end; handles end in reverse order of their beginning.
 *
 *   call = tensortap_call_begin("python", "linear", "torch.nn.functional.linear");
 *   tensortap_call_attr_i64(call, "in_features", 64);
 *   tensortap_call_announce(call, TT_F32, 2, shape, strides, weight);          optional, see below
 *   tensortap_call_operand(call, "x", 0, TT_F32, 2, shape, strides, data);     before
 *   …the operation itself…
 *   tensortap_call_operand(call, "out", 1, TT_F32, 2, shape, strides, data);   after
 *   tensortap_call_end(call);
 *
 * Attributes come before the first operand. Inputs that are announced before it let a pass begin with the call
 * whose weight recurs; without that, and without tensortap_pass, it begins one call later. A NULL handle (nothing is recorded) is accepted everywhere.
 * `dtype` is a number of tensortap/dtype.h; `shape` and `strides` count elements, strides may be NULL for a
 * contiguous row-major tensor; `when` is 0 before, 1 after. A call of the same tap inside another is not
 * recorded, calls of other taps inside it are its children. */
typedef struct tensortap_call tensortap_call;

TENSORTAP_API tensortap_call *tensortap_call_begin(const char *tap, const char *op, const char *name);
TENSORTAP_API void tensortap_call_attr_i64(tensortap_call *call, const char *name, int64_t value);
TENSORTAP_API void tensortap_call_attr_f64(tensortap_call *call, const char *name, double value);
TENSORTAP_API void tensortap_call_attr_str(tensortap_call *call, const char *name, const char *value);
TENSORTAP_API void tensortap_call_announce(tensortap_call *call, int dtype, int rank, const int64_t *shape,
                                           const int64_t *strides, const void *data);
TENSORTAP_API void tensortap_call_operand(tensortap_call *call, const char *role, int when, int dtype,
                                          int rank, const int64_t *shape, const int64_t *strides,
                                          const void *data);
TENSORTAP_API void tensortap_call_end(tensortap_call *call);
/* Number of a dtype's name ("f32", "bf16"), 0 when there is none of that name. */
TENSORTAP_API int tensortap_dtype(const char *name);

#ifdef __cplusplus
}
#endif

#endif
