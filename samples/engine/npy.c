/* SPDX-License-Identifier: Apache-2.0
 *
 * See npy.h. Format: numpy.lib.format, version 1.0.
 */
#include "npy.h"

#include <string.h>

int npy_header(FILE *file, long rows, long columns)
{
    char header[128];
    int length;

    memset(header, ' ', sizeof(header));
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 bytes follow */
    length = snprintf(header + 10, sizeof(header) - 10,
                      "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, %ld), }", rows, columns);
    header[10 + length] = ' ';
    header[sizeof(header) - 1] = '\n';
    return fwrite(header, sizeof(header), 1, file) == 1 ? 0 : -1;
}
