# SPDX-License-Identifier: Apache-2.0
# Planted faults: each must be found, named and put where it is, and right runs must stay silent.
set(FAULTS ${CMAKE_CURRENT_LIST_DIR})

add_library(wrong-blas SHARED ${FAULTS}/wrong_blas.c)
target_link_libraries(wrong-blas PRIVATE m)
add_executable(wrong-blas-user ${FAULTS}/wrong_blas_user.c)
target_link_libraries(wrong-blas-user PRIVATE PkgConfig::OPENBLAS)

add_test(NAME faults.kernels
         COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/kernel_faults.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
                 $<TARGET_FILE:wrong-blas-user> $<TARGET_FILE:wrong-blas>)
add_test(NAME faults.weights
         COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/weight_faults.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
add_test(NAME faults.engine COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/engine_faults.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(faults.kernels faults.weights PROPERTIES LABELS medium SKIP_RETURN_CODE 77)
set_tests_properties(faults.engine PROPERTIES LABELS long)
