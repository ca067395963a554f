/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people read them. Never used in JSON.
 */
#include "report/term.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct tt_number tt_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct tt_number number;
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.95 && unit < 6) {
        value /= 1024;
        unit++;
    }
    snprintf(number.text, sizeof number.text, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value,
             units[unit]);
    return number;
}

struct tt_number tt_count(uint64_t count)
{
    char digits[24];
    struct tt_number number;
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), at = 0;
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            number.text[at++] = ',';
        number.text[at++] = digits[i];
    }
    number.text[at] = 0;
    return number;
}

struct tt_number tt_plural(uint64_t count, const char *singular)
{
    struct tt_number number;
    size_t length = strlen(singular);
    const char *ending = "s";
    if (count == 1)
        ending = "";
    else if (length && singular[length - 1] == 's')
        ending = "es";
    else if (length && singular[length - 1] == 'y' && length--)
        ending = "ies";
    snprintf(number.text, sizeof number.text, "%.27s %.*s%s", tt_count(count).text,
             (int)(length < 30 ? length : 30), singular, ending);
    return number;
}

struct tt_number tt_real(double value)
{
    struct tt_number number;
    double magnitude = fabs(value);
    if (!isfinite(value))
        snprintf(number.text, sizeof number.text, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    else if (value == 0)
        snprintf(number.text, sizeof number.text, "0");
    else if (magnitude >= 1e-3 && magnitude < 1e5)
        snprintf(number.text, sizeof number.text, "%.4g", value);
    else
        snprintf(number.text, sizeof number.text, "%.2e", value);
    return number;
}

struct tt_number tt_seconds(double seconds)
{
    struct tt_number number;
    if (seconds < 1e-3)
        snprintf(number.text, sizeof number.text, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(number.text, sizeof number.text, "%.0f ms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(number.text, sizeof number.text, "%.1f s", seconds);
    else
        snprintf(number.text, sizeof number.text, "%.0f min %02.0f s", floor(seconds / 60),
                 fmod(seconds, 60));
    return number;
}

struct tt_number tt_shape(const int64_t *shape, int rank)
{
    struct tt_number number = {.text = "scalar"};
    size_t at = 0;
    for (int i = 0; i < rank && at < sizeof number.text - 1; i++)
        at +=
            (size_t)snprintf(number.text + at, sizeof number.text - at, "%s%" PRId64, i ? "x" : "", shape[i]);
    return number;
}
