# SPDX-License-Identifier: Apache-2.0
# Model files against each other, and their sizes. Tiny random models of transformers (tests/support/tiny_models.py),
# converted with gguf by convert.py.
foreach(test right_conversions faulty_conversions quantised_conversions params)
    add_test(NAME models.${test} COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/${test}.py)
    set_tests_properties(models.${test} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")
endforeach()

add_test(NAME models.published_sizes COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/published_sizes.py)
set_tests_properties(models.published_sizes PROPERTIES LABELS short ENVIRONMENT "TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")
