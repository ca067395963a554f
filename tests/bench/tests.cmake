# SPDX-License-Identifier: Apache-2.0
# Measurements. Each prints a table with ratios taken in one run; run by hand or with ctest -L long, where a
# figure far below what the documentation promises is a failure.
add_executable(decode_bench ${CMAKE_CURRENT_LIST_DIR}/decode_bench.c)
target_link_libraries(decode_bench PRIVATE tensortap-analyzer)
add_test(NAME bench.decode COMMAND decode_bench 2)
set_tests_properties(bench.decode PROPERTIES LABELS long)
add_executable(linear_bench ${CMAKE_CURRENT_LIST_DIR}/linear_bench.c)
target_link_libraries(linear_bench PRIVATE tensortap-analyzer)
add_test(NAME bench.linear COMMAND linear_bench 0.5)
set_tests_properties(bench.linear PROPERTIES LABELS long)

add_test(NAME bench.reference_memory
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/reference_memory.py $<TARGET_FILE:tensortap-cli> --check)
set_tests_properties(bench.reference_memory PROPERTIES LABELS long SKIP_RETURN_CODE 77)
