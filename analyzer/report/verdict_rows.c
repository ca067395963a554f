/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rows of a verdict are shown.
 */
#include "report/verdict.h"

bool tt_row_selected(const struct tt_verdict_view *view, const struct tt_row *row, int layers)
{
    struct tt_select_subject subject = {0};
    if (!view->select)
        return true;
    tt_select_set_number(&subject, TT_SELECT_PASS, row->pass, 0);
    tt_select_set_number(&subject, TT_SELECT_LAYER, row->layer, layers);
    tt_select_set_number(&subject, TT_SELECT_SEQ, row->sequence, 0);
    tt_select_set_word(&subject, TT_SELECT_COMPONENT, row->component);
    tt_select_set_word(&subject, TT_SELECT_DTYPE, tt_dtype_info(row->dtype)->name);
    return tt_select_match(view->select, &subject);
}
