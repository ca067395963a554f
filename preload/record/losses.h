/* SPDX-License-Identifier: Apache-2.0
 *
 * What was not captured, counted by kind and name.
 *
 * A loss record is cumulative; it is written when its count reaches a power of two and at the end, so
 * that a killed process leaves counts that are right within a factor of two.
 */
#ifndef TT_RECORD_LOSSES_H
#define TT_RECORD_LOSSES_H

#include <stdbool.h>
#include <stdint.h>

#define TT_MOST_LOSSES 256

struct tt_loss_count {
    const char *what; /* TT_LOSS_* */
    char detail[120];
    uint64_t count, bytes, written; /* written: count when last recorded */
};

struct tt_losses {
    struct tt_loss_count *entries; /* allocated on first loss */
    uint32_t count;
};

/* `times` losses of `bytes` together. Returns the entry when it is due to be recorded, else NULL. */
struct tt_loss_count *tt_losses_add(struct tt_losses *losses, const char *what, const char *detail,
                                    uint64_t times, uint64_t bytes);
void tt_losses_free(struct tt_losses *losses);

#endif
