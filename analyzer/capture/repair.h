/* SPDX-License-Identifier: Apache-2.0
 *
 * Finishing what a killed process left: shards get the headers that closing would have written.
 */
#ifndef TT_CAPTURE_REPAIR_H
#define TT_CAPTURE_REPAIR_H

struct tt_error;

/* `path`: a capture, or a parent with exactly one. Refuses while the process that writes it lives.
 * Number of shards rewritten, or -1 with *error. A capture that needs nothing gives 0. */
int tt_capture_repair(const char *path, struct tt_error *error);

#endif
