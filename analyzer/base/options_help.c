/* SPDX-License-Identifier: Apache-2.0
 *
 * Help lines of an option table: "  -o, --out DIR   what it does", wrapped.
 */
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define HELP_COLUMN 26 /* where the descriptions start */

static void print_option(FILE *out, const struct tt_option *option, int width)
{
    struct tt_string left = {0};
    if (option->letter)
        tt_string_add(&left, "  -%c, --%s", option->letter, option->name);
    else
        tt_string_add(&left, "      --%s", option->name);
    if (option->argument)
        tt_string_add(&left, option->implied ? "[=%s]" : " %s", option->argument);
    if (left.length + 2 > HELP_COLUMN)
        fprintf(out, "%s\n%*s", left.text, HELP_COLUMN, "");
    else
        fprintf(out, "%-*s", HELP_COLUMN, left.text);
    tt_print_wrapped(out, option->help, HELP_COLUMN, width);
    tt_string_free(&left);
}

static bool declares(const struct tt_option *table, const char *name)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0)
            return true;
    return false;
}

void tt_options_print(FILE *out, const struct tt_option *table, const struct tt_option *hidden_by, int width)
{
    for (; table && table->name; table++)
        if (!declares(hidden_by, table->name))
            print_option(out, table, width);
}
