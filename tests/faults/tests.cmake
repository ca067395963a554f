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

# Faults of the sample engine: every command in the plain setting, every setting with one command; the whole matrix
# on demand.
function(engine_faults engine command setting label)
    set(name faults.${engine}.${command}.${setting})
    add_test(NAME ${name} COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/engine_faults.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
             --engine ${engine} --command ${command} --setting ${setting})
    set_tests_properties(${name} PROPERTIES LABELS ${label} ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endfunction()
foreach(engine tensortap-engine tensortap-engine-own)
    foreach(command verify compare)
        engine_faults(${engine} ${command} plain medium)
        engine_faults(${engine} ${command} all long)
    endforeach()
endforeach()
foreach(setting layer-0 hf bf16 one-token chunks)
    engine_faults(tensortap-engine verify ${setting} medium)
endforeach()
foreach(setting layer-2 bf16 chunks)
    engine_faults(tensortap-engine-own verify ${setting} medium)
endforeach()
engine_faults(tensortap-engine compare chunks medium)
add_test(NAME faults.bad_input COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/bad_input.py ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set_tests_properties(faults.kernels faults.weights faults.bad_input PROPERTIES LABELS medium SKIP_RETURN_CODE 77)

# Right engines: nothing may be said of any.
function(right_engines group label)
    add_test(NAME faults.right.${group} COMMAND ${TENSORTAP_PYTHON} ${FAULTS}/right_engines.py
             ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${group})
    set_tests_properties(faults.right.${group} PROPERTIES LABELS ${label} ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endfunction()
foreach(group gguf-f32 hf-bf16 shapes shapes-own ways ways-own far)
    right_engines(${group} medium)
endforeach()
foreach(group gguf-f16 gguf-bf16 hf-f32 hf-f16)
    right_engines(${group} long)
endforeach()
