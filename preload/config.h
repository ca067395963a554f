/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration of the tap: TENSORTAP_* variables over one optional JSON file (TENSORTAP_CONFIG).
 *
 * A wrong value never stops a capture: the default stays in force and the problem is written down.
 */
#ifndef TT_PRELOAD_CONFIG_H
#define TT_PRELOAD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "tensortap/writer.h"

/*        key       variable               bytes  meaning */
#define TT_CONFIG_KEYS(X)                                                                                    \
    X(out, "TENSORTAP_OUT", 4096)           /* parent directory of captures; default: current */             \
    X(mode, "TENSORTAP_MODE", 16)           /* off | stats | hash | data */                                  \
    X(select, "TENSORTAP_SELECT", 2048)     /* expression of --select */                                     \
    X(limit, "TENSORTAP_LIMIT", 32)         /* bytes of tensor data, with K, M, G */                         \
    X(passes, "TENSORTAP_PASSES", 256)      /* epochs kept in full: 0-3,7 */                                 \
    X(programs, "TENSORTAP_PROGRAMS", 1024) /* globs of program names, separated by comma or colon */        \
    X(live, "TENSORTAP_LIVE", 256)          /* stored */                                                     \
    X(stack, "TENSORTAP_STACK", 64)         /* stored */

struct tt_config {
#define X(key, variable, bytes) char key[bytes];
    TT_CONFIG_KEYS(X)
#undef X
    enum tt_level level;  /* from mode */
    uint64_t limit_bytes; /* from limit; 0: the default budget */
    bool wanted;          /* mode is not off and the program is selected */
};

/* Fills *config from the file named by TENSORTAP_CONFIG and then the environment. */
void tt_config_load(struct tt_config *config);

/* {"mode":…} of what is in force, for the manifest; cut to `size`, always valid JSON unless size is tiny. */
void tt_config_json(const struct tt_config *config, char *json, unsigned long size);

/* Parses "{"key": "text" | number | true, …}". Calls `set` for each member; 0, or -EINVAL on bad JSON with
 * the byte offset in *where. */
int tt_config_parse(const char *text, void (*set)(void *context, const char *key, const char *value),
                    void *context, unsigned long *where);

/* "64K", "1.5G", "200000": bytes. -EINVAL when it is none of these. */
int tt_config_bytes(const char *text, uint64_t *bytes);

#endif
