# SPDX-License-Identifier: Apache-2.0
# Commands against other people's numbers. Skipped (77) where torch, transformers or tokenizers is missing.
foreach(cases "embed;attention;hidden;jobs" "rope;weights;inject;adapters")
    string(REPLACE ";" "." name "${cases}")
    add_test(NAME commands.checks.${name}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/checks_test.py ${cases})
    set_tests_properties(commands.checks.${name} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")
endforeach()

add_test(NAME commands.loop
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/loop_test.py $<TARGET_FILE:tensortap-engine>
                 $<TARGET_FILE:tensortap-make-model>)
set_tests_properties(commands.loop PROPERTIES LABELS short ENVIRONMENT "TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")

add_test(NAME commands.slips
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/slips_test.py $<TARGET_FILE:tensortap-make-model>)
set_tests_properties(commands.slips PROPERTIES LABELS short ENVIRONMENT "TENSORTAP_BUILD=${CMAKE_BINARY_DIR}")
