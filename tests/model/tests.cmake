# SPDX-License-Identifier: Apache-2.0
# Files that people have, read by the analyzer and by the packages that define them.
foreach(case quantised adapters torch_archives sizes reference)
    add_test(NAME model.${case} COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/${case}_test.py)
    set_tests_properties(model.${case} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")
endforeach()
