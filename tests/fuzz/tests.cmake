# SPDX-License-Identifier: Apache-2.0
# Mutation of foreign files, always with sanitizers, whatever the preset: the program compiles the rooms that read
# them once more. Short in every run, long on demand (ctest -L long, tests/fuzz/run.sh MINUTES).
set(FUZZ_SANITIZERS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

file(GLOB FUZZ_ANALYZER_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/analyzer/model/*.c
     ${PROJECT_SOURCE_DIR}/analyzer/base/*.c ${PROJECT_SOURCE_DIR}/analyzer/graph/*.c
     ${PROJECT_SOURCE_DIR}/analyzer/ops/*.c ${PROJECT_SOURCE_DIR}/analyzer/tokenizer/*.c)
# What is fuzzed tells which ways it takes; the fuzzer's own ways are no news.
add_library(fuzz-analyzer STATIC EXCLUDE_FROM_ALL ${FUZZ_ANALYZER_SOURCES})
target_include_directories(fuzz-analyzer PUBLIC ${PROJECT_SOURCE_DIR}/analyzer ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(fuzz-analyzer PUBLIC _GNU_SOURCE XXH_INLINE_ALL
    TENSORTAP_DATADIR="${CMAKE_INSTALL_FULL_DATADIR}/tensortap"
    TENSORTAP_SOURCE_DATADIR="${PROJECT_SOURCE_DIR}/analyzer")
target_compile_options(fuzz-analyzer PRIVATE -fsanitize-coverage=trace-pc -UNDEBUG PUBLIC ${FUZZ_SANITIZERS})
target_link_options(fuzz-analyzer PUBLIC ${FUZZ_SANITIZERS})
set_source_files_properties(${PROJECT_SOURCE_DIR}/analyzer/model/file.c PROPERTIES
    COMPILE_DEFINITIONS "mmap=fuzz_mmap;munmap=fuzz_munmap") # mapped.c; of this folder's targets only
# Whatever libraries the analyzer itself needs.
get_target_property(FUZZ_LIBRARIES tensortap-analyzer LINK_LIBRARIES)
list(REMOVE_ITEM FUZZ_LIBRARIES tensortap-record)
target_link_libraries(fuzz-analyzer PUBLIC ${FUZZ_LIBRARIES})

file(GLOB FUZZ_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
add_executable(model_fuzz ${FUZZ_SOURCES})
target_link_libraries(model_fuzz PRIVATE fuzz-analyzer)

# Corpus and log stay in the build folder; without the libraries that write seeds, those built in are used.
set(FUZZ_FOLDER ${CMAKE_BINARY_DIR}/fuzz)
file(MAKE_DIRECTORY ${FUZZ_FOLDER})
set(FUZZ_COMMAND model_fuzz --seeds ${FUZZ_FOLDER}/seeds --corpus ${FUZZ_FOLDER}/corpus --log ${FUZZ_FOLDER}/executions.log)
add_test(NAME fuzz.seeds COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/seeds.py ${FUZZ_FOLDER}/seeds)
set_tests_properties(fuzz.seeds PROPERTIES LABELS medium SKIP_RETURN_CODE 77 ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1")
add_test(NAME fuzz.model COMMAND ${FUZZ_COMMAND} --executions 2000 --seconds 30)
set_tests_properties(fuzz.model PROPERTIES LABELS medium DEPENDS fuzz.seeds)
add_test(NAME fuzz.model_long COMMAND ${FUZZ_COMMAND} --seconds 1800 --seed 11)
set_tests_properties(fuzz.model_long PROPERTIES LABELS long DEPENDS fuzz.seeds TIMEOUT 3600 RUN_SERIAL ON)

# What users see of it: the command itself.
add_test(NAME fuzz.rejected
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/rejected.py $<TARGET_FILE:tensortap-cli>)
set_tests_properties(fuzz.rejected PROPERTIES LABELS medium SKIP_RETURN_CODE 77
                     ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1")
