# SPDX-License-Identifier: Apache-2.0
# The preload library in other people's programs. Test programs know nothing of the tap but its optional header.
set(ROOM ${CMAKE_CURRENT_LIST_DIR})
set(ROOM_OUTPUT ${CMAKE_BINARY_DIR}/tests/preload)

add_executable(preload-dump ${ROOM}/dump.c)
target_link_libraries(preload-dump PRIVATE tensortap-analyzer PkgConfig::CJSON)
target_include_directories(preload-dump PRIVATE ${PROJECT_SOURCE_DIR}/analyzer)

# A stand-in BLAS under one way of naming, and the program that calls it.
function(preload_blas name prefix cblas_suffix fortran_suffix integer)
    set(names PREFIX=${prefix} CBLAS_SUFFIX=${cblas_suffix} FORTRAN_SUFFIX=${fortran_suffix} INT=${integer})
    add_library(preload-stub-${name} SHARED ${ROOM}/stub_blas.c)
    target_compile_definitions(preload-stub-${name} PRIVATE ${names})
    target_compile_options(preload-stub-${name} PRIVATE -Wno-missing-prototypes)
    add_executable(preload-calls-${name} ${ROOM}/calls.c)
    target_compile_definitions(preload-calls-${name} PRIVATE ${names})
    target_link_libraries(preload-calls-${name} PRIVATE preload-stub-${name})
    set_target_properties(preload-stub-${name} preload-calls-${name} PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY ${ROOM_OUTPUT} RUNTIME_OUTPUT_DIRECTORY ${ROOM_OUTPUT})
    preload_python_test(calls.${name} calls_test.py $<TARGET_FILE:preload-calls-${name}>)
endfunction()

function(preload_python_test name script)
    add_test(NAME preload.${name} COMMAND ${TENSORTAP_PYTHON} ${ROOM}/${script} ${ARGN})
    set_tests_properties(preload.${name} PROPERTIES LABELS short SKIP_RETURN_CODE 77 ENVIRONMENT
        "TENSORTAP_LIBRARY=$<TARGET_FILE:tensortap>;TENSORTAP_DUMP=$<TARGET_FILE:preload-dump>;TENSORTAP_ROOM=${ROOM_OUTPUT};TENSORTAP_PYTHON=${TENSORTAP_PYTHON};TENSORTAP_SOURCE=${PROJECT_SOURCE_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

preload_blas(lp64 "" "" _ int32_t)
preload_blas(suffix64_ "" 64_ _64_ int64_t)
preload_blas(suffix_64 "" _64 64_ int64_t)
preload_blas(suffix_64_ "" _64_ _64_ int64_t)
preload_blas(scipy64 scipy_ 64_ _64_ int64_t)
preload_blas(scipy scipy_ "" _ int32_t)
preload_blas(flexiblas flexiblas_ "" _ int32_t)
preload_blas(flexiblas64 flexiblas_ 64_ 64_ int64_t)

# Bare names count only beside their companions: the same stub once more under the decorated names.
preload_blas(bare "" "" "" int32_t)
add_library(preload-companions OBJECT ${ROOM}/stub_blas.c)
target_compile_definitions(preload-companions PRIVATE PREFIX= CBLAS_SUFFIX=_unused FORTRAN_SUFFIX=_ INT=int32_t)
target_compile_options(preload-companions PRIVATE -Wno-missing-prototypes)
target_sources(preload-stub-bare PRIVATE $<TARGET_OBJECTS:preload-companions>)
target_link_options(preload-stub-bare PRIVATE -Wl,--defsym=SGEMM=sgemm_ -Wl,--defsym=DDOT=ddot_)

add_executable(preload-calls-openblas ${ROOM}/calls.c)
target_compile_definitions(preload-calls-openblas PRIVATE PREFIX= CBLAS_SUFFIX= FORTRAN_SUFFIX=_ INT=int32_t
                           STANDARD_ONLY)
target_link_libraries(preload-calls-openblas PRIVATE PkgConfig::OPENBLAS)
preload_python_test(calls.openblas calls_test.py $<TARGET_FILE:preload-calls-openblas>)

add_executable(preload-scenes ${ROOM}/scenes.c)
target_link_libraries(preload-scenes PRIVATE PkgConfig::OPENBLAS Threads::Threads m)
target_compile_definitions(preload-scenes PRIVATE _GNU_SOURCE)
target_include_directories(preload-scenes PRIVATE ${PROJECT_SOURCE_DIR}/include)
# OpenBLAS itself crashes now and then when the process exits under its threads; a BLAS without state does not.
add_executable(preload-scenes-stub ${ROOM}/scenes.c)
target_link_libraries(preload-scenes-stub PRIVATE preload-stub-lp64 Threads::Threads m)
target_compile_definitions(preload-scenes-stub PRIVATE _GNU_SOURCE)
target_include_directories(preload-scenes-stub PRIVATE ${PROJECT_SOURCE_DIR}/include ${OPENBLAS_INCLUDE_DIRS})

foreach(plugin one:100 two:200)
    string(REPLACE ":" ";" parts ${plugin})
    list(GET parts 0 name)
    list(GET parts 1 tag)
    add_library(preload-blas-${name} SHARED ${ROOM}/stub_blas.c)
    target_compile_definitions(preload-blas-${name} PRIVATE PREFIX= CBLAS_SUFFIX= FORTRAN_SUFFIX=_ INT=int32_t
                               TAG=${tag})
    target_compile_options(preload-blas-${name} PRIVATE -Wno-missing-prototypes)
    add_library(preload-plugin-${name} MODULE ${ROOM}/plugin.c)
    target_link_libraries(preload-plugin-${name} PRIVATE preload-blas-${name})
    # No tail call: with two BLASes its return address is all that tells which one is meant.
    target_compile_options(preload-plugin-${name} PRIVATE -fno-optimize-sibling-calls)
    set_target_properties(preload-blas-${name} preload-plugin-${name} PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY ${ROOM_OUTPUT})
endforeach()
add_executable(preload-host ${ROOM}/host.c)
target_link_libraries(preload-host PRIVATE ${CMAKE_DL_LIBS})
add_library(preload-own-names SHARED ${ROOM}/own_names.c)
add_executable(preload-own-names-user ${ROOM}/own_names_user.c)
target_link_libraries(preload-own-names-user PRIVATE preload-own-names)
add_executable(preload-upper ${ROOM}/upper.c)
target_link_libraries(preload-upper PRIVATE preload-stub-bare)
set_target_properties(preload-dump preload-calls-openblas preload-scenes preload-scenes-stub preload-host preload-own-names
    preload-own-names-user preload-upper PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${ROOM_OUTPUT} LIBRARY_OUTPUT_DIRECTORY ${ROOM_OUTPUT})

preload_python_test(behaviour behaviour_test.py)
preload_python_test(settings settings_test.py)
preload_python_test(undefined undefined_test.py ${CMAKE_C_COMPILER} $<TARGET_FILE:preload-calls-lp64>
                    $<TARGET_FILE:preload-stub-lp64>)
preload_python_test(exports exports_test.py ${CMAKE_C_COMPILER})
preload_python_test(numpy numpy_test.py)

add_executable(blas-overhead ${PROJECT_SOURCE_DIR}/tests/bench/blas_overhead.c)
target_link_libraries(blas-overhead PRIVATE PkgConfig::OPENBLAS)
